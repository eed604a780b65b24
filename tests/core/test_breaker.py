"""The circuit breaker: every transition, the cooldown's memory, the probe's lease, the ramp."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failover_core.health.breaker import (
    BASE_COOLDOWN_S,
    FLOOR_INTERVAL_S,
    FORGET_TRIP_S,
    MAX_COOLDOWN_S,
    MAX_TRIPS,
    PROBE_LEASE_S,
    RAMP_SHARES,
    RARE_COOLDOWN_S,
    STAGE_ANSWERS,
    STAGE_S,
    Admission,
    Breaker,
    CircuitState,
    admission,
    admitted,
    failed,
    parked,
    released,
    succeeded,
    tripped,
)

NOW = 1000.0
CLOSED, OPEN, PROBING, RAMPING = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.PROBING, CircuitState.RAMPING

BREAKERS = {
    CLOSED: Breaker(CLOSED, epoch=4),
    OPEN: Breaker(OPEN, epoch=5, since_s=NOW, until_s=NOW + 5.0, reason="why"),
    PROBING: Breaker(PROBING, epoch=6, since_s=NOW, until_s=NOW + PROBE_LEASE_S, reason="why"),
    RAMPING: Breaker(RAMPING, epoch=7, since_s=NOW, reason="why", admitted_at_s=NOW),
}


def fails(
    breaker: Breaker, now: float = NOW, *, epoch: int | None = None, trip: bool = False, doubtful: bool = False
) -> Breaker:
    return failed(
        breaker,
        breaker.epoch if epoch is None else epoch,
        now,
        trip=trip,
        doubtful=doubtful,
        jitter=1.0,
        reason="it failed",
    )


def trip(breaker: Breaker, now: float) -> Breaker:
    return tripped(breaker, now, jitter=1.0, reason="it failed")


# -- transitions ----------------------------------------------------------------------------------------------------

TRANSITIONS = [
    (CLOSED, "success", CLOSED),
    (CLOSED, "failure", CLOSED),
    (CLOSED, "doubtful failure", CLOSED),
    (CLOSED, "trip", OPEN),
    (CLOSED, "released", CLOSED),
    (CLOSED, "parked", OPEN),
    (OPEN, "success", RAMPING),  # of an attempt forced past the open circuit
    (OPEN, "failure", OPEN),
    (OPEN, "trip", OPEN),
    (OPEN, "released", OPEN),
    (OPEN, "parked", OPEN),
    (PROBING, "success", RAMPING),
    (PROBING, "failure", OPEN),
    (PROBING, "trip", OPEN),
    (PROBING, "released", OPEN),
    (PROBING, "parked", OPEN),
    (RAMPING, "success", RAMPING),
    (RAMPING, "failure", RAMPING),
    (RAMPING, "doubtful failure", OPEN),
    (RAMPING, "trip", OPEN),
    (RAMPING, "released", RAMPING),
    (RAMPING, "parked", OPEN),
]


def happens(breaker: Breaker, what: str, epoch: int) -> Breaker:
    if what == "success":
        return succeeded(breaker, epoch, NOW)
    if what == "released":
        return released(breaker, epoch, NOW)
    if what == "parked":
        return parked(breaker, epoch, NOW, park_s=300.0, reason="wrong key")
    return fails(breaker, epoch=epoch, trip=what == "trip", doubtful=what in ("trip", "doubtful failure"))


@pytest.mark.parametrize(("before", "what", "after"), TRANSITIONS)
def test_transitions(before: CircuitState, what: str, after: CircuitState) -> None:
    breaker = BREAKERS[before]
    changed = happens(breaker, what, breaker.epoch)
    assert changed.state is after
    assert (changed.epoch > breaker.epoch) == (changed.state is not before or what == "parked")


@pytest.mark.parametrize("before", BREAKERS)
@pytest.mark.parametrize("what", ["success", "failure", "doubtful failure", "trip", "released", "parked"])
@pytest.mark.parametrize("epochs_ago", [1, 3])
def test_a_late_result_from_another_epoch_moves_nothing(before: CircuitState, what: str, epochs_ago: int) -> None:
    breaker = BREAKERS[before]
    assert happens(breaker, what, breaker.epoch - epochs_ago) is breaker


@pytest.mark.parametrize("what", ["success", "failure", "trip", "released", "parked"])
@pytest.mark.parametrize("before", BREAKERS)
def test_breakers_are_values(before: CircuitState, what: str) -> None:
    copy = replace(BREAKERS[before])
    happens(BREAKERS[before], what, BREAKERS[before].epoch)
    assert BREAKERS[before] == copy


def test_the_reason_is_that_of_the_last_opening() -> None:
    opened = trip(Breaker(), NOW)
    probing = admitted(opened, NOW + 10, Admission.PROBE)
    assert (opened.reason, probing.reason) == ("it failed", "it failed")
    assert parked(probing, probing.epoch, NOW, park_s=1.0, reason="wrong key").reason == "wrong key"


# -- admission ------------------------------------------------------------------------------------------------------


def test_closed_lets_everything_through() -> None:
    assert admission(BREAKERS[CLOSED], NOW, draw=0.999) is Admission.NORMAL


@pytest.mark.parametrize("state", [OPEN, PROBING])
def test_open_and_probing_are_armed_by_time_alone(state: CircuitState) -> None:
    breaker = BREAKERS[state]
    assert admission(breaker, breaker.until_s - 0.001, draw=0.0) is Admission.REFUSED
    assert admission(breaker, breaker.until_s, draw=0.0) is Admission.PROBE


def test_a_probe_holds_the_door_for_its_lease_only() -> None:
    """A caller may hold a probe's stream for ever: the next probe does not wait for it."""
    due = BREAKERS[OPEN].until_s
    first = admitted(BREAKERS[OPEN], due, Admission.PROBE)
    assert (first.state, first.until_s) == (PROBING, due + PROBE_LEASE_S)
    second = admitted(first, first.until_s, Admission.PROBE)
    assert (second.state, second.until_s) == (PROBING, first.until_s + PROBE_LEASE_S)
    assert succeeded(second, first.epoch, first.until_s + 1.0) is second, "the first probe has had its time"


