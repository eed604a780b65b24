"""What one request has under way on asyncio."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from ..context import enter
from ..effects import Cancel, Chunk, Detach, Elapsed, Emit, Ended, Event, Failed, Flow, Returned, Start, Wait
from ..stream.relay import Relay
from .aio_inline import Inline
from .aio_targets import aclose, call, iterate
from .aio_tasks import Tasks


class Session:
    """One flow. `advance` may be called by the caller's task or by callbacks, whenever the engine is at a `Wait`;
    events that come at other times wait in the inbox.

    Attributes:
        inline: the attempt that the caller's task makes itself.
        source: its stream.
        stale: a stream that was given up and waits to be closed by the caller's task.
        pulling: the pull of one of these two, when it is made beside the caller.
        holding: what has come so far may soon be shown although its attempt goes on.
        relay: the chunks of the inline attempt may be passed on without asking the engine.
        emitted: what the caller is to be given.
    """

    __slots__ = (
        "_at_wait",
        "_error",
        "_flow",
        "_inlined",
        "_tasks",
        "_timer",
        "_until_s",
        "_value",
        "_waker",
        "emitted",
        "finished",
        "holding",
        "inbox",
        "inline",
        "loop",
        "pulling",
        "relay",
        "source",
        "stale",
        "streaming",
    )

    def __init__(self, flow: Flow, *, streaming: bool) -> None:
        self.streaming = streaming
        self.loop = asyncio.get_running_loop()
        self.finished = False
        self.inbox: deque[Event] = deque()
        self.emitted: Emit | None = None
        self.inline: Start | None = None
        self.source: Any = None
        self.stale: Any = None
        self.pulling: asyncio.Task[None] | None = None
        self.holding = False
        self.relay: Relay | None = None
        self._flow = flow
        self._value: Any = None
        self._error: BaseException | None = None
        self._tasks: Tasks | None = None  # made when a second attempt begins
        self._at_wait = False
        self._inlined: Inline | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._until_s: float | None = None
        self._waker: asyncio.Future[None] | None = None

    # -- the engine ---------------------------------------------------------------------------------------------------

    def advance(self, reply: Any) -> None:
        """Let the engine go on until it waits, emits or is done."""
        self._at_wait = False
        self.relay = None
        send = self._flow.send
        try:
            while True:
                effect = send(reply)
                if isinstance(effect, Wait):
                    if self.inbox:
                        reply = self._next_event()
                        continue
                    self._until_s, self.holding, self.relay = effect.until_s, effect.shows, effect.relay
                    if self._until_s is not None:
                        self._arm(self._until_s)
                    self._at_wait = True
                    if self._tasks is not None:
                        self._tasks.make_room()
                    return
                if isinstance(effect, Emit):
                    self.emitted = effect
                    return
                if isinstance(effect, Start):
                    self._begin(effect)
                elif isinstance(effect, Cancel):
                    self._end(effect.number)
                elif isinstance(effect, Detach) and self._tasks is not None:
                    self._tasks.detach(effect)
                reply = self.loop.time()
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
            self.inbox.append(event)
            return
        inline = self.inline
        self.advance(event)
        if self._inlined is not None:
            if self.finished or self.emitted is not None or self.inline is not inline:
                self._inlined.interrupt()
        elif self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    def close(self) -> None:
        self._at_wait = False
        self._flow.close()
        if self._timer is not None:
            self._timer.cancel()
        if self._tasks is not None:
            self._tasks.end_all()
        self.inline = None

    def _next_event(self) -> Event:
        event = self.inbox.popleft()
        if self._tasks is not None:
            self._tasks.make_room()
        return event

    def is_behind(self, room: int) -> bool:
        """Do `room` events wait already? With no room at all: is the engine still busy with the last one?"""
        return len(self.inbox) >= room and not self._at_wait

    # -- time ---------------------------------------------------------------------------------------------------------

    def _arm(self, until_s: float) -> None:
        """Lazily: an earlier timer is left alone and looks at `_until_s` when it fires."""
        if self._timer is not None:
            if self._timer.when() <= until_s:
                return
            self._timer.cancel()
        self._timer = self.loop.call_at(until_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self.relay is not None:
            self._until_s = self.relay.until_s
        if not self._at_wait or self._until_s is None:
            return
        now = self.loop.time()
        if self._until_s - now > 1e-6:
            self._arm(self._until_s)
        else:
            self.happened(Elapsed(max(now, self._until_s)))

    async def sleep(self) -> None:
        """Until a callback has moved the engine."""
        self._waker = self.loop.create_future()
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
            self._tasks = Tasks(self)
        self._tasks.begin(start)

    def _end(self, number: int) -> None:
        if self.inline is not None and self.inline.number == number:
            self._put_away()
        elif self._tasks is not None:
            self._tasks.end(number)

    async def call_inline(self) -> None:
        """The answer of the inline attempt."""
        start = self.inline
        assert start is not None
        event: Event | None = None
        with Inline(start.context, self.loop) as self._inlined:
            try:
                value = await call(start.context.target, start.request)
                event = Returned(start.number, value, self.loop.time())
            except (Exception, asyncio.CancelledError) as error:
                event = self.failed(start, error)
            finally:
                self._inlined = None
        if event is not None and self.inline is start:
            self.inline = None
            self.advance(event)

    async def pull_inline(self) -> None:
        """The next chunk of the inline attempt."""
        start = self.inline
        assert start is not None
        event: Event | None = None
        with Inline(start.context, self.loop) as self._inlined:
            try:
                event = await self._pull(start)
            except (Exception, asyncio.CancelledError) as error:
                event = self.failed(start, error)
            finally:
                self._inlined = None
        if event is not None and self.inline is start:
            if not isinstance(event, Chunk):
                self._put_away()
            self.advance(event)

    def listen(self, inlined: Inline) -> None:
        """While the caller's task pulls a chunk to be relayed, callbacks may move the engine."""
        self._at_wait, self._inlined = True, inlined
        if self.relay is not None and (self._timer is None or self.relay.hurries):
            self._until_s = self.relay.until_s
            if self._until_s is not None:
                self._arm(self._until_s)

    def deafen(self, relay: Relay) -> bool:
        """The pull is over; False when the engine has given it up meanwhile."""
        self._inlined = None
        if self.relay is not relay:
            return False
        self._at_wait = False
        return True

    def ended(self, event: Event) -> None:
        """The inline stream has come to its end, good or bad."""
        self._put_away()
        self.advance(event)

    def pull_beside(self) -> None:
        """Pull the next chunk in a task, so that what is held back can be shown before it comes: to interrupt a stream
        in the middle of a pull is to end it.
        """
        assert self.inline is not None
        task = self.loop.create_task(self._pull_beside(self.inline))
        self.pulling = None if task.done() else task

    async def _pull_beside(self, start: Start) -> None:
        enter(start.context)
        event: Event
        try:
            event = await self._pull(start)
        except (Exception, asyncio.CancelledError) as error:
            event = Failed(start.number, error, self.loop.time())
        if self.inline is start:
            self.pulling = None
            if not isinstance(event, Chunk):
                self._put_away()
            self.happened(event)

    async def _pull(self, start: Start) -> Event:
        if self.source is None:
            self.source = iterate(start.context.target, start.request)
        try:
            return Chunk(start.number, await self.source.__anext__(), self.loop.time())
        except StopAsyncIteration:
            return Ended(start.number, self.loop.time())

    def failed(self, start: Start, error: BaseException) -> Failed:
        """A target may raise CancelledError of its own; any other one ends the attempt."""
        assert self._inlined is not None
        if isinstance(error, asyncio.CancelledError) and self._inlined.must_end():
            raise error
        return Failed(start.number, error, self.loop.time())

    def _put_away(self) -> None:
        self.inline = None
        if self.source is not None:
            self.stale, self.source = self.source, None

    async def give_back(self) -> None:
        """Close the stream that was given up, when the pull under way in it has ended."""
        if self.pulling is not None:
            self.pulling.cancel()
            await asyncio.wait({self.pulling})
            self.pulling = None
        stale, self.stale = self.stale, None
        await aclose(stale)
