"""The world of synchronous code: its clock, its threads and the mailbox between them. Tests bring their own."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import RLock
from time import monotonic, sleep
from typing import Any, Protocol

from ..effects import AttemptEvent
from .abandoned import Abandoned
from .workers import WORKERS

MAX_WAIT_S = 1e9  # 30 years; what is far beyond that the operating system refuses to wait for
MAX_WAITING_CHUNKS = 64
"""A stream may be this far ahead of its reader."""

MAX_WAITING_CHARS = 300_000
"""So far may one be whose chunks each hold all the text so far: of a long answer, 64 copies would wait. Beyond that it
is not ahead at all, which costs a turn of two threads for each chunk, and saves dozens of copies of the text.
"""


class Mailbox(Protocol):
    def put(self, event: AttemptEvent) -> None:
        """From any thread."""

    def waited_for_room(self, wanted: Callable[[], bool], room: int = MAX_WAITING_CHUNKS) -> bool:
        """From a thread that `spawn` has started: wait until fewer than `room` events wait, with no room at all until
        the reader waits for the next one, or until nothing more is wanted. False when there was room already.
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
        """Run `work`, which must not raise, on another thread. Raises RuntimeError where no thread is left."""


class Room:
    """How many chunks of a stream may wait; `text_so_far` is that of its target's reader."""

    __slots__ = ("_last", "_text_so_far")

    def __init__(self, text_so_far: Callable[[Any], str | None] | None) -> None:
        self._text_so_far = text_so_far
        self._last: str | None = None

    def after(self, chunk: Any) -> int:
        """How many like this one. Chunks that share one text, as those of LlamaIndex's `MockLLM` do, are light."""
        if self._text_so_far is None:
            return MAX_WAITING_CHUNKS
        last = self._last
        try:
            self._last = text = self._text_so_far(chunk)
        except Exception:
            return MAX_WAITING_CHUNKS  # what it cannot read will be told by whoever reads the chunk itself
        if text is None or text is last:
            return MAX_WAITING_CHUNKS
        return min(MAX_WAITING_CHUNKS, MAX_WAITING_CHARS // max(1, len(text)))


class RealMailbox:
    def __init__(self) -> None:
        self._queue: SimpleQueue[AttemptEvent] = SimpleQueue()
        self._calls: SimpleQueue[None] = SimpleQueue()  # one for each thread that is to look again; quicker than locks
        self._lock = RLock()  # the garbage collector may end a forgotten stream in a thread that holds it
        self._waiting = 0
        self._enough_room = 0
        self._reader_waits = False
        self.put = self._queue.put

    def waited_for_room(self, wanted: Callable[[], bool], room: int = MAX_WAITING_CHUNKS) -> bool:
        if self._queue.qsize() < room:
            return False
        while True:
            with self._lock:
                self._waiting += 1
                self._enough_room = room // 2 if room == MAX_WAITING_CHUNKS else -1
            waiting = self._queue.qsize()  # looked at only now, so that no call is missed
            if waiting < room or (waiting == 0 and self._reader_waits) or not wanted():
                break
            self._calls.get()
        with self._lock:
            self._waiting = max(0, self._waiting - 1)
        return True

    def look_again(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, 0
        for _ in range(waiting):
            self._calls.put(None)

    def poll(self) -> AttemptEvent | None:
        try:
            event = self._queue.get_nowait()
        except Empty:
            return None
        # Not for a single event: threads that take turns for each chunk cost more than the chunk.
        if self._waiting and self._queue.qsize() <= self._enough_room:
            self.look_again()
        return event

    def get(self, until_s: float | None) -> AttemptEvent | None:
        self._reader_waits = True
        if self._waiting:
            self.look_again()
        try:
            return self._queue.get(
                timeout=None if until_s is None else min(MAX_WAIT_S, max(0.0, until_s - monotonic()))
            )
        except Empty:
            return None
        finally:
            self._reader_waits = False


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
