"""What one stream has under way on asyncio: its attempts' tasks, and what they have told so far."""

from __future__ import annotations

import asyncio
from collections import deque
from math import inf
from typing import Any

from ..effects import Chunk, Elapsed, Ended, Event, Failed, Wait
from .abandoned import Abandoned
from .aio_targets import aclose, opened
from .aio_tasks import Attempt
from .aio_timer import LazyTimer
from .world import MAX_WAITING_CHUNKS, Room

GREED_S = 0.001  # a source that never waits may go on for so long while its reader could run


class Inbox(LazyTimer):
    """From the attempts' tasks to that of the reader.

    Attributes:
        events: have come; the reader takes them away by itself, and asks for the `next` when there are none.
        idle_s: how long attempts have waited for room.
        woken_s: when the reader was woken that has not run yet.
    """

    __slots__ = ("_crowd", "_wait", "_waker", "events", "idle_s", "woken_s")

    def __init__(self) -> None:
        super().__init__()
        self.events: deque[Event] = deque()
        self.idle_s = 0.0
        self.woken_s = inf
        self._crowd: list[asyncio.Future[None]] = []  # who wait for room
        self._wait: Wait | None = None
        self._waker: asyncio.Future[None] | None = None

    def put(self, event: Event) -> None:
        self.events.append(event)
        waker = self._waker
        if waker is not None and not waker.done():
            waker.set_result(None)
            self.woken_s = event.at_s

    async def next(self, wait: Wait) -> Event:
        """When there are no events: the first that comes, or `Elapsed`."""
        if wait is not self._wait or self._timer is None or (wait.relay is not None and wait.relay.hurries):
            self._wait = wait
            if (until_s := _until_s(wait)) is not None:
                self._arm(until_s)
        if self._crowd:
            self.make_room()
        waker = self._waker = self._loop.create_future()
        try:
            await waker
        finally:
            self._waker = None
            self.woken_s = inf
        return self.events.popleft() if self.events else Elapsed(max(self._loop.time(), _until_s(wait) or 0.0))

    def close(self) -> None:
        self._disarm()

    # -- room ---------------------------------------------------------------------------------------------------------

    def is_full(self, room: int) -> bool:
        """Do `room` events wait already? With no room at all: is the reader still busy with the last one?"""
        return len(self.events) >= room and (self._waker is None or bool(self.events))

    async def room(self) -> None:
        """There may be room again."""
        called = self._loop.create_future()
        self._crowd.append(called)
        await called

    def make_room(self) -> None:
        for called in self._crowd:
            if not called.done():
                called.set_result(None)
        self._crowd.clear()

    # -- time ---------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        if self._waker is None or self._waker.done() or self._wait is None:
            return  # it is armed again when the reader comes back
        until_s = _until_s(self._wait)
        if until_s is not None and self._is_time(until_s):
            self._waker.set_result(None)


def _until_s(wait: Wait) -> float | None:
    return wait.until_s if wait.relay is None else wait.relay.until_s


async def make_stream(attempt: Attempt, inbox: Inbox, abandoned: Abandoned) -> None:
    """The work of a stream: all its pulls, and its close."""
    start, now, events = attempt.start, asyncio.get_running_loop().time, inbox.events
    number = start.number
    text_so_far, room = getattr(start.context.target.reader, "text_so_far", None), MAX_WAITING_CHUNKS
    waiting = Room(text_so_far)
    stream: Any = None
    chunks: Any = None
    event: Ended | Failed
    try:
        try:
            stream = await opened(start, abandoned)
            chunks = stream if hasattr(stream, "__anext__") else aiter(stream)
            pull = chunks.__anext__
            while True:
                chunk = await pull()
                at_s = now()
                if attempt.tell is None:
                    return  # it has not listened to its cancellation
                attempt.tell(Chunk(number, chunk, at_s))
                if text_so_far is not None:
                    room = waiting.after(chunk)
                if len(events) >= room:
                    while inbox.is_full(room) and number in attempt.running:
                        await inbox.room()
                    inbox.idle_s += now() - at_s
                elif at_s - inbox.woken_s > GREED_S:
                    await asyncio.sleep(0)
        except StopAsyncIteration:
            event = Ended(number, now())
        except (Exception, asyncio.CancelledError) as error:  # a target may raise CancelledError of its own
            event = Failed(number, error, now())
        except BaseException as error:  # Ctrl-C, or what a test library raises: the reader must not wait for ever
            attempt.ended(Failed(number, error, now()))
            raise
        attempt.ended(event)
    finally:
        await aclose(chunks)
        if stream is not chunks:
            await aclose(stream)