def test_a_cancelled_probe_lets_the_next_one_pass_at_once() -> None:
    after = released(BREAKERS[PROBING], BREAKERS[PROBING].epoch, NOW + 3.0)
    assert admission(after, NOW + 3.0, draw=0.0) is Admission.PROBE


def test_admitting_changes_a_closed_circuit_not_at_all() -> None:
    assert admitted(BREAKERS[CLOSED], NOW, Admission.NORMAL) is BREAKERS[CLOSED]


# -- cooldown -------------------------------------------------------------------------------------------------------


def test_the_cooldown_doubles_with_each_trip_up_to_its_maximum() -> None:
    breaker, now, cooldowns = Breaker(), NOW, []
    for _ in range(5):
        breaker = trip(breaker, now)
        cooldowns.append(breaker.until_s - now)
    assert cooldowns == [BASE_COOLDOWN_S, 10.0, MAX_COOLDOWN_S, MAX_COOLDOWN_S, MAX_COOLDOWN_S]


def test_one_trip_is_forgotten_every_two_minutes() -> None:
    twice = trip(trip(Breaker(), NOW), NOW)
    assert trip(twice, NOW + FORGET_TRIP_S).until_s == NOW + FORGET_TRIP_S + 10.0
    assert trip(twice, NOW + 2 * FORGET_TRIP_S).until_s == NOW + 2 * FORGET_TRIP_S + BASE_COOLDOWN_S
    assert trip(twice, NOW + 100 * FORGET_TRIP_S).trips == 1.0


def test_closing_does_not_forget_trips() -> None:
    """A flapping target must not start at five seconds each time."""
    breaker = trip(Breaker(), NOW)
    breaker = succeeded(breaker, breaker.epoch, NOW + 5.0)
    for answer in range(3 * STAGE_ANSWERS):
        breaker = succeeded(breaker, breaker.epoch, NOW + 5.0 + answer)
    assert breaker.state is CLOSED
    assert trip(breaker, NOW + 25.0).until_s - (NOW + 25.0) > 1.7 * BASE_COOLDOWN_S


@pytest.mark.parametrize("jitter", [0.8, 1.0, 1.2])
def test_jitter_scales_the_cooldown(jitter: float) -> None:
    assert tripped(Breaker(), NOW, jitter=jitter, reason="").until_s == pytest.approx(NOW + 5.0 * jitter)


def test_parking_rests_as_long_as_told_and_remembers_no_trip() -> None:
    rests = parked(Breaker(), 0, NOW, park_s=300.0, reason="wrong key")
    assert (rests.state, rests.until_s, rests.trips) == (OPEN, NOW + 300.0, 0.0)
    assert trip(rests, NOW + 301.0).until_s == NOW + 301.0 + BASE_COOLDOWN_S


# -- ramp -----------------------------------------------------------------------------------------------------------


def ramping_since(now: float) -> Breaker:
    opened = trip(Breaker(), now - 10.0)
    probing = admitted(opened, now - 1.0, Admission.PROBE)
    return succeeded(probing, probing.epoch, now)


@pytest.mark.parametrize(("stage", "share"), list(enumerate(RAMP_SHARES)))
def test_each_stage_lets_its_share_through(stage: int, share: float) -> None:
    breaker = replace(ramping_since(NOW), stage=stage)
    assert admission(breaker, NOW, draw=share - 0.001) is Admission.NORMAL
    if share < 1.0:
        assert admission(breaker, NOW, draw=share) is Admission.REFUSED


