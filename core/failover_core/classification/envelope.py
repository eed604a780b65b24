"""Error bodies: whatever their shape, the same few keys carry the meaning.

`{"error": {"message", "type", "code"}}` (OpenAI and the many who copy it), `{"type": "error", "error": {...}}`
(Anthropic), google.rpc.Status with its details, problem+json, FastAPI's `detail`, AWS' `__type`, OpenRouter's
`metadata.raw`, JSON inside a JSON string inside a JSON string: rather than know every shape, the reader collects
the values of those keys, the deepest first, because what is wrapped is what the provider said.

Text is read with one pattern instead of a parser: bodies arrive cut off, as Python reprs, as JavaScript objects,
or in the middle of a log line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

# fmt: off
# Keys are compared without case, underscores and hyphens.
_NAME_KEYS = frozenset((
    "code", "type", "status", "reason", "errortype", "errorcode", "errcode", "errorclass", "exceptiontype", "exception",
    "name", "kind", "finishreason", "blockreason", "subcode", "err",
))
_STATUS_KEYS = frozenset((
    "code", "status", "statuscode", "httpstatus", "httpstatuscode", "httpcode", "errorcode", "upstreamstatus",
))
_MESSAGE_KEYS = frozenset((
    "message", "msg", "detail", "details", "error", "errors", "errormessage", "errormsg", "errmsg", "raw", "title",
    "errordescription", "statusmsg", "statusmessage", "cause", "response", "body", "displaymessage",
))
_WAIT_KEYS = frozenset(("retrydelay", "retryafter", "retryafterseconds", "retryafterms", "resetsinseconds"))
_QUOTA_KEYS = frozenset(("quotaid", "quotametric", "quotalimit"))
# What the caller sent comes back in these; it says nothing about what went wrong.
_ECHO_KEYS = frozenset((
    "input", "inputs", "messages", "prompt", "request", "failedgeneration", "loc", "contents", "headers", "query",
))
# fmt: on

_ALL_KEYS = _NAME_KEYS | _STATUS_KEYS | _MESSAGE_KEYS | _WAIT_KEYS | _QUOTA_KEYS
_MAX_NODES = 150
_MAX_DEPTH = 8
_MAX_CHARS = 5200


@dataclass(slots=True)
class Found:
    """What a body says: see `Evidence` for the fields."""

    statuses: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    waits: list[tuple[str, str]] = field(default_factory=list)
    quotas: list[str] = field(default_factory=list)
    code: str | None = None


@dataclass(frozen=True, slots=True)
class _Pair:
    depth: int
    key: str
    value: str | int


def read(body: object) -> Found:
    """Collect what a body says. Looks at no more than a few hundred nodes and a few thousand characters."""
    if isinstance(body, bytes):
        body = body[: _MAX_CHARS * 4].decode("utf-8", "replace")
    pairs = list(islice(_text_pairs(body, 0) if isinstance(body, str) else _tree_pairs(body, 0), _MAX_NODES))
    # The deepest first; at the same depth in order of appearance, titles ("Not Found") after what explains them.
    pairs.sort(key=lambda pair: (-pair.depth, pair.key == "title"))
    found = Found()
    for pair in pairs:
        _sort_in(pair, found)
    if isinstance(body, str) and not found.messages and not body.lstrip().startswith(("{", "[")):
        found.messages.append(body[:_MAX_CHARS])
    found.code = next((str(p.value) for p in pairs if p.key in ("code", "errorcode") and p.value in found.names), None)
    found.code = found.code or next((name for name in found.names if name.lower() != "error"), None)
    return found


def _sort_in(pair: _Pair, found: Found) -> None:
    key, value = pair.key, pair.value
    if key in _WAIT_KEYS:
        found.waits.append((key, str(value)))
        return
    if isinstance(value, int) or (len(value) == 3 and value.isascii() and value.isdigit()):
        if key in _STATUS_KEYS and 400 <= int(value) <= 599:
            found.statuses.append(int(value))
        elif key in _NAME_KEYS:
            found.names.append(str(value))  # some providers number their errors
        return
    if key in _QUOTA_KEYS:
        found.quotas.append(value[:200])
    one_word = " " not in value.strip() and len(value) <= 100
    if key in _NAME_KEYS and (one_word or key == "status"):
        found.names.append(value[:100])
    elif key == "error" and one_word:
        found.names.append(value)
        found.messages.append(value)
    elif key in _MESSAGE_KEYS or (key == "reason" and not one_word):
        found.messages.append(value)


def _tree_pairs(node: object, depth: int) -> Iterator[_Pair]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(node, Mapping):
        for raw_key, value in islice(node.items(), 60):
            key = _normal(raw_key)
            if key in _ECHO_KEYS:
                continue
            if isinstance(value, str | int) and not isinstance(value, bool):
                if key in _ALL_KEYS:
                    yield from _pair(depth, key, value)
            elif value is not None:
                yield from _tree_pairs(value, depth + 1)
    elif isinstance(node, list | tuple):
        for item in node[:20]:
            if isinstance(item, str):
                yield from _pair(depth, "message", item)
            else:
                yield from _tree_pairs(item, depth + 1)
    elif isinstance(node, bytes | str):
        yield from _text_pairs(node if isinstance(node, str) else node[:_MAX_CHARS].decode("utf-8", "replace"), depth)


# key, optional quotes, : or =, then a string in either quotes or a number. A quote ends a string only where a
# separator follows: people paste `'message': 'This model's maximum ...'`. The end of the text ends it as well.
_PAIR = re.compile(
    r"""(?<![\w.-])(?P<q>["']?)(?P<key>@?[A-Za-z_][\w-]{1,24})(?P=q)\s{0,4}[:=]\s{0,4}(?:
        "(?P<double>[^"\\]*(?:(?:\\.|"(?!\s{0,40}(?:[,}\])|;]|\Z)))[^"\\]*)*)(?:"|\Z)
      | '(?P<single>[^'\\]*(?:(?:\\.|'(?!\s{0,40}(?:[,}\])|;]|\Z)))[^'\\]*)*)(?:'|\Z)
      | (?P<number>-?\d{1,9})(?![\w.])
    )""",
    re.X | re.S,
)


def _text_pairs(text: str, depth: int) -> Iterator[_Pair]:
    if depth > _MAX_DEPTH or (":" not in text and "=" not in text):
        return
    if len(text) > _MAX_CHARS:
        text = f"{text[:4096]} {text[-1024:]}"
    if '\\"' in text and not re.search(r"""(?<!\\)["']\w+["']\s*:""", text):
        text = _unescaped(text)  # the whole text is the inside of a string
    for match in _PAIR.finditer(_without_echoes(text)):
        key = _normal(match["key"])
        if key not in _ALL_KEYS:
            continue
        if match["number"] is not None:
            yield _Pair(depth, key, int(match["number"]))
        else:
            value = match["double"] if match["double"] is not None else match["single"]
            yield from _pair(depth, key, _unescaped(value))


_BRACKET = re.compile(r"[\[\]{}]")
_ECHO = re.compile(rf"""(["'])(?:{"|".join(sorted(_ECHO_KEYS))}|failed_generation)\1\s{{0,4}}:\s{{0,4}}(?=[\[{{])""")


def _without_echoes(text: str) -> str:
    """The text without the objects and lists in which the caller's own input comes back, where they are complete."""
    kept, end = [], 0
    for match in _ECHO.finditer(text):
        if match.start() < end:
            continue
        closed = _closing(text, match.end())
        if closed is None:
            break
        kept.append(text[end : match.start()])
        end = closed
    return "".join((*kept, text[end:])) if end else text


def _closing(text: str, start: int) -> int | None:
    depth = 0
    for bracket in _BRACKET.finditer(text, start):
        depth += 1 if bracket[0] in "[{" else -1
        if depth == 0:
            return bracket.end()
    return None


def _pair(depth: int, key: str, value: str | int) -> Iterator[_Pair]:
    """The pair itself, or what is inside its value where that is an envelope again."""
    if isinstance(value, str) and key in _MESSAGE_KEYS and ("{" in value or '":' in value):
        # Less at every level: each may hold nearly all of the one around it.
        inner = list(islice(_text_pairs(value[: _MAX_CHARS // (depth + 2)], depth + 1), _MAX_NODES))
        if any(pair.key in _MESSAGE_KEYS for pair in inner):
            yield from inner
            return
        yield from inner
    yield _Pair(depth, key, value if isinstance(value, int) else value[:_MAX_CHARS])


def _normal(key: object) -> str:
    return key.replace("_", "").replace("-", "").lower() if isinstance(key, str) and len(key) < 40 else ""


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    text = text.replace("\\\\", "\\")
    return text.replace('\\"', '"').replace("\\'", "'").replace("\\n", "\n").replace("\\t", " ").replace("\\/", "/")
