"""Health checks, without threads: what a check may change, when a target is checked, and what becomes of a check that
hangs. Time is a number.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from failover_core import ConfigError, Failover, Failure, FailureKind, Settings, Target
from failover_core.drivers.watch import MAX_HANGING, Watch
from failover_core.events import CircuitChanged, TargetChecked, TargetParked
from failover_core.health.breaker import MAX_HELD_S, CircuitState
from failover_core.health.checkups import CONFIRM_S, FIRST_LOOK_S, OPEN_CHECK_S, TIMEOUT_S, due_s
from failover_core.health.state import TargetState
from failover_core.health.suspicion import ERROR_NATS
from failover_core.policy.verdicts import RULES, health_check_rule
from failover_core.testing.scripted import ScriptedError

NOW = 1000.0
EVERY_S = 30.0
REFUSED = ConnectionRefusedError(111, "Connection refused")
DOWN = ScriptedError(503, "overloaded")
WRONG_KEY = ScriptedError(401, "Incorrect API key provided")
NO_SUCH_PATH = ScriptedError(404, "Not Found")
LIMITED = ScriptedError(429, "Too many requests")


class Bench:
    """A watch over two targets, driven by hand: checks run inline, or hang until the test lets them return."""

    def __init__(self, *, hangs: bool = False, **settings: Any) -> None:
        self.time_s = NOW
        self.error: Exception | None = None
        self.events: list[Any] = []
        self.hanging: list[Callable[[], None]] = []
        self._hangs = hangs
        targets = [Target("a", call=str, health_check=self._check), Target("b", call=str)]
        self.failover = Failover(
            targets,
            Settings(health_check_s=EVERY_S, **settings),
            rng=Random(3),
            world=self,
            on_event=self.events.append,
        )
        self.book = self.failover._book
        self.watch: Watch = self.failover._watch

    def now(self) -> float:
        return self.time_s

    def spawn(self, work: Callable[[], None]) -> None:
        if self._hangs:
            self.hanging.append(work)
        else:
            work()

    def _check(self) -> None:
        if self.error is not None:
            raise self.error

    def pass_s(self, seconds: float) -> int:
        """Let time pass, as the thread does; returns how many checks ended."""
        before, until_s = len(self.checks), self.time_s + seconds
        while True:
            wait_s = self.watch.look(self.time_s)
            self.collect()
            if self.time_s >= until_s:
                return len(self.checks) - before
            self.time_s = min(self.time_s + wait_s, until_s)

    def collect(self) -> None:
        while not self.watch.inbox.empty():
            self.watch.ended(self.watch.inbox.get())

    def until_open(self, limit_s: float = 100.0) -> float:
        """Seconds until the circuit opens."""
        began_s = self.time_s
        while self.a.breaker.state is not CircuitState.OPEN:
            assert self.time_s - began_s < limit_s, "the circuit stayed as it was"
            self.pass_s(0.1)
        return self.time_s - began_s

    def fails(self, times: int = 3) -> None:
        """Requests to `a` fail."""
        for _ in range(times):
            permit = self.book.admit("a", self.time_s)
            assert permit is not None
            self.book.failed(permit, self.time_s, Failure(FailureKind.SERVER_ERROR, "boom"), ERROR_NATS, parks=False)

    def answers(self, *, force: bool = False) -> None:
        """A request to `a` is answered."""
        permit = self.book.admit("a", self.time_s, force=force)
        assert permit is not None
        self.book.heard(permit)
        self.book.answered(permit, self.time_s)

    @property
    def a(self) -> TargetState:
        return self.book.snapshot["a"]

    @property
    def checks(self) -> list[TargetChecked]:
        return [event for event in self.events if isinstance(event, TargetChecked)]


# -- an outage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [REFUSED, DOWN, TimeoutError()])
def test_an_outage_of_an_idle_target_is_seen_without_a_request(error: Exception) -> None:
    bench = Bench()
    bench.pass_s(100.0)
    bench.error = error
    assert bench.until_open() <= 1.2 * (EVERY_S + 2 * CONFIRM_S) + 0.1
    assert (bench.a.asked, bench.a.failed, bench.a.in_flight) == (0, 0, 0)
    changed = [event for event in bench.events if isinstance(event, CircuitChanged)]
    assert [(event.old, event.new) for event in changed] == [("closed", "open")]
    assert bench.a.breaker.reason.startswith("health check: ")


def test_one_failed_check_is_confirmed_soon_and_forgotten_when_it_was_a_hiccup() -> None:
    bench = Bench()
    bench.pass_s(60.0)
    bench.error = DOWN
    while not bench.checks[-1].failure:
        bench.pass_s(0.1)
    bench.error = None
    assert bench.pass_s(1.2 * CONFIRM_S + 0.1) == 1
    assert bench.pass_s(0.7 * EVERY_S) == 0
    assert bench.a.breaker.state is CircuitState.CLOSED


def test_a_key_that_is_refused_sets_the_target_aside_once_and_is_tried_again_now_and_then() -> None:
    bench = Bench(park_s=300.0)
    bench.error = WRONG_KEY
    bench.pass_s(1.2 * EVERY_S)
    assert bench.a.breaker.until_s == pytest.approx(bench.time_s + 300.0, abs=EVERY_S)
    until_s = bench.a.breaker.until_s
    assert 2 <= bench.pass_s(90.0) <= 6
    parked = [event for event in bench.events if isinstance(event, TargetParked)]
    assert [(event.target, event.kind) for event in parked] == [("a", FailureKind.AUTH)]
    assert bench.a.breaker.until_s == until_s, "checks must not park it for ever"
    bench.error = None
    bench.pass_s(1.2 * EVERY_S)
    assert bench.a.breaker.until_s < bench.time_s, "the key was mended: the next request may try"


@pytest.mark.parametrize("error", [NO_SUCH_PATH, LIMITED, ScriptedError(501), ScriptedError(403, "missing scopes")])
def test_what_is_said_of_the_free_call_itself_says_nothing_of_requests(error: Exception) -> None:
    bench = Bench()
    bench.error = error
    assert 3 <= bench.pass_s(120.0) <= 5
    assert bench.a == TargetState()


def test_a_check_that_fails_while_requests_are_answered_is_not_believed() -> None:
    """A gateway whose list of models is broken must not lose its traffic."""
    bench = Bench()
    bench.error = DOWN
    bench.until_open()
    bench.time_s = bench.a.breaker.until_s
    bench.answers()
    for _ in range(20):
        bench.time_s += 1.0
        bench.answers(force=True)
    assert bench.a.breaker.state is CircuitState.CLOSED
    assert bench.pass_s(600.0) >= 15
    assert bench.a.breaker.state is CircuitState.CLOSED and bench.a.is_healthy(bench.time_s)


# -- while the circuit is open --------------------------------------------------------------------------------------


def test_failing_checks_put_the_probe_off_but_for_one_a_minute() -> None:
    bench = Bench()
    bench.error = DOWN
    bench.fails()
    opened_s = bench.time_s
    bench.pass_s(MAX_HELD_S - 1.0)
    assert bench.book.admit("a", bench.time_s) is None
    assert MAX_HELD_S / (1.2 * OPEN_CHECK_S) - 2 <= len(bench.checks) <= MAX_HELD_S / (0.8 * OPEN_CHECK_S) + 2
    bench.pass_s(1.0)
    assert bench.time_s == opened_s + MAX_HELD_S
    assert bench.book.admit("a", bench.time_s) is not None


def test_a_recovery_ends_the_cooldown() -> None:
    bench = Bench()
    bench.error = DOWN
    bench.fails()
    bench.pass_s(30.0)
    assert bench.book.admit("a", bench.time_s) is None
    bench.error = None
    bench.pass_s(1.2 * OPEN_CHECK_S)
    assert bench.a.breaker.state is CircuitState.OPEN, "a check closes no circuit"
    assert bench.a.answered == 0
    probe = bench.book.admit("a", bench.time_s)
    assert probe is not None and bench.a.breaker.state is CircuitState.PROBING


def test_a_recovery_is_looked_for_all_through_a_long_rest() -> None:
    bench = Bench()
    bench.fails()
    permit = bench.book.admit("a", bench.time_s, force=True)
    assert permit is not None
    bench.book.failed(permit, bench.time_s, Failure(FailureKind.SERVER_ERROR, "boom"), 0.0, parks=True)
    bench.error = REFUSED
    bench.pass_s(100.0)
    assert len(bench.checks) >= 100.0 / (1.2 * OPEN_CHECK_S) - 1
    assert bench.book.admit("a", bench.time_s) is None
    bench.error = None
    bench.pass_s(1.2 * OPEN_CHECK_S)
    assert bench.book.admit("a", bench.time_s) is not None


def test_where_the_checks_were_good_all_along_they_say_nothing() -> None:
    """The model hangs behind a gateway that is well."""
    bench = Bench()
    bench.fails()
    until_s = bench.a.breaker.until_s
    assert bench.pass_s(until_s - bench.time_s - 0.1) == 1
    assert bench.a.breaker.until_s == until_s


def test_a_probe_under_way_says_more_than_a_check() -> None:
    bench = Bench(hangs=True)
    bench.fails()
    bench.error = DOWN
    bench.pass_s(1.2 * FIRST_LOOK_S)  # the check is under way
    bench.time_s = bench.a.breaker.until_s
    assert bench.book.admit("a", bench.time_s) is not None
    bench.hanging.pop()()
    bench.collect()
    assert bench.checks[-1].failure is not None
    assert bench.a.breaker.state is CircuitState.PROBING
    assert bench.pass_s(20.0) == 0


# -- when -----------------------------------------------------------------------------------------------------------


def test_a_target_with_traffic_is_not_checked() -> None:
    bench = Bench()
    for _ in range(60):
        bench.pass_s(5.0)
        bench.answers()
    assert bench.checks == []
    assert 1 <= bench.pass_s(1.2 * EVERY_S) <= 2


def test_healthy_and_idle_it_is_checked_at_the_pace_that_was_set_with_jitter() -> None:
    bench = Bench()
    times = []
    while len(times) < 40:
        if bench.pass_s(0.5):
            times.append(bench.time_s)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert 0.8 * EVERY_S - 0.5 <= min(gaps) < 0.9 * EVERY_S
    assert 1.1 * EVERY_S < max(gaps) <= 1.2 * EVERY_S + 0.5


def test_a_short_interval_holds_for_every_wait() -> None:
    state = TargetState(updated_s=NOW)
    assert due_s(state, NOW, 0.1, hurry=True, jitter=1.0) == NOW + 0.1
    opened = Bench()
    opened.fails()
    assert due_s(opened.a, NOW - 9.0, 0.1, hurry=False, jitter=1.0) == NOW + 0.1


# -- checks that hang -----------------------------------------------------------------------------------------------


def test_a_check_that_hangs_is_given_up_and_counts_as_silence() -> None:
    bench = Bench(hangs=True)
    assert bench.until_open() <= 1.2 * (EVERY_S + 3 * CONFIRM_S) + 4 * TIMEOUT_S + 0.5
    assert {event.failure.kind for event in bench.checks} == {FailureKind.TIMEOUT}
    assert [event.elapsed_s for event in bench.checks] == [pytest.approx(TIMEOUT_S)] * 4


def test_hanging_checks_do_not_pile_up_and_their_late_results_are_ignored() -> None:
    bench = Bench(hangs=True)
    bench.pass_s(600.0)
    assert len(bench.hanging) == MAX_HANGING
    told, state = len(bench.checks), bench.a
    bench.hanging.pop(0)()
    bench.collect()
    assert (len(bench.checks), bench.a) == (told, state)
    bench.pass_s(1.2 * EVERY_S + TIMEOUT_S)
    assert len(bench.hanging) == MAX_HANGING, "one has returned, so one more was started"


# -- settings, events -----------------------------------------------------------------------------------------------


def test_nothing_is_watched_unless_it_is_asked_for() -> None:
    failover = Failover([Target("a", call=str, health_check=list)])
    failover.call("hi")
    assert failover._watch is None


def test_targets_that_share_their_health_are_checked_once() -> None:
    first = Bench().failover
    second = Failover([Target("c", call=str, health_check=list)], first.settings, health_of=first)
    assert second._watch is first._watch
    assert sorted(first._watch._checkups) == ["a", "c"]
    assert Failover([Target("d", call=str, health_check=list)], health_of=first)._watch is None


@pytest.mark.parametrize("value", [0, -1, "30", float("nan"), True])
def test_a_senseless_interval_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="health_check_s"):
        Settings(health_check_s=value)


async def _waits() -> None: ...


@pytest.mark.parametrize("value", ["models", _waits])
def test_a_check_is_a_plain_function(value: Any) -> None:
    with pytest.raises(ConfigError, match="health_check= must be a plain function"):
        Target("a", call=str, health_check=value)


def test_only_what_speaks_of_the_target_counts() -> None:
    counted = {kind for kind in FailureKind if health_check_rule(Failure(kind)).evidence_nats > 0.0}
    assert counted == {kind for kind in FailureKind if RULES[kind].evidence_nats > 0.0}
    assert [kind for kind in FailureKind if health_check_rule(Failure(kind)).parks] == [FailureKind.AUTH]


def test_a_failed_check_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.error = REFUSED
    with caplog.at_level(logging.INFO, logger="failover"):
        bench.pass_s(1.2 * EVERY_S)
    assert "a: health check failed after 0.00 s: connection" in caplog.text
