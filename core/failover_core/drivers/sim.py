"""The engine in simulated time: many requests at once, hours in milliseconds, the same decisions as in the world.

A `Plan` says what a target would do; everything else is the real engine over the real health book.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Any

from ..effects import AttemptEvent, Cancel, Detach, Effect, Elapsed, Emit, Event, Flow, Start, Wait

Happens = Callable[[int, float], AttemptEvent]
"""Makes the event of attempt `number` at a time in seconds."""

Plan = Callable[[Start, float], Iterator[tuple[float, Happens]]]
"""What an attempt started at a time would do: pairs of (seconds after the step before, event). An iterator that ends
without `Returned`, `Ended` or `Failed` is silence for ever.
"""

Finished = Callable[[Any, BaseException | None], None]
"""Receives (answer or list of chunks, None) or (chunks so far, error) when a request is over."""


@dataclass(slots=True)
class Planned:
    """Something on the agenda; once cancelled, time does not even stop there."""

    action: Callable[[], None]
    cancelled: bool = False


class Simulation:
    """A discrete-event world.

    Args:
        plan: how targets behave.
        start_s: the clock's first value.
    """

    def __init__(self, plan: Plan, *, start_s: float = 0.0) -> None:
        self._plan = plan
        self._now = start_s
        self._agenda: list[tuple[float, int, Planned]] = []
        self._order = count()

    def now(self) -> float:
        return self._now

    def at(self, time_s: float, action: Callable[[], None]) -> Planned:
        """Do `action` at a time; actions of one time run in the order in which they were planned."""
        planned = Planned(action)
        heappush(self._agenda, (time_s, next(self._order), planned))
        return planned

    def submit(self, at_s: float, open_flow: Callable[[float], Flow], finished: Finished) -> None:
        """A request that arrives at `at_s`; `open_flow(now)` makes its flow then."""
        self.at(at_s, lambda: _Request(self, self._plan, open_flow(self._now), finished).advance(None))

    def step(self) -> bool:
        """Do the next thing on the agenda; False when nothing is planned any more."""
        if self._next_s() is None:
            return False
        time_s, _, planned = heappop(self._agenda)
        self._now = max(self._now, time_s)
        planned.action()
        return True

    def run(self, until_s: float | None = None) -> None:
        """Let time pass until nothing is planned any more, or until `until_s`."""
        while (next_s := self._next_s()) is not None and (until_s is None or next_s <= until_s):
            self.step()
        if until_s is not None:
            self._now = max(self._now, until_s)

    def _next_s(self) -> float | None:
        while self._agenda and self._agenda[0][2].cancelled:
            heappop(self._agenda)
        return self._agenda[0][0] if self._agenda else None


class _Request:
    def __init__(self, world: Simulation, plan: Plan, flow: Flow, finished: Finished) -> None:
        self._world = world
        self._plan = plan
        self._flow = flow
        self._finished = finished
        self._chunks: list[Any] = []
        self._live: dict[int, _Attempt] = {}
        self._timer: Planned | None = None

    def advance(self, reply: Any) -> None:
        if self._timer is not None:
            self._timer.cancelled = True
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
            if effect.until_s is not None:
                self._timer = self._world.at(effect.until_s, lambda: self.advance(Elapsed(self._world.now())))
            return True
        if isinstance(effect, Start):
            attempt = self._live[effect.number] = _Attempt(self._plan(effect, self._world.now()))
            self._next_step(effect.number, attempt)
        elif isinstance(effect, Cancel):
            self._drop(effect.number)
        elif isinstance(effect, Detach):
            self._detach(effect)
        elif isinstance(effect, Emit):
            self._chunks.append(effect.chunk)
        return False

    def _next_step(self, number: int, attempt: _Attempt) -> None:
        step = next(attempt.steps, None)
        if step is None:
            return
        after_s, happens = step

        def happen() -> None:
            event = happens(number, self._world.now())
            self._next_step(number, attempt)
            if attempt.watch is None:
                self.advance(event)
            else:
                attempt.watch(event)

        attempt.planned = self._world.at(self._world.now() + after_s, happen)

    def _detach(self, detach: Detach) -> None:
        attempt = self._live.pop(detach.number)
        attempt.watch = detach.watch

        def expire() -> None:
            if attempt.planned is not None:
                attempt.planned.cancelled = True
            detach.watch(Elapsed(self._world.now()))

        self._world.at(detach.until_s, expire)

    def _drop(self, number: int) -> None:
        attempt = self._live.pop(number, None)
        if attempt is not None and attempt.planned is not None:
            attempt.planned.cancelled = True

    def _end(self, value: Any, error: BaseException | None) -> None:
        for number in list(self._live):
            self._drop(number)
        self._finished(value, error)


@dataclass(slots=True)
class _Attempt:
    steps: Iterator[tuple[float, Happens]]
    planned: Planned | None = None
    watch: Callable[[Event], None] | None = None
