"""The circuit breaker of one target: when may it be asked again?

Rules:

1. Everything that changes a circuit is in this file, as functions from a `Breaker` to a new one.
2. Every state is armed by time, never by "wait for the probe": a caller may hold a probe's stream for ever.
3. A result of an attempt that began before the circuit's last change (another epoch) moves nothing.

::

    closed --trip--> open --cooldown over, one probe--> probing --success--> ramping --stages done--> closed
      ^                ^                                   |                    |
      |                +-------------failure---------------+-----suspicion------+

Cooldown: min(10 s, 5 s * 2^k) * U(.8, 1.2), where k counts recent trips and forgets one every 2 minutes (Envoy lowers
its ejection multiplier in the same way). A raced probe makes nobody wait, which allows such short cooldowns. One that
fails at once costs nothing; one that falls silent costs an answer, so after a silent fault the cooldown is the time of
15 requests, up to 40 s, and requests that make a poor trial stand back for a while (`trial`).

The ramp lets 25 %, 60 % and then all requests through, each stage at least 3 s and 5 good answers long, at least one
request a second. Quick answers come before slow ones, so the first few would paint too kind a picture: only a few
attempts are under way at a time in the first stages, and no stage is passed while anything speaks against the target.
One that has fallen silent again soon after it had seemed well rests longer, and has to give more answers, fewer of
them at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf

from .trial import GOOD_TRIAL, Trial

BASE_COOLDOWN_S = 5.0
MAX_COOLDOWN_S = 10.0
RELAPSE_COOLDOWN_S = 11.0
RARE_COOLDOWN_S = 40.0
REQUESTS_BETWEEN_PROBES = 15.0
FORGET_TRIP_S = 120.0
MAX_TRIPS = 8.0  # an outage of hours is remembered for a quarter of an hour, and 2 ** trips stays a number
PROBE_LEASE_S = 60.0
RAMP_SHARES = (0.25, 0.6, 1.0)
RAMP_IN_FLIGHT = (6, 10, inf)
RELAPSED_IN_FLIGHT = (4, 8, inf)
STAGE_S = 3.0
STAGE_ANSWERS = 5
RELAPSED_ANSWERS = 7
FLOOR_INTERVAL_S = 1.0
FULL_INTERVAL_S = 10.0  # a caller may hold the streams that are under way for ever
MIN_REST_S = 2.0
HOLD_S = 12.0  # until the next health check has ended, and a little more
MAX_HELD_S = 60.0


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


# To look a member up in its class takes ten times as long.
CLOSED, OPEN, PROBING, RAMPING = CircuitState
NORMAL, PROBE, FORCED, REFUSED = Admission


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
        relapses: how often it has lately tripped again soon after it had seemed well.
    """

    state: CircuitState = CLOSED
    epoch: int = 0
    since_s: float = 0.0
    until_s: float = 0.0
    reason: str = ""
    trips: float = 0.0
    tripped_at_s: float = 0.0
    stage: int = 0
    answers: int = 0
    admitted_at_s: float = 0.0
    relapses: int = 0


def admission(breaker: Breaker, now: float, draw: float, in_flight: int = 0, trial: Trial = GOOD_TRIAL) -> Admission:
    """May an attempt pass now?

    Args:
        draw: a uniform random number in [0, 1), used only while ramping.
        in_flight: attempts under way, used only while ramping.
        trial: what it would tell of the target.
    """
    state = breaker.state
    if state is CLOSED:
        return NORMAL
    if state is RAMPING:
        waited_s = now - breaker.admitted_at_s
        room = RELAPSED_IN_FLIGHT if breaker.relapses else RAMP_IN_FLIGHT
        if in_flight >= room[breaker.stage]:
            passes = waited_s >= FULL_INTERVAL_S
        elif breaker.stage == 0 and trial.stream_within_s > 0.0:
            passes = waited_s >= max(FLOOR_INTERVAL_S, trial.stream_within_s)
        else:
            share = trial.boost * RAMP_SHARES[0] if breaker.stage == 0 else RAMP_SHARES[breaker.stage]
            passes = draw < share or waited_s >= FLOOR_INTERVAL_S
        return NORMAL if passes else REFUSED
    return PROBE if now >= breaker.until_s + trial.stands_back_s else REFUSED


def admitted(breaker: Breaker, now: float, how: Admission) -> Breaker:
    """After an attempt has passed."""
    if how is PROBE:
        return _moved(breaker, PROBING, now, until_s=now + PROBE_LEASE_S)
    if breaker.state is RAMPING:
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
            relapses=breaker.relapses,
        )
    return breaker


def released(breaker: Breaker, epoch: int, now: float) -> Breaker:
    """After a probe was cancelled: it told nothing, so the next request may probe at once."""
    if breaker.epoch == epoch and breaker.state is PROBING:
        return _moved(breaker, OPEN, now, until_s=now)
    return breaker


