"""Which fault strikes which request: sequences that are used up, and states that last. Safe from any thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from .faults import Fault
from .wires import Quota


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests are meant; None = any."""

    model: str | None = None
    stream: bool | None = None
    containing: str | None = None

    def __call__(self, model: str, stream: bool, text: str) -> bool:
        fits = self.model in (None, model) and self.stream in (None, stream)
        return fits and (self.containing is None or self.containing in text)


class FaultScript:
    """Sequences come first, in the order in which they were given; where none is left, the lasting state holds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sequences: list[tuple[Match, deque[Fault | None]]] = []
        self._lasting: dict[Match, Fault | None] = {}

    def add(self, faults: Iterable[Fault | None], match: Match) -> None:
        with self._lock:
            self._sequences.append((match, deque(faults)))

    def always(self, fault: Fault | None, match: Match) -> None:
        with self._lock:
            self._lasting.pop(match, None)
            self._lasting[match] = fault  # the latest state that fits wins

    def heal(self) -> None:
        with self._lock:
            self._sequences.clear()
            self._lasting.clear()

    def take(self, model: str, stream: bool, text: str = "") -> Fault | None:
        """The fault of a request whose body is `text`."""
        with self._lock:
            for match, faults in self._sequences:
                if faults and match(model, stream, text):
                    return faults.popleft()
            fitting = [fault for match, fault in self._lasting.items() if match(model, stream, text)]
            return fitting[-1] if fitting else None


class QuotaWindow:
    """The figures of the rate-limit headers: fixed windows of a minute. They are told, not enforced."""

    def __init__(self, requests_per_minute: int, tokens_per_minute: int) -> None:
        self.requests_per_minute = requests_per_minute
        self.tokens_per_minute = tokens_per_minute
        self._began_s = time.monotonic()
        self._requests = 0
        self._tokens = 0

    def spend(self, tokens: int) -> Quota:
        now_s = time.monotonic()
        if now_s - self._began_s >= 60:
            self._began_s, self._requests, self._tokens = now_s, 0, 0
        self._requests += 1
        self._tokens += tokens
        return Quota(
            limit_requests=self.requests_per_minute,
            remaining_requests=max(0, self.requests_per_minute - self._requests),
            limit_tokens=self.tokens_per_minute,
            remaining_tokens=max(0, self.tokens_per_minute - self._tokens),
            reset_s=round(self._began_s + 60 - now_s, 3),
        )
