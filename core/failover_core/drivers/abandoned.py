"""Attempts that were given up but still hold a thread: Python cannot stop one, so they are counted, and bounded."""

from __future__ import annotations

from threading import RLock

from ..forks import forget_in_child

MAX_ABANDONED = 32
"""Of one target. With so many of its answers outstanding another one would hardly come, and each holds a thread and a
socket until its SDK gives up, which some never do.
"""


class Abandoned:
    """How many there are, by the target's name."""

    __slots__ = ("__weakref__", "_lock", "_threads")

    def __init__(self) -> None:
        self.forget()
        forget_in_child(self)

    def forget(self) -> None:
        """Begin anew: a forked child has none of its parent's threads."""
        self._lock = RLock()  # see `sync_attempt.Attempt`
        self._threads: dict[str, int] = {}

    def count(self, target: str) -> int:
        return self._threads.get(target, 0)

    def add(self, target: str) -> None:
        with self._lock:
            self._threads.setdefault(target, 0)
            self._threads[target] += 1  # no call in between: the garbage collector may come here too

    def remove(self, target: str) -> None:
        with self._lock:
            self._threads[target] = max(0, self._threads.get(target, 0) - 1)
