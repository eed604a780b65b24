"""The caller's task inside an attempt: the only place where it may be interrupted."""

from __future__ import annotations

import asyncio

from ..context import AttemptContext, enter, leave


class Inline:
    """`with Inline(context, loop) as inlined: await ...`; `interrupt` ends the await from a callback, leaving no trace
    of that in the task.
    """

    __slots__ = ("_cancelling", "_context", "_interrupts", "_loop", "_outer", "_task", "_timer")

    def __init__(self, context: AttemptContext, loop: asyncio.AbstractEventLoop) -> None:
        self._context = context
        self._loop = loop
        self._interrupts = 0
        self._timer: asyncio.TimerHandle | None = None

    def interrupt(self) -> None:
        """Once: a second time would hit the target's cleanup."""
        if not self._interrupts:
            self._cancel()

    def hurry(self, cleanup_s: float) -> None:
        """The answer is there, and only waits for the target's cleanup: that may take `cleanup_s`, and is cancelled
        then. It cannot be left to another task: cancel scopes, which SDKs use, belong to the one they were entered in.
        """
        self.interrupt()
        self._timer = self._loop.call_later(cleanup_s, self._again, cleanup_s)

    def _again(self, cleanup_s: float) -> None:
        self._cancel()  # at the first `await` of what is left
        self._timer = self._loop.call_later(cleanup_s, self._again, cleanup_s)

    def _cancel(self) -> None:
        self._interrupts += 1
        self._task.cancel()

    def must_end(self) -> bool:
        """Is the cancellation that has just come the engine's or the caller's, rather than the target's own affair?"""
        return self._interrupts > 0 or self.is_left()

    def is_left(self) -> bool:
        """Has the caller been cancelled, whatever the target has made of it?"""
        return self._task.cancelling() - self._interrupts > self._cancelling

    def __enter__(self) -> Inline:
        task = asyncio.current_task(self._loop)  # to look for the loop takes longer than all else here
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._outer = enter(self._context)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> bool:
        leave(self._outer)
        if not self._interrupts:
            return False
        if self._timer is not None:
            self._timer.cancel()
        left = self.is_left()
        for _ in range(self._interrupts):
            self._task.uncancel()
        return kind is asyncio.CancelledError and not left
