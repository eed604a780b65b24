"""The health book: the only shared mutable object of the core.

Every change happens under one lock and ends with a new snapshot being swapped in, so readers never wait: a snapshot is
a plain dict of `TargetState` values that nobody changes after it was published. Each `Permit` is settled exactly once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from random import Random
from threading import Lock

from ..events import CircuitChanged, Happening, TargetParked
from ..failure import Failure, FailureKind
from . import breaker as circuits
from . import ratelimit, suspicion
from .breaker import Admission, CircuitState
from .habits import Durations, HabitKey, Habits
from .latency import Habit, pace
from .permit import Permit as Permit
from .state import TargetState

COUNTED_REQUESTS = 20


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
        self._snapshot: dict[str, TargetState] = {name: TargetState() for name in names}
        self._habits = Habits(self._snapshot)
        self._requests = 0
        self._counted_s = 0.0  # since when
        self._every_s = 0.0  # mean time between requests
        self._heard_s: dict[str, float] = {}  # when the newest attempt began that has said something

    def add(self, names: Iterable[str]) -> None:
        """Keep health for these targets too; those that are known keep theirs."""
        with self._lock:
            self._snapshot = {name: TargetState() for name in names} | self._snapshot
            self._habits.add(self._snapshot)

    @property
    def snapshot(self) -> Mapping[str, TargetState]:
        return self._snapshot

    @property
    def retry_budget_left(self) -> float:
        return self._budget

    def habit(self, name: str, key: HabitKey) -> Habit:
        """What is usual for this target and kind of request, as far as it has shown it itself."""
        return self._habits.own(name, key)

    def usual(self, name: str, key: HabitKey, cold_s: float) -> Habit:
        """What may be expected of it, see `Habits.usual`."""
        return self._habits.usual(name, key, cold_s)

    def request_began(self, now: float = 0.0) -> None:
        """Each request pays a little into the retry budget."""
        if not self._requests:
            self._counted_s = now
        self._requests += 1  # without the lock: a lost count is no harm
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
            draw = self._draw() if old.breaker.state is CircuitState.RAMPING else 0.0
            how = circuits.admission(old.breaker, now, draw, old.in_flight)
            if how is Admission.REFUSED or now < old.limit.blocked_until_s:
                if not force:
                    return None
                how = Admission.FORCED
            new = old.copy()
            new.in_flight += 1
            new.asked += 1
            if old.limit is not ratelimit.NO_LIMIT:
                new.limit = ratelimit.admitted(old.limit, now)
            if how is not Admission.FORCED:
                new.breaker = circuits.admitted(old.breaker, now, how)
            self._publish(name, new)
        self._tell(name, old, new, "time for a probe", now)
        return Permit(name, new.breaker.epoch, how, now)

    def note(self, permit: Permit, now: float, evidence_nats: float, reason: str) -> None:
        """Evidence from an attempt that is still in flight; it is not counted again when the attempt is settled."""
        if permit.settled or evidence_nats <= permit.noted_nats:
            return
        with self._lock:
            old = self._snapshot[permit.name]
            new = old.copy()
            permit.end_silence(new)
            self._add_evidence(permit, new, now, evidence_nats - permit.noted_nats, reason, silence=True)
            permit.noted_nats = evidence_nats
            self._publish(permit.name, new)
        self._tell(permit.name, old, new, reason, now)

    def overdue(self, permit: Permit, now: float, reason: str) -> None:
        """It has passed its limit without a word. That stays evidence whatever becomes of it."""
        permit.late = True
        self.note(permit, now, suspicion.OVERDUE_NATS, reason)

    def silent(self, permit: Permit, now: float, evidence_nats: float) -> float:
        """It is later than usual and has said nothing yet. That is evidence as long as it lasts, unless attempts that
        began after it have been heard of.

        Returns:
            How much speaks for a target that has fallen silent, in nats, this attempt's own silence included.
        """
        with self._lock:
            old = self._snapshot[permit.name]
            quiet = min(suspicion.MAX_QUIET_NATS, old.quiet(now) - permit.pending_nats) + evidence_nats
            first_few = old.breaker.state is CircuitState.RAMPING and old.breaker.stage == 0
            if permit.settled or not (first_few or self._heard_s.get(permit.name, 0.0) < permit.at_s):
                return quiet
            new = old.copy()
            new.pending += evidence_nats - permit.pending_nats
            permit.pending_nats = evidence_nats
            reason = f"no answer in {now - permit.at_s:.1f} s"
            self._add_evidence(permit, new, now, 0.0, reason)
            self._publish(permit.name, new)
        self._tell(permit.name, old, new, reason, now)
        return quiet

    def heard(self, permit: Permit, now: float) -> None:
        """It has begun to answer: its silence is over."""
        if permit.at_s > self._heard_s.get(permit.name, 0.0):
            self._heard_s[permit.name] = permit.at_s
        if permit.pending_nats:
            with self._lock:
                new = self._snapshot[permit.name].copy()
                permit.end_silence(new)
                self._publish(permit.name, new)

    def answered(self, permit: Permit, now: float, durations: Durations = ()) -> None:
        """Settle after a completed, good answer. `durations` in seconds teach the target's habits; the first is its
        pace. An answer that took far longer than usual is evidence against the target.
        """
        if permit.settled:
            return
        with self._lock:
            old = self._snapshot[permit.name]
            new = old.copy()
            permit.leave(new)
            new.answered += 1
            new.limit = ratelimit.answered(old.limit)
            if permit.at_s > self._heard_s.get(permit.name, 0.0):
                self._heard_s[permit.name] = permit.at_s
            if durations:
                new.pace_s, new.paced_s = pace(old.pace_s, now - old.paced_s, durations[0][1]), now
            if old.is_healthy(now):  # a baseline that learns from a slow decline would call the decline normal
                slow = self._habits.learn(permit.name, durations, now)
                if old.error_rate:
                    new.error_rate -= old.error_rate / suspicion.RATE_MEMORY_CALLS
            else:
                slow = self._habits.why_slow(permit.name, durations)
            if slow and not permit.late:
                self._add_evidence(permit, new, now, suspicion.OVERDUE_NATS, slow, silence=True)
            else:
                new.weigh(now, suspicion.SUCCESS_NATS, silence=True)
                calm = new.suspicion + new.pending < suspicion.CALM_NATS
                new.breaker = circuits.succeeded(old.breaker, permit.epoch, now, calm=calm)
                if new.breaker.state is CircuitState.RAMPING and old.breaker.state is not CircuitState.RAMPING:
                    new.suspicion = 0.0  # the old suspicion has had its trip; the ramp starts with a clean sheet
                    new.silence = min(new.silence, suspicion.REMEMBERED_NATS)
            self._publish(permit.name, new)
        if new.breaker is not old.breaker:
            self._tell(permit.name, old, new, slow or "answers again", now)

    def failed(self, permit: Permit, now: float, failure: Failure, evidence_nats: float, *, parks: bool) -> None:
        """Settle after a failure, with the weight and the consequence that the failure table gives it."""
        if permit.settled:
            return
        reason = f"{failure.kind}: {failure.message}" if failure.message else str(failure.kind)
        with self._lock:
            old = self._snapshot[permit.name]
            new = old.copy()
            permit.leave(new)
            new.failed += 1
            if failure.kind is FailureKind.RATE_LIMITED:
                new.limit = ratelimit.limited(old.limit, now, failure.retry_after_s)
            elif failure.retry_after_s is not None:
                new.limit = ratelimit.asked_to_wait(old.limit, now, failure.retry_after_s)
            if parks:
                new.breaker = circuits.parked(old.breaker, now, park_s=self._park_s, reason=reason)
            elif evidence_nats > 0.0:
                evidence_nats = suspicion.weighed(evidence_nats, old.error_rate)
                if old.is_healthy(now):
                    new.error_rate = old.error_rate + (1.0 - old.error_rate) / suspicion.RATE_MEMORY_CALLS
                silence = failure.kind is FailureKind.TIMEOUT
                nats = max(0.0, evidence_nats - permit.noted_nats)
                self._add_evidence(permit, new, now, nats, reason, silence=silence)
            elif permit.how is Admission.PROBE:
                new.breaker = circuits.released(old.breaker, permit.epoch, now)
            self._publish(permit.name, new)
        self._tell(permit.name, old, new, reason, now)
        known = old.breaker.state is CircuitState.OPEN and old.breaker.reason == reason
        if parks and not known:
            self._emit(TargetParked(permit.name, failure.kind, failure.message, self._park_s))

    def lost(self, permit: Permit, now: float, evidence_nats: float, reason: str, *, runs_on: bool) -> None:
        """Another target, asked later, answered the same request first, so nobody will know when this one would have.
        When the attempt `runs_on`, its permit is settled later: a good answer then still tells that it is well again.
        """
        if permit.settled:
            return
        permit.late = True
        with self._lock:
            old = self._snapshot[permit.name]
            new = old.copy()
            permit.end_silence(new)
            if not runs_on:
                permit.settled = True
                permit.leave(new)
            nats = max(0.0, evidence_nats - permit.noted_nats)
            self._add_evidence(permit, new, now, nats, reason, silence=True)
            permit.noted_nats += nats
            if permit.epoch == old.breaker.epoch:
                permit.epoch = new.breaker.epoch
            self._publish(permit.name, new)
        self._tell(permit.name, old, new, reason, now)

    def cancelled(self, permit: Permit, now: float) -> None:
        """Settle without a verdict: the caller went away or another attempt won."""
        if permit.settled:
            return
        with self._lock:
            old = self._snapshot[permit.name]
            new = old.copy()
            permit.leave(new)
            # An attempt forced past the circuit shares the probe's epoch, but not its lease.
            if permit.how is Admission.PROBE:
                new.breaker = circuits.released(old.breaker, permit.epoch, now)
            self._publish(permit.name, new)
        self._tell(permit.name, old, new, "the probe was cancelled", now)

    def _publish(self, name: str, state: TargetState) -> None:
        snapshot = self._snapshot.copy()
        snapshot[name] = state
        self._snapshot = snapshot

    def _add_evidence(
        self, permit: Permit, new: TargetState, now: float, nats: float, reason: str, *, silence: bool = False
    ) -> None:
        new.weigh(now, nats, silence=silence)
        if self._requests >= COUNTED_REQUESTS:
            self._every_s = (now - self._counted_s) / self._requests
            self._counted_s, self._requests = now, 0
        total = new.suspicion + new.pending
        slow = 2.0 * (new.silence + new.pending) > total
        new.breaker = circuits.failed(
            new.breaker,
            permit.epoch,
            now,
            trip=total >= suspicion.TRIP_NATS and not (slow and self._is_last(permit.name)),
            doubtful=(max(new.suspicion, new.silence) if new.breaker.relapses else new.suspicion)
            >= suspicion.DEGRADED_NATS,
            jitter=0.8 + 0.4 * self._draw(),
            reason=reason,
            costly=slow,
            request_every_s=self._every_s,
        )

    def _is_last(self, name: str) -> bool:
        """Is every other circuit open? Better slow than nobody: who stands in for all the others may well be slow."""
        others = (state.breaker.state for other, state in self._snapshot.items() if other != name)
        return all(state is not CircuitState.CLOSED for state in others)

    def _tell(self, name: str, old: TargetState, new: TargetState, reason: str, now: float) -> None:
        before, after = old.breaker.state, new.breaker.state
        if before is not after:
            until_s = new.breaker.until_s - now if after is CircuitState.OPEN else None
            self._emit(CircuitChanged(name, before.value, after.value, reason, until_s))
