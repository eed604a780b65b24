"""What is usual for each target and kind of request. Part of the health book, which holds the lock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .latency import (
    LOG_SLOWER,
    MIN_LIMIT_S,
    NO_HABIT,
    Habit,
    borrowed,
    is_known,
    learned,
    overran,
    slowness_nats,
    typical_s,
)

HabitKey = tuple[str, bool, str]
"""(what was timed: "first_token", "gap", "answer", or "pace" for 100 tokens of one; thinking asked for; task label)."""

Durations = Sequence[tuple[HabitKey, float]]

MAX_KINDS = 64
SURE_SAMPLES = 30
MIN_SLOW_GAP_S = 0.1  # faster than anybody reads
NOTICED_S = {"first_token": 0.5, "gap": 0.02, "pace": 1.0}  # what is quicker is quick enough, whatever was usual
OUTRUN_SHARE = 0.1  # 3 in 1,000 good answers come after the limit, 3 in 100 after the time of a hedge
OUT_WEIGHT = 0.2  # so that a target that has become twice as slow for good is taken as it is after half an hour
LEARN_EVERY_S = 0.05  # at a hundred calls a second not each of them is needed to know what is usual


class Habits:
    """The habits of all targets. Readers need no lock: a habit is a value, replaced as a whole."""

    def __init__(self, names: Iterable[str]) -> None:
        self._habits: dict[str, dict[HabitKey, Habit]] = {name: {} for name in names}
        self._paced_s: dict[str, float] = {}

    def add(self, names: Iterable[str]) -> None:
        self._habits = {name: {} for name in names} | self._habits  # a new dict: readers may be walking the old

    def own(self, name: str, key: HabitKey) -> Habit:
        """What this target itself has shown."""
        return self._habits[name].get(key, NO_HABIT)

    def usual(self, name: str, key: HabitKey, cold_s: float) -> Habit:
        """What may be expected of this target: its own habit, or another target's until enough is known of it;
        `NO_HABIT` where nobody has shown enough to do without `cold_s`.
        """
        own = self._habits[name].get(key, NO_HABIT)
        if is_known(own, cold_s):
            return own
        return borrowed([habits.get(key, NO_HABIT) for habits in self._habits.values()], cold_s)

    def learn(self, name: str, durations: Durations, now: float, *, weight: float = 1.0) -> str:
        """From a good answer. Only these widen the limit: a call that was never answered is no proof of a slow habit.
        The `weight` is less for answers of a target whose circuit is not closed.

        Returns:
            Why it was too slow for this target; "" if it was not, or if too little is known.
        """
        habits = self._habits[name]
        slow = ""
        for key, seconds in durations:
            habit = habits.get(key)
            if habit is None:
                if key[2] and len(habits) >= MAX_KINDS:
                    continue  # labels without end must not fill the memory, nor teach what is usual without a label
                habit = NO_HABIT
            if seconds > habit.limit_s and _is_slow(habit, key, seconds):
                slow = _told(key, seconds)
                habit = overran(habit, weight)
            elif now - habit.at_s < LEARN_EVERY_S and habit.samples > SURE_SAMPLES:
                continue
            habits[key] = learned(habit, seconds, now, weight=weight)
        return slow

    def outrun(self, name: str, key: HabitKey) -> None:
        """A hedge has answered before a call did, which is stopped. Of such calls some would have come after the limit:
        if they did not count, the limit would shrink by and by.
        """
        habit = self._habits[name].get(key, NO_HABIT)
        if habit.samples:
            self._habits[name][key] = overran(habit, OUTRUN_SHARE)

    def slowness_nats(self, name: str, key: HabitKey, seconds: float) -> float:
        """What one duration says for a target that has become slow; nothing where that is quick enough all the same,
        or nobody else would be quicker.
        """
        habit = self.own(name, key)
        nats = slowness_nats(habit, seconds) if habit.samples >= SURE_SAMPLES else 0.0
        if nats > 0.0 and (seconds < NOTICED_S.get(key[0], MIN_LIMIT_S) or not self._is_beaten(name, key, habit)):
            return 0.0
        return nats

    def _is_beaten(self, name: str, key: HabitKey, habit: Habit) -> bool:
        """Is another target quicker than this one would be, or not known well enough to say no?"""
        others = (habits.get(key, NO_HABIT) for other, habits in self._habits.items() if other != name)
        return any(other.samples < SURE_SAMPLES or other.mean < habit.mean + LOG_SLOWER for other in others)

    def pace_is_due(self, name: str, now: float) -> bool:
        """Is it worth while to measure the pace of an answer? Not at a hundred calls a second, not for each of them."""
        if now - self._paced_s.get(name, -LEARN_EVERY_S) < LEARN_EVERY_S:
            return False
        self._paced_s[name] = now
        return True

    def compared(self, name: str, key: HabitKey, seconds: float) -> str:
        """How it compares with what is usual, for people."""
        return f"{_told(key, seconds)}, usually {typical_s(self.own(name, key)) or 0.0:.2f} s"

    def why_slow(self, name: str, durations: Durations) -> str:
        """The same, without learning anything."""
        for key, seconds in durations:
            if _is_slow(self.own(name, key), key, seconds):
                return _told(key, seconds)
        return ""


def _is_slow(habit: Habit, key: HabitKey, seconds: float) -> bool:
    if seconds <= habit.limit_s or habit.samples < SURE_SAMPLES or key[0] == "pace":  # whose answer has its own limit
        return False
    return seconds > (MIN_SLOW_GAP_S if key[0] == "gap" else MIN_LIMIT_S)


def _told(key: HabitKey, seconds: float) -> str:
    return f"{key[0].replace('_', ' ')} took {seconds:.2f} s"
