"""The circuit breaker of one target: when may it be asked again?

Rules:

1. Everything that changes a circuit is in this file, as functions from a `Breaker` to a new one.
2. Every state is armed by time, never by "wait for the probe": a caller may hold a probe's stream for ever.
3. A result of an attempt that began before the circuit's last change (another epoch) moves nothing.

::

    closed --trip--> open --cooldown over, one probe--> probing --success--> ramping --stages done--> closed
      ^                ^                                   |                    |
      |                +-------------failure---------------+-----suspicion------+

Cooldown: min(20 s, 5 s * 2^k) * U(.8, 1.2), where k counts recent trips and forgets one every 2 minutes (Envoy lowers
its ejection multiplier in the same way). A cheap, raced probe allows such short cooldowns. The ramp lets 25 %, 60 %
and then all requests through, each stage at least 3 s and 5 good answers, with a floor of one request every 2 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

BASE_COOLDOWN_S = 5.0
MAX_COOLDOWN_S = 20.0
FORGET_TRIP_S = 120.0
PROBE_LEASE_S = 60.0
RAMP_SHARES = (0.25, 0.6, 1.0)
STAGE_S = 3.0
STAGE_ANSWERS = 5
FLOOR_INTERVAL_S = 2.0


class CircuitState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"
    RAMPING = "ramping"


class Admission(StrEnum):
    """How an attempt may pass the circuit."""

    NORMAL = "normal"
    PROBE = "probe"
    FORCED = "forced"  # past an open circuit, because nothing better is left; it does not count as the probe
    REFUSED = "refused"


@dataclass(slots=True, unsafe_hash=True)
class Breaker:
    """One circuit. A value: never changed after it was made (not frozen only because that is slow to build).

    Args:
        state: where the circuit is.
        epoch: grows with every change of state.
        since_s: when the state or the ramp's stage began.
        until_s: open: when a probe may pass; probing: when the probe's lease ends.
        reason: why it opened, for people.
        trips: remembered trips (a fraction: memory fades).
        tripped_at_s: when it last opened.
        stage: index into `RAMP_SHARES`.
        answers: good answers in this stage.
        admitted_at_s: when the ramp last let an attempt through.
    """

    state: CircuitState = CircuitState.CLOSED
    epoch: int = 0
    since_s: float = 0.0
    until_s: float = 0.0
    reason: str = ""
    trips: float = 0.0
    tripped_at_s: float = 0.0
    stage: int = 0
    answers: int = 0
    admitted_at_s: float = 0.0


def admission(breaker: Breaker, now: float, draw: float) -> Admission:
    """May an attempt pass now? `draw` is a uniform random number in [0, 1), used only while ramping."""
    state = breaker.state
    if state is CircuitState.CLOSED:
        return Admission.NORMAL
    if state is CircuitState.RAMPING:
        overdue_for_floor = now - breaker.admitted_at_s >= FLOOR_INTERVAL_S
        return Admission.NORMAL if draw < RAMP_SHARES[breaker.stage] or overdue_for_floor else Admission.REFUSED
    return Admission.PROBE if now >= breaker.until_s else Admission.REFUSED


def admitted(breaker: Breaker, now: float, how: Admission) -> Breaker:
    """After an attempt has passed."""
    if how is Admission.PROBE:
        return _moved(breaker, CircuitState.PROBING, now, until_s=now + PROBE_LEASE_S)
    if breaker.state is CircuitState.RAMPING:
        return Breaker(
            breaker.state,
            breaker.epoch,
            breaker.since_s,
            breaker.until_s,
            breaker.reason,
            breaker.trips,
            breaker.tripped_at_s,
            breaker.stage,
            breaker.answers,
            admitted_at_s=now,
        )
    return breaker


def released(breaker: Breaker, epoch: int, now: float) -> Breaker:
    """After a probe was cancelled: it told nothing, so the next request may probe at once."""
    if breaker.epoch == epoch and breaker.state is CircuitState.PROBING:
        return _moved(breaker, CircuitState.OPEN, now, until_s=now)
    return breaker


def succeeded(breaker: Breaker, epoch: int, now: float) -> Breaker:
    """After a completed, good answer of an attempt admitted in `epoch`."""
    if breaker.epoch != epoch or breaker.state is CircuitState.CLOSED:
        return breaker
    if breaker.state is not CircuitState.RAMPING:  # the probe, or an attempt forced past the open circuit
        return _moved(breaker, CircuitState.RAMPING, now, admitted_at_s=now)
    answers = breaker.answers + 1
    if answers < STAGE_ANSWERS or now - breaker.since_s < STAGE_S:
        return _at_stage(breaker, breaker.stage, breaker.since_s, answers)
    if breaker.stage + 1 < len(RAMP_SHARES):
        return _at_stage(breaker, breaker.stage + 1, now, 0)
    return _moved(breaker, CircuitState.CLOSED, now)


def failed(
    breaker: Breaker, epoch: int, now: float, *, trip: bool, doubtful: bool, jitter: float, reason: str
) -> Breaker:
    """After evidence against the target from an attempt admitted in `epoch`.

    Args:
        trip: suspicion has reached the trip level.
        doubtful: suspicion has reached the warning level; enough to step a ramp back.
        jitter: factor on the cooldown, uniform in [.8, 1.2).
    """
    if breaker.epoch != epoch:
        return breaker
    if breaker.state is CircuitState.PROBING or (breaker.state is CircuitState.CLOSED and trip):
        return tripped(breaker, now, jitter=jitter, reason=reason)
    if breaker.state is CircuitState.RAMPING and (trip or doubtful):
        if trip or breaker.stage < 2:
            return tripped(breaker, now, jitter=jitter, reason=reason)
        return _at_stage(breaker, breaker.stage - 2, now, 0)
    return breaker


def tripped(breaker: Breaker, now: float, *, jitter: float, reason: str) -> Breaker:
    """The circuit opened now, with the cooldown that its recent trips have earned."""
    remembered = max(0.0, breaker.trips - (now - breaker.tripped_at_s) / FORGET_TRIP_S)
    cooldown_s = min(MAX_COOLDOWN_S, BASE_COOLDOWN_S * 2.0**remembered) * jitter
    opened = _moved(breaker, CircuitState.OPEN, now, until_s=now + cooldown_s, reason=reason)
    opened.trips, opened.tripped_at_s = remembered + 1.0, now
    return opened


def parked(breaker: Breaker, now: float, *, park_s: float, reason: str) -> Breaker:
    """The circuit opened for `park_s` seconds because a person must act; no flap is remembered."""
    return _moved(breaker, CircuitState.OPEN, now, until_s=now + park_s, reason=reason)


def _moved(
    breaker: Breaker,
    state: CircuitState,
    now: float,
    *,
    until_s: float = 0.0,
    reason: str | None = None,
    admitted_at_s: float = 0.0,
) -> Breaker:
    return Breaker(
        state,
        breaker.epoch + 1,
        now,
        until_s,
        breaker.reason if reason is None else reason,
        breaker.trips,
        breaker.tripped_at_s,
        admitted_at_s=admitted_at_s,
    )


def _at_stage(breaker: Breaker, stage: int, since_s: float, answers: int) -> Breaker:
    return Breaker(
        breaker.state,
        breaker.epoch,
        since_s,
        breaker.until_s,
        breaker.reason,
        breaker.trips,
        breaker.tripped_at_s,
        stage,
        answers,
        breaker.admitted_at_s,
    )
