"""The world of synchronous code: its clock, its threads and the mailbox between them. Tests bring their own."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from time import monotonic, sleep
from typing import Protocol

from ..effects import AttemptEvent
from .workers import WORKERS


class Mailbox(Protocol):
    def put(self, event: AttemptEvent) -> None:
        """From any thread."""

    def get(self, until_s: float | None) -> AttemptEvent | None:
        """The next event, or None at `until_s`."""


class World(Protocol):
    def now(self) -> float:
        """Monotonic seconds."""

    def sleep(self, seconds: float) -> None:
        """On a thread that `spawn` has started; not at all when the time has passed already."""

    def mailbox(self) -> Mailbox:
        """A new, empty one."""

    def spawn(self, work: Callable[[], None]) -> None:
        """Run `work`, which must not raise, on another thread."""


class RealMailbox:
    def __init__(self) -> None:
        self._queue: SimpleQueue[AttemptEvent] = SimpleQueue()
        self.put = self._queue.put

    def get(self, until_s: float | None) -> AttemptEvent | None:
        try:
            return self._queue.get(timeout=None if until_s is None else max(0.0, until_s - monotonic()))
        except Empty:
            return None


class RealWorld:
    now = staticmethod(monotonic)
    spawn = staticmethod(WORKERS.submit)

    @staticmethod
    def sleep(seconds: float) -> None:
        sleep(max(0.0, seconds))

    @staticmethod
    def mailbox() -> Mailbox:
        return RealMailbox()