def test_low_traffic_does_not_starve_the_ramp() -> None:
    """One request every two seconds passes, whatever the draw."""
    breaker = ramping_since(NOW)
    assert admission(breaker, NOW + FLOOR_INTERVAL_S - 0.01, draw=0.99) is Admission.REFUSED
    assert admission(breaker, NOW + FLOOR_INTERVAL_S, draw=0.99) is Admission.NORMAL
    passed = admitted(breaker, NOW + FLOOR_INTERVAL_S, Admission.NORMAL)
    assert (passed.epoch, passed.stage) == (breaker.epoch, breaker.stage)
    assert admission(passed, NOW + FLOOR_INTERVAL_S + 0.1, draw=0.99) is Admission.REFUSED


def test_a_stage_needs_answers_and_time() -> None:
    breaker = ramping_since(NOW)
    for _ in range(20):
        breaker = succeeded(breaker, breaker.epoch, NOW + STAGE_S - 0.1)
    assert (breaker.stage, breaker.answers) == (0, 21), "plenty of answers, too early"
    breaker = succeeded(breaker, breaker.epoch, NOW + STAGE_S)
    assert (breaker.stage, breaker.answers) == (1, 0)
    for _ in range(STAGE_ANSWERS - 1):
        breaker = succeeded(breaker, breaker.epoch, NOW + 60.0)
    assert breaker.stage == 1, "plenty of time, too few answers"
    assert succeeded(breaker, breaker.epoch, NOW + 60.0).stage == 2


def test_the_whole_ramp_closes_the_circuit() -> None:
    breaker, now, stages = ramping_since(NOW), NOW, []
    while breaker.state is RAMPING:
        now += 1.0
        breaker = succeeded(breaker, breaker.epoch, now)
        stages.append(breaker.stage)
    assert breaker.state is CLOSED
    assert len(stages) == 3 * STAGE_ANSWERS - 1, "the probe's answer is the first"
    assert sorted(stages[:-1]) == stages[:-1]


def test_without_stages_one_good_answer_closes() -> None:
    opened = trip(Breaker(), NOW - 10.0)
    for before in (opened, admitted(opened, NOW, Admission.PROBE), ramping_since(NOW)):
        after = succeeded(before, before.epoch, NOW, staged=False)
        assert (after.state, after.epoch) == (CLOSED, before.epoch + 1)
    assert succeeded(Breaker(), 0, NOW, staged=False) == Breaker()


@pytest.mark.parametrize(
    ("every_s", "cooldown_s"), [(0.1, 5.0), (0.5, 7.5), (1.0, 15.0), (2.0, 30.0), (60.0, RARE_COOLDOWN_S)]
)
def test_a_probe_that_may_cost_an_answer_is_made_once_in_fifteen_requests(every_s: float, cooldown_s: float) -> None:
    silent = tripped(Breaker(), NOW, jitter=1.0, reason="silent", costly=True, request_every_s=every_s)
    assert silent.until_s - NOW == pytest.approx(cooldown_s)
    refused = tripped(Breaker(), NOW, jitter=1.0, reason="refused", costly=False, request_every_s=every_s)
    assert refused.until_s - NOW == BASE_COOLDOWN_S


def test_doubt_in_the_last_stage_steps_back_two_stages() -> None:
    breaker = replace(ramping_since(NOW), stage=2, answers=3)
    back = fails(breaker, NOW + 9.0, doubtful=True)
    assert (back.state, back.stage, back.answers, back.since_s) == (RAMPING, 0, 0, NOW + 9.0)
    assert back.epoch == breaker.epoch


@pytest.mark.parametrize("stage", [0, 1])
def test_doubt_in_an_early_stage_opens_again(stage: int) -> None:
    assert fails(replace(ramping_since(NOW), stage=stage), doubtful=True).state is OPEN


def test_a_failure_without_doubt_is_borne_by_the_ramp() -> None:
    breaker = ramping_since(NOW)
    assert fails(breaker) is breaker


def test_an_outage_of_days_is_counted_and_soon_forgotten() -> None:
    """A probe every ten seconds: 2.0 ** trips would be no number any more after three hours."""
    breaker, now = tripped(Breaker(), NOW, jitter=1.0, reason="down"), NOW
    while now < NOW + 2 * 86_400.0:
        now = breaker.until_s
        breaker = admitted(breaker, now, Admission.PROBE)
        breaker = failed(breaker, breaker.epoch, now, trip=True, doubtful=True, jitter=1.0, reason="down")
        assert breaker.until_s <= now + MAX_COOLDOWN_S
    assert breaker.trips == MAX_TRIPS
    later = now + MAX_TRIPS * FORGET_TRIP_S
    assert tripped(replace(breaker, state=CLOSED), later, jitter=1.0, reason="").until_s == later + BASE_COOLDOWN_S
