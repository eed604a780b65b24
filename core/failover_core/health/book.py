"""The health book: the only shared mutable object of the core.

Every change happens under one lock, and readers never wait: what is believed of a target changes by swapping in a new
snapshot, a plain dict of `TargetState`s. Only what each attempt changes, the counts and the pace, is changed in place,
so that nothing is copied while all is well. Each `Permit` is settled exactly once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import replace
from random import Random
from threading import Lock

from ..events import CircuitChanged, Happening, TargetParked
from ..failure import Failure, FailureKind
from ..forks import forget_in_child
from . import breaker as circuits
from . import ratelimit, suspicion
from .breaker import CLOSED, FORCED, NORMAL, OPEN, PROBE, PROBING, RAMPING, REFUSED
from .domains import Domains
from .habits import OUT_WEIGHT, Durations, HabitKey, Habits
from .latency import pace
from .permit import Permit as Permit
from .ratelimit_headers import RateLimitFacts
from .state import TargetState
from .traffic import Traffic

REENTRY_S = 0.05
ALIVE_S = 20.0


class HealthBook:
    """Believes, admits and learns.

    Args:
        names: the targets.
        rng: source of jitter and of the ramp's draw; used under the lock.
        emit: receives `CircuitChanged` and `TargetParked`, outside the lock.
        park_s: how long a target rests until a person has acted.
        retry_budget_tokens, retry_budget_refill: see `Settings`.
        staged: a circuit closes in stages; otherwise one good probe closes it.
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
        staged: bool = True,
    ) -> None:
        self._draw, self._emit, self._park_s, self._staged = rng.random, emit, park_s, staged
        self._lock, self._domains = Lock(), Domains()
        self._snapshot: dict[str, TargetState] = {name: TargetState() for name in names}
        self.habits = Habits(self._snapshot)
        self.traffic = Traffic(self._lock, retry_budget_tokens, retry_budget_refill)
        self._gone: deque[tuple[Permit, float]] = deque()
        self._heard_s: dict[str, float] = {}  # when the newest attempt began that has said something
        forget_in_child(self)

    def forget(self) -> None:
        """In a forked child: the lock may have been taken, and what is under way is the parent's."""
        self._lock = self.traffic.lock = Lock()
        self._gone.clear()
        self._snapshot = {name: replace(state, in_flight=0, pending=0.0) for name, state in self._snapshot.items()}

    def add(self, caps: Mapping[str, int | None], siblings: Mapping[str, Iterable[str]]) -> None:
        """Keep health for these targets too; those that are known keep theirs.

        Args:
            caps: for each target, how many attempts may be under way at a time; None = any number.
            siblings: for each target, those of the same failure domain.
        """
        with self._lock:
            self._snapshot = {name: TargetState() for name in caps} | self._snapshot
            capped = ((name, cap) for name, cap in caps.items() if cap is not None)
            self._snapshot |= {name: replace(self._snapshot[name], max_concurrent=cap) for name, cap in capped}
            self.habits.add(self._snapshot)
            self._domains.relate(siblings)

    @property
    def snapshot(self) -> Mapping[str, TargetState]:
        return self._snapshot

    def doubted(self, now: float) -> Set[str]:
        """Targets whose failure domain is in trouble, see `domains`."""
        return self._domains.doubted(self._snapshot, now)

    def admit(
        self, name: str, now: float, *, tokens: int = 0, streaming: bool = False, force: bool = False
    ) -> Permit | None:
        """Leave to ask `name` now, or None. `force` passes an open circuit and a rate limit, but no cap.

        Args:
            tokens: the request's size, input and output, as far as it is known.
            streaming: a stream is asked for.
        """
        if self._gone:
            self._see_off()
        with self._lock:
            old = self._snapshot[name]
            if old.max_concurrent is not None and old.is_busy:
                return None
            limit = old.limit
            if old.breaker.state is CLOSED and limit is ratelimit.NO_LIMIT:
                old.ask(tokens, streaming)
                return Permit(name, old.breaker.epoch, NORMAL, now, old.asked, old.asked_tokens)
            how = old.admission(now, self._draw, tokens, streaming, self.traffic.every_s(now))
            if how is REFUSED or (limit is not ratelimit.NO_LIMIT and limit.wait_s(now, tokens) > 0.0):
                if not force:
                    return None
                how = FORCED
            old.ask(tokens, streaming)
            permit = Permit(name, old.breaker.epoch, how, now, old.asked, old.asked_tokens)
            new = old.copy()
            new.limit = ratelimit.admitted(limit, now, tokens)
            if how is not FORCED:
                new.breaker = circuits.admitted(old.breaker, now, how)
                permit.epoch = new.breaker.epoch
            self._publish(name, new)
        try:
            self._tell(name, old, new, "time for a probe", now)
        except BaseException:  # a listener was interrupted, and nobody will ever hold this permit
            self.cancelled(permit, now)
            raise
        return permit

    def timed(self, permit: Permit, now: float, key: HabitKey, seconds: float) -> None:
        """How quick it is: to its first content, or from there on. One that is slow tells little, several tell all."""
        nats = self.habits.slowness_nats(permit.name, key, seconds)
        with self._lock:
            old = self._snapshot[permit.name]
            if not nats or permit.settled or permit.epoch != old.breaker.epoch:
                return
            old.slowness = max(0.0, old.slowness + nats)
            if nats < 0.0 or not old.is_slow:
                return
            new, reason = old.copy(), f"slow: {self.habits.compared(permit.name, key, seconds)}"
            self._add_evidence(permit, new, now, 0.0, reason)
            self._publish(permit.name, new)
        self._tell(permit.name, old, new, reason, now)

    def overdue(self, permit: Permit, now: float, reason: str) -> None:
        """It has passed its limit and is still in flight. That stays evidence whatever becomes of it, and is not
        counted again when it is settled.
        """
        permit.late = True
        nats = suspicion.OVERDUE_NATS - permit.noted_nats
        if permit.settled or nats <= 0.0:
            return
        with self._lock:
            old = self._snapshot[permit.name]
            new = old.copy()
            permit.end_silence(new)
            self._add_evidence(permit, new, now, nats, reason, silence=True)
            permit.noted_nats = suspicion.OVERDUE_NATS
            self._publish(permit.name, new)
        self._tell(permit.name, old, new, reason, now)

    def silent(self, permit: Permit, now: float, evidence_nats: float) -> float:
        """It is later than usual and has said nothing yet. That is evidence as long as it lasts, unless attempts that
        began after it have been heard of.

        Returns:
            How much speaks for a target that has fallen silent, in nats, this attempt's own silence included.
        """
        with self._lock:
            old = self._snapshot[permit.name]
            own = permit.pending_nats if permit.epoch >= old.heeds_epoch else 0.0
            rest = old.quiet(now) - own + self._domains.nats(permit.name, now)
            quiet = min(suspicion.MAX_QUIET_NATS, max(0.0, rest)) + evidence_nats
            state, known_s = old.breaker.state, self._heard_s.get(permit.name, 0.0)
            news = known_s < permit.at_s or (state is RAMPING and old.breaker.stage == 0)
            if permit.settled or not news or state is PROBING or permit.epoch < old.heeds_epoch:
                return quiet  # a probe is judged by its own end, not by who was forced past it
            new = old.copy()
            permit.keep_silence(new, evidence_nats)
            self._add_evidence(permit, new, now, 0.0, reason := f"no answer in {now - permit.at_s:.1f} s")
            self._publish(permit.name, new)
        self._tell(permit.name, old, new, reason, now)
        return quiet

    def heard(self, permit: Permit) -> None:
        """It has begun to answer: its silence is over."""
        self._heard_s[permit.name] = max(permit.at_s, self._heard_s.get(permit.name, 0.0))
        if permit.pending_nats:
            with self._lock:
                new = self._snapshot[permit.name].copy()
                permit.end_silence(new)
                self._publish(permit.name, new)

    def answered(
        self, permit: Permit, now: float, durations: Durations = (), facts: RateLimitFacts | None = None
    ) -> None:
        """Settle after a completed, good answer. One that took far longer than usual is evidence against the target.

        Args:
            durations: in seconds, they teach the target's habits; the first is its pace.
            facts: what came with it about the provider's rate limits.
        """
        if permit.settled:
            return
        with self._lock:
            old = self._snapshot[permit.name]
            old.answered += 1
            if durations:
                old.pace_s, old.paced_s = pace(old.pace_s, now - old.paced_s, durations[0][1]), now
            if permit.at_s > self._heard_s.get(permit.name, 0.0):
                self._heard_s[permit.name] = permit.at_s
            spotless, out = old.is_spotless, old.breaker.state is not CLOSED
            if spotless or out or old.is_healthy(now):  # to learn from a slow decline would call the decline normal
                slow = self.habits.learn(permit.name, durations, now, weight=OUT_WEIGHT if out else 1.0)
            else:
                slow = self.habits.why_slow(permit.name, durations)
            if spotless and facts is None and not slow:
                permit.leave(old)
                old.updated_s = now if now > old.updated_s else old.updated_s
                self._domains.cleared(permit.name)
                return
            new = old.copy()
            permit.leave(new)
            if facts is not None or old.limit is not ratelimit.NO_LIMIT:
                permit.report(new, facts)
            if slow and not permit.late:
                self._add_evidence(permit, new, now, suspicion.OVERDUE_NATS, slow, silence=True)
            else:
                self._domains.cleared(permit.name)
                new.reassure(permit.epoch, now, staged=self._staged)
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
            new.limit = ratelimit.failed(old.limit, now, failure)
            if parks:
                new.breaker = circuits.parked(old.breaker, permit.epoch, now, park_s=self._park_s, reason=reason)
            elif evidence_nats > 0.0:
                nats = max(0.0, evidence_nats - permit.noted_nats)
                self._add_evidence(permit, new, now, nats, reason, silence=failure.kind is FailureKind.TIMEOUT)
            elif permit.how is PROBE:
                new.breaker = circuits.released(old.breaker, permit.epoch, now)
            self._publish(permit.name, new)
        self._tell(permit.name, old, new, reason, now)
        if parks and new.breaker is not old.breaker and (old.breaker.state, old.breaker.reason) != (OPEN, reason):
            self._emit(TargetParked(permit.name, failure.kind, failure.message, self._park_s))

    def lost(
        self, permit: Permit, now: float, evidence_nats: float, reason: str, *, runs_on: bool, hedged: HabitKey | None
    ) -> None:
        """Another target, asked later, answered the same request first, so nobody will know when this one would have.
        When the attempt `runs_on`, its permit is settled later: a good answer then still tells that it is well again.
        `hedged` = what was timed, where it was not even overdue.
        """
        if permit.settled:
            return
        permit.late = True
        with self._lock:
            old = self._snapshot[permit.name]
            new = old.copy()
            permit.end_silence(new)
            if not runs_on:
                permit.leave(new)
            if hedged is not None and old.is_healthy(now):
                self.habits.outrun(permit.name, hedged)
            nats = max(0.0, evidence_nats - permit.noted_nats)
            self._add_evidence(permit, new, now, nats, reason, silence=True)
            permit.noted_nats += nats
            if permit.epoch == old.breaker.epoch:
                permit.epoch = new.breaker.epoch
            self._publish(permit.name, new)
        self._tell(permit.name, old, new, reason, now)

    def cancelled(self, permit: Permit, now: float) -> None:
        """Settle without a verdict: the caller went away or another attempt won.

        The garbage collector ends forgotten streams wherever it happens to run, also in a thread that holds the lock
        just now. So nobody waits here: what cannot be done at once is done before the next admission.
        """
        if not permit.settled:
            permit.settled = True
            self._gone.append((permit, now))
            self._see_off()

    def _see_off(self) -> None:
        while self._gone and self._lock.acquire(timeout=REENTRY_S):
            try:
                if not self._gone:
                    return
                permit, now = self._gone.popleft()
                old = self._snapshot[permit.name]
                new = old.copy()
                permit.leave(new)
                # An attempt forced past the circuit shares the probe's epoch, but not its lease.
                if permit.how is PROBE:
                    new.breaker = circuits.released(old.breaker, permit.epoch, now)
                self._publish(permit.name, new)
            finally:
                self._lock.release()
            self._tell(permit.name, old, new, "the probe was cancelled", now)

    def revise(self, name: str, now: float, change: Callable[[TargetState, float], TargetState], reason: str) -> bool:
        """Evidence that no attempt has brought: `change(state, when the newest attempt began that was heard of)`."""
        with self._lock:
            old, heard_s = self._snapshot[name], self._heard_s.get(name, 0.0)
            self._publish(name, new := change(old, heard_s))
            if new.breaker.state is OPEN and old.breaker.state is CLOSED:
                self._domains.spill(name, now, 0.0, tripped=True)
        self._tell(name, old, new, reason, now)
        return new is not old

    def _publish(self, name: str, state: TargetState) -> None:
        self._snapshot = self._snapshot | {name: state}

    def _add_evidence(
        self, permit: Permit, new: TargetState, now: float, nats: float, reason: str, *, silence: bool = False
    ) -> None:
        old = new.breaker
        nats = permit.weigh(new, nats)
        new.weigh(now, nats, silence=silence)
        others = (state.breaker.state for name, state in self._snapshot.items() if name != permit.name)
        alive = now - self._heard_s.get(permit.name, 0.0) < ALIVE_S
        alone = alive and not any(state is CLOSED for state in others)
        jitter, every_s = 0.8 + 0.4 * self._draw(), self.traffic.every_s(now)
        new.judge(permit.epoch, now, reason, irreplaceable=alone, jitter=jitter, request_every_s=every_s)
        if old.state is CLOSED:  # of an open one everybody knows
            self._domains.spill(permit.name, now, nats, tripped=new.breaker is not old)

    def _tell(self, name: str, old: TargetState, new: TargetState, reason: str, now: float) -> None:
        if old.breaker.state is not new.breaker.state:
            until_s = new.breaker.until_s - now if new.breaker.state is OPEN else None
            self._emit(CircuitChanged(name, old.breaker.state.value, new.breaker.state.value, reason, until_s))
