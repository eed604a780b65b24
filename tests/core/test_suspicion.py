"""The CUSUM that forgets: three errors in a row trip, a rare failure does not, silence heals."""

from __future__ import annotations

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_core.health.suspicion import (
    BAD_OUTPUT_NATS,
    DEGRADED_NATS,
    ERROR_NATS,
    OVERDUE_NATS,
    SUCCESS_NATS,
    TRIP_NATS,
    updated,
)

NATS = st.floats(-5, 5)
SECONDS = st.floats(0, 1e6)


def after(*evidence: float, every_s: float = 0.0) -> float:
    suspicion = 0.0
    for nats in evidence:
        suspicion = updated(suspicion, every_s, nats)
    return suspicion


@pytest.mark.parametrize(
    ("nats", "needed"),
    [(ERROR_NATS, 3), (OVERDUE_NATS, 4), (BAD_OUTPUT_NATS, 6)],
    ids=["errors", "overdue", "bad output"],
)
def test_how_many_bad_events_in_a_row_trip(nats: float, needed: int) -> None:
    assert after(*[nats] * (needed - 1)) < TRIP_NATS
    assert after(*[nats] * needed) >= TRIP_NATS


def test_two_errors_are_a_warning_and_one_is_not() -> None:
    assert after(ERROR_NATS) < DEGRADED_NATS <= after(ERROR_NATS, ERROR_NATS) < TRIP_NATS


def test_one_failure_in_twenty_never_trips() -> None:
    """The healthy rate is far below the sick one, so successes must outweigh rare failures."""
    suspicion = highest = 0.0
    for call in range(2000):
        suspicion = updated(suspicion, 0.2, ERROR_NATS if call % 20 == 0 else SUCCESS_NATS)
        highest = max(highest, suspicion)
    assert highest < DEGRADED_NATS


def test_every_second_call_failing_trips_within_ten_calls() -> None:
    assert max(after(*[ERROR_NATS, SUCCESS_NATS] * n) for n in range(6)) >= TRIP_NATS


def test_suspicion_fades_with_a_time_constant_of_two_minutes() -> None:
    assert updated(6.0, 120.0, 0.0) == pytest.approx(6.0 * exp(-1))
    assert updated(6.0, 3600.0, 0.0) < 1e-9


def test_slow_errors_do_not_add_up() -> None:
    assert after(*[ERROR_NATS] * 50, every_s=600.0) < DEGRADED_NATS


def test_a_late_event_does_not_let_suspicion_grow_out_of_time_running_backwards() -> None:
    """Attempts of different requests report in any order, some with a time before the last report."""
    assert updated(4.0, -300.0, 0.0) == 4.0
    assert updated(4.0, -300.0, SUCCESS_NATS) == pytest.approx(4.0 + SUCCESS_NATS)


@given(st.floats(0, 50), SECONDS, NATS)
def test_suspicion_is_never_negative_and_grows_with_evidence(suspicion: float, since_s: float, nats: float) -> None:
    value = updated(suspicion, since_s, nats)
    assert 0.0 <= value <= suspicion + max(0.0, nats)
    assert updated(suspicion, since_s, nats + 1.0) >= value


@given(st.floats(0.1, 50), SECONDS, SECONDS)
def test_forgetting_in_two_steps_is_forgetting_in_one(suspicion: float, first_s: float, second_s: float) -> None:
    stepwise = updated(updated(suspicion, first_s, 0.0), second_s, 0.0)
    assert stepwise == pytest.approx(updated(suspicion, first_s + second_s, 0.0), abs=1e-9)
