"""The pinned failure table, row by row, and what follows from it for a retry."""

from __future__ import annotations

from math import inf, nan

import pytest

from failover_core import Failure, FailureKind, Settings
from failover_core.health.suspicion import BAD_OUTPUT_NATS, DEGRADED_NATS, ERROR_NATS
from failover_core.policy.verdicts import RULES, NextTarget, Rule, may_go_on, retry_delay_s

YES, ROOMIER, OPT_IN, NO = NextTarget.YES, NextTarget.ROOMIER, NextTarget.OPT_IN, NextTarget.NO
FULL, LITTLE, NEVER = ERROR_NATS, BAD_OUTPUT_NATS, 0.0

TABLE = """
    kind                 | same target again | next target | health | parks
    rate_limited         | yes               | yes         | never  | no
    quota_exhausted      | no                | yes         | never  | yes
    billing              | no                | yes         | never  | yes
    auth                 | no                | yes         | never  | yes
    permission_or_region | no                | yes         | never  | yes
    model_not_found      | no                | yes         | never  | yes
    overloaded           | yes               | yes         | full   | no
    server_error         | yes               | yes         | full   | no
    connection           | yes               | yes         | full   | no
    timeout              | no                | yes         | full   | no
    stream_broken        | no                | yes         | full   | no
    context_overflow     | no                | roomier     | never  | no
    content_filtered     | no                | opt_in      | never  | no
    invalid_request      | no                | opt_in      | never  | no
    invalid_output       | no                | yes         | little | no
    local_error          | no                | no          | never  | no
    unknown              | no                | yes         | little | no
"""
ROWS = [[cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines()[1:]]
NATS = {"never": NEVER, "little": LITTLE, "full": FULL}


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_each_row_of_the_table(row: list[str]) -> None:
    kind, same_target, next_target, health, parks = row
    assert RULES[FailureKind(kind)] == Rule(
        same_target=same_target == "yes",
        next_target=NextTarget(next_target),
        evidence_nats=NATS[health],
        parks=parks == "yes",
    )


def test_every_kind_has_a_row() -> None:
    assert set(RULES) == set(FailureKind) == {FailureKind(row[0]) for row in ROWS}


def test_a_little_is_less_than_half_of_an_error_and_no_warning() -> None:
    assert 0 < LITTLE <= FULL / 2 < DEGRADED_NATS


# -- the next target ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FailureKind)
def test_who_may_go_on_by_default(kind: FailureKind) -> None:
    stays = {FailureKind.CONTENT_FILTERED, FailureKind.INVALID_REQUEST, FailureKind.LOCAL_ERROR}
    assert may_go_on(kind, Settings()) == (kind not in stays)


def test_going_on_can_be_wished_for_each_on_its_own() -> None:
    filtered, invalid = Settings(on_content_filter="next"), Settings(on_invalid_request="next")
    assert may_go_on(FailureKind.CONTENT_FILTERED, filtered)
    assert not may_go_on(FailureKind.INVALID_REQUEST, filtered)
    assert may_go_on(FailureKind.INVALID_REQUEST, invalid)
    assert not may_go_on(FailureKind.CONTENT_FILTERED, invalid)


def test_a_local_error_never_goes_on() -> None:
    eager = Settings(on_content_filter="next", on_invalid_request="next")
    assert not may_go_on(FailureKind.LOCAL_ERROR, eager)


# -- the same target ------------------------------------------------------------------------------------------------


def delay(
    kind: FailureKind,
    settings: Settings | None = None,
    *,
    retry_after_s: float | None = None,
    retries: int = 0,
    healthy: bool = True,
    draw: float = 0.0,
) -> float | None:
    failure = Failure(kind, retry_after_s=retry_after_s)
    return retry_delay_s(failure, settings or Settings(), retries, healthy=healthy, draw=draw)


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if not RULES[kind].same_target])
def test_lasting_failures_are_not_retried(kind: FailureKind) -> None:
    assert delay(kind, retry_after_s=0.1) is None


@pytest.mark.parametrize("kind", [FailureKind.OVERLOADED, FailureKind.SERVER_ERROR, FailureKind.CONNECTION])
def test_passing_faults_are_retried_once_after_half_fixed_half_random_backoff(kind: FailureKind) -> None:
    assert delay(kind, draw=0.0) == 0.25
    assert delay(kind, draw=1.0) == 0.5
    assert delay(kind, retries=1) is None


def test_backoff_doubles_with_each_retry() -> None:
    patient = Settings(same_target_retries=3, backoff_s=1.0)
    waits = [delay(FailureKind.OVERLOADED, patient, retries=retries, draw=1.0) for retries in range(4)]
    assert waits == [1.0, 2.0, 4.0, None]


def test_a_sick_target_is_not_retried() -> None:
    assert delay(FailureKind.SERVER_ERROR, healthy=False) is None


def test_no_retries_can_be_set() -> None:
    assert delay(FailureKind.SERVER_ERROR, Settings(same_target_retries=0)) is None


@pytest.mark.parametrize(
    ("retry_after_s", "wait_s"),
    [
        (None, None),
        (0.0, 0.0),
        (1.5, 1.5),
        (2.0, 2.0),
        (2.001, None),
        (3600.0, None),
        (-1.0, None),
        (inf, None),
        (nan, None),
    ],
)
def test_a_retry_after_is_waited_for_within_patience(retry_after_s: float | None, wait_s: float | None) -> None:
    assert delay(FailureKind.RATE_LIMITED, retry_after_s=retry_after_s) == wait_s


def test_patience_can_be_set() -> None:
    assert delay(FailureKind.RATE_LIMITED, Settings(retry_after_patience_s=10), retry_after_s=9.0) == 9.0
    assert delay(FailureKind.RATE_LIMITED, Settings(retry_after_patience_s=0), retry_after_s=0.5) is None


def test_a_rate_limit_is_waited_for_at_a_suspicious_target_too() -> None:
    """The limit itself is no ill health, and the provider has said when to come back."""
    assert delay(FailureKind.RATE_LIMITED, retry_after_s=1.0, healthy=False) == 1.0


def test_a_crowd_does_not_come_back_at_the_same_instant() -> None:
    early, late = (delay(FailureKind.RATE_LIMITED, retry_after_s=1.0, draw=draw) for draw in (0.0, 0.999))
    assert early == 1.0
    assert late is not None
    assert 1.04 < late <= 1.05


@pytest.mark.parametrize(
    ("told_s", "waits"), [(1.0, 1.0), (0.1, 0.375), (2.0, 2.0), (2.1, None), (3600.0, None), (-1.0, None)]
)
def test_a_retry_after_on_a_503_is_obeyed_or_the_target_is_left(told_s: float, waits: float | None) -> None:
    failure = Failure(FailureKind.OVERLOADED, retry_after_s=told_s)
    delay_s = retry_delay_s(failure, Settings(backoff_s=0.5), 0, healthy=True, draw=0.5)
    assert delay_s == (None if waits is None else pytest.approx(waits, abs=0.05))
