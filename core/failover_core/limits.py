"""How long may an attempt take before another target is asked as well?"""

from __future__ import annotations

from dataclasses import dataclass

from .health.book import HealthBook
from .health.habits import HabitKey
from .health.latency import (
    COLD_ANSWER_S,
    COLD_FIRST_TOKEN_S,
    COLD_LONG_ANSWER_S,
    LONG_ANSWER_TOKENS,
    Habit,
    lateness,
    moment_s,
    overdue_s,
    typical_s,
)
from .health.latency import stall_s as learned_stall_s
from .health.suspicion import OUTRUN_NATS, OVERDUE_NATS, silence_nats
from .model import RequestInfo, Target
from .settings import Settings

PROBE_HEAD_START_S = 1.0
PROBE_Z = 1.28  # a probe that is slower than nine in ten healthy calls does not tell that its target is well again
LONG_PROMPT_TOKENS = 3000
HOPELESS_STALL_S = 120.0  # tools that run inside the provider may keep a stream silent for a minute
HEDGE_Z = 1.9  # 3 % of healthy attempts are later than this
MAX_HEDGED_PROMPT_TOKENS = 8000  # to have a longer prompt read twice costs more than a tail is worth


@dataclass(slots=True)
class Limit:
    """When an attempt is overdue.

    Args:
        seconds: after its start.
        kills: it is given up then (racing is off), instead of raced.
        counts: passing it is evidence against the target (a probe's short head start and a tight deadline are not).
        usual_s: what it would be without a head start or a deadline.
        habit: what is usual for it, for the looks before the limit; None = there are none.
        scale: factor on the habit for this request's size.
        hedge_s: when a second target may be asked although it is not overdue; None = never.
    """

    seconds: float
    kills: bool = False
    counts: bool = True
    usual_s: float = 0.0
    habit: Habit | None = None
    scale: float = 1.0
    hedge_s: float | None = None

    def silence_nats(self, seconds: float) -> float:
        """What it weighs that nothing was heard for so long."""
        if self.habit is None:
            return OVERDUE_NATS if self.counts else OUTRUN_NATS
        return silence_nats(lateness(self.habit, seconds / self.scale))


def limit_for(
    target: Target,
    info: RequestInfo,
    settings: Settings,
    book: HealthBook,
    *,
    streaming: bool,
    probing: bool,
    remaining_s: float | None,
) -> Limit | None:
    """The limit of an attempt; None where nothing was given and nothing may be raced. Half of what is left of the
    deadline is kept for the next target.
    """
    given_s = settings.first_token_s if streaming else settings.answer_s
    if not races(settings, info):
        return None if given_s is None else Limit(given_s, kills=True)
    cold_s = _cold_s(info, streaming)
    scale = size_of(info) if streaming else 1.0
    habit = book.habits.usual(target.name, habit_key(info, streaming), cold_s)
    known = given_s is None and habit.samples > 0
    seconds = scale * overdue_s(habit, cold_s) if known else given_s or cold_s
    if remaining_s is not None and seconds > remaining_s / 2:
        limit = Limit(remaining_s / 2, counts=False, usual_s=seconds)
    else:
        guessed = given_s is None and not known and info.thinking and streaming  # thoughts take as long as they take
        limit = Limit(seconds, counts=not guessed, usual_s=seconds, habit=habit if known else None, scale=scale)
    if probing:
        return _of_a_probe(limit, habit, scale)
    if settings.hedge == "budgeted" and (info.prompt_tokens or 0) <= MAX_HEDGED_PROMPT_TOKENS:
        own = book.habits.own(target.name, habit_key(info, streaming)) is habit  # what others take says too little
        hedge_s = scale * moment_s(habit, HEDGE_Z)
        limit.hedge_s = hedge_s if own and habit.samples and hedge_s < limit.seconds else None
    return limit


def _of_a_probe(limit: Limit, habit: Habit, scale: float) -> Limit:
    """A target on probation is raced after a short head start, so that no user waits for the test."""
    typical = typical_s(habit)
    head_start_s = PROBE_HEAD_START_S if typical is None else 1.5 * scale * typical
    if head_start_s >= limit.seconds:
        return limit
    usual_s = limit.usual_s if typical is None else scale * moment_s(habit, PROBE_Z)
    return Limit(head_start_s, counts=False, usual_s=usual_s)


def races(settings: Settings, info: RequestInfo) -> bool:
    """May this request be under way at two targets at the same time?"""
    return settings.hedge != "off" and not info.side_effects


def habit_key(info: RequestInfo, streaming: bool) -> HabitKey:
    return ("first_token" if streaming else "answer", info.thinking, info.task)


def gap_key(info: RequestInfo) -> HabitKey:
    return ("gap", info.thinking, info.task)


def pace_key(info: RequestInfo) -> HabitKey:
    return ("pace", info.thinking, info.task)


def size_of(info: RequestInfo) -> float:
    """How much longer than for a short prompt the first token may take: it comes after the whole prompt was read."""
    return 1.0 + (info.prompt_tokens or 0) / LONG_PROMPT_TOKENS


def stall_limit_s(target: Target, info: RequestInfo, settings: Settings, book: HealthBook) -> float:
    """After how many seconds of silence a stream that has begun is stalled."""
    if settings.stall_s is not None:
        return settings.stall_s
    return learned_stall_s(book.habits.own(target.name, gap_key(info)))


def _cold_s(info: RequestInfo, streaming: bool) -> float:
    if streaming:
        return COLD_FIRST_TOKEN_S
    long = info.thinking or (info.max_output_tokens or 0) > LONG_ANSWER_TOKENS
    return COLD_LONG_ANSWER_S if long else COLD_ANSWER_S
