"""What is normal for a target: learned limits for first tokens, whole answers and gaps inside a stream.

First-token times and answer times of LLMs are roughly lognormal, so the mean and variance of ln(seconds) describe
them, and a call is overdue after exp(mean + z * deviation). Their tails differ, so z is learned too, as Robbins and
Monro would: it moves until 3 in 1,000 good answers come after the limit. It is wider while there are few samples.
Samples are winsorised at 3 deviations, so that one outlier cannot move the habit, and count for 10 minutes, so that a
decline over a minute does not become normal.

A target that takes twice its usual time misses few limits, and yet a handful of its answers tell (`slowness_nats`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, log, sqrt

COLD_FIRST_TOKEN_S = 10.0
COLD_STALL_S = 10.0
COLD_ANSWER_S = 30.0
COLD_LONG_ANSWER_S = 60.0
LONG_ANSWER_TOKENS = 4096

OVERDUE_SHARE = 0.003
OVERDUE_Z = 2.75  # the normal distribution's quantile for that share
MIN_Z, MAX_Z = 1.9, 4.5
Z_STEP = 0.25
MIN_SAMPLES = 8
MIN_AGE = 6.0  # usual durations
MEMORY_S = 600.0
MIN_MEMORY_SAMPLES = 50
MIN_DEVIATION = 0.25
MIN_LIMIT_S = 1.0
MIN_STALL_S = 3.0
STALL_GAPS = 30.0
BORROWED_VARIANCE = 0.4  # medians of providers differ by a factor of 1.9 (one deviation), see `simulate.world`
PACE_MEMORY_S = 10.0
LOG_SLOWER = log(1.8)
MAX_SLOWNESS_NATS = 1.7  # where one request in ten thinks for long, unannounced, three in a row are no news


@dataclass(slots=True, unsafe_hash=True)
class Habit:
    """What durations of one kind are usual. A value: never changed after it was made.

    Args:
        samples: how many good answers it is made of.
        mean, variance: of ln(seconds).
        z: deviations above the mean beyond which a call is overdue.
        since_s: when the first of them began.
        at_s: when the last of them ended.
        unit: one deviation of ln(seconds), stretched so that `OVERDUE_Z` of them are where calls are overdue.
        limit_s: that limit.
    """

    samples: int = 0
    mean: float = 0.0
    variance: float = 0.0
    z: float = OVERDUE_Z
    since_s: float = 0.0
    at_s: float = 0.0
    unit: float = 0.0
    limit_s: float = 0.0


NO_HABIT = Habit()


def learned(habit: Habit, seconds: float, now: float = 0.0, *, weight: float = 1.0) -> Habit:
    """The habit after one more duration of a good answer, which ended at `now`."""
    x = log(seconds if seconds > 1e-4 else 1e-4)
    n = habit.samples + 1
    if n == 1:
        return _habit(1, x, 0.0, OVERDUE_Z, now - seconds, now)
    deviation = x - habit.mean
    z = habit.z
    if n > MIN_SAMPLES:
        spread = sqrt(habit.variance)
        bound = 3.0 * spread if spread > MIN_DEVIATION else 3.0 * MIN_DEVIATION
        if deviation > bound:
            deviation = bound
        elif deviation < -bound:
            deviation = -bound
        if seconds <= habit.limit_s and z > MIN_Z:
            z -= Z_STEP * OVERDUE_SHARE
    step = weight * max(1.0 / n, min(1.0 / MIN_MEMORY_SAMPLES, (now - habit.at_s) / MEMORY_S))
    variance = (1.0 - step) * (habit.variance + step * deviation * deviation)
    return _habit(n, habit.mean + step * deviation, variance, z, habit.since_s, now)


def overran(habit: Habit, share: float = 1.0) -> Habit:
    """The habit after a good answer that came only after its limit, or would have come so late with this likelihood."""
    z = min(MAX_Z, habit.z + Z_STEP * (share - OVERDUE_SHARE))
    return _habit(habit.samples, habit.mean, habit.variance, z, habit.since_s, habit.at_s)


def _habit(samples: int, mean: float, variance: float, z: float, since_s: float, at_s: float) -> Habit:
    unit = max(MIN_DEVIATION, sqrt(variance)) * z / OVERDUE_Z * (1.0 + 2.0 / samples)
    return Habit(samples, mean, variance, z, since_s, at_s, unit, exp(mean + OVERDUE_Z * unit))


def is_known(habit: Habit, cold_s: float) -> bool:
    """Is there enough to rely on? The first answers to come are the quickest ones, so a habit must also be older than
    a few usual answers, or than the limit that holds without it.
    """
    age_s = habit.at_s - habit.since_s
    return habit.samples >= MIN_SAMPLES and (age_s >= cold_s or age_s >= MIN_AGE * exp(habit.mean))


def borrowed(habits: Iterable[Habit], cold_s: float) -> Habit:
    """What other targets, taken together, make likely for one of which too little is known; `NO_HABIT` if nothing."""
    best = max(habits, key=lambda habit: habit.samples if is_known(habit, cold_s) else 0, default=NO_HABIT)
    if not is_known(best, cold_s):
        return NO_HABIT
    return _habit(best.samples, best.mean, best.variance + BORROWED_VARIANCE, best.z, best.since_s, best.at_s)


def moment_s(habit: Habit, z: float) -> float:
    """After how many seconds all but the slowest calls have their answer; z = 0 is the median."""
    return exp(habit.mean + z * habit.unit)


def lateness(habit: Habit, seconds: float) -> float:
    """The inverse of `moment_s`: how many deviations above the usual time."""
    return (log(max(1e-4, seconds)) - habit.mean) / habit.unit


def overdue_s(habit: Habit, cold_s: float) -> float:
    """After how many seconds a call of this habit is overdue; `cold_s` until enough is known."""
    if habit.samples < MIN_SAMPLES:
        return cold_s
    return max(MIN_LIMIT_S, habit.limit_s)


def stall_s(gap: Habit) -> float:
    """After how many seconds of silence a stream is stalled: 30 usual gaps, at least 3 s."""
    if gap.samples < MIN_SAMPLES:
        return COLD_STALL_S
    return max(MIN_STALL_S, STALL_GAPS * exp(gap.mean))


def slowness_nats(habit: Habit, seconds: float) -> float:
    """What one duration says for a target that takes 1.8 times as long as usual: the log-likelihood ratio of two
    lognormal distributions, whose sum is a CUSUM for a shift of the mean (Page 1954).
    """
    shift = LOG_SLOWER / habit.unit
    nats = shift * (lateness(habit, seconds) - 0.5 * shift)
    return max(-MAX_SLOWNESS_NATS, min(MAX_SLOWNESS_NATS, nats))


def typical_s(habit: Habit) -> float | None:
    """The median, None before anything is known."""
    return exp(habit.mean) if habit.samples else None


def pace(pace_s: float, since_s: float, seconds: float) -> float:
    """A peak-EWMA (Finagle): a slower sample counts in full at once, faster ones win it back over `PACE_MEMORY_S`."""
    if seconds >= pace_s:
        return seconds
    return seconds + (pace_s - seconds) * exp(-max(0.0, since_s) / PACE_MEMORY_S)
