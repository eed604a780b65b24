"""What one call has under way on asyncio."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import Any

from ..effects import Cancel, Detach, Elapsed, Event, Failed, Flow, Returned, Start, Wait, abandon
from .abandoned import Abandoned
from .aio_inline import Inline
from .aio_targets import call
from .aio_tasks import CLEANUP_S, Tasks, make_call
from .aio_timer import LazyTimer


class Session(LazyTimer):
    """One `answer_flow`. `advance` may be called by the caller's task or by callbacks, whenever the engine is at a
    `Wait`; events that come at other times wait in the inbox.

    Attributes:
        inline: the attempt that the caller's task makes itself.
    """

    __slots__ = (
        "_abandoned",
        "_at_wait",
        "_error",
        "_flow",
        "_inbox",
        "_inlined",
        "_tasks",
        "_until_s",
        "_value",
        "_waker",
        "finished",
        "inline",
    )

    def __init__(self, flow: Flow, abandoned: Abandoned) -> None:
        super().__init__()
        self.finished = False
        self.inline: Start | None = None
        self._flow = flow
        self._abandoned = abandoned
        self._inbox: deque[Event] = deque()
        self._value: Any = None
        self._error: BaseException | None = None
        self._tasks: Tasks | None = None  # made when a second attempt begins
        self._at_wait = False
        self._inlined: Inline | None = None
        self._until_s: float | None = None
        self._waker: asyncio.Future[None] | None = None

    # -- the engine ---------------------------------------------------------------------------------------------------

    def advance(self, reply: Any) -> None:
        """Let the engine go on until it waits or is done."""
        self._at_wait = False
        send = self._flow.send
        try:
            while True:
                effect = send(reply)
                if isinstance(effect, Wait):
                    if self._inbox:
                        reply = self._inbox.popleft()
                        continue
                    self._until_s = effect.until_s
                    if self._until_s is not None:
                        self._arm(self._until_s)
                    self._at_wait = True
                    return
                if isinstance(effect, Start):
                    self._begin(effect)
                elif isinstance(effect, Cancel):
                    self._end(effect.number)
                elif isinstance(effect, Detach) and self._tasks is not None:
                    self._tasks.detach(effect, self._inbox)
                reply = self._loop.time()
        except StopIteration as stop:
            self.finished, self._value = True, stop.value
        except BaseException as error:
            self.finished, self._error = True, error

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value

    def happened(self, event: Event) -> None:
        """An event from a callback or a task."""
        if not self._at_wait:
            self._inbox.append(event)
            return
        inline = self.inline
        self.advance(event)
        if self._inlined is not None:
            if self.finished:
                self._inlined.hurry(CLEANUP_S)
            elif self.inline is not inline:
                self._inlined.interrupt()
        elif self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    def _told(self, event: Event) -> None:
        assert self._tasks is not None
        self._tasks.outside(self.happened, event)

    def close(self) -> None:
        self._at_wait = False
        abandon(self._flow, self._loop.time())
        self._disarm()
        if self._tasks is not None:
            self._tasks.end_all()
        self.inline = None

    # -- time ---------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        if self._at_wait and self._until_s is not None and self._is_time(self._until_s):
            self.happened(Elapsed(max(self._loop.time(), self._until_s)))

    async def sleep(self) -> None:
        """Until a callback has moved the engine."""
        self._waker = self._loop.create_future()
        try:
            await self._waker
        finally:
            self._waker = None

    # -- attempts -----------------------------------------------------------------------------------------------------

    def _begin(self, start: Start) -> None:
        if self.inline is None and self._inlined is None and not self._tasks and not start.apart:
            self.inline = start
            return
        if self._tasks is None:
            self._tasks = Tasks(partial(make_call, abandoned=self._abandoned), self._told)
        self._tasks.begin(start)

    def _end(self, number: int) -> None:
        if self.inline is not None and self.inline.number == number:
            self.inline = None
        elif self._tasks is not None:
            self._tasks.end(number)

    async def call_inline(self) -> None:
        """The answer of the inline attempt."""
        start = self.inline
        assert start is not None
        event: Event | None = None
        with Inline(start.context, self._loop) as self._inlined:
            try:
                value = await call(start, self._abandoned)
                event = Returned(start.number, value, self._loop.time())
            except (Exception, asyncio.CancelledError) as error:
                event = self._failed(start, error)
            finally:
                self._inlined = None
        if event is not None and self.inline is start:
            self.inline = None
            self.advance(event)

    def _failed(self, start: Start, error: BaseException) -> Failed:
        """A target may raise CancelledError of its own; any other one ends the attempt, and the caller's ends the
        request, also where an SDK has turned it into an error of its own. (A timeout is no sign of that: some, such as
        aiohttp's before 3.10.8, cancel the task and never take it back.)
        """
        assert self._inlined is not None
        if isinstance(error, asyncio.CancelledError):
            if self._inlined.must_end():
                raise error
        elif self._inlined.is_left() and not isinstance(error, TimeoutError):
            raise asyncio.CancelledError from error
        return Failed(start.number, error, self._loop.time())
