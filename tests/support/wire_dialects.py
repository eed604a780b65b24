"""How the same answer, and the same failure, looks on other servers: proxies, gateways and clones of the three wires.

A `Dialect` changes how a reply is written, not what it says: whoever reads it must get the whole answer. `BROKEN` and
`REFUSED` are failures in shapes that the real APIs do not have.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from failover_core.testing import Fault, faults
from failover_core.testing.reply import Part, Reply, Role
from failover_core.testing.wires import Incoming

JSON = dict[str, Any]
Rewrite = Callable[[Incoming, Reply], Reply]


@dataclass(frozen=True)
class Dialect(Fault):
    """A way to write a reply.

    Args:
        name: what is different.
        rewrite: makes it so.
        wires: where there is such a thing.
        streams, answers: whether it is about streams and about whole answers.
    """

    name: str
    rewrite: Rewrite
    wires: tuple[str, ...] = ("openai", "anthropic", "google")
    streams: bool = True
    answers: bool = False

    def change_reply(self, incoming: Incoming, reply: Reply) -> Reply:
        return self.rewrite(incoming, reply)


def bytes_of(change: Callable[[bytes], bytes]) -> Rewrite:
    """Change the bytes of each event."""

    def rewrite(incoming: Incoming, reply: Reply) -> Reply:
        return replace(reply, parts=tuple(replace(part, data=change(part.data)) for part in reply.parts))

    return rewrite


def events_of(change: Callable[[JSON], JSON | None]) -> Rewrite:
    """Change the JSON of each event, or of the whole answer; None leaves the event out."""

    def changed(part: Part) -> Iterator[Part]:
        head, found, text = part.data.rpartition(b"data: ")
        if (not found and not text.startswith(b"{")) or text.startswith(b"[DONE]"):
            yield part
            return
        value = change(json.loads(text))
        if value is not None:
            written = json.dumps(value, ensure_ascii=False).encode()
            yield replace(part, data=head + found + written + (b"\n\n" if found else b""))

    def rewrite(incoming: Incoming, reply: Reply) -> Reply:
        return replace(reply, parts=tuple(new for part in reply.parts for new in changed(part)))

    return rewrite


def pieces_of_bytes(size: int) -> Rewrite:
    """Written so many bytes at a time, in the middle of lines and characters."""

    def rewrite(incoming: Incoming, reply: Reply) -> Reply:
        data = b"".join(part.data for part in reply.parts)
        pieces = [Part(Role.OPEN, data[at : at + size]) for at in range(0, len(data), size)]
        return replace(reply, parts=tuple(pieces), streamed=True)

    return rewrite


def between(data: bytes) -> Rewrite:
    """Something else between the events."""

    def rewrite(incoming: Incoming, reply: Reply) -> Reply:
        return replace(reply, parts=tuple(new for part in reply.parts for new in (Part(Role.OPEN, data), part)))

    return rewrite


def first(data: bytes) -> Rewrite:
    """Something else before everything."""

    def rewrite(incoming: Incoming, reply: Reply) -> Reply:
        return replace(reply, parts=(Part(Role.OPEN, data), *reply.parts))

    return rewrite


def open_after(*roles: Role) -> Rewrite:
    """All is said, without the parts of these roles, and the connection stays open."""

    def rewrite(incoming: Incoming, reply: Reply) -> Reply:
        return replace(reply.without(*roles), ending="hang")

    return rewrite


def cut_after(*roles: Role) -> Rewrite:
    """All is said, without the parts of these roles, and the connection breaks."""

    def rewrite(incoming: Incoming, reply: Reply) -> Reply:
        return replace(reply.without(*roles), ending="cut")

    return rewrite


def without(*names: str) -> Callable[[JSON], JSON]:
    """An event without these fields, at any depth."""

    def change(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: change(inner) for name, inner in value.items() if name not in names}
        return [change(inner) for inner in value] if isinstance(value, list) else value

    return change


def _finish_with_the_last_words(incoming: Incoming, reply: Reply) -> Reply:
    """The finish reason comes in the event of the last piece of text."""
    parts = list(reply.parts)
    last = max(index for index, part in enumerate(parts) if part.role is Role.CONTENT)
    finish = next(index for index, part in enumerate(parts) if part.role is Role.FINISH)
    words, ending = (json.loads(parts[at].data.removeprefix(b"data: ")) for at in (last, finish))
    place, name = ("candidates", "finishReason") if "candidates" in words else ("choices", "finish_reason")
    words[place][0][name] = ending[place][0][name]
    parts[last] = Part(Role.CONTENT, b"data: " + json.dumps(words).encode() + b"\n\n")
    del parts[finish]
    return replace(reply, parts=tuple(parts))


def _finish_reason(blank: Any) -> Callable[[JSON], JSON]:
    def change(event: JSON) -> JSON:
        for choice in event.get("choices", ()):
            if choice.get("finish_reason") is None:
                choice["finish_reason"] = blank
        return event

    return change


def _role_everywhere(event: JSON) -> JSON:
    for choice in event.get("choices", ()):
        if "delta" in choice:
            choice["delta"] = {"role": "assistant", "content": None, **choice["delta"]}
    return event


def _usage_everywhere(event: JSON) -> JSON:
    if "choices" in event:
        event["usage"] = event.get("usage") or {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return event


def _indented(data: bytes) -> bytes:
    return json.dumps(json.loads(data), indent=2).encode() if data.startswith(b"{") else data


_AZURE = b'data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[]}\n\n'
_GEMINI_USAGE = (
    b'data: {"usageMetadata":{"promptTokenCount":3,"totalTokenCount":3},"modelVersion":"gemini-2.5-flash"}\n\n'
)
_PING = b'event: ping\ndata: {"type": "ping"}\n\n'
_CLONES = ("openai",)
_NO_PINGS = ("openai", "google")
_SSE = ("openai", "anthropic")  # google-genai reads lines that begin with "data: ", and nothing else

DIALECTS = [
    Dialect("CRLF", bytes_of(lambda data: data.replace(b"\n", b"\r\n"))),
    Dialect("no space after data", bytes_of(lambda data: data.replace(b"data: ", b"data:")), wires=_SSE),
    Dialect("three bytes at a time", pieces_of_bytes(3), answers=True),
    Dialect("all at once", pieces_of_bytes(1_000_000), answers=True),
    Dialect("comments between", between(b": OPENROUTER PROCESSING\n\n"), wires=_SSE),
    Dialect("ids and retry fields", bytes_of(lambda data: b"id: 7\nretry: 3000\n" + data), wires=_SSE),
    Dialect("blank lines between", between(b"\n\n")),
    Dialect("pings between", between(_PING), wires=("anthropic",)),
    Dialect("an event type of tomorrow", between(b'event: news\ndata: {"type": "news"}\n\n'), wires=("anthropic",)),
    Dialect("named events", bytes_of(lambda data: b"event: message\n" + data), wires=_CLONES),
    Dialect("no usage", events_of(without("usage", "usageMetadata")), wires=_NO_PINGS, answers=True),
    Dialect("usage in every event", events_of(_usage_everywhere), wires=_CLONES),
    Dialect("no ids", events_of(without("id", "created", "responseId", "system_fingerprint")), answers=True),
    Dialect("no model", events_of(without("modelVersion")), wires=("google",), answers=True),
    Dialect("no finish reason until the end", events_of(without("logprobs", "refusal")), wires=_CLONES, answers=True),
    Dialect("finish reason empty until the end", events_of(_finish_reason("")), wires=_CLONES),
    Dialect("finish reason with the last words", _finish_with_the_last_words, wires=_NO_PINGS),
    Dialect("role in every event", events_of(_role_everywhere), wires=_CLONES),
    Dialect("no choices at first", first(_AZURE), wires=_CLONES),
    Dialect("usage at first", first(_GEMINI_USAGE), wires=("google",)),
    Dialect("cut after its finish reason", cut_after(Role.END), wires=_SSE),
    Dialect("open after its end", open_after()),
    Dialect("open after its end, unsaid", open_after(Role.END)),
    Dialect("blank lines before the answer", first(b"\n\n  \n"), streams=False, answers=True),
    Dialect("indented", bytes_of(_indented), streams=False, answers=True),
]


def instead_of_the_rest(data: bytes, after_chunks: int = 0) -> Fault:
    """The stream says this after so many pieces, and ends well as far as HTTP knows."""

    def rewrite(incoming: Incoming, reply: Reply) -> Reply:
        kept = reply.up_to(after_chunks).parts if after_chunks else ()
        return replace(reply, parts=(*kept, Part(Role.CLOSE, data)))

    return Dialect("", rewrite)


_JSON = "application/json"
_NO_CHOICES = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": []}

BROKEN: dict[str, Fault] = {
    "503 in words": faults.Status(503, body="upstream connect error", content_type="text/plain"),
    "503 without a body": faults.Status(503, body=""),
    "500 with a list": faults.Status(500, body=[{"error": {"message": "x"}}]),
    "500 with a detail": faults.Status(500, body={"detail": "Internal Server Error"}),
    "500 with a bare error": faults.Status(500, body={"error": "boom"}),
    "502 with null": faults.Status(502, body="null", content_type=_JSON),
    "520": faults.Status(520, body="error code: 520", content_type="text/plain"),
    "408": faults.Status(408, body={"error": {"message": "Request timeout"}}),
    "402": faults.Status(402, body={"error": {"message": "Insufficient credits", "code": 402}}),
    "403 in words": faults.Status(403, body="Forbidden", content_type="text/plain"),
    "404 in words": faults.Status(404, body="404 page not found", content_type="text/plain"),
    "429 in words": faults.Status(429, body="rate limited", content_type="text/plain"),
    "429 as HTML": faults.Status(429, body="<html>Too many requests</html>"),
    "429 come back soon": faults.Status(429, message="Slow down.", headers={"Retry-After": "soon"}),
    "204": faults.Status(204, body=b""),
    "200 with a list": faults.Status(200, body=[]),
    "200 with nothing in it": faults.Status(200, body={}),
    "200 with null": faults.Status(200, body="null", content_type=_JSON),
    "200 with a bare error": faults.Status(200, body={"error": "overloaded"}),
    "200 in words": faults.Status(200, body="OK", content_type="text/plain"),
    "200 without choices": faults.Status(200, body=_NO_CHOICES),
    "200 with half an answer": faults.Status(200, body='{"id":"x","choices":[{"mess', content_type=_JSON),
    "cut before the first piece": faults.Cut(0),
    "cut after one piece": faults.Cut(1),
    "cut before the last piece": faults.Cut(59),
}
"""Another provider must answer."""

BROKEN_STREAMS: dict[str, Fault] = {
    "a bare error": instead_of_the_rest(b'data: {"error": "overloaded"}\n\n'),
    "a bare error midway": instead_of_the_rest(b'data: {"error": "overloaded"}\n\n', 40),
    "an error event": instead_of_the_rest(b'event: error\ndata: {"message":"overloaded","code":503}\n\n'),
    "an error event midway": instead_of_the_rest(b'event: error\ndata: {"error":{"message":"busy"}}\n\n', 40),
    "a detail midway": instead_of_the_rest(b'data: {"detail":"server error"}\n\n', 40),
    "words midway": instead_of_the_rest(b"Internal Server Error", 40),
    "HTML midway": instead_of_the_rest(b"<html>502</html>", 40),
    "half an event": instead_of_the_rest(b'data: {"id":"x","choi', 40),
    "DONE too early": instead_of_the_rest(b"data: [DONE]\n\n", 40),
    "cut while it is slow": faults.SlowDecode(0.15) + faults.Cut(3),
    "nothing but DONE": instead_of_the_rest(b"data: [DONE]\n\n"),
}

REFUSED: dict[str, tuple[Fault, str]] = {
    "400 as HTML": (faults.Status(400, body="<html>Bad request</html>"), "invalid_request"),
    "400 in other words": (faults.Status(400, body={"message": "bad field"}), "invalid_request"),
    "422": (faults.Status(422, body={"detail": [{"loc": ["body"], "msg": "field required"}]}), "invalid_request"),
    "content policy": (
        faults.Status(
            400,
            body={
                "error": {
                    "message": "Your request was rejected as a result of our safety system.",
                    "type": "invalid_request_error",
                    "param": None,
                    "code": "content_policy_violation",
                }
            },
        ),
        "content_filtered",
    ),
}
"""The caller's own doing: nobody else is asked."""
