"""What an error tells about itself, gathered without trusting it.

An exception can be anything: its attributes may be properties that raise, its `str` may be a megabyte, its body may
contain itself. Everything is read through `peek`, and only a bounded part of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any

from failover_core.failure import ErrorReport
from . import envelope
from .html import is_page, plain, status_of
from .statuses import weight
from .text import names_in, status_in

HEAD_CHARS, TAIL_CHARS = 4096, 1024
"""How much of a text is looked at: errors name themselves at the start, wrapped ones repeat it at the end."""

_STATUS_ATTRIBUTES = ("status_code", "http_status", "status", "code", "http_code")
_NAME_ATTRIBUTES = ("code", "type", "error_code", "reason", "status", "error_type")
_BODY_ATTRIBUTES = ("body", "json_body", "http_body", "details", "detail", "error", "server_message")


@dataclass(slots=True)
class Evidence:
    """The facts, most specific first where there are several.

    Args:
        status: the HTTP status of the response.
        inner_statuses: statuses found inside the body: a gateway wraps what its provider answered.
        names: codes, types and reasons as the provider spells them, then the exception's class names.
        messages: the provider's own words.
        text: everything the error says where it has no words of a provider's.
        headers: response headers, names in lower case.
        waits: (name, value) of what the body says about when to come back.
        quotas: what the body says which limits were hit.
        code: the first of the provider's own names, for people.
        provider: who answered, if the error tells.
    """

    status: int | None = None
    inner_statuses: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    waits: list[tuple[str, str]] = field(default_factory=list)
    quotas: list[str] = field(default_factory=list)
    code: str | None = None
    provider: str | None = None

    def add_body(self, body: object) -> None:
        """Read a body: parsed JSON, or text or bytes with JSON, a Python repr or HTML somewhere in it."""
        if isinstance(body, bytes):
            body = _decoded(body)
        if isinstance(body, str):
            body = clip(body)
        if isinstance(body, str) and is_page(body):
            self.messages.append(plain(body))
            if (status := status_of(body)) is not None:
                self.inner_statuses.append(status)
            return
        found = envelope.read(body)
        self.inner_statuses += found.statuses
        self.names += found.names
        self.messages += [message for message in map(plain, found.messages) if message]
        self.waits += found.waits
        self.quotas += found.quotas
        self.code = self.code or found.code

    def add_text(self, text: str) -> None:
        """Read what stands around a body, or an error that is nothing but prose."""
        self.names += names_in(text)
        if self.status is None and not self.inner_statuses and (status := status_in(text)) is not None:
            self.inner_statuses.append(status)

    def add_headers(self, headers: object) -> None:
        items = peek(headers, "items")
        if not callable(items):
            return
        try:
            for name, value in islice(items(), 200):
                self.headers.setdefault(_decoded(name).lower(), _decoded(value))
        except Exception:  # a foreign mapping may do anything
            return

    @property
    def best_status(self) -> int | None:
        """The status to report: one found inside the body where it says more than the response's."""
        told = [*self.inner_statuses, *([self.status] if self.status is not None else [])]
        return max(told, key=weight, default=None)

    @property
    def words(self) -> str:
        """What to read for meaning: the provider's words, or all of the text where there are none."""
        return clip(" | ".join(self.messages[:8]) or self.text, 1200, 300)


def read(error: BaseException) -> Evidence:
    """The evidence of one exception, not of its causes."""
    evidence = Evidence()
    response = peek(error, "response")
    evidence.status = (
        _first_status(error) or _status(peek(response, "status_code")) or _status(peek(response, "status"))
    )
    for name in _NAME_ATTRIBUTES:
        value = peek(error, name)
        if isinstance(value, str) and value:
            digits = as_status(value)
            if digits is not None:
                evidence.inner_statuses.append(digits)
            else:
                evidence.names.append(value[:100])
                evidence.code = evidence.code or value[:100]
    for name in _BODY_ATTRIBUTES:
        body = peek(error, name)
        if isinstance(body, Mapping | list | str | bytes) and body:
            evidence.add_body(body)
    if not evidence.messages and isinstance(content := peek(response, "_content"), bytes):
        # httpx and requests keep what they have read there; their public properties may read the network or raise.
        evidence.add_body(content)
    evidence.add_headers(peek(response, "headers"))
    evidence.add_headers(peek(error, "headers"))
    evidence.text = text_of(error)
    if not evidence.messages:
        for argument in islice(peek(error, "args") or (), 4):
            if isinstance(argument, Mapping | list):
                evidence.add_body(argument)
    if not evidence.messages:
        evidence.add_body(evidence.text)
        evidence.add_text(evidence.text)
    evidence.names += class_names(type(error))
    return evidence


