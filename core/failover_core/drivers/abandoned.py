"""Attempts that were given up but still hold a thread: Python cannot stop one, so they are counted, and bounded."""

from __future__ import annotations

from threading import RLock

MAX_ABANDONED = 32
"""Of one target. With so many of its answers outstanding another one would hardly come, and each holds a thread and a
socket until its SDK gives up, which some never do.
"""


class Abandoned:
    """How many there are, by the target's name."""

    __slots__ = ("_lock", "_threads")

    def __init__(self) -> None:
        self._lock = RLock()  # see `sync_attempt.Attempt`
        self._threads: dict[str, int] = {}

    def count(self, target: str) -> int:
        return self._threads.get(target, 0)

    def add(self, target: str) -> None:
        with self._lock:
            self._threads[target] = self._threads.get(target, 0) + 1

    def remove(self, target: str) -> None:
        with self._lock:
            self._threads[target] -= 1
