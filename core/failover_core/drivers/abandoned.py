"""Attempts that were given up but still hold a thread: Python cannot stop one, so they are counted, and bounded."""

from __future__ import annotations

from threading import RLock

from ..failure import FailoverError, Failure, FailureKind, OutputRejected
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


def busy(count: int) -> FailoverError:
    """What an attempt fails with whose target has `count` of them."""
    message = f"busy: {count} attempts that were given up have not returned, and each of them holds a thread"
    return FailoverError(message, failure=Failure(FailureKind.RATE_LIMITED, message))


def threadless(error: RuntimeError, kind: FailureKind = FailureKind.UNKNOWN) -> FailoverError:
    """What an attempt fails with for which no thread could be started. It is this process that is short of them, so
    others are asked, and nobody is blamed.
    """
    return OutputRejected(f"this process has no thread left for it: {error}", kind=kind, blames_target=False)
