"""What an error tells about itself, gathered without trusting it.

An exception can be anything: its attributes may be properties that raise, its `str` may be a megabyte, its body may
contain itself. Everything is read through `peek`, and only a bounded part of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from failover_core.failure import ErrorReport

from . import envelope, transport
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
        headers: those about when to come back, names in lower case.
        waits: (name, value) of what the body says about when to come back.
        quotas: what the body says which limits were hit.
        page: the body is an HTML page.
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
    page: bool = False
    code: str | None = None
    provider: str | None = None

    def add_body(self, body: object) -> None:
        """Read a body: parsed JSON, or text or bytes with JSON, a Python repr or HTML somewhere in it."""
        if isinstance(body, bytes):
            body = _decoded(body)
        if isinstance(body, str):
            body = clip(body)
        if isinstance(body, str) and is_page(body):
            self.page = True
            self.messages.append(plain(body))
            if (status := status_of(body)) is not None:
                self.inner_statuses.append(status)
            return
        try:
            found = envelope.read(body)
        except Exception:  # a foreign mapping may do anything
            return
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
            for raw_name, value in islice(items(), 200):
                name = _decoded(raw_name).lower()
                if name == "date" or "retry-after" in name or "ratelimit" in name:
                    self.headers.setdefault(name, _decoded(value)[:200])
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
    cls = type(error)
    evidence = Evidence(text=text_of(error))
    response = peek(error, "response")
    evidence.add_headers(peek(response, "headers"))
    evidence.add_headers(peek(error, "headers"))
    from_library = transport.is_library(cls)
    # aiohttp numbers its parser's complaints with a status of its own
    attributes = _STATUS_ATTRIBUTES if not from_library or cls.__name__ == "HTTPError" else ("status_code", "status")
    evidence.status = next(
        (s for s in (_status(peek(error, name)) for name in attributes) if s is not None),
        _status(peek(response, "status_code")) or _status(peek(response, "status")),
    )
    if not from_library:
        _read_attributes(error, evidence)
    if not evidence.messages and isinstance(content := peek(response, "_content"), bytes):
        # httpx and requests keep what they have read there; their public properties may read the network or raise.
        evidence.add_body(content)
    if not evidence.messages and not from_library:
        evidence.add_body(evidence.text)
        evidence.add_text(evidence.text)
    evidence.names += class_names(cls)
    return evidence


def _read_attributes(error: BaseException, evidence: Evidence) -> None:
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
        if isinstance(body, Mapping | list | str | bytes):
            evidence.add_body(body)
    if not evidence.messages:
        for argument in _args(error):
            if isinstance(argument, Mapping | list):
                evidence.add_body(argument)


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


def class_names(cls: type) -> list[str]:
    """The names of an exception class and its bases, except Python's own."""
    return [c.__name__ for c in cls.__mro__[:16] if c.__module__ != "builtins"]


def peek(thing: object, name: str) -> Any:
    """An attribute, or None where there is none or reading it fails."""
    try:
        return getattr(thing, name, None)
    except Exception:  # a property of a foreign class may raise anything
        return None


def text_of(error: BaseException) -> str:
    """What `str(error)` says, but without building the text of a huge argument first."""
    if type(error).__str__ in (BaseException.__str__, KeyError.__str__):
        text = " ".join(_decoded(a) for a in _args(error) if isinstance(a, str | bytes | int | float))
    else:
        try:
            text = str(error)
        except Exception:  # a foreign __str__ may raise anything
            text = ""
    if not text and isinstance(message := peek(error, "message"), str):
        text = message
    return clip(text)


def _args(error: BaseException) -> tuple[object, ...]:
    args = peek(error, "args")
    return args[:4] if isinstance(args, tuple) else ()


def clip(text: str, head: int = HEAD_CHARS, tail: int = TAIL_CHARS) -> str:
    """The start and the end of a long text."""
    return text if len(text) <= head + tail else f"{text[:head]} ... {text[-tail:]}"


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
        if isinstance(cause := peek(current, "__cause__"), BaseException):
            waiting.append((cause, implicit))
        elif not peek(current, "__suppress_context__") and isinstance(
            context := peek(current, "__context__"), BaseException
        ):
            waiting.append((context, True))


def _status(value: object) -> int | None:
    # bool is an int, http.HTTPStatus and other enums are too
    if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
        return int(value)
    return None


def _decoded(value: object) -> str:
    if isinstance(value, bytes):
        return value[: HEAD_CHARS + TAIL_CHARS].decode("utf-8", "replace")
    return value if isinstance(value, str) else str(value)
