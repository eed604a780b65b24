"""The world of synchronous code: its clock, its threads and the mailbox between them. Tests bring their own."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Condition
from time import monotonic, sleep
from typing import Protocol

from ..effects import AttemptEvent
from .abandoned import Abandoned
from .workers import WORKERS

MAX_WAIT_S = 1e9  # 30 years; what is far beyond that the operating system refuses to wait for
MAX_WAITING_CHUNKS = 64
"""A stream may be this far ahead of its reader."""


class Mailbox(Protocol):
    def put(self, event: AttemptEvent) -> None:
        """From any thread."""

    def wait_for_room(self, wanted: Callable[[], bool]) -> None:
        """From a thread that `spawn` has started: until fewer than `MAX_WAITING_CHUNKS` events wait, or what it has is
        not wanted any more.
        """

    def look_again(self) -> None:
        """Those who wait for room may be wanted no longer."""

    def poll(self) -> AttemptEvent | None:
        """The next event, None when there is none yet."""

    def get(self, until_s: float | None) -> AttemptEvent | None:
        """The next event, or None at `until_s`."""


class World(Protocol):
    @property
    def abandoned(self) -> Abandoned:
        """Attempts that were given up and whose threads have not ended yet."""

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
        self._room = Condition()
        self._waiting = 0
        self.put = self._queue.put

    def wait_for_room(self, wanted: Callable[[], bool]) -> None:
        if self._queue.qsize() < MAX_WAITING_CHUNKS:
            return
        with self._room:
            self._waiting += 1
            while self._queue.qsize() >= MAX_WAITING_CHUNKS and wanted():
                self._room.wait()
            self._waiting -= 1

    def look_again(self) -> None:
        with self._room:
            self._room.notify_all()

    def poll(self) -> AttemptEvent | None:
        try:
            event = self._queue.get_nowait()
        except Empty:
            return None
        if self._waiting:
            self._make_room()
        return event

    def get(self, until_s: float | None) -> AttemptEvent | None:
        try:
            event = self._queue.get(
                timeout=None if until_s is None else min(MAX_WAIT_S, max(0.0, until_s - monotonic()))
            )
        except Empty:
            return None
        if self._waiting:
            self._make_room()
        return event

    def _make_room(self) -> None:
        """Not for a single event: threads that take turns for each chunk cost more than the chunk."""
        if self._queue.qsize() <= MAX_WAITING_CHUNKS // 2:
            self.look_again()


class RealWorld:
    now = staticmethod(monotonic)
    spawn = staticmethod(WORKERS.submit)

    def __init__(self) -> None:
        self.abandoned = Abandoned()

    @staticmethod
    def sleep(seconds: float) -> None:
        sleep(min(MAX_WAIT_S, max(0.0, seconds)))

    @staticmethod
    def mailbox() -> Mailbox:
        return RealMailbox()
