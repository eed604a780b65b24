"""The engine on asyncio.

While all is well there is one task, the caller's: the attempt is awaited inline, under one timer. Only when the timer
fires does the engine go on in the timer's callback and start the next attempt in a task of its own; when that one wins,
the inline await is interrupted the way `asyncio.timeout` does it (cancel, then uncancel).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from ..context import enter, leave
from ..effects import (
    AttemptEvent,
    Cancel,
    Chunk,
    Detach,
    Elapsed,
    Emit,
    Ended,
    Event,
    Failed,
    Flow,
    Returned,
    Start,
    Wait,
)
from .aio_targets import aclose, call, iterate

MAX_WAITING_CHUNKS = 64

_background: set[asyncio.Task[None]] = set()
"""Cancelled tasks that are still cleaning up: the event loop itself keeps only weak references."""


def now() -> float:
    """The running loop's clock: the same as `time.monotonic` unless a test has replaced it."""
    return asyncio.get_running_loop().time()


async def run(flow: Flow) -> Any:
    """Performs an `answer_flow`; returns its answer."""
    session = _Session(flow, streaming=False)
    try:
        session.advance(None)
        while not session.finished:
            await (session.call_inline() if session.inline is not None else session.sleep())
        return session.result()
    finally:
        session.close()


async def stream(flow: Flow) -> AsyncIterator[Any]:
    """Performs a `stream_flow`; yields its chunks. Close it: `async for` alone does not."""
    session = _Session(flow, streaming=True)
    try:
        session.advance(None)
        while not session.finished:
            if session.stale is not None:
                stale, session.stale = session.stale, None
                await aclose(stale)
            elif session.emitted is not None:
                chunk, session.emitted = session.emitted.chunk, None
                yield chunk
                session.advance(session.loop.time())
            elif session.inline is not None:
                await session.pull_inline()
            else:
                await session.sleep()
        session.result()
    finally:
        session.close()
        for source in (session.source, session.stale):
            await aclose(source)


class _Inline:
    """The caller's task is inside an attempt: the only place where it may be interrupted."""

    __slots__ = ("_cancelling", "_outer", "_session", "_start", "_task")

    def __init__(self, session: _Session, start: Start) -> None:
        self._session = session
        self._start = start

    def __enter__(self) -> _Inline:
        task = asyncio.current_task()
        assert task is not None
        self._task = self._session.inlining = task
        self._cancelling = task.cancelling()
        self._outer = enter(self._start.context)
        return self

    def must_end(self) -> bool:
        """Is the cancellation that has just come the engine's or the caller's, rather than the target's own affair?"""
        return self._session.interrupted or self._task.cancelling() > self._cancelling

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> bool:
        leave(self._outer)
        session = self._session
        session.inlining = None
        if not session.interrupted:
            return False
        session.interrupted = False
        cancelled_by_others = self._task.uncancel() > self._cancelling
        return kind is asyncio.CancelledError and not cancelled_by_others


