"""Attempts in tasks of their own: all streams, and the calls that race the inline one or may be left to themselves.

A stream has one task from its first pull to its close. Its reader may change from task to task, may put a timeout round
each chunk, and may want to see what was held back while the next pull is under way; a target's generator, or its SDK
inside of a pull, may hold a timeout, a cancel scope or a context variable meanwhile, which belong to one task.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import partial
from typing import Any

from ..context import enter
from ..effects import AttemptEvent, Detach, Elapsed, Ended, Event, Failed, Returned, Start
from .abandoned import Abandoned
from .aio_targets import call

CLEANUP_S = 1.0
"""So long may the cleanup of a target that was given up hold up the caller."""

_alive: set[asyncio.Task[None]] = set()
"""The event loop itself keeps only weak references, and nobody waits for those that were given up."""


class Attempt:
    """An attempt in a task; `tell` is whom it tells what has happened, None when nobody wants to know any more."""

    __slots__ = ("running", "start", "task", "tell")

    def __init__(self, start: Start, tell: Callable[[Event], None], running: dict[int, Attempt]) -> None:
        self.start = start
        self.tell: Callable[[Event], None] | None = tell
        self.task: asyncio.Task[None] | None = None
        self.running = running

    def ended(self, event: Returned | Ended | Failed) -> None:
        """Its last word."""
        tell, self.tell = self.tell, None
        self.running.pop(self.start.number, None)
        if tell is not None:
            tell(event)


class Tasks:
    """The attempts of one request that run in tasks, each in a copy of the caller's context.

    Args:
        work: makes an attempt; ends with a call of `ended`, unless its task is cancelled.
        tell: the events are for.
    """

    __slots__ = ("_begun", "_context", "_loop", "_running", "_tell", "_work")

    def __init__(self, work: Callable[[Attempt], Coroutine[Any, Any, None]], tell: Callable[[Event], None]) -> None:
        self._work = work
        self._tell = tell
        self._context = copy_context()
        self._loop = asyncio.get_running_loop()
        self._running: dict[int, Attempt] = {}
        self._begun: list[asyncio.Task[None]] = []

    def __bool__(self) -> bool:
        return bool(self._running)

    def begin(self, start: Start) -> None:
        attempt = self._running[start.number] = Attempt(start, self._tell, self._running)
        # Not by `context=`: task factories of applications may not know it.
        task = self._context.run(self._loop.create_task, self._run(attempt))
        attempt.task = task
        self._begun.append(task)
        _alive.add(task)
        task.add_done_callback(_alive.discard)

    async def _run(self, attempt: Attempt) -> None:
        enter(attempt.start.context)
        await self._work(attempt)

    def end(self, number: int) -> None:
        attempt = self._running.pop(number, None)
        if attempt is not None:
            attempt.tell = None
            if attempt.task is not None and not attempt.task.cancelling():  # twice would hit its cleanup
                attempt.task.cancel()

    def end_all(self) -> None:
        for number in list(self._running):
            self.end(number)

    async def cleaned_up(self) -> None:
        """The tasks have ended, or take their time and go on beside the caller."""
        busy = [task for task in self._begun if not task.done()]
        if busy:
            await asyncio.wait(busy, timeout=CLEANUP_S)

    def detach(self, detach: Detach, inbox: deque[Event]) -> None:
        """From now on it reports to somebody else, and not for ever. So does what it has told already."""
        for event in withdrawn(detach.number, inbox):
            self.outside(detach.watch, event)
        attempt = self._running.pop(detach.number, None)
        task = None if attempt is None else attempt.task
        if attempt is None or task is None:
            return  # that was its last word
        self._begun.remove(task)
        attempt.tell = watch = partial(self.outside, detach.watch)

        def expire() -> None:
            if attempt.tell is not None:  # else it has ended at this very moment
                attempt.tell = None
                watch(Elapsed(self._loop.time()))
                task.cancel()

        timer = self._loop.call_at(detach.until_s, expire)
        task.add_done_callback(lambda _: timer.cancel())

    def outside(self, tell: Callable[[Event], None], event: Event) -> None:
        """Tells it in the caller's context: the engine, validators and listeners belong to no attempt."""
        self._context.copy().run(tell, event)


def withdrawn(number: int, inbox: deque[Event]) -> list[Event]:
    """Takes out what an attempt has told that is waited for no longer."""
    told: list[Event] = []
    kept: list[Event] = []
    for event in inbox:
        (told if not isinstance(event, Elapsed) and event.number == number else kept).append(event)
    inbox.clear()
    inbox.extend(kept)
    return told


async def make_call(attempt: Attempt, abandoned: Abandoned) -> None:
    """The work of a call."""
    start, now = attempt.start, asyncio.get_running_loop().time
    event: AttemptEvent
    try:
        event = Returned(start.number, await call(start, abandoned), now())
    except (Exception, asyncio.CancelledError) as error:  # a target may raise CancelledError of its own
        event = Failed(start.number, error, now())
    except BaseException as error:
        attempt.ended(Failed(start.number, error, now()))
        raise
    attempt.ended(event)
