"""What is usual for a target: its own habit, or another's until enough is known, and what is far too slow for it."""

from __future__ import annotations

from math import exp
from random import Random

import pytest

from failover_core.health.habits import LEARN_EVERY_S, MAX_KINDS, SURE_SAMPLES, Habits
from failover_core.health.latency import COLD_ANSWER_S, MIN_SAMPLES, NO_HABIT, overdue_s

NOW = 1000.0
ANSWER = ("answer", False, "")
GAP = ("gap", False, "")


def taught(
    habits: Habits, name: str, seconds: float, count: int, *, every_s: float = 10.0, key: tuple[str, bool, str] = ANSWER
) -> float:
    """Answers scattered around `seconds`; returns the time of the last one."""
    rng, now = Random(3), NOW
    for number in range(count):
        now = NOW + number * every_s
        habits.learn(name, [(key, seconds * exp(rng.gauss(0.0, 0.2)))], now)
    return now


def test_its_own_habit_counts_when_enough_is_known() -> None:
    habits = Habits(["a", "b"])
    taught(habits, "a", 1.0, 40)
    taught(habits, "b", 5.0, 20)
    assert habits.usual("b", ANSWER, COLD_ANSWER_S) is habits.own("b", ANSWER)
    assert habits.usual("a", ANSWER, COLD_ANSWER_S) is habits.own("a", ANSWER)


@pytest.mark.parametrize("samples", [0, 3, MIN_SAMPLES - 1])
def test_until_then_that_of_another_target_with_a_wide_margin(samples: int) -> None:
    habits = Habits(["a", "b", "c"])
    taught(habits, "a", 2.0, 40)
    taught(habits, "c", 9.0, 12)
    taught(habits, "b", 3.0, samples)
    usual, lender = habits.usual("b", ANSWER, COLD_ANSWER_S), habits.own("a", ANSWER)
    assert usual.mean == lender.mean, "the one of which most is known"
    assert overdue_s(usual, 30.0) > 2.0 * overdue_s(lender, 30.0)


def test_a_target_twice_as_slow_as_the_lender_is_not_late() -> None:
    habits = Habits(["a", "b"])
    taught(habits, "a", 0.5, 40)
    limit_s = overdue_s(habits.usual("b", ANSWER, COLD_ANSWER_S), COLD_ANSWER_S)
    assert 2 * 0.5 * exp(2 * 0.2) < limit_s < COLD_ANSWER_S


def test_nobody_knows_anything() -> None:
    habits = Habits(["a", "b"])
    taught(habits, "a", 1.0, MIN_SAMPLES - 1)
    assert habits.usual("b", ANSWER, COLD_ANSWER_S) is NO_HABIT


def test_the_first_answers_of_a_crowd_are_the_quickest_ones() -> None:
    """Twenty requests at once: eight answers are there after a second, and the slow ones have not come yet."""
    habits = Habits(["a"])
    taught(habits, "a", 1.0, 20, every_s=0.06)
    assert habits.own("a", ANSWER).samples >= MIN_SAMPLES
    assert habits.usual("a", ANSWER, COLD_ANSWER_S) is NO_HABIT
    taught(habits, "a", 1.0, 20, every_s=0.6)
    assert habits.usual("a", ANSWER, COLD_ANSWER_S) is not NO_HABIT


def test_far_too_slow_for_it_is_told_and_widens_its_limit() -> None:
    habits = Habits(["a"])
    now = taught(habits, "a", 1.0, 60)
    before = habits.own("a", ANSWER)
    assert habits.learn("a", [(ANSWER, 9.0)], now + 10.0) == "answer took 9.00 s"
    assert habits.own("a", ANSWER).z > before.z
    assert habits.learn("a", [(ANSWER, 1.5)], now + 20.0) == ""


def test_a_stream_that_has_become_slow_is_told() -> None:
    habits = Habits(["a"])
    now = taught(habits, "a", 0.05, 60, key=GAP)
    assert habits.why_slow("a", [(GAP, 0.5)]) == "gap took 0.50 s"
    assert habits.learn("a", [(GAP, 0.5)], now) == "gap took 0.50 s"


@pytest.mark.parametrize(("key", "usual_s", "slow_s"), [(GAP, 0.004, 0.09), (ANSWER, 0.01, 0.9)])
def test_what_nobody_minds_is_not_slow(key: tuple[str, bool, str], usual_s: float, slow_s: float) -> None:
    habits = Habits(["a"])
    taught(habits, "a", usual_s, 60, key=key)
    assert habits.own("a", key).limit_s < slow_s
    assert habits.why_slow("a", [(key, slow_s)]) == ""


def test_little_is_known_so_nothing_is_slow() -> None:
    habits = Habits(["a"])
    taught(habits, "a", 1.0, SURE_SAMPLES - 1)
    assert habits.why_slow("a", [(ANSWER, 60.0)]) == ""


def test_asking_why_it_is_slow_teaches_nothing() -> None:
    habits = Habits(["a"])
    taught(habits, "a", 1.0, 60)
    before = habits.own("a", ANSWER)
    habits.why_slow("a", [(ANSWER, 60.0)])
    assert habits.own("a", ANSWER) is before


def test_of_hundreds_of_answers_a_second_not_each_is_needed() -> None:
    habits = Habits(["a"])
    now = taught(habits, "a", 1.0, SURE_SAMPLES + 1)
    before = habits.own("a", ANSWER)
    habits.learn("a", [(ANSWER, 1.0)], now + LEARN_EVERY_S / 2)
    assert habits.own("a", ANSWER) is before
    habits.learn("a", [(ANSWER, 1.0)], now + 1.1 * LEARN_EVERY_S)
    assert habits.own("a", ANSWER).samples == before.samples + 1


def test_labels_without_end_teach_nothing_about_requests_without_one() -> None:
    habits = Habits(["a"])
    for number in range(3 * MAX_KINDS):
        habits.learn("a", [(("answer", False, f"task {number}"), 60.0)], NOW + number)
    assert habits.own("a", ("answer", False, "task 0")).samples == 1
    assert habits.own("a", ("answer", False, f"task {3 * MAX_KINDS - 1}")) is NO_HABIT
    assert habits.own("a", ANSWER) is NO_HABIT
    taught(habits, "a", 1.0, 40)
    assert habits.own("a", ANSWER).samples == 40, "these are learned all the same"


def test_a_target_may_come_while_somebody_looks_at_all_the_others() -> None:
    """As with `Failover(health_of=...)` while requests are under way; readers hold no lock."""
    habits = Habits(["a", "b"])

    class Interrupted(tuple[str, bool, str]):
        def __hash__(self) -> int:
            habits.add([f"target {len(habits._habits)}"])
            return hash(tuple(self))

    assert habits.usual("a", Interrupted(ANSWER), COLD_ANSWER_S) is NO_HABIT
    assert len(habits._habits) > 2
