"""What is normal for a target: learned limits for first tokens, whole answers and gaps inside a stream.

First-token times and answer times of LLMs are close to lognormal, so the mean and variance of ln(seconds) describe
them: overdue = exp(mean + z * deviation) at z = 2.33 (99 %), widened while there are few samples by 1 + 2 / n. Samples
are winsorised at 3 deviations, so that one outlier cannot move the habit.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt

COLD_FIRST_TOKEN_S = 10.0
COLD_STALL_S = 10.0
COLD_ANSWER_S = 30.0
COLD_LONG_ANSWER_S = 60.0
LONG_ANSWER_TOKENS = 4096

OVERDUE_Z = 2.33
MIN_SAMPLES = 8
MEMORY_SAMPLES = 200
MIN_DEVIATION = 0.25
MIN_LIMIT_S = 1.0
MIN_STALL_S = 3.0
STALL_GAPS = 30.0
PACE_MEMORY_S = 10.0


@dataclass(slots=True, unsafe_hash=True)
class Habit:
    """Running mean and variance of ln(seconds). A value: never changed after it was made."""

    samples: int = 0
    mean: float = 0.0
    variance: float = 0.0


NO_HABIT = Habit()


def learned(habit: Habit, seconds: float) -> Habit:
    """The habit after one more duration of a good answer."""
    x = log(seconds if seconds > 1e-4 else 1e-4)
    n = habit.samples + 1
    if n == 1:
        return Habit(1, x, 0.0)
    deviation = x - habit.mean
    if n > MIN_SAMPLES:
        bound = 3.0 * max(MIN_DEVIATION, sqrt(habit.variance))
        deviation = max(-bound, min(bound, deviation))
    step = 1.0 / min(n, MEMORY_SAMPLES)
    return Habit(n, habit.mean + step * deviation, (1.0 - step) * (habit.variance + step * deviation * deviation))


def overdue_s(habit: Habit, cold_s: float) -> float:
    """After how many seconds a call of this habit is overdue; `cold_s` until enough is known."""
    if habit.samples < MIN_SAMPLES:
        return cold_s
    z = OVERDUE_Z * (1.0 + 2.0 / habit.samples)
    return max(MIN_LIMIT_S, exp(habit.mean + z * max(MIN_DEVIATION, sqrt(habit.variance))))


def stall_s(gap: Habit) -> float:
    """After how many seconds of silence a stream is stalled: 30 usual gaps, at least 3 s."""
    if gap.samples < MIN_SAMPLES:
        return COLD_STALL_S
    return max(MIN_STALL_S, STALL_GAPS * exp(gap.mean))


def typical_s(habit: Habit) -> float | None:
    """The median, None before anything is known."""
    return exp(habit.mean) if habit.samples else None


def pace(pace_s: float, since_s: float, seconds: float) -> float:
    """A peak-EWMA (Finagle): a slower sample counts in full at once, faster ones win it back over `PACE_MEMORY_S`."""
    if seconds >= pace_s:
        return seconds
    return seconds + (pace_s - seconds) * exp(-since_s / PACE_MEMORY_S)
