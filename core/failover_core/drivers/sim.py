"""The engine in simulated time: many requests at once, hours in milliseconds, the same decisions as in the world.

A `Plan` says what a target would do; everything else is the real engine over the real health book.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import count
from typing import Any

from ..effects import AttemptEvent, Cancel, Effect, Elapsed, Emit, Flow, Start, Wait

Happens = Callable[[int, float], AttemptEvent]
"""Makes the event of attempt `number` at a time in seconds."""

Plan = Callable[[Start, float], Iterator[tuple[float, Happens]]]
"""What an attempt started at a time would do: pairs of (seconds after the step before, event). An iterator that ends without
`Returned`, `Ended` or `Failed` is silence for ever."""

Finished = Callable[[Any, BaseException | None], None]
"""Receives (answer or list of chunks, None) or (chunks so far, error) when a request is over."""


class Simulation:
    """A discrete-event world.

    Args:
        plan: how targets behave.
        start_s: the clock's first value.
    """

    def __init__(self, plan: Plan, *, start_s: float = 0.0) -> None:
        self._plan = plan
        self._now = start_s
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def now(self) -> float:
        return self._now

    def at(self, time_s: float, action: Callable[[], None]) -> None:
        """Do `action` at a time; actions of one time run in the order in which they were planned."""
        heappush(self._agenda, (time_s, next(self._order), action))

    def submit(self, at_s: float, open_flow: Callable[[float], Flow], finished: Finished) -> None:
        """A request that arrives at `at_s`; `open_flow(now)` makes its flow then."""
        self.at(at_s, lambda: _Request(self, self._plan, open_flow(self._now), finished).advance(None))

    def run(self, until_s: float | None = None) -> None:
        """Let time pass until nothing is planned any more, or until `until_s`."""
        while self._agenda and (until_s is None or self._agenda[0][0] <= until_s):
            time_s, _, action = heappop(self._agenda)
            self._now = max(self._now, time_s)
            action()
        if until_s is not None:
            self._now = max(self._now, until_s)


class _Request:
    def __init__(self, world: Simulation, plan: Plan, flow: Flow, finished: Finished) -> None:
        self._world = world
        self._plan = plan
        self._flow = flow
        self._finished = finished
        self._chunks: list[Any] = []
        self._live: dict[int, Iterator[tuple[float, Happens]]] = {}
        self._waits = 0
        self._done = False

    def advance(self, reply: Any) -> None:
        self._waits += 1  # a timer set for an earlier wait means nothing any more
        try:
            while not self._perform(self._flow.send(reply)):
                reply = self._world.now()
        except StopIteration as stop:
            self._end(self._chunks or stop.value, None)
        except Exception as error:
            self._end(self._chunks, error)

    def _perform(self, effect: Effect) -> bool:
        """True when the engine now waits."""
        if isinstance(effect, Wait):
            self._set_timer(effect.until_s)
            return True
        if isinstance(effect, Start):
            self._live[effect.number] = self._plan(effect, self._world.now())
            self._next_step(effect.number)
        elif isinstance(effect, Cancel):
            self._live.pop(effect.number, None)
        elif isinstance(effect, Emit):
            self._chunks.append(effect.chunk)
        return False

    def _set_timer(self, until_s: float | None) -> None:
        if until_s is not None:
            this_wait = self._waits

            def ring() -> None:
                if self._waits == this_wait and not self._done:
                    self.advance(Elapsed(self._world.now()))

            self._world.at(until_s, ring)

    def _next_step(self, number: int) -> None:
        steps = self._live[number]
        step = next(steps, None)
        if step is None:
            return
        after_s, happens = step

        def happen() -> None:
            if self._done or self._live.get(number) is not steps:
                return
            event = happens(number, self._world.now())
            self._next_step(number)
            self.advance(event)

        self._world.at(self._world.now() + after_s, happen)

    def _end(self, value: Any, error: BaseException | None) -> None:
        self._done = True
        self._live.clear()
        self._finished(value, error)
