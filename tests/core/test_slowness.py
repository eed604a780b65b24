"""A target that takes twice its usual time fails nothing and misses few limits; a handful of its answers tell."""

from __future__ import annotations

from math import exp
from random import Random

import pytest

from failover_core import RequestInfo
from failover_core.health.book import HealthBook
from failover_core.health.breaker import Admission, Breaker, CircuitState
from failover_core.health.habits import SURE_SAMPLES, HabitKey, Habits
from failover_core.health.latency import MAX_SLOWNESS_NATS, NO_HABIT, Habit, learned, slowness_nats
from failover_core.health.state import TargetState
from failover_core.health.suspicion import DEGRADED_NATS
from failover_core.live import durations_of
from failover_core.output import Reading
from stepping import Stepper, failover_of

FIRST, GAP = ("first_token", False, ""), ("gap", False, "")
USUAL_S = 0.6
SPREAD = 0.36  # of ln(first token time) at the majors, see `simulate.fits`


class Observed:
    """A target `a` and its streams, which come one after the other."""

    def __init__(self, streams: int = 100, seed: int = 1) -> None:
        self.book = HealthBook(["a", "b"], rng=Random(5), emit=lambda event: None)
        self.rng = Random(seed)
        self.now = 1000.0
        self.streams(streams)

    def stream(self, factor: float = 1.0) -> Admission | None:
        self.now += 1.0
        permit = self.book.admit("a", self.now, streaming=True)
        if permit is None:
            return None
        first_s = factor * USUAL_S * exp(self.rng.gauss(0.0, SPREAD))
        self.now += first_s
        self.book.heard(permit)
        self.book.timed(permit, self.now, FIRST, first_s)
        self.book.answered(permit, self.now, [(FIRST, first_s)])
        return permit.how

    def streams(self, count: int, factor: float = 1.0) -> None:
        for _ in range(count):
            self.stream(factor)

    def until(self, state: CircuitState, factor: float) -> int:
        """How many streams it takes."""
        for count in range(2000):
            if self.breaker.state is state:
                return count
            self.stream(factor)
        raise AssertionError(f"never {state}")

    @property
    def breaker(self) -> Breaker:
        return self.book.snapshot["a"].breaker

    @property
    def slowness(self) -> float:
        return self.book.snapshot["a"].slowness


def habit(seconds: float = USUAL_S, samples: int = 200) -> Habit:
    rng, made = Random(2), NO_HABIT
    for _ in range(samples):
        made = learned(made, seconds * exp(rng.gauss(0.0, SPREAD)))
    return made


# -- one duration ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "speaks_against_it"), [(0.5, False), (1.0, False), (1.3, False), (1.4, True), (2.0, True)]
)
def test_a_duration_speaks_for_whichever_it_is_nearer_to(factor: float, speaks_against_it: bool) -> None:
    """As usual, or 1.8 times as long: between the two, in the logarithm, lies 1.34."""
    assert (slowness_nats(habit(), factor * USUAL_S) > 0.0) is speaks_against_it


def test_what_chance_adds_it_takes_away_again() -> None:
    rng, usual = Random(4), habit()
    healthy = [slowness_nats(usual, USUAL_S * exp(rng.gauss(0.0, SPREAD))) for _ in range(2000)]
    slow = [slowness_nats(usual, 2.0 * USUAL_S * exp(rng.gauss(0.0, SPREAD))) for _ in range(2000)]
    assert sum(healthy) / 2000 < -0.5
    assert sum(slow) / 2000 > 0.5


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 3600.0])
def test_no_single_duration_decides(seconds: float) -> None:
    assert abs(slowness_nats(habit(), seconds)) <= MAX_SLOWNESS_NATS < DEGRADED_NATS


# -- a target -------------------------------------------------------------------------------------------------------


def test_twice_the_usual_time_opens_the_circuit_within_thirty_streams() -> None:
    assert max(Observed(seed=seed).until(CircuitState.OPEN, 2.0) for seed in range(20)) <= 30


def test_the_reason_compares() -> None:
    a = Observed()
    a.until(CircuitState.OPEN, 3.0)
    assert a.breaker.reason.startswith("slow: first token took ")
    assert a.breaker.reason.endswith(" s, usually 0.60 s")


def test_chance_opens_nothing() -> None:
    for seed in range(5):
        a = Observed(seed=seed)
        a.streams(4000)
        assert (a.breaker.state, a.breaker.trips) == (CircuitState.CLOSED, 0.0)


@pytest.mark.parametrize(
    ("others_s", "leaves"),
    [((1.5, 1.6), False), ((1.5, 0.9), True), ((1.5,), True)],
    ids=["slower", "one is not", "unknown"],
)
def test_a_target_that_is_still_the_quickest_is_not_left(others_s: tuple[float, ...], leaves: bool) -> None:
    habits = Habits(["a", "b", "c"])
    for name, usual_s in zip("abc", (0.6, *others_s), strict=False):
        for number in range(100):
            habits.learn(name, [(FIRST, usual_s)], 1000.0 + number)
    assert (habits.slowness_nats("a", FIRST, 1.2) > 0.0) is leaves


