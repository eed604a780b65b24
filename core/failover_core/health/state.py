"""What is believed of one target, and the public picture of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from . import suspicion
from .breaker import CLOSED, OPEN, PROBE_LEASE_S, PROBING, RAMPING, Admission, Breaker, admission, failed, succeeded
from .ratelimit import NO_LIMIT, RateLimit
from .trial import trial_of

BUSY_S = 1.0  # nobody knows when an attempt will end: ask again then


@dataclass(slots=True)
class TargetState:
    """All that is believed of one target. Published in snapshots; after that only its counts, pace, slowness and
    `updated_s` change.

    Args:
        breaker: its circuit.
        suspicion: in nats, as of `updated_s`.
        updated_s: time of the last evidence.
        limit: its rate limit.
        in_flight: attempts under way.
        asked, answered, failed: counts of attempts since the start; cancelled ones are only in `asked`.
        pace_s: peak-EWMA of the time to the first content (to the answer, where nothing is streamed), in seconds; 0 =
            never measured.
        paced_s: when it was measured last.
        silence: the part of the suspicion that comes from silence, in nats, as of `updated_s`.
        pending: what the silence of attempts under way adds to the suspicion until they say something, in nats.
        heeds_epoch: of its circuit; the silence of older attempts means nothing any more.
        oddities: attempts that failed or were late and nothing came of it, of those asked since `odd_since`.
        odd_lately: the same, of which it is not known yet what will come of them.
        odd_since: how many had been asked when counting began.
        asked_tokens: the sum of the sizes of the requests asked, as far as they are known.
        asked_streams: how many of the requests asked were streams.
        max_concurrent: how many attempts may be under way at a time; None = any number.
        slowness: how much speaks for a target that has become slow, in nats; what chance does to healthy ones included.
    """

    breaker: Breaker = field(default_factory=Breaker)
    suspicion: float = 0.0
    updated_s: float = 0.0
    limit: RateLimit = NO_LIMIT
    in_flight: int = 0
    asked: int = 0
    answered: int = 0
    failed: int = 0
    pace_s: float = 0.0
    paced_s: float = 0.0
    silence: float = 0.0
    pending: float = 0.0
    heeds_epoch: int = 0
    oddities: float = 0.0
    odd_lately: int = 0
    odd_since: int = 0
    asked_tokens: int = 0
    asked_streams: int = 0
    max_concurrent: int | None = None
    slowness: float = 0.0

    def copy(self) -> TargetState:
        return TargetState(
            self.breaker,
            self.suspicion,
            self.updated_s,
            self.limit,
            self.in_flight,
            self.asked,
            self.answered,
            self.failed,
            self.pace_s,
            self.paced_s,
            self.silence,
            self.pending,
            self.heeds_epoch,
            self.oddities,
            self.odd_lately,
            self.odd_since,
            self.asked_tokens,
            self.asked_streams,
            self.max_concurrent,
            self.slowness,
        )

    @property
    def is_busy(self) -> bool:
        """As many attempts are under way as it may have."""
        return self.max_concurrent is not None and self.in_flight >= self.max_concurrent

    def weigh(self, now: float, nats: float, *, silence: bool) -> None:
        """Add evidence to a state that is being made; to the part that comes from silence too, where it does."""
        if self.suspicion > 0.0 or nats > 0.0:
            since_s = now - self.updated_s
            self.suspicion = suspicion.updated(self.suspicion, since_s, nats)
            self.silence = suspicion.updated(self.silence, since_s, nats if silence else 0.0)
        self.updated_s = max(self.updated_s, now)

    def ask(self, tokens: int, streaming: bool) -> None:
        """One more attempt, of this size."""
        self.in_flight += 1
        self.asked += 1
        self.asked_tokens += tokens
        self.asked_streams += streaming

    def admission(
        self, now: float, draw: Callable[[], float], tokens: int, streaming: bool, request_every_s: float
    ) -> Admission:
        """May a request of this size pass its circuit? `draw` = a uniform random number."""
        asked = max(1, self.asked)
        usual_tokens, streams = self.asked_tokens / asked, self.asked_streams / asked
        trial = trial_of(tokens, usual_tokens, streaming=streaming, streams=streams, request_every_s=request_every_s)
        share = draw() if self.breaker.state is RAMPING else 0.0
        return admission(self.breaker, now, share, self.in_flight, trial)

    @property
    def usual_rate(self) -> float:
        """Share of its attempts that fail or are late when it is well. Before much is known, half of what is taken for
        healthy anyway.
        """
        calls = suspicion.PRIOR_CALLS + self.asked - self.odd_since
        return (self.oddities + 0.5 * suspicion.HEALTHY_RATE * suspicion.PRIOR_CALLS) / calls

    def calmed(self) -> None:
        """It is well after all: what was odd about it lately is usual for it. Said of a state that is being made."""
        if self.breaker.state is CLOSED:
            self.oddities += self.odd_lately
        self.odd_lately = 0
        if self.asked - self.odd_since > 2 * suspicion.RATE_MEMORY_CALLS:
            self.odd_since += (self.asked - self.odd_since) // 2
            self.oddities /= 2.0

    def reassure(self, epoch: int, now: float, *, staged: bool) -> None:
        """After a good answer of an attempt admitted in `epoch`. Said of a state that is being made."""
        old = self.breaker
        self.weigh(now, suspicion.SUCCESS_NATS, silence=True)
        calm = self.suspicion < suspicion.CALM_NATS
        if old.stage == 0 and now - old.since_s < PROBE_LEASE_S:  # a caller may hold what is silent for ever
            calm = self.suspicion + self.pending < suspicion.CALM_NATS
        if calm and self.odd_lately:
            self.calmed()
        self.breaker = succeeded(old, epoch, now, calm=calm, staged=staged)
        if self.breaker is not old and old.state is not RAMPING:
            self.suspicion = self.pending = self.slowness = 0.0  # that has had its trip; it starts with a clean sheet
            self.silence = min(self.silence, suspicion.REMEMBERED_NATS)
            self.heeds_epoch = self.breaker.epoch

    def judge(
        self, epoch: int, now: float, reason: str, *, irreplaceable: bool, jitter: float, request_every_s: float
    ) -> None:
        """What the evidence means for the circuit of a state that is being made.

        Args:
            epoch: of the attempt that brought it.
            irreplaceable: every other circuit is open, and this target has been heard of lately. Better slow than
                nobody: who stands in for all the others may well be slow.
            jitter, request_every_s: see `breaker.failed`.
        """
        total = max(self.suspicion + self.pending, self.slowness)
        slow = 2.0 * max(self.silence + self.pending, self.slowness) > total
        doubt = max(self.suspicion, self.slowness, self.silence if self.breaker.relapses else 0.0)
        self.breaker = failed(
            self.breaker,
            epoch,
            now,
            trip=total >= suspicion.TRIP_NATS and not (slow and irreplaceable),
            doubtful=doubt >= suspicion.DEGRADED_NATS,
            jitter=jitter,
            reason=reason,
            costly=slow,
            request_every_s=request_every_s,
        )
        if self.breaker.state is OPEN:
            self.odd_lately = 0
            self.slowness = min(self.slowness, suspicion.DEGRADED_NATS)  # a probe that is slow again will do

    def available_in_s(self, now: float) -> float:
        """Seconds until an attempt may pass; 0 when it may now (ramping decides by share, a quota by size)."""
        wait_s = 0.0
        if self.limit is not NO_LIMIT or self.max_concurrent is not None:
            wait_s = self.full_for_s(now)
        state = self.breaker.state
        if state is OPEN or state is PROBING:
            wait_s = max(wait_s, self.breaker.until_s - now)
        return wait_s if wait_s > 0.0 else 0.0

    def full_for_s(self, now: float, tokens: int = 1) -> float:
        """Seconds until its rate limit and its cap have room for a request of this size."""
        wait_s = 0.0 if self.limit is NO_LIMIT else self.limit.wait_s(now, tokens)
        return max(wait_s, BUSY_S) if self.is_busy else wait_s

    def doubt(self, now: float) -> float:
        """The suspicion in nats, as it has faded by now, with the silence of attempts under way; or the slowness."""
        doubt = self.pending + suspicion.updated(self.suspicion, now - self.updated_s, 0.0)
        return max(doubt, self.slowness) if self.is_slow else doubt

    def quiet(self, now: float) -> float:
        """The part of the doubt that comes from silence."""
        return self.pending + suspicion.updated(self.silence, now - self.updated_s, 0.0)

    @property
    def is_slow(self) -> bool:
        """It takes longer than usual, and that is hardly chance any more."""
        return self.slowness >= suspicion.DEGRADED_NATS

    @property
    def is_spotless(self) -> bool:
        """There is nothing that a good answer could make better."""
        if self.suspicion or self.odd_lately or self.pending or self.limit is not NO_LIMIT:
            return False
        return self.breaker.state is CLOSED and self.slowness < suspicion.DEGRADED_NATS

    def is_healthy(self, now: float) -> bool:
        """Closed and not under suspicion."""
        if self.breaker.state is not CLOSED or self.slowness >= suspicion.DEGRADED_NATS:
            return False
        return self.suspicion + self.pending < suspicion.DEGRADED_NATS or self.doubt(now) < suspicion.DEGRADED_NATS


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """One target's health as people read it, from `Failover.health()`.

    Args:
        state: "closed", "open", "probing" or "ramping".
        suspicion: in nats, decayed to now; the circuit opens at 10.
        degraded: an early warning: half of the trip level is reached, what speaks against others of its failure domain
            included in part, or the circuit is not closed.
        reason: why the circuit last opened, "" if it never did.
        available_in_s: seconds until an attempt may pass; 0 = now.
        in_flight: attempts under way.
        asked, answered, failed: attempts since the start; cancelled ones are only in `asked`.
        first_token_s, answer_s: typical (median) seconds for plain requests; None before anything is known.
        abandoned: attempts of sync code that were given up and still hold a thread each, since Python cannot stop one;
            from 32 on the target is asked no more until some have ended.
    """

    state: str
    suspicion: float
    degraded: bool
    reason: str
    available_in_s: float
    in_flight: int
    asked: int
    answered: int
    failed: int
    first_token_s: float | None
    answer_s: float | None
    abandoned: int = 0
