"""Attempts in tasks of their own: those that race the inline one, and those that may be left to themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..context import enter
from ..effects import AttemptEvent, Chunk, Detach, Elapsed, Ended, Event, Failed, Returned, Start
from .aio_targets import aclose, call, iterate
from .world import Room

if TYPE_CHECKING:
    from .aio_session import Session

_background: set[asyncio.Task[None]] = set()
"""Tasks that nobody waits for any more: the event loop itself keeps only weak references."""


class Tasks:
    """The attempts of one session that run in tasks."""

    __slots__ = ("_detached", "_room", "_running", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._running: dict[int, asyncio.Task[None] | None] = {}
        self._detached: dict[int, Callable[[Event], None]] = {}
        self._room: asyncio.Event | None = None

    def __bool__(self) -> bool:
        return bool(self._running)

    def begin(self, start: Start) -> None:
        work = self._pull(start) if self._session.streaming else self._call(start)
        self._running[start.number] = None  # an eager task may be over before it is known
        task = self._session.loop.create_task(work)
        if start.number in self._running:
            self._running[start.number] = task

    def end(self, number: int) -> None:
        task = self._running.pop(number, None)
        if task is not None:
            _keep(task)
            task.cancel()

    def end_all(self) -> None:
        for number in list(self._running):
            self.end(number)

    def detach(self, detach: Detach) -> None:
        """From now on it reports to somebody else, and not for ever."""
        task = self._running.pop(detach.number)
        assert task is not None
        _keep(task)
        loop = self._session.loop

        def expire() -> None:
            if self._detached.pop(detach.number, None) is not None:  # else it has ended at this very moment
                detach.watch(Elapsed(loop.time()))
                task.cancel()

        timer = loop.call_at(detach.until_s, expire)
        self._detached[detach.number] = detach.watch
        task.add_done_callback(lambda _: timer.cancel())

    def make_room(self) -> None:
        """There may be room in the session's inbox again."""
        if self._room is not None:
            self._room.set()
            self._room = None

    async def _call(self, start: Start) -> None:
        enter(start.context)
        loop = self._session.loop
        event: Event
        try:
            value = await call(start.context.target, start.request)
            event = Returned(start.number, value, loop.time())
        except (Exception, asyncio.CancelledError) as error:  # a target may raise CancelledError of its own
            event = Failed(start.number, error, loop.time())
        self._settle(event)

    async def _pull(self, start: Start) -> None:
        enter(start.context)
        session, loop = self._session, self._session.loop
        waiting = Room(getattr(start.context.target.reader, "text_so_far", None))
        event: Event
        source: Any = None
        try:
            source = iterate(start.context.target, start.request)
            async for chunk in source:
                if not self._tell(Chunk(start.number, chunk, loop.time())):
                    return  # it has not listened to its cancellation
                room, full_s = waiting.after(chunk), loop.time()
                while session.is_behind(room) and start.number in self._running:
                    self._room = self._room or asyncio.Event()
                    await self._room.wait()
                if session.relay is not None:
                    session.relay.inlet.idle_s += loop.time() - full_s
            event = Ended(start.number, loop.time())
        except (Exception, asyncio.CancelledError) as error:
            event = Failed(start.number, error, loop.time())
        finally:
            await aclose(source)
        self._settle(event)

    def _settle(self, event: Returned | Ended | Failed) -> None:
        if self._tell(event):
            self._detached.pop(event.number, None)

    def _tell(self, event: AttemptEvent) -> bool:
        """What an attempt has to say, to whoever wants to know now; False when nobody does any more."""
        watch = self._detached.get(event.number)
        if watch is not None:
            watch(event)
        elif event.number in self._running:
            if not isinstance(event, Chunk):
                del self._running[event.number]
            self._session.happened(event)
        else:
            return False
        return True


def _keep(task: asyncio.Task[None]) -> None:
    _background.add(task)
    task.add_done_callback(_background.discard)