@pytest.mark.parametrize(
    ("key", "quick_s"), [(FIRST, 0.45), (GAP, 0.019), (("pace", False, ""), 0.9)], ids=["first token", "gap", "pace"]
)
def test_what_is_quick_enough_for_anybody_is_not_slow(key: HabitKey, quick_s: float) -> None:
    """A test double answers in microseconds, and in twice as many when the machine is busy."""
    habits = Habits(["a", "b"])
    for number in range(100):
        habits.learn("a", [(key, 0.00005 * (1 + number % 3))], 1000.0 + number)
    assert habits.slowness_nats("a", key, quick_s) == 0.0
    assert habits.slowness_nats("a", key, 2.0 * quick_s) == MAX_SLOWNESS_NATS
    assert habits.slowness_nats("a", key, 0.00001) < 0.0


def test_nothing_is_slow_before_enough_is_known() -> None:
    a = Observed(streams=SURE_SAMPLES - 1)
    a.stream(50.0)
    assert a.slowness == 0.0


class Answer:
    """Whole answers of 20 words a second, after a first one that comes when it likes."""

    def __init__(self) -> None:
        self.failover = failover_of("a", "b")
        self.now = 1000.0

    def of(self, words: int, factor: float = 1.0) -> None:
        self.now += 1.0
        request = Stepper(self.failover, now=self.now)
        due_s = self.now + factor * (0.5 + words / 20)
        while request.until_s is not None and request.until_s < due_s:
            request.times_out()
        request.returns("a", " ".join(f"{number:04}" for number in range(words)), after_s=due_s - request.now)
        self.now = request.now

    @property
    def state(self) -> TargetState:
        return self.failover._book.snapshot["a"]


def test_whole_answers_are_compared_by_their_length() -> None:
    answers = Answer()
    for number in range(100):
        answers.of(5 + number % 50)
    for _ in range(20):
        answers.of(55)
    assert answers.state.slowness == 0.0, "a longer one takes longer"
    for number in range(30):
        if answers.state.breaker.state is CircuitState.CLOSED:
            answers.of(5 + number % 50, 2.0)
    assert answers.state.breaker.state is CircuitState.OPEN
    assert answers.state.breaker.reason.startswith("slow: pace took ")


@pytest.mark.parametrize(
    ("reading", "tokens"),
    [
        (Reading(text="sixteen letters."), 4.0),
        (Reading(text="hidden thoughts are counted", usage={"output_tokens": 900}), 900),
        (Reading(text="sixteen letters.", usage={"output_tokens": 0}), 4.0),
        (Reading(has_tool_call=True), 0.0),
        (Reading(has_tool_call=True, usage={"output_tokens": -40}), -40),
    ],
)
def test_the_length_is_what_the_provider_counts_or_else_that_of_the_text(reading: Reading, tokens: float) -> None:
    assert reading.tokens == tokens
    request = Stepper(failover_of("a"))
    (live,) = request.route.live.values()
    live.output_tokens = reading.tokens
    timed = durations_of(live, RequestInfo(), request.now + 1.0)
    assert [key[0] for key, _ in timed] == (["answer", "pace"] if tokens > 0 else ["answer"])


def test_a_warning_comes_first_and_then_nothing_is_learned() -> None:
    a = Observed()
    while not a.book.snapshot["a"].is_slow:
        a.stream(1.7)
    state, known = a.book.snapshot["a"], a.book.habits.own("a", FIRST)
    assert state.breaker.state is CircuitState.CLOSED
    assert not state.is_healthy(a.now)
    assert state.doubt(a.now) >= DEGRADED_NATS
    permit = a.book.admit("a", a.now)
    assert permit is not None
    a.book.answered(permit, a.now + 1.0, [(FIRST, 1.0)])
    assert a.book.habits.own("a", FIRST).samples == known.samples


@pytest.mark.parametrize(("factor", "state"), [(2.5, CircuitState.OPEN), (0.9, CircuitState.RAMPING)])
def test_one_slow_probe_is_enough_to_stay_away(factor: float, state: CircuitState) -> None:
    a = Observed()
    a.until(CircuitState.OPEN, 3.0)
    a.now = a.breaker.until_s + 10.0
    a.rng = Random(11)
    permit = a.book.admit("a", a.now, streaming=True)
    assert permit is not None
    assert permit.how is Admission.PROBE
    a.book.timed(permit, a.now + 1.0, FIRST, factor * USUAL_S)
    a.book.answered(permit, a.now + 5.0, [(FIRST, factor * USUAL_S)])
    assert a.breaker.state is state


def test_a_slow_stream_of_before_the_trip_says_nothing_new() -> None:
    a = Observed()
    old = a.book.admit("a", a.now)
    assert old is not None
    a.until(CircuitState.OPEN, 3.0)
    before = a.slowness
    a.book.timed(old, a.now, GAP, 9.0)
    a.book.timed(old, a.now, FIRST, 9.0)
    assert a.slowness == before


def test_a_target_that_is_quick_again_comes_back() -> None:
    a = Observed()
    a.until(CircuitState.OPEN, 2.0)
    assert a.until(CircuitState.CLOSED, 1.0) < 200


def test_a_target_that_has_become_slow_for_good_is_taken_as_it_is_in_the_end() -> None:
    a = Observed()
    a.until(CircuitState.OPEN, 2.0)
    began_s = a.now
    for _ in range(20):  # minutes in which it stays closed are few at first
        a.until(CircuitState.CLOSED, 2.0)
        a.streams(60, 2.0)
        if a.breaker.state is CircuitState.CLOSED:
            break
    assert a.breaker.state is CircuitState.CLOSED
    assert 600.0 < a.now - began_s < 3 * 3600.0
