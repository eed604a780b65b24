"""The caller's task inside an attempt: the only place where it may be interrupted."""

from __future__ import annotations

import asyncio

from ..context import AttemptContext, enter, leave


class Inline:
    """`with Inline(context, loop) as inlined: await ...`; `interrupt` ends the await from a callback, without a trace.
    Each `with` may be in another task: `asyncio.wait_for` around every chunk is.
    """

    __slots__ = ("_cancelling", "_context", "_interrupted", "_loop", "_outer", "_task")

    def __init__(self, context: AttemptContext, loop: asyncio.AbstractEventLoop) -> None:
        self._context = context
        self._loop = loop
        self._interrupted = False

    def interrupt(self) -> None:
        """Once: a second time would hit the target's cleanup, or the caller."""
        if not self._interrupted:
            self._interrupted = True
            self._task.cancel()

    def must_end(self) -> bool:
        """Is the cancellation that has just come the engine's or the caller's, rather than the target's own affair?"""
        return self._interrupted or self._task.cancelling() > self._cancelling

    def __enter__(self) -> Inline:
        task = asyncio.current_task(self._loop)  # to look for the loop takes longer than all else here
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._outer = enter(self._context)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> bool:
        leave(self._outer)
        if not self._interrupted:
            return False
        cancelled_by_others = self._task.uncancel() > self._cancelling
        return kind is asyncio.CancelledError and not cancelled_by_others