def succeeded(breaker: Breaker, epoch: int, now: float, *, calm: bool = True, staged: bool = True) -> Breaker:
    """After a completed, good answer of an attempt admitted in `epoch`.

    Args:
        calm: nothing speaks against the target just now; without that no stage of the ramp is passed.
        staged: there is a ramp; otherwise one good answer closes the circuit.
    """
    if breaker.epoch != epoch or breaker.state is CLOSED:
        return breaker
    if not staged:
        return _moved(breaker, CLOSED, now)
    if breaker.state is not RAMPING:  # the probe, or an attempt forced past the open circuit
        ramping = _moved(breaker, RAMPING, now, admitted_at_s=now)
        ramping.answers = 1
        return ramping
    answers = breaker.answers + 1
    wanted = RELAPSED_ANSWERS if breaker.relapses and breaker.stage == 0 else STAGE_ANSWERS
    if answers < wanted or now - breaker.since_s < STAGE_S or not calm:
        return _at_stage(breaker, breaker.stage, breaker.since_s, answers)
    if breaker.stage + 1 < len(RAMP_SHARES):
        return _at_stage(breaker, breaker.stage + 1, now, 0)
    return _moved(breaker, CLOSED, now)


def failed(
    breaker: Breaker,
    epoch: int,
    now: float,
    *,
    trip: bool,
    doubtful: bool,
    jitter: float,
    reason: str,
    costly: bool = False,
    request_every_s: float = 0.0,
) -> Breaker:
    """After evidence against the target from an attempt admitted in `epoch`.

    Args:
        trip: suspicion has reached the trip level.
        doubtful: suspicion has reached the warning level; enough to step a ramp back.
        jitter: factor on the cooldown, uniform in [.8, 1.2).
        costly: it failed in silence rather than at once, so that each failure costs time and money.
        request_every_s: mean time between requests.
    """
    if breaker.epoch != epoch:
        return breaker
    if breaker.state is PROBING or (breaker.state is CLOSED and trip):
        return tripped(breaker, now, jitter=jitter, reason=reason, costly=costly, request_every_s=request_every_s)
    if breaker.state is RAMPING and (trip or doubtful):
        if trip or breaker.stage < 2:
            return tripped(breaker, now, jitter=jitter, reason=reason, costly=costly, request_every_s=request_every_s)
        return _at_stage(breaker, breaker.stage - 2, now, 0)
    return breaker


def tripped(
    breaker: Breaker, now: float, *, jitter: float, reason: str, costly: bool = False, request_every_s: float = 0.0
) -> Breaker:
    """The circuit opened now, with the cooldown that its recent trips have earned."""
    remembered = max(0.0, breaker.trips - (now - breaker.tripped_at_s) / FORGET_TRIP_S)
    relapses = breaker.relapses
    if breaker.state is RAMPING or (breaker.state is CLOSED and breaker.trips > 0.0):
        relapses = relapses + 1 if costly and now - breaker.tripped_at_s < FORGET_TRIP_S else 0
    base_s = BASE_COOLDOWN_S
    if costly:
        base_s = max(base_s, min(RARE_COOLDOWN_S, REQUESTS_BETWEEN_PROBES * request_every_s))
    longest_s = max(base_s, RELAPSE_COOLDOWN_S if relapses else MAX_COOLDOWN_S)
    cooldown_s = min(longest_s, base_s * 2.0**remembered) * jitter
    until_s = now + cooldown_s
    if breaker.state is PROBING:  # a silent probe takes its time to fail; the next need not wait for that
        until_s = max(now + MIN_REST_S, breaker.since_s + cooldown_s)
    opened = _moved(breaker, OPEN, now, until_s=until_s, reason=reason)
    opened.trips, opened.tripped_at_s, opened.relapses = min(MAX_TRIPS, remembered + 1.0), now, relapses
    return opened


def parked(breaker: Breaker, epoch: int, now: float, *, park_s: float, reason: str) -> Breaker:
    """After an attempt admitted in `epoch` has found that a person must act: open for `park_s` seconds; no flap is
    remembered.
    """
    if breaker.epoch != epoch:
        return breaker
    return _moved(breaker, OPEN, now, until_s=now + park_s, reason=reason)


def held(breaker: Breaker, now: float) -> Breaker:
    """A health check has failed while it is open: the next probe waits for the next check, but not for ever."""
    until_s = min(now + HOLD_S, breaker.since_s + MAX_HELD_S)
    return breaker if until_s <= breaker.until_s else replace(breaker, until_s=until_s)


def rested(breaker: Breaker, now: float) -> Breaker:
    """Health checks that had failed are good again: if it is open, the next request may probe."""
    if breaker.state is not OPEN or breaker.until_s <= now:
        return breaker
    return replace(breaker, until_s=now)


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
        relapses=breaker.relapses,
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
        breaker.relapses,
    )
