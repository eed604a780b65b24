"""`hedge="budgeted"`: who may be asked a second time, how often, and what it is good for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_core import Settings, Target
from failover_core.health.book import HealthBook
from failover_core.health.habits import Habits
from failover_core.health.hedges import FIRST_TOKENS, HEDGE_SHARE, MAX_TOKENS
from failover_core.health.latency import moment_s
from failover_core.health.suspicion import OUTRUN_NATS
from failover_core.limits import HEDGE_Z
from failover_core.policy.guards import together
from failover_core.simulate.run import START_S, run
from failover_core.simulate.scenarios import Scenario
from failover_core.simulate.traffic import Traffic
from failover_core.simulate.world import PROFILES
from failover_core.testing.scripted import ScriptedError
from stepping import Stepper, failover_of, scripted

# -- the budget -----------------------------------------------------------------------------------------------------


def new_book(retry_tokens: float = 20.0) -> HealthBook:
    return HealthBook(["a"], rng=Random(1), emit=lambda event: None, retry_budget_tokens=retry_tokens)


@given(st.lists(st.booleans(), max_size=2000), st.integers(0, 1000))
def test_no_stretch_of_requests_is_hedged_beyond_its_share(wants: list[bool], idle: int) -> None:
    """Whatever came before: a burst can spend what was saved up, at most 10, and after that 3 in 100."""
    traffic = new_book().traffic
    for _ in range(idle):
        traffic.request_began()
        traffic.earn_hedge()
    saved = min(MAX_TOKENS, FIRST_TOKENS + HEDGE_SHARE * idle)
    hedges = 0
    for number, wanted in enumerate(wants, start=1):
        traffic.request_began()
        traffic.earn_hedge()
        hedges += wanted and traffic.spend_hedge()
        assert hedges <= saved + HEDGE_SHARE * number + 1e-9


def test_every_hedge_that_is_wanted_is_made_while_there_is_budget() -> None:
    traffic = new_book().traffic
    made = []
    for _ in range(100):
        traffic.request_began()
        traffic.earn_hedge()
        made.append(traffic.spend_hedge())
    assert made[0] and sum(made) == 4, "one to begin with, and three for a hundred requests"


def test_hedges_and_retries_are_paid_from_one_purse_too() -> None:
    """In an outage, when retries have used theirs up, nobody doubles the traffic."""
    traffic = new_book(retry_tokens=1.5).traffic
    assert traffic.spend_hedge()
    assert not traffic.spend_retry()
    traffic = new_book(retry_tokens=1.5).traffic
    assert traffic.spend_retry()
    assert not traffic.spend_hedge()
    assert traffic._hedges.tokens == FIRST_TOKENS, "a hedge that is not made costs nothing"


# -- whom to ask ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        (("p", None), ("p", None), True),
        (("p", "eu"), ("p", "eu"), True),
        (("p", "eu"), ("p", None), True),
        (("p", "eu"), ("p", "us"), False),
        (("p", "eu"), ("q", "eu"), False),
        ((None, None), (None, None), False),
        ((None, "eu"), ("p", "eu"), False),
    ],
)
def test_failure_domains(
    one: tuple[str | None, str | None], other: tuple[str | None, str | None], shared: bool
) -> None:
    first = Target("a", call=print, provider=one[0], region=one[1])
    second = Target("b", call=print, provider=other[0], region=other[1])
    assert together(first, second) is together(second, first) is shared


def slow(*targets: str | Target, **settings: object) -> Stepper:
    """A stream at the first target, whose first token usually takes a second and which is silent now."""
    failover = failover_of(*targets, hedge="budgeted", **settings)
    for number in range(30):
        request = Stepper(failover, "stream", now=number * 10.0)
        request.sends(
            request.started[0], "a whole answer, long enough to be shown at once, since it is so long", after_s=1.0
        )
        request.finishes(request.started[0])
    return Stepper(failover, "stream", now=400.0)


def hedged(request: Stepper) -> None:
    """It is looked at a few times while it is silent; then comes the hedge."""
    while len(request.started) == 1:
        request.times_out()
    assert request.trace.attempts[-1].why == "hedge"


def test_a_hedge_that_wins_is_evidence_against_the_slow_one() -> None:
    request = slow("a", "b")
    hedged(request)
    assert request.health("a").suspicion == 0.0, "not yet"
    request.sends("b", "an answer that is long enough to be shown at once, since it has so many words", after_s=0.2)
    assert request.cancelled == ["a"]
    assert request.health("a").suspicion > OUTRUN_NATS
    assert request.health("b").suspicion == 0.0
    assert not request.trace.attempts[0].overdue


def test_a_hedge_that_loses_says_nothing() -> None:
    request = slow("a", "b")
    hedged(request)
    request.sends("a", "an answer that is long enough to be shown at once, since it has so many words", after_s=0.1)
    assert request.verdicts[1] == ("b", "hedge", "lost")
    assert (request.health("b").suspicion, request.health("b").failed) == (0.0, 0)
    assert (request.health("a").suspicion, request.health("a").pending) == (0.0, 0.0)


def test_nothing_is_hedged_once_there_is_content() -> None:
    request = slow("a", "b", hold_back_tokens=100, hold_back_s=9.0)
    request.sends("a", "one", after_s=0.5)
    request.times_out()
    assert request.started == ["a"]


def test_a_hedge_that_fails_leaves_the_first_one_alone() -> None:
    request = slow("a", "b")
    hedged(request)
    request.fails("b", ScriptedError(400, "unknown parameter"))
    request.sends("a", "late but good")
    request.finishes("a")
    assert request.error is None
    assert request.verdicts == [("a", "first", "answered"), ("b", "hedge", "next")]


def test_when_both_fail_the_request_goes_on_as_ever() -> None:
    request = slow("a", "b", "c", same_target_retries=0)
    hedged(request)
    request.fails("b", ScriptedError(400, "unknown parameter"))
    request.fails("a", ScriptedError(503))
    request.sends("c", "good")
    request.finishes("c")
    assert request.verdicts[-1] == ("c", "failed over", "answered")


@pytest.mark.parametrize("limited", [True, False])
def test_a_target_under_a_rate_limit_is_not_asked_for_hedges(limited: bool) -> None:
    request = slow("a", "b", "c")
    if limited:
        book = request.failover._book
        permit = book.admit("b", 399.0)
        assert permit is not None
        failure = request.failover._desk.classify(ScriptedError(429, headers={"retry-after": "0"}))
        book.failed(permit, 399.0, failure, 0.0, parks=False)
    hedged(request)
    assert request.started == ["a", "c" if limited else "b"]


def test_a_probe_has_its_own_head_start_and_is_never_hedged() -> None:
    request = slow(scripted("a"), scripted("b"))
    assert request.route.live[1].limit is not None
    assert request.route.live[1].limit.hedge_s is not None
    for _ in range(4):
        permit = request.failover._book.admit("a", 400.0, force=True)
        assert permit is not None
        request.failover._book.failed(
            permit, 400.0, request.failover._desk.classify(ScriptedError(500)), 3.4, parks=False
        )
    probe = Stepper(request.failover, "stream", now=500.0)
    assert probe.verdicts == [("a", "probe", "running")]
    assert probe.route.live[1].hedge_at_s is None


# -- what it is good for --------------------------------------------------------------------------------------------


def first_tokens(hedge: str) -> tuple[float, Sequence[float]]:
    """(attempts a request, seconds to the first token) with hosts whose slowest 1 % take 8 times as long as usual."""
    providers = tuple(replace(profile, ratios="hosts", errors=0.0) for profile in PROFILES)
    world = Scenario("heavy tails", traffic=Traffic(2.0, sizes="azure_code", streamed_share=1.0), seconds=1000.0)
    world = replace(world, providers=providers)
    records = [
        record
        for seed in (1, 2, 3)
        for record in run(world, seed=seed, settings=Settings(hedge=hedge)).records  # type: ignore[arg-type]
        if record.ask.at_s - START_S > 100.0
    ]
    attempts = sum(len(record.attempts) for record in records) / len(records)
    return attempts, sorted(record.first_s for record in records if record.first_s is not None)


def test_the_tail_of_a_healthy_world_is_cut_for_three_percent() -> None:
    attempts, seconds = first_tokens("overdue")
    hedged_attempts, hedged_seconds = first_tokens("budgeted")
    assert 0.01 < hedged_attempts - attempts <= 0.03
    for share in (0.99, 0.999):
        place = int(share * len(seconds))
        assert hedged_seconds[place] < 0.85 * seconds[place]
    half = len(seconds) // 2
    assert hedged_seconds[half] == pytest.approx(seconds[half], rel=0.05)


# -- what is learned ------------------------------------------------------------------------------------------------

KEY = ("first_token", False, "")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_slow_calls_that_hedges_cut_short_do_not_make_the_habit_look_quick(seed: int) -> None:
    """Nine in ten of what is later than a hedge is never timed. Uncorrected, the limit would go down by a quarter, and
    with it the time of the hedge.
    """
    rng = Random(seed)
    habits = {hedged: Habits(["a"]) for hedged in (True, False)}
    for number in range(6000):
        seconds = rng.lognormvariate(0.0, 0.4)
        for hedged, known in habits.items():
            habit = known.own("a", KEY)
            if hedged and habit.samples > 30 and seconds > moment_s(habit, HEDGE_Z) and rng.random() < 0.9:
                known.outrun("a", KEY)
            else:
                known.learn("a", [(KEY, seconds)], float(number))
    with_hedges, without = (habits[hedged].own("a", KEY).limit_s for hedged in (True, False))
    assert with_hedges == pytest.approx(without, rel=0.15)
