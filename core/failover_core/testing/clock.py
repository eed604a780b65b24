"""Virtual time: tests of hours that take milliseconds, with real threads (`VirtualWorld`) or a real event loop
(`VirtualLoop`). Nothing sleeps: time jumps to the next moment at which something is due.
"""

from __future__ import annotations

import asyncio
import selectors
from collections import deque
from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from itertools import count
from math import inf
from threading import Condition, Thread, local
from typing import Any

from ..drivers.abandoned import Abandoned
from ..drivers.world import MAX_WAITING_CHUNKS
from ..effects import AttemptEvent

START_S = 1000.0


class Deadlock(RuntimeError):
    """Everybody waits and nothing is due: in real time this would hang for ever."""


class WorldClosed(BaseException):
    """Raised inside the sleep of a thread that outlived its test."""


class _Sleeper:
    def __init__(self) -> None:
        self.awake = False


class VirtualWorld:
    """The world of the synchronous driver (`Failover(..., world=VirtualWorld())`) in virtual time.

    Threads are real, but time only moves when all of them sleep or have ended and the main thread waits.
    Use it as a context manager: its end releases threads that sleep for ever.
    """

    def __init__(self) -> None:
        self._condition = Condition()
        self._now = START_S
        self._running = 0
        self._sleepers: list[tuple[float, int, _Sleeper]] = []
        self._order = count()
        self._closed = False
        self._mine = local()
        self.abandoned = Abandoned()

    def __enter__(self) -> VirtualWorld:
        return self

    def __exit__(self, *exc: object) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def now(self) -> float:
        return self._now

    def spawn(self, work: Callable[[], None]) -> None:
        with self._condition:
            self._running += 1
        Thread(target=self._run, args=(work,), daemon=True).start()

    def mailbox(self) -> VirtualMailbox:
        return VirtualMailbox(self)

    def sleep(self, seconds: float) -> None:
        """What a scripted target calls instead of `time.sleep`."""
        if not getattr(self._mine, "worker", False):
            self._pass_time(self._now + seconds, lambda: None)
            return
        sleeper = _Sleeper()
        with self._condition:
            heappush(self._sleepers, (self._now + seconds, next(self._order), sleeper))
            self._fall_asleep(sleeper)

    def _fall_asleep(self, sleeper: _Sleeper) -> None:
        """A thread of this world, until somebody wakes it."""
        self._running -= 1
        self._condition.notify_all()
        while not sleeper.awake:
            if self._closed:
                self._running += 1  # it runs again, to its end
                raise WorldClosed
            self._condition.wait()

    def _wake(self, sleeper: _Sleeper) -> None:
        sleeper.awake = True
        self._running += 1
        self._condition.notify_all()

    def _run(self, work: Callable[[], None]) -> None:
        self._mine.worker = True
        try:
            work()
        except WorldClosed:
            return
        finally:
            with self._condition:
                self._running -= 1
                self._condition.notify_all()

    def _pass_time(self, until_s: float, arrived: Callable[[], AttemptEvent | None]) -> AttemptEvent | None:
        """Let time pass until something has arrived or it is `until_s`."""
        with self._condition:
            while True:
                event = arrived()
                if event is not None:
                    return event
                if self._running:
                    self._condition.wait()
                    continue
                due_s = self._sleepers[0][0] if self._sleepers else inf
                if until_s <= due_s:
                    if until_s == inf:
                        raise Deadlock("every target is silent and there is no limit to end the wait")
                    self._now = max(self._now, until_s)
                    return None
                self._now, _, sleeper = heappop(self._sleepers)
                self._wake(sleeper)


class VirtualMailbox:
    """A mailbox whose `get` moves virtual time."""

    def __init__(self, world: VirtualWorld) -> None:
        self._world = world
        self._events: deque[AttemptEvent] = deque()
        self._waiting: list[_Sleeper] = []
        self._reader_waits = False

    def waited_for_room(self, wanted: Callable[[], bool], room: int = MAX_WAITING_CHUNKS) -> bool:
        world, waited = self._world, False
        with world._condition:
            while len(self._events) >= room and not (self._reader_waits and not self._events) and wanted():
                sleeper = _Sleeper()
                self._waiting.append(sleeper)
                world._fall_asleep(sleeper)
                waited = True
        return waited

    def look_again(self) -> None:
        with self._world._condition:
            self._wake_all()

    def poll(self) -> AttemptEvent | None:
        with self._world._condition:
            return self._next()

    def put(self, event: AttemptEvent) -> None:
        with self._world._condition:
            self._events.append(event)
            self._world._condition.notify_all()

    def get(self, until_s: float | None) -> AttemptEvent | None:
        with self._world._condition:
            self._reader_waits = True
            self._wake_all()
            try:
                return self._world._pass_time(inf if until_s is None else until_s, self._next)
            finally:
                self._reader_waits = False

    def _next(self) -> AttemptEvent | None:
        if not self._events:
            return None
        event = self._events.popleft()
        if len(self._events) <= MAX_WAITING_CHUNKS // 2:
            self._wake_all()
        return event

    def _wake_all(self) -> None:
        for sleeper in self._waiting:
            self._world._wake(sleeper)
        self._waiting.clear()


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose timers are due at once: `with asyncio.Runner(loop_factory=VirtualLoop) as runner: ...`."""

    def __init__(self) -> None:
        self._virtual_s = START_S
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._virtual_s

    def jump(self, seconds: float | None) -> None:
        if seconds is None:
            raise Deadlock("every task waits and no timer is set")
        self._virtual_s += seconds


class _JumpingSelector(selectors.BaseSelector):
    """Never waits: when no socket is ready, time jumps to the next timer."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if not ready and (timeout is None or timeout > 0):
            self._loop.jump(timeout)
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()
