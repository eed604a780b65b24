"""What goes over the wire for one request, as a value: wires make replies, faults change them, `transport` sends them.

A reply is a sequence of parts. In a stream each part is one server-sent event; a plain answer is one part.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Literal

Ending = Literal["complete", "cut", "reset", "hang"]
"""How a reply ends: properly; by a FIN before its end; by a RST; or never, until the client or the server goes."""


class Role(Enum):
    """What a part is for. Only `CONTENT` is progress: it is what `after_chunks=` counts and what pacing delays."""

    OPEN = "open"  # role markers, message_start, pings
    CONTENT = "content"  # visible text, reasoning, (pieces of) tool calls
    CLOSE = "close"  # the end of a content block
    FINISH = "finish"  # the finish reason, and usage
    END = "end"  # the wire's own terminator: [DONE], message_stop


@dataclass(frozen=True, slots=True)
class Part:
    role: Role
    data: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """One response.

    Args:
        parts: the body, written one part at a time.
        status: HTTP status.
        headers: HTTP headers; they win over those of the provider.
        content_type: of the body.
        streamed: chunked transfer if True, else Content-Length with all parts at once.
        from_provider: False for what a gateway in front of it says: no rate-limit headers, no request id.
        sends_headers: False to end before the status line.
        headers_first: whether `first_delay_s` passes after the headers (and opening parts) or before them.
        first_delay_s: wait before the first content, in seconds.
        chunk_delay_s: wait before each further piece of content, in seconds.
        pieces: how many pieces of content an answer that is sent whole is made of: it takes as long as they do.
        declared_bytes: the Content-Length, where it is not the length of the parts.
        ending: how it ends.
        heartbeat: written every `heartbeat_s` seconds while it hangs; nothing when empty.
    """

    parts: tuple[Part, ...] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    streamed: bool = False
    from_provider: bool = True
    sends_headers: bool = True
    headers_first: bool = True
    first_delay_s: float = 0.0
    chunk_delay_s: float = 0.0
    pieces: int = 1
    declared_bytes: int | None = None
    ending: Ending = "complete"
    heartbeat: bytes = b""
    heartbeat_s: float = 0.05

    def without(self, *roles: Role) -> Reply:
        return replace(self, parts=tuple(part for part in self.parts if part.role not in roles))

    def up_to(self, chunks: int) -> Reply:
        """The reply as far as its `chunks`-th piece of content; half the body when it is not a stream."""
        if not self.streamed:
            body = b"".join(part.data for part in self.parts)
            half = body[: len(body) // 2] if chunks > 0 else b""
            return replace(self, parts=(Part(Role.CONTENT, half),) if half else (), declared_bytes=len(body))
        kept: list[Part] = []
        for part in self.parts:
            if part.role is Role.CONTENT:
                chunks -= 1
            if chunks < 0 or part.role in (Role.FINISH, Role.END):
                break
            kept.append(part)
        return replace(self, parts=tuple(kept))


def plain_reply(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A JSON answer."""
    return Reply((Part(Role.CONTENT, dumps(body)),), status=status, headers=headers or {})


def stream_reply(parts: Sequence[Part]) -> Reply:
    """A stream of server-sent events."""
    return Reply(tuple(parts), content_type="text/event-stream; charset=utf-8", streamed=True)


def event(role: Role, data: Any, name: str | None = None) -> Part:
    """One server-sent event with a JSON payload."""
    return Part(role, sse(dumps(data), name))


def sse(data: bytes, name: str | None = None) -> bytes:
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + data + b"\n\n"


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
