"""Faults that a simulation found in earlier designs of this kind, each kept out by a test on the real engine.

Time is simulated; targets follow scripts that depend on the time.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from random import Random
from typing import Any

import pytest

from failover_core import Failover, RequestInfo, RouteTrace, Settings
from failover_core.drivers.sim import Simulation
from failover_core.engine import answer_flow, plan, stream_flow
from failover_core.events import CircuitChanged
from failover_core.health.breaker import CircuitState
from failover_core.health.latency import overdue_s
from failover_core.testing.scripted import Behaviour, ScriptedTarget

Script = Callable[[float], Behaviour]
"""What a target does with a call that begins at this second."""


class World:
    """A `Failover` over scripted targets, in simulated time that begins at 0."""

    def __init__(self, settings: Settings | None = None, *, streaming: bool = False, seed: int = 1, **scripts: Script):
        self.streaming = streaming
        self.traces: list[RouteTrace] = []
        self.errors: list[BaseException] = []
        self.trips: list[tuple[float, str]] = []
        self.targets = {
            name: ScriptedTarget(name, lambda number, now, script=script: script(now))
            for name, script in scripts.items()
        }
        self.sim = Simulation(
            lambda start, now: self.targets[start.context.target.name].plan(start, now, streaming=streaming)
        )
        self.failover = Failover(
            [one.target() for one in self.targets.values()], settings, rng=Random(seed), on_event=self._note
        )
        self.book = self.failover._book

    def _note(self, event: Any) -> None:
        if isinstance(event, CircuitChanged) and event.new == "open":
            self.trips.append((self.sim.now(), event.target))

    def request(self, at_s: float, info: RequestInfo | None = None) -> None:
        def open_flow(now: float) -> Any:
            style = "stream" if self.streaming else "call"
            route = plan(self.failover._desk, "x", info or RequestInfo(), style, now)  # type: ignore[arg-type]
            self.traces.append(route.trace)
            return stream_flow(route) if self.streaming else answer_flow(route)

        def finished(value: Any, error: BaseException | None) -> None:
            if error is not None:
                self.errors.append(error)

        self.sim.submit(at_s, open_flow, finished)

    def traffic(self, from_s: float, until_s: float, every_s: float) -> World:
        for number in range(int((until_s - from_s) / every_s)):
            self.request(from_s + number * every_s)
        self.sim.run(until_s)
        return self

    def asked(self, since: int = 0) -> list[list[str]]:
        return [[attempt.target.name for attempt in trace.attempts] for trace in self.traces[since:]]


def steady(median_s: float, deviation: float = 0.3, seed: int = 7) -> Script:
    rng = Random(seed)
    return lambda now: Behaviour(after_s=median_s * exp(rng.gauss(0.0, deviation)), text="fine")


def down(now: float) -> Behaviour:
    return Behaviour(after_s=0.1, status=503)


def silent(now: float) -> Behaviour:
    return Behaviour(silent=True)


def until(end_s: float, first: Script, then: Script) -> Script:
    return lambda now: first(now) if now < end_s else then(now)


# -- 1 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_boiling_frog(seed: int) -> None:
    """A baseline that learns within a minute takes a minute's slow decline for normal."""
    well = steady(1.0, seed=seed)

    def declining(now: float) -> Behaviour:
        slower = 1.0 + 9.0 * max(0.0, now - 120.0) / 60.0
        return Behaviour(after_s=slower * well(now).after_s, text="fine")

    world = World(a=until(180.0, declining, silent), b=steady(1.2, seed=seed + 50), seed=seed)
    world.traffic(0.0, 120.0, 0.2)
    before_s = overdue_s(world.book.habits.own("a", ("answer", False, "")), 30.0)
    world.traffic(120.0, 180.0, 0.2)
    after_s = overdue_s(world.book.habits.own("a", ("answer", False, "")), 30.0)
    assert after_s < 1.5 * before_s, "the decline was learned"
    assert any(name == "a" for _, name in world.trips), "the decline was not seen before the outage"


# -- 2 --------------------------------------------------------------------------------------------------------------


def test_races_do_not_hide_slowness() -> None:
    """Each silent attempt is cancelled when another target answers first: that must count as evidence, once the race is
    lost, and only against the one that was asked earlier.
    """
    world = World(a=until(200.0, steady(1.0), silent), b=steady(1.2))
    world.traffic(0.0, 200.0, 5.0)
    assert not world.trips
    world.traffic(200.0, 230.0, 5.0)
    assert [name for _, name in world.trips] == ["a"]
    assert len([names for names in world.asked(since=40) if "a" in names]) <= 5
    assert world.book.snapshot["b"].suspicion == 0.0
    assert not world.errors


def test_the_later_one_of_a_race_is_not_blamed_for_losing_it() -> None:
    slow_at_200 = until(200.0, steady(1.0), lambda now: Behaviour(after_s=6.0, text="late, but fine"))
    world = World(a=slow_at_200, b=until(200.0, steady(1.2), silent))
    world.traffic(0.0, 200.0, 5.0)
    world.traffic(200.0, 215.0, 5.0)
    world.sim.run(230.0)
    lost = [attempt for trace in world.traces[40:] for attempt in trace.attempts if attempt.target.name == "b"]
    assert lost and all(attempt.verdict == "lost" for attempt in lost)
    assert world.book.snapshot["b"].suspicion == 0.0


