"""The engine in ordinary, blocking code.

An attempt that nobody may have to interrupt runs inline, in the caller's own thread. A watched one runs on a worker
thread with a copy of the caller's context, so that it can be raced or given up. Python cannot stop a thread: an attempt
given up is told at its next chunk, and its late result falls on deaf ears.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextvars import copy_context
from threading import Lock, Semaphore
from typing import Any

from ..context import enter, leave
from ..effects import (
    AttemptEvent,
    Cancel,
    Chunk,
    Detach,
    Effect,
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
from .world import Mailbox, World

MAX_WAITING_CHUNKS = 64


def run(flow: Flow, world: World) -> Any:
    """Performs an `answer_flow`; returns its answer."""
    attempts = _Attempts(world, _call_inline, _call_on_thread)
    reply: Any = None
    try:
        while True:
            effect = flow.send(reply)
            reply = attempts.perform(effect)
    except StopIteration as stop:
        return stop.value
    finally:
        flow.close()
        attempts.close()


def stream(flow: Flow, world: World) -> Generator[Any, None, None]:
    """Performs a `stream_flow`; yields its chunks."""
    attempts = _Attempts(world, _pull_inline, _pull_on_thread)
    reply: Any = None
    try:
        while True:
            effect = flow.send(reply)
            if isinstance(effect, Emit):
                yield effect.chunk
                reply = world.now()
            else:
                reply = attempts.perform(effect)
    except StopIteration:
        return
    finally:
        flow.close()
        attempts.close()


class _Attempt:
    """One started attempt. A stream pulled inline has an `opened` object, to be closed, and its iterator `source`."""

    __slots__ = ("cancelled", "lock", "opened", "room", "source", "start", "threaded", "watch")

    def __init__(self, start: Start, threaded: bool) -> None:
        self.start = start
        self.threaded = threaded
        self.cancelled = False
        self.opened: Any = None
        self.source: Iterator[Any] | None = None
        self.room = Semaphore(MAX_WAITING_CHUNKS) if threaded else None
        self.lock = Lock()
        self.watch: Callable[[Event], None] | None = None

    def tell(self, event: AttemptEvent, mailbox: Mailbox) -> None:
        """From the attempt's own thread: what has happened, to whoever wants to know now."""
        with self.lock:
            if self.watch is None:
                mailbox.put(event)
            else:
                self.watch(event)


class _Attempts:
    def __init__(
        self,
        world: World,
        inline: Callable[[_Attempt, World], AttemptEvent],
        on_thread: Callable[[_Attempt, World, Mailbox], None],
    ) -> None:
        self._world = world
        self._inline = inline
        self._on_thread = on_thread
        self._live: dict[int, _Attempt] = {}
        self._mailbox: Mailbox | None = None

    def perform(self, effect: Effect) -> Any:
        if isinstance(effect, Wait):
            return self._wait(effect.until_s)
        if isinstance(effect, Start):
            self._begin(effect)
        elif isinstance(effect, Cancel):
            self._end(effect.number)
        elif isinstance(effect, Detach):
            self._detach(effect)
        return self._world.now()

    def _begin(self, start: Start) -> None:
        attempt = _Attempt(start, threaded=start.watched or bool(self._live))
        self._live[start.number] = attempt
        if attempt.threaded:
            mailbox = self._mailbox = self._mailbox or self._world.mailbox()
            context = copy_context()
            self._world.spawn(lambda: context.run(self._on_thread, attempt, self._world, mailbox))

    def _wait(self, until_s: float | None) -> Event:
        for attempt in self._live.values():
            if not attempt.threaded:
                return self._noted(self._inline(attempt, self._world))
        mailbox = self._mailbox = self._mailbox or self._world.mailbox()
        while (event := mailbox.get(until_s)) is not None:
            if event.number in self._live:  # else it was given up
                return self._noted(event)
        return Elapsed(self._world.now())

    def _noted(self, event: AttemptEvent) -> Event:
        attempt = self._live[event.number]
        if not isinstance(event, Chunk):
            del self._live[event.number]
            _close(attempt.opened)
        elif attempt.room is not None:
            attempt.room.release()
        return event

    def _detach(self, detach: Detach) -> None:
        attempt, mailbox, world = self._live.pop(detach.number), self._mailbox, self._world
        assert mailbox is not None and attempt.room is not None
        with attempt.lock:
            attempt.watch = detach.watch
        others: list[AttemptEvent] = []
        while (event := mailbox.get(world.now())) is not None:
            (detach.watch if event.number == detach.number else others.append)(event)
        for event in others:
            mailbox.put(event)
        attempt.room.release()

        def expire() -> None:
            world.sleep(detach.until_s - world.now())
            with attempt.lock:
                detach.watch(Elapsed(world.now()))
            attempt.cancelled = True

        world.spawn(expire)

    def _end(self, number: int) -> None:
        attempt = self._live.pop(number, None)
        if attempt is None:
            return
        attempt.cancelled = True
        if attempt.room is not None:
            attempt.room.release()
        _close(attempt.opened)

    def close(self) -> None:
        for number in list(self._live):
            self._end(number)


def _call_inline(attempt: _Attempt, world: World) -> AttemptEvent:
    start = attempt.start
    target = start.context.target
    assert target.call is not None
    outer = enter(start.context)
    try:
        return Returned(start.number, target.call(start.request), world.now())
    except Exception as error:
        return Failed(start.number, error, world.now())
    finally:
        leave(outer)


def _pull_inline(attempt: _Attempt, world: World) -> AttemptEvent:
    start = attempt.start
    outer = enter(start.context)
    try:
        if attempt.source is None:
            assert start.context.target.stream is not None
            attempt.opened = start.context.target.stream(start.request)
            attempt.source = iter(attempt.opened)
        return Chunk(start.number, next(attempt.source), world.now())
    except StopIteration:
        return Ended(start.number, world.now())
    except Exception as error:
        return Failed(start.number, error, world.now())
    finally:
        leave(outer)


def _call_on_thread(attempt: _Attempt, world: World, mailbox: Mailbox) -> None:
    start = attempt.start
    target = start.context.target
    assert target.call is not None
    enter(start.context)
    try:
        value = target.call(start.request)
    except BaseException as error:
        attempt.tell(Failed(start.number, error, world.now()), mailbox)
    else:
        attempt.tell(Returned(start.number, value, world.now()), mailbox)


def _pull_on_thread(attempt: _Attempt, world: World, mailbox: Mailbox) -> None:
    start, room = attempt.start, attempt.room
    target = start.context.target
    assert target.stream is not None and room is not None
    enter(start.context)
    opened: Any = None
    try:
        opened = target.stream(start.request)
        for chunk in opened:
            if attempt.watch is None:
                room.acquire()
            if attempt.cancelled:
                break
            attempt.tell(Chunk(start.number, chunk, world.now()), mailbox)
        else:
            attempt.tell(Ended(start.number, world.now()), mailbox)
    except BaseException as error:
        attempt.tell(Failed(start.number, error, world.now()), mailbox)
    finally:
        _close(opened)


def _close(opened: Any) -> None:
    """Generators and SDK streams hold a connection until they are closed."""
    close = getattr(opened, "close", None)
    if close is not None:
        try:
            close()
        except Exception:
            return  # it is being given up; what its cleanup says changes nothing