def read_report(report: ErrorReport) -> Evidence:
    """The evidence of an error that reached us as text."""
    text = clip(report.message)
    evidence = Evidence(status=_status(report.status), text=text, code=report.code, provider=report.provider)
    if report.code:
        digits = as_status(report.code)
        evidence.names += [report.code] if digits is None else []
        evidence.inner_statuses += [] if digits is None else [digits]
    evidence.add_body(text)
    evidence.add_headers(report.headers)
    evidence.add_text(text)
    if report.exception_type:
        evidence.names.append(report.exception_type.rpartition(".")[2][:100])
    return evidence


@lru_cache(maxsize=512)
def class_names(cls: type) -> tuple[str, ...]:
    """The names of an exception class and its bases, except Python's own."""
    return tuple(c.__name__ for c in cls.__mro__[:16] if c.__module__ != "builtins")


def peek(thing: object, name: str) -> Any:
    """An attribute, or None where there is none or reading it fails."""
    try:
        return getattr(thing, name, None)
    except Exception:  # a property of a foreign class may raise anything
        return None


def text_of(error: BaseException) -> str:
    """What `str(error)` says, clipped before anything else is done with it where that is possible."""
    args = peek(error, "args")
    if isinstance(args, tuple) and any(isinstance(a, str | bytes) and len(a) > HEAD_CHARS for a in args):
        return clip(" ".join(_decoded(a) for a in args[:4] if isinstance(a, str | bytes)))
    try:
        text = str(error)
    except Exception:  # a foreign __str__ may raise anything
        return ""
    message = peek(error, "message")
    if isinstance(message, str) and message and not text:
        text = message
    return clip(text)


def clip(text: str, head: int = HEAD_CHARS, tail: int = TAIL_CHARS) -> str:
    """The start and the end of a long text."""
    return text if len(text) <= head + tail else f"{text[:head]} … {text[-tail:]}"


def as_status(value: object) -> int | None:
    """An HTTP status from a number or digits, None for anything else."""
    if isinstance(value, str):
        value = int(value) if len(value) == 3 and value.isascii() and value.isdigit() else None
    return _status(value)


def chain_of(error: BaseException) -> Iterator[tuple[BaseException, bool]]:
    """The exception, its causes and the members of groups: outermost first, each once, at most 16 of them. The flag
    is true for those that are no more than `__context__`, and for what hangs on them."""
    seen: set[int] = set()
    waiting: list[tuple[BaseException, bool]] = [(error, False)]
    while waiting and len(seen) < 16:
        current, implicit = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current, implicit
        if isinstance(current, BaseExceptionGroup):
            waiting += [(member, implicit) for member in current.exceptions[:8]]
        if current.__cause__ is not None:
            waiting.append((current.__cause__, implicit))
        elif current.__context__ is not None and not current.__suppress_context__:
            waiting.append((current.__context__, True))


def _first_status(error: BaseException) -> int | None:
    return next((s for name in _STATUS_ATTRIBUTES if (s := _status(peek(error, name))) is not None), None)


def _status(value: object) -> int | None:
    # bool is an int, http.HTTPStatus and other enums are too
    if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
        return int(value)
    return None


def _decoded(value: object) -> str:
    if isinstance(value, bytes):
        return value[: HEAD_CHARS + TAIL_CHARS].decode("utf-8", "replace")
    return value if isinstance(value, str) else str(value)
