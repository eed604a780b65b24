"""The log of the provider server: one record for each request that asked for an answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .faults import Fault

Outcome = Literal["complete", "client_closed", "fault"]

_SECRETS = ("authorization", "api-key", "cookie", "token")


@dataclass(slots=True)
class Call:
    """One request, and what became of it. The record fills while the call goes on.

    Args:
        number: counts from 1.
        wire: "openai", "anthropic" or "gemini".
        path: without its query, which may hold a key.
        model: the model asked for.
        stream: whether a stream was asked for.
        received_s: when it came, in seconds of `time.monotonic()`.
        headers: lower-case names, without those that carry secrets.
        body: the JSON of the request.
        fault: what was done to it, None when healthy.
        status: the HTTP status sent, None when none was.
        chunks_sent: pieces of content sent, 1 for a whole answer.
        ended_s: when it ended, in seconds of `time.monotonic()`; None while it goes on.
        ended: "complete" = sent to its end, whatever it was; "client_closed" = the client left before; "fault" =
            the server broke it off (a scripted fault, `refuse()`, `stop()`). It is set before the last byte leaves,
            so a client that has read its answer finds it here.
    """

    number: int
    wire: str
    path: str
    model: str
    stream: bool
    received_s: float
    headers: Mapping[str, str] = field(repr=False)
    body: Any = field(repr=False)
    fault: Fault | None = None
    status: int | None = None
    chunks_sent: int = 0
    ended_s: float | None = None
    ended: Outcome | None = None

    def end(self, how: Outcome) -> None:
        """The first ending holds."""
        if self.ended is None:
            self.ended_s = time.monotonic()
            self.ended = how


class CallLog:
    """All calls, in order of arrival. Safe to use from any thread."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._served = 0
        self._changed = threading.Condition()
        self._open: dict[int, Call] = {}

    def open(self, **facts: Any) -> Call:
        with self._changed:
            self._served += 1
            call = Call(number=self._served, received_s=time.monotonic(), **facts)
            self._open[call.number] = call
            self._calls.append(call)
            self._changed.notify_all()
            return call

    def close(self, call: Call) -> None:
        """The server is done with the call."""
        with self._changed:
            del self._open[call.number]
            self._changed.notify_all()

    def drop(self) -> None:
        """The server breaks off all calls under way."""
        with self._changed:
            for call in self._open.values():
                call.end("fault")

    def calls(self) -> list[Call]:
        with self._changed:
            return list(self._calls)

    def clear(self) -> None:
        with self._changed:
            self._calls.clear()

    def wait_for_calls(self, count: int, timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: len(self._calls) >= count, timeout_s)

    def wait_until_idle(self, timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not self._open, timeout_s)


def without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    lower = {name.lower(): value for name, value in headers.items()}
    return {name: value for name, value in lower.items() if not any(word in name for word in _SECRETS)}
