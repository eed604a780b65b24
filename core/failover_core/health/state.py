"""What is believed of one target, and the public picture of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from . import suspicion
from .breaker import Breaker, CircuitState
from .ratelimit import NO_LIMIT, RateLimit


@dataclass(slots=True)
class TargetState:
    """All that is believed of one target. Published in snapshots; never changed after that.

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
        error_rate: share of its attempts that fail when it is well, from a long memory.
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
    error_rate: float = 0.0

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
            self.error_rate,
        )

    def weigh(self, now: float, nats: float, *, silence: bool) -> None:
        """Add evidence to a state that is being made; to the part that comes from silence too, where it does."""
        if self.suspicion > 0.0 or nats > 0.0:
            since_s = now - self.updated_s
            self.suspicion = suspicion.updated(self.suspicion, since_s, nats)
            self.silence = suspicion.updated(self.silence, since_s, nats if silence else 0.0)
        self.updated_s = max(self.updated_s, now)

    def available_in_s(self, now: float) -> float:
        """Seconds until an attempt may pass; 0 when it may now (ramping decides by share)."""
        wait_s = 0.0
        if self.limit is not NO_LIMIT:
            wait_s = self.limit.blocked_until_s - now
        state = self.breaker.state
        if state is CircuitState.OPEN or state is CircuitState.PROBING:
            wait_s = max(wait_s, self.breaker.until_s - now)
        return wait_s if wait_s > 0.0 else 0.0

    def doubt(self, now: float) -> float:
        """The suspicion in nats, as it has faded by now, with the silence of attempts under way."""
        return self.pending + suspicion.updated(self.suspicion, now - self.updated_s, 0.0)

    def quiet(self, now: float) -> float:
        """The part of the doubt that comes from silence."""
        return self.pending + suspicion.updated(self.silence, now - self.updated_s, 0.0)

    def is_healthy(self, now: float) -> bool:
        """Closed and not under suspicion."""
        if self.breaker.state is not CircuitState.CLOSED:
            return False
        return self.suspicion + self.pending < suspicion.DEGRADED_NATS or self.doubt(now) < suspicion.DEGRADED_NATS


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """One target's health as people read it, from `Failover.health()`.

    Args:
        state: "closed", "open", "probing" or "ramping".
        suspicion: in nats, decayed to now; the circuit opens at 10.
        degraded: an early warning: half of the trip level is reached, or the circuit is not closed.
        reason: why the circuit last opened, "" if it never did.
        available_in_s: seconds until an attempt may pass; 0 = now.
        in_flight: attempts under way.
        asked, answered, failed: attempts since the start; cancelled ones are only in `asked`.
        first_token_s, answer_s: typical (median) seconds for plain requests; None before anything is known.
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
