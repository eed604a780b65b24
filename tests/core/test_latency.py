"""Habits: what is normal is learned from good answers, and one outlier does not move it."""

from __future__ import annotations

from dataclasses import replace
from math import exp
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_core.health.latency import (
    COLD_STALL_S,
    MIN_LIMIT_S,
    MIN_SAMPLES,
    MIN_STALL_S,
    NO_HABIT,
    Habit,
    learned,
    overdue_s,
    stall_s,
    typical_s,
)


def habit_of(*seconds: float) -> Habit:
    habit = NO_HABIT
    for value in seconds:
        habit = learned(habit, value)
    return habit


def lognormal(median_s: float, deviation: float, count: int, seed: int = 3) -> list[float]:
    rng = Random(seed)
    return [median_s * exp(rng.gauss(0.0, deviation)) for _ in range(count)]


def test_nothing_is_known_at_first() -> None:
    assert typical_s(NO_HABIT) is None
    assert overdue_s(NO_HABIT, 30.0) == 30.0
    assert stall_s(NO_HABIT) == COLD_STALL_S


@pytest.mark.parametrize("samples", range(1, MIN_SAMPLES))
def test_the_cold_limit_holds_until_there_are_enough_samples(samples: int) -> None:
    habit = habit_of(*[1.0] * samples)
    assert overdue_s(habit, 30.0) == 30.0
    assert stall_s(habit) == COLD_STALL_S
    assert typical_s(habit) == pytest.approx(1.0)


def test_the_eighth_sample_makes_it_known() -> None:
    assert overdue_s(habit_of(*[2.0] * MIN_SAMPLES), 30.0) < 10.0


def test_the_habit_converges_to_the_median_and_the_spread() -> None:
    habit = habit_of(*lognormal(2.0, 0.5, 2000))
    assert typical_s(habit) == pytest.approx(2.0, rel=0.1)
    assert habit.variance == pytest.approx(0.25, rel=0.2)


def test_overdue_is_the_slowest_one_percent() -> None:
    habit = habit_of(*lognormal(2.0, 0.5, 400))
    limit = overdue_s(habit, 30.0)
    late = sum(seconds > limit for seconds in lognormal(2.0, 0.5, 20_000, seed=4)) / 20_000
    assert 0.005 < late < 0.02


def test_few_samples_make_a_wider_limit() -> None:
    few, many = habit_of(*[1.2, 3.0] * 4), habit_of(*[1.2, 3.0] * 100)
    assert overdue_s(few, 30.0) > overdue_s(many, 30.0)


def test_a_very_regular_target_still_gets_a_margin() -> None:
    habit = habit_of(*[10.0] * 100)
    assert habit.variance == pytest.approx(0.0)
    assert overdue_s(habit, 30.0) > 15.0


def test_a_very_fast_target_is_not_overdue_after_milliseconds() -> None:
    assert overdue_s(habit_of(*[0.001] * 50), 30.0) == MIN_LIMIT_S
    assert stall_s(habit_of(*[0.001] * 50)) == MIN_STALL_S


def test_a_stall_is_thirty_usual_gaps() -> None:
    assert stall_s(habit_of(*[0.5] * 20)) == pytest.approx(15.0)


@pytest.mark.parametrize("outlier_s", [0.000001, 10_000.0])
def test_one_outlier_hardly_moves_a_habit(outlier_s: float) -> None:
    before = habit_of(*lognormal(2.0, 0.3, 60))
    after = learned(before, outlier_s)
    assert typical_s(after) == pytest.approx(typical_s(before), rel=0.05)
    assert overdue_s(after, 30.0) == pytest.approx(overdue_s(before, 30.0), rel=0.25)


def test_a_lasting_change_is_learned_in_the_end() -> None:
    habit, now = habit_of(*lognormal(1.0, 0.3, 300)), 0.0
    for number, seconds in enumerate(lognormal(4.0, 0.3, 800, seed=5)):
        now += 2.0
        habit = learned(habit, seconds, now)
        if number == 30:
            assert typical_s(habit) < 2.0, "but a minute is too short"
    assert typical_s(habit) == pytest.approx(4.0, rel=0.15)


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_clock_that_did_not_move_is_no_error(seconds: float) -> None:
    assert typical_s(learned(NO_HABIT, seconds)) == pytest.approx(1e-4)


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=60))
def test_limits_are_finite_and_at_least_their_minimum(seconds: list[float]) -> None:
    habit = habit_of(*seconds)
    assert habit.samples == len(seconds)
    assert habit.variance >= 0.0
    assert MIN_LIMIT_S <= overdue_s(habit, 30.0) < float("inf")
    assert MIN_STALL_S <= stall_s(habit) < float("inf")


def test_habits_are_values() -> None:
    before = habit_of(1.0, 2.0)
    copy = replace(before)
    learned(before, 50.0)
    assert before == copy