class _Session:
    """One flow and what it has under way. `advance` may be called by the caller's task or by callbacks, whenever the
    engine is at a `Wait`; events that come at other times wait in the inbox.
    """

    __slots__ = (
        "_at_wait",
        "_detached",
        "_error",
        "_flow",
        "_inbox",
        "_room",
        "_tasks",
        "_timer",
        "_until_s",
        "_value",
        "_waker",
        "emitted",
        "finished",
        "inline",
        "inlining",
        "interrupted",
        "loop",
        "source",
        "stale",
        "streaming",
    )

    def __init__(self, flow: Flow, *, streaming: bool) -> None:
        self.streaming = streaming
        self.loop = asyncio.get_running_loop()
        self.finished = False
        self.emitted: Emit | None = None
        self.inline: Start | None = None
        self.source: Any = None  # the stream pulled inline
        self.stale: Any = None  # one that was given up and waits to be closed by the caller's task
        self._flow = flow
        self._value: Any = None
        self._error: BaseException | None = None
        self._inbox: deque[Event] = deque()
        self._tasks: dict[int, asyncio.Task[None] | None] = {}
        self._detached: dict[int, Callable[[Event], None]] = {}
        self._at_wait = False
        self.inlining: asyncio.Task[Any] | None = None
        self.interrupted = False
        self._room: asyncio.Event | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._until_s: float | None = None
        self._waker: asyncio.Future[None] | None = None

    # -- the engine -------------------------------------------------------------------------------------------

    def advance(self, reply: Any) -> None:
        """Let the engine go on until it waits, emits or is done."""
        self._at_wait = False
        send = self._flow.send
        try:
            while True:
                effect = send(reply)
                if isinstance(effect, Wait):
                    if self._inbox:
                        reply = self._next_event()
                        continue
                    self._until_s = effect.until_s
                    if self._until_s is not None:
                        self._arm(self._until_s)
                    self._at_wait = True
                    return
                if isinstance(effect, Emit):
                    self.emitted = effect
                    return
                if isinstance(effect, Start):
                    self._begin(effect)
                elif isinstance(effect, Cancel):
                    self._end(effect.number)
                elif isinstance(effect, Detach):
                    self._detach(effect)
                reply = self.loop.time()
        except StopIteration as stop:
            self.finished, self._value = True, stop.value
        except BaseException as error:
            self.finished, self._error = True, error

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value

    def _happened(self, event: Event) -> None:
        """An event from a callback or a task."""
        if not self._at_wait:
            self._inbox.append(event)
            return
        inline = self.inline
        self.advance(event)
        if self.inlining is not None:
            over = self.finished or self.emitted is not None or self.inline is not inline
            if over and not self.interrupted:  # once: a second time would hit the cleanup, or the caller
                self.interrupted = True
                self.inlining.cancel()
        elif self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    def _next_event(self) -> Event:
        event = self._inbox.popleft()
        if self._room is not None and len(self._inbox) < MAX_WAITING_CHUNKS:
            self._room.set()
        return event

    # -- time -------------------------------------------------------------------------------------------------

    def _arm(self, until_s: float) -> None:
        """Lazily: an earlier timer is left alone and looks at `_until_s` when it fires."""
        if self._timer is not None:
            if self._timer.when() <= until_s:
                return
            self._timer.cancel()
        self._timer = self.loop.call_at(until_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if not self._at_wait or self._until_s is None:
            return
        now = self.loop.time()
        if self._until_s - now > 1e-6:
            self._arm(self._until_s)
        else:
            self._happened(Elapsed(max(now, self._until_s)))

    async def sleep(self) -> None:
        """Until a callback has moved the engine."""
        self._waker = self.loop.create_future()
        try:
            await self._waker
        finally:
            self._waker = None

    # -- attempts ---------------------------------------------------------------------------------------------

    def _begin(self, start: Start) -> None:
        if self.inline is None and not self._tasks and self.inlining is None and not start.apart:
            self.inline = start
            return
        work = self._pull_in_task(start) if self.streaming else self._call_in_task(start)
        self._tasks[start.number] = None  # an eager task may be over before it is known
        task = self.loop.create_task(work)
        if start.number in self._tasks:
            self._tasks[start.number] = task

    def _end(self, number: int) -> None:
        if self.inline is not None and self.inline.number == number:
            self.inline = None
            self.stale, self.source = self.source, None
            return
        task = self._tasks.pop(number, None)
        if task is not None:
            _background.add(task)
            task.add_done_callback(_background.discard)
            task.cancel()

    def _detach(self, detach: Detach) -> None:
        task = self._tasks.pop(detach.number)
        assert task is not None
        _background.add(task)
        task.add_done_callback(_background.discard)

        def expire() -> None:
            self._detached.pop(detach.number)
            detach.watch(Elapsed(self.loop.time()))
            task.cancel()

        timer = self.loop.call_at(detach.until_s, expire)
        self._detached[detach.number] = detach.watch
        task.add_done_callback(lambda _: timer.cancel())

    async def call_inline(self) -> None:
        start = self.inline
        assert start is not None
        event: Event | None = None
        with _Inline(self, start) as inlined:
            try:
                value = await call(start.context.target, start.request)
                event = Returned(start.number, value, self.loop.time())
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and inlined.must_end():
                    raise
                event = Failed(start.number, error, self.loop.time())
        if event is not None and self.inline is start:
            self.inline = None
            self.advance(event)

    async def pull_inline(self) -> None:
        start = self.inline
        assert start is not None
        event: Event | None = None
        with _Inline(self, start) as inlined:
            try:
                if self.source is None:
                    self.source = iterate(start.context.target, start.request)
                event = Chunk(start.number, await self.source.__anext__(), self.loop.time())
            except StopAsyncIteration:
                event = Ended(start.number, self.loop.time())
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and inlined.must_end():
                    raise
                event = Failed(start.number, error, self.loop.time())
        if event is not None and self.inline is start:
            if not isinstance(event, Chunk):
                self.inline = None
                self.stale, self.source = self.source, None
            self.advance(event)

    async def _call_in_task(self, start: Start) -> None:
        enter(start.context)
        event: Event
        try:
            value = await call(start.context.target, start.request)
            event = Returned(start.number, value, self.loop.time())
        except (Exception, asyncio.CancelledError) as error:  # a target may raise CancelledError of its own
            event = Failed(start.number, error, self.loop.time())
        self._settle(event)

    async def _pull_in_task(self, start: Start) -> None:
        enter(start.context)
        event: Event
        source: Any = None
        try:
            source = iterate(start.context.target, start.request)
            async for chunk in source:
                while len(self._inbox) >= MAX_WAITING_CHUNKS:
                    self._room = asyncio.Event()
                    await self._room.wait()
                if not self._tell(Chunk(start.number, chunk, self.loop.time())):
                    return  # it has not listened to its cancellation
            event = Ended(start.number, self.loop.time())
        except (Exception, asyncio.CancelledError) as error:
            event = Failed(start.number, error, self.loop.time())
        finally:
            await aclose(source)
        self._settle(event)

    def _settle(self, event: Returned | Ended | Failed) -> None:
        if self._tell(event):
            self._detached.pop(event.number, None)

    def _tell(self, event: AttemptEvent) -> bool:
        """What an attempt in a task has to say, to whoever wants to know now; False when nobody does any more."""
        watch = self._detached.get(event.number)
        if watch is not None:
            watch(event)
        elif event.number in self._tasks:
            if not isinstance(event, Chunk):
                del self._tasks[event.number]
            self._happened(event)
        else:
            return False
        return True

    def close(self) -> None:
        self._at_wait = False
        self._flow.close()
        if self._timer is not None:
            self._timer.cancel()
        for number in list(self._tasks):
            self._end(number)
        self.inline = None