# -- 3 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("then", ["silence", "cut"])
def test_a_probe_is_judged_at_its_end(then: Any) -> None:
    """A stream that begins well and breaks off is no recovery."""

    def stalls(now: float) -> Behaviour:
        return Behaviour(after_s=0.5, text="one two three four five six", gap_s=0.1, words=4, then=then)

    world = World(
        streaming=True, a=until(1.0, down, stalls), b=lambda now: Behaviour(0.6, "one two three four five six")
    )
    world.traffic(0.0, 60.0, 1.0)
    assert world.book.snapshot["a"].breaker.state in (CircuitState.OPEN, CircuitState.PROBING)
    probes = [attempt for trace in world.traces for attempt in trace.attempts if attempt.why == "probe"]
    assert 3 <= len(probes) <= 10
    assert not world.errors


def test_a_probe_that_has_become_slow_is_no_recovery() -> None:
    """Tokens that come a word a second are not what this target usually does."""

    def stream(gap_s: float) -> Script:
        return lambda now: Behaviour(after_s=0.5, text=" ".join(["word"] * 20), gap_s=gap_s)

    world = World(
        Settings(hold_back_tokens=0),
        streaming=True,
        a=until(400.0, stream(0.05), until(404.0, down, stream(1.0))),
        b=stream(0.05),
    )
    world.traffic(0.0, 400.0, 10.0)
    world.traffic(400.0, 404.0, 1.0)
    assert [name for _, name in world.trips] == ["a"]
    world.traffic(404.0, 500.0, 5.0)
    assert world.book.snapshot["a"].breaker.state in (CircuitState.OPEN, CircuitState.PROBING)


# -- 4 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every_s", [2.0, 5.0, 20.0])
def test_a_ramp_by_shares_does_not_starve_where_requests_are_rare(every_s: float) -> None:
    world = World(a=until(10 * every_s, down, steady(0.8)), b=steady(1.0))
    world.traffic(0.0, 10 * every_s, every_s)
    assert world.trips
    world.traffic(10 * every_s, 60 * every_s, every_s)
    asked = world.asked(since=10)
    back = asked.index(["a"])
    assert back * every_s <= 30.0 or back <= 2
    assert asked[back:] == [["a"]] * (len(asked) - back), "once it answers, each request goes to it"
    assert world.book.snapshot["a"].breaker.state is CircuitState.CLOSED


# -- 5 --------------------------------------------------------------------------------------------------------------


def test_the_last_candidate_has_no_limit_but_the_caller_s_deadline() -> None:
    world = World(a=down, b=until(100.0, steady(0.5), lambda now: Behaviour(after_s=3.5, text="slow, but here")))
    world.traffic(0.0, 100.0, 1.0)
    due_s = world.book.snapshot["a"].breaker.until_s
    start_s = max(100.0, due_s)
    world.request(start_s)  # probes a, in vain: it rests for a while again
    world.request(start_s + 0.5)
    world.sim.run(start_s + 20.0)
    assert world.asked()[-1] == ["b"]
    assert world.traces[-1].elapsed_s == pytest.approx(3.5)
    assert not world.errors


def test_a_second_try_of_a_healthy_target_comes_before_a_first_try_of_an_open_one() -> None:
    stumbles = iter([Behaviour(status=503), Behaviour(text="fine")])
    world = World(a=down, b=until(10.0, steady(0.1), lambda now: next(stumbles)))
    world.traffic(0.0, 10.0, 2.0)
    state = world.book.snapshot["a"].breaker
    assert state.state is CircuitState.OPEN
    assert state.until_s > 11.5, "else it would be probed"
    world.request(10.0)
    world.sim.run(20.0)
    assert world.asked()[-1] == ["b", "b"]
    assert not world.errors


def test_a_stumble_of_the_only_hope_is_not_the_end_while_the_other_one_is_silent() -> None:
    """The primary says nothing, and the one that was asked instead fails once: it is asked again."""
    stumbles = iter([Behaviour(after_s=0.2, status=500), Behaviour(after_s=0.5, text="fine")])
    world = World(Settings(answer_s=2.0), a=silent, b=lambda now: next(stumbles))
    world.request(0.0)
    world.sim.run(60.0)
    assert world.asked() == [["a", "b", "b"]]
    assert world.traces[0].elapsed_s == pytest.approx(2.95, abs=0.3)
    assert not world.errors


# -- 6 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait", [None, "1"])
def test_moving_on_to_a_healthy_target_is_free(wait: str | None) -> None:
    """Charged to the retry budget, it lost 7 to 9 % of the requests at a rate-limited target."""

    def refuses(now: float) -> Behaviour:
        return Behaviour(after_s=0.05, status=429, retry_after=wait)

    world = World(Settings(retry_after_patience_s=0.0), a=refuses, b=steady(0.3))
    world.traffic(0.0, 200.0, 0.2)
    assert not world.errors
    assert all(names[-1] == "b" for names in world.asked())
    assert world.book.traffic.retries_left == 20.0
    assert world.book.snapshot["a"].breaker.state is CircuitState.CLOSED, "a rate limit is no ill health"


def test_moving_on_is_free_even_without_a_budget() -> None:
    settings = Settings(retry_budget_tokens=0.0, retry_budget_refill=0.0)
    world = World(settings, a=lambda now: Behaviour(status=503), b=steady(1.0))
    world.traffic(0.0, 100.0, 1.0)
    assert not world.errors
