"""The health book: the only shared mutable object of the core.

Every change happens under one lock and ends with a new snapshot being swapped in, so readers never wait: a snapshot is
a plain dict of `TargetState` values that nobody changes after it was published. Each `Permit` is settled exactly once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from threading import Lock

from ..events import CircuitChanged, Happening, TargetParked
from ..failure import Failure, FailureKind
from . import breaker as circuits
from . import ratelimit, suspicion
from .breaker import Admission, CircuitState
from .latency import NO_HABIT, Habit, learned, pace
from .state import TargetState

MAX_KINDS = 64

HabitKey = tuple[str, bool, str]
"""(what was timed: "first_token", "answer" or "gap"; thinking asked for; task label)."""


@dataclass(slots=True, eq=False)
class Permit:
    """Leave to make one attempt. `noted_nats` is evidence given while it was in flight."""

    name: str
    epoch: int
    how: Admission
    noted_nats: float = 0.0
    settled: bool = False


class HealthBook:
    """Believes, admits and learns.

    Args:
        names: the targets.
        rng: source of jitter and of the ramp's draw; used under the lock.
        emit: receives `CircuitChanged` and `TargetParked`, outside the lock.
        park_s: how long a target rests until a person has acted.
        retry_budget_tokens, retry_budget_refill: see `Settings`.
    """

    def __init__(
        self,
        names: Iterable[str] = (),
        *,
        rng: Random,
        emit: Callable[[Happening], None],
        park_s: float = 300.0,
        retry_budget_tokens: float = 20.0,
        retry_budget_refill: float = 0.25,
    ) -> None:
        self._lock = Lock()
        self._draw = rng.random
        self._emit = emit
        self._park_s = park_s
        self._budget = self._budget_max = retry_budget_tokens
        self._budget_refill = retry_budget_refill
        self._habits: dict[str, dict[HabitKey, Habit]] = {name: {} for name in names}
        self._snapshot: dict[str, TargetState] = {name: TargetState() for name in self._habits}

    def add(self, names: Iterable[str]) -> None:
        """Keep health for these targets too; those that are known keep theirs."""
        with self._lock:
            for name in names:
                self._habits.setdefault(name, {})
            self._snapshot = {name: TargetState() for name in self._habits} | self._snapshot

    @property
    def snapshot(self) -> Mapping[str, TargetState]:
        return self._snapshot

    @property
    def retry_budget_left(self) -> float:
        return self._budget

    def habit(self, name: str, key: HabitKey) -> Habit:
        """What is usual for this target and kind of request."""
        return self._habits[name].get(key, NO_HABIT)

    def request_began(self) -> None:
        """Each request pays a little into the retry budget."""
        if self._budget < self._budget_max:  # a look without the lock: while all is well there is nothing to refill
            with self._lock:
                self._budget = min(self._budget_max, self._budget + self._budget_refill)

    def spend_retry(self) -> bool:
        """Take one token from the retry budget; False when there is none."""
        with self._lock:
            if self._budget < 1.0:
                return False
            self._budget -= 1.0
            return True

    def admit(self, name: str, now: float, *, force: bool = False) -> Permit | None:
        """Leave to ask `name` now, or None. `force` passes an open circuit and a rate limit."""
        with self._lock:
            old = self._snapshot[name]
            how = circuits.admission(old.breaker, now, self._draw() if old.breaker.state == "ramping" else 0.0)
            if how is Admission.REFUSED or now < old.limit.blocked_until_s:
                if not force:
                    return None
                how = Admission.FORCED
            new = old.copy()
            new.in_flight += 1
            new.asked += 1
            if how is not Admission.FORCED:
                new.breaker = circuits.admitted(old.breaker, now, how)
            self._publish(name, new)
        self._tell(name, old, new, "time for a probe", now)
        return Permit(name, new.breaker.epoch, how)

    def note(self, permit: Permit, now: float, evidence_nats: float, reason: str) -> None:
        """Evidence from an attempt that is still in flight; it is not counted again when the attempt is settled."""
        if permit.settled or evidence_nats <= permit.noted_nats:
            return
        with self._lock:
            old = self._snapshot[permit.name]
            new = old.copy()
            self._add_evidence(new, now, evidence_nats - permit.noted_nats, permit.epoch, reason)
            permit.noted_nats = evidence_nats
            self._publish(permit.name, new)
        self._tell(permit.name, old, new, reason, now)

    def answered(self, permit: Permit, now: float, durations: Sequence[tuple[HabitKey, float]] = ()) -> None:
        """Settle after a completed, good answer. `durations`, in seconds, teach the target's habits; the first is its
        pace.
        """
        if permit.settled:
            return
        permit.settled = True
        with self._lock:
            old = self._snapshot[permit.name]
            new = old.copy()
            new.in_flight -= 1
            new.answered += 1
            new.limit = ratelimit.answered(old.limit)
            new.breaker = circuits.succeeded(old.breaker, permit.epoch, now)
            if new.breaker.state is CircuitState.RAMPING and old.breaker.state is not CircuitState.RAMPING:
                new.suspicion = 0.0  # the old suspicion has had its trip; the ramp starts with a clean sheet
            else:
                new.suspicion = suspicion.updated(old.suspicion, now - old.updated_s, suspicion.SUCCESS_NATS)
            new.updated_s = max(old.updated_s, now)
            if durations:
                new.pace_s, new.paced_s = pace(old.pace_s, now - old.paced_s, durations[0][1]), now
            if old.is_healthy(now):  # a baseline that learns from a slow decline would call the decline normal
                self._learn(permit.name, durations)
            self._publish(permit.name, new)
        self._tell(permit.name, old, new, "answers again", now)

    def failed(self, permit: Permit, now: float, failure: Failure, evidence_nats: float, *, parks: bool) -> None:
        """Settle after a failure, with the weight and the consequence that the failure table gives it."""
        if permit.settled:
            return
        permit.settled = True
        reason = f"{failure.kind}: {failure.message}" if failure.message else str(failure.kind)
        with self._lock:
            old = self._snapshot[permit.name]
            new = old.copy()
            new.in_flight -= 1
            new.failed += 1
            if failure.kind is FailureKind.RATE_LIMITED:
                new.limit = ratelimit.limited(old.limit, now, failure.retry_after_s)
            elif failure.retry_after_s is not None:
                new.limit = ratelimit.asked_to_wait(old.limit, now, failure.retry_after_s)
            if parks:
                new.breaker = circuits.parked(old.breaker, now, park_s=self._park_s, reason=reason)
            elif evidence_nats > 0.0:
                self._add_evidence(new, now, max(0.0, evidence_nats - permit.noted_nats), permit.epoch, reason)
            elif permit.how is Admission.PROBE:
                new.breaker = circuits.released(old.breaker, permit.epoch, now)
            self._publish(permit.name, new)
        self._tell(permit.name, old, new, reason, now)
        known = old.breaker.state is CircuitState.OPEN and old.breaker.reason == reason
        if parks and not known:
            self._emit(TargetParked(permit.name, failure.kind, failure.message, self._park_s))

    def cancelled(self, permit: Permit, now: float) -> None:
        """Settle without a verdict: the caller went away or another attempt won."""
        if permit.settled:
            return
        permit.settled = True
        with self._lock:
            old = self._snapshot[permit.name]
            new = old.copy()
            new.in_flight -= 1
            # An attempt forced past the circuit shares the probe's epoch, but not its lease.
            if permit.how is Admission.PROBE:
                new.breaker = circuits.released(old.breaker, permit.epoch, now)
            self._publish(permit.name, new)
        self._tell(permit.name, old, new, "the probe was cancelled", now)

    def _publish(self, name: str, state: TargetState) -> None:
        snapshot = self._snapshot.copy()
        snapshot[name] = state
        self._snapshot = snapshot

    def _add_evidence(self, new: TargetState, now: float, nats: float, epoch: int, reason: str) -> None:
        new.suspicion = suspicion.updated(new.suspicion, now - new.updated_s, nats)
        new.updated_s = max(new.updated_s, now)
        new.breaker = circuits.failed(
            new.breaker,
            epoch,
            now,
            trip=new.suspicion >= suspicion.TRIP_NATS,
            doubtful=new.suspicion >= suspicion.DEGRADED_NATS,
            jitter=0.8 + 0.4 * self._draw(),
            reason=reason,
        )

    def _learn(self, name: str, durations: Iterable[tuple[HabitKey, float]]) -> None:
        habits = self._habits[name]
        for key, seconds in durations:
            if key not in habits and len(habits) >= MAX_KINDS:
                key = (key[0], key[1], "")
            habits[key] = learned(habits.get(key, NO_HABIT), seconds)

    def _tell(self, name: str, old: TargetState, new: TargetState, reason: str, now: float) -> None:
        before, after = old.breaker.state, new.breaker.state
        if before is not after:
            until_s = new.breaker.until_s - now if after is CircuitState.OPEN else None
            self._emit(CircuitChanged(name, before.value, after.value, reason, until_s))
