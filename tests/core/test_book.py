"""The health book: each permit is settled once, evidence is counted once, snapshots stand still."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from failover_core import Failure, FailureKind
from failover_core.events import CircuitChanged, TargetParked
from failover_core.health.book import HealthBook, Permit
from failover_core.health.breaker import PROBE_LEASE_S, Admission, CircuitState
from failover_core.health.habits import MAX_KINDS
from failover_core.health.ratelimit import NO_LIMIT
from failover_core.health.ratelimit_headers import RateLimitFacts
from failover_core.health.suspicion import BAD_OUTPUT_NATS, ERROR_NATS, OVERDUE_NATS
from failover_core.health.traffic import COUNTED_REQUESTS
from failover_core.health.trial import STAND_BACK_REQUESTS, STAND_BACK_S, Trial, trial_of

NOW = 1000.0
ERROR = Failure(FailureKind.SERVER_ERROR, "boom")
ANSWER = ("answer", False, "")
COUNTS = dict.fromkeys(
    (
        "in_flight",
        "asked",
        "asked_tokens",
        "asked_streams",
        "answered",
        "failed",
        "pace_s",
        "paced_s",
        "updated_s",
        "slowness",
    ),
    0,
)


class Book(HealthBook):
    """A book with one target `a` and shorter words for tests."""

    def __init__(self, **options: Any) -> None:
        self.events: list[Any] = []
        super().__init__(["a", "b"], rng=Random(5), emit=self.events.append, **options)

    @property
    def a(self) -> Any:
        return self.snapshot["a"]

    def let_in(self, now: float = NOW, *, force: bool = False) -> Permit:
        permit = self.admit("a", now, force=force)
        assert permit is not None
        return permit

    def error(self, now: float = NOW, permit: Permit | None = None) -> None:
        self.failed(permit or self.let_in(now), now, ERROR, ERROR_NATS, parks=False)

    def tripped(self, now: float = NOW) -> float:
        """Opens the circuit; returns the time when it may be probed."""
        for _ in range(3):
            self.error(now)
        assert self.a.breaker.state is CircuitState.OPEN
        return float(self.a.breaker.until_s)


@pytest.fixture
def book() -> Book:
    return Book()


# -- admitting and settling -----------------------------------------------------------------------------------------


def test_who_is_let_go_while_the_book_is_being_written_is_seen_off_before_the_next_one(book: Book) -> None:
    """The garbage collector may end a forgotten stream in the thread that holds the lock just now."""
    forgotten = book.let_in()
    with book._lock:
        book.cancelled(forgotten, NOW + 1)
    assert forgotten.settled
    book.let_in(NOW + 2)
    assert (book.a.asked, book.a.in_flight) == (2, 1)


def test_a_probe_whose_admission_was_interrupted_leaves_the_door_open() -> None:
    """Somebody presses Ctrl-C while a listener hears of it."""

    def interrupted(event: Any) -> None:
        if event.new == "probing":
            raise KeyboardInterrupt

    book = Book()
    due_s = book.tripped()
    book._emit = interrupted
    with pytest.raises(KeyboardInterrupt):
        book.admit("a", due_s)
    book._emit = book.events.append
    assert (book.a.in_flight, book.a.breaker.state) == (0, CircuitState.OPEN)
    assert book.let_in(due_s).how is Admission.PROBE


def test_counts(book: Book) -> None:
    answered, failed, cancelled, under_way = (book.let_in() for _ in range(4))
    book.answered(answered, NOW + 1)
    book.error(NOW + 1, failed)
    book.cancelled(cancelled, NOW + 1)
    assert (book.a.asked, book.a.answered, book.a.failed, book.a.in_flight) == (4, 1, 1, 1)
    assert not under_way.settled
    assert book.snapshot["b"].asked == 0


@pytest.mark.parametrize("first", ["answered", "failed", "cancelled"])
@pytest.mark.parametrize("second", ["answered", "failed", "cancelled", "note"])
def test_a_permit_is_settled_once(book: Book, first: str, second: str) -> None:
    permit = book.let_in()

    def settle(how: str) -> None:
        if how == "answered":
            book.answered(permit, NOW)
        elif how == "failed":
            book.error(NOW, permit)
        elif how == "cancelled":
            book.cancelled(permit, NOW)
        else:
            book.overdue(permit, NOW, "late")

    settle(first)
    before = book.snapshot
    settle(second)
    assert book.snapshot is before
    assert book.a.in_flight == 0


def test_three_errors_in_a_row_open_the_circuit(book: Book) -> None:
    due_s = book.tripped()
    assert book.admit("a", due_s - 0.01) is None
    assert book.let_in(due_s).how is Admission.PROBE
    assert book.a.breaker.reason == "server_error: boom"


def test_cancellation_is_neither_success_nor_failure(book: Book) -> None:
    book.error()
    before = book.a
    book.cancelled(book.let_in(NOW + 1), NOW + 2)
    assert (book.a.suspicion, book.a.updated_s, book.a.failed, book.a.answered) == (
        before.suspicion,
        before.updated_s,
        before.failed,
        before.answered,
    )


def test_failures_without_evidence_change_no_belief(book: Book) -> None:
    for kind in (FailureKind.INVALID_REQUEST, FailureKind.LOCAL_ERROR, FailureKind.CONTENT_FILTERED):
        for _ in range(20):
            book.failed(book.let_in(), NOW, Failure(kind), 0.0, parks=False)
    assert (book.a.suspicion, book.a.breaker.state, book.a.failed) == (0.0, CircuitState.CLOSED, 60)


def test_a_refused_attempt_is_not_counted(book: Book) -> None:
    due_s = book.tripped()
    before = book.snapshot
    assert book.admit("a", due_s - 1) is None
    assert book.snapshot is before


# -- evidence -------------------------------------------------------------------------------------------------------


def test_lateness_is_evidence_at_once(book: Book) -> None:
    permits = [book.let_in() for _ in range(4)]
    for permit in permits:
        book.overdue(permit, NOW + 10, "no answer in 10.0 s")
    assert book.a.breaker.state is CircuitState.OPEN
    assert book.a.breaker.reason == "no answer in 10.0 s"
    assert book.a.in_flight == 4


def test_what_was_overdue_is_not_counted_again(book: Book) -> None:
    permit = book.let_in()
    book.overdue(permit, NOW, "late")
    book.overdue(permit, NOW, "late")
    assert book.a.suspicion == pytest.approx(OVERDUE_NATS)
    book.error(NOW, permit)
    assert book.a.suspicion == pytest.approx(ERROR_NATS)


def test_a_lesser_failure_of_an_overdue_attempt_adds_nothing(book: Book) -> None:
    permit = book.let_in()
    book.overdue(permit, NOW, "late")
    book.failed(permit, NOW, Failure(FailureKind.INVALID_OUTPUT), BAD_OUTPUT_NATS, parks=False)
    assert book.a.suspicion == pytest.approx(OVERDUE_NATS)


def test_late_results_from_before_a_trip_do_not_move_the_circuit(book: Book) -> None:
    early = [book.let_in() for _ in range(10)]
    due_s = book.tripped()
    until_s = book.a.breaker.until_s
    for permit in early[:5]:
        book.error(NOW + 1, permit)
    assert book.a.breaker.until_s == until_s
    book.answered(book.let_in(due_s), due_s)
    assert book.a.breaker.state is CircuitState.RAMPING
    for permit in early[5:]:
        book.answered(permit, due_s)
    assert (book.a.breaker.state, book.a.breaker.answers) == (CircuitState.RAMPING, 1), "the probe's own"


def test_reports_out_of_order_do_not_turn_time_back(book: Book) -> None:
    """A slow reader settles its stream minutes after the target has ended it."""
    slow = book.let_in(NOW)
    book.error(NOW + 300)
    before = book.a.suspicion
    book.answered(slow, NOW + 5)
    assert book.a.updated_s == NOW + 300
    assert book.a.suspicion < before
    book.error(NOW + 300)
    assert book.a.suspicion < 2 * ERROR_NATS


# -- probes ---------------------------------------------------------------------------------------------------------


def test_only_one_probe_at_a_time(book: Book) -> None:
    due_s = book.tripped()
    book.let_in(due_s)
    assert book.admit("a", due_s + 1) is None
    assert book.let_in(due_s + PROBE_LEASE_S).how is Admission.PROBE


def test_a_small_request_makes_the_cheaper_probe_if_one_comes_soon(book: Book) -> None:
    for tokens in (100, 300):
        permit = book.admit("a", NOW, tokens=tokens)
        assert permit is not None
        book.answered(permit, NOW)
    due_s = book.tripped()
    assert book.admit("a", due_s, tokens=5000) is None
    assert book.admit("a", due_s + STAND_BACK_S - 0.1, tokens=5000) is None
    large = book.admit("a", due_s + STAND_BACK_S, tokens=5000)
    assert large is not None and large.how is Admission.PROBE
    book.cancelled(large, due_s + STAND_BACK_S)
    small = book.admit("a", due_s + STAND_BACK_S, tokens=50)
    assert small is not None and small.how is Admission.PROBE


@pytest.fixture
def streaming_book(book: Book) -> Book:
    """Half of its requests are streams, and five come in a second."""
    for number in range(2 * COUNTED_REQUESTS):
        book.traffic.request_began(NOW - 8.0 + number / 5)
        permit = book.admit("a", NOW, streaming=number % 2 == 0)
        assert permit is not None
        book.answered(permit, NOW)
    return book


def test_where_streams_are_usual_they_make_the_probe(streaming_book: Book) -> None:
    """They tell within seconds; a whole answer that is late might just be long."""
    due_s = streaming_book.tripped()
    assert streaming_book.admit("a", due_s) is None
    stream = streaming_book.admit("a", due_s, streaming=True)
    assert stream is not None and stream.how is Admission.PROBE


def test_a_whole_answer_makes_the_probe_where_no_stream_comes(streaming_book: Book) -> None:
    within_s = STAND_BACK_REQUESTS * streaming_book.traffic.every_s(NOW)
    due_s = streaming_book.tripped()
    assert 1.0 < within_s < STAND_BACK_S
    assert streaming_book.admit("a", due_s + within_s - 0.01) is None
    whole = streaming_book.admit("a", due_s + within_s + 0.01)
    assert whole is not None and whole.how is Admission.PROBE


@pytest.mark.parametrize(
    ("streams", "request_every_s", "stands_back_s"),
    [(0.0, 0.2, 0.0), (0.1, 0.2, 0.0), (0.2, 0.2, 1.6), (0.9, 1.0, 8.0), (0.9, 5.0, 0.0)],
)
def test_a_whole_answer_stands_back_only_where_a_stream_is_likely_to_come_soon(
    streams: float, request_every_s: float, stands_back_s: float
) -> None:
    def trial(streaming: bool) -> Trial:
        return trial_of(0, 0.0, streaming=streaming, streams=streams, request_every_s=request_every_s)

    assert trial(streaming=False).stands_back_s == pytest.approx(stands_back_s)
    assert trial(streaming=True).boost == pytest.approx(1.0 / streams if stands_back_s else 1.0)


def test_the_first_stage_of_a_ramp_is_made_of_streams(streaming_book: Book) -> None:
    """Half of the requests are streams, so twice the share of them is let through, and none of the others."""
    book = streaming_book
    due_s = book.tripped()
    probe = book.admit("a", due_s, streaming=True)
    assert probe is not None
    book.answered(probe, due_s)
    assert book.a.breaker.state is CircuitState.RAMPING

    def passed(*, streaming: bool) -> int:
        permits = [book.admit("a", due_s + 0.1, streaming=streaming) for _ in range(400)]
        for permit in permits:
            if permit is not None:
                book.cancelled(permit, due_s + 0.1)
        return sum(permit is not None for permit in permits)

    assert passed(streaming=False) == 0
    draws = [book.admit("a", due_s + 0.1, streaming=True) is not None for _ in range(8)]
    assert 1 <= sum(draws) <= 6


def test_a_failed_probe_opens_the_circuit_for_longer(book: Book) -> None:
    due_s = book.tripped()
    book.error(due_s, book.let_in(due_s))
    assert book.a.breaker.state is CircuitState.OPEN
    assert book.a.breaker.until_s - due_s > 1.4 * (due_s - NOW) * 0.8 / 1.2


def test_a_probe_that_found_a_bad_request_told_nothing(book: Book) -> None:
    due_s = book.tripped()
    probe = book.let_in(due_s)
    book.failed(probe, due_s, Failure(FailureKind.INVALID_REQUEST), 0.0, parks=False)
    assert book.let_in(due_s).how is Admission.PROBE


def test_a_cancelled_probe_is_told_to_listeners(book: Book) -> None:
    due_s = book.tripped()
    book.cancelled(book.let_in(due_s), due_s + 1)
    changes = [(event.old, event.new, event.reason) for event in book.events]
    assert changes[-2:] == [
        ("open", "probing", "time for a probe"),
        ("probing", "open", "the probe was cancelled"),
    ]


def test_a_forced_attempt_is_not_the_probe(book: Book) -> None:
    due_s = book.tripped()
    forced = book.let_in(due_s - 2, force=True)
    assert forced.how is Admission.FORCED
    assert book.a.breaker.state is CircuitState.OPEN
    assert book.let_in(due_s).how is Admission.PROBE


@pytest.mark.parametrize("end", ["cancelled", "bad request"])
def test_the_end_of_a_forced_attempt_does_not_end_the_probe_s_lease(book: Book, end: str) -> None:
    due_s = book.tripped()
    book.let_in(due_s)
    forced = book.let_in(due_s + 1, force=True)
    if end == "cancelled":
        book.cancelled(forced, due_s + 2)
    else:
        book.failed(forced, due_s + 2, Failure(FailureKind.INVALID_REQUEST), 0.0, parks=False)
    assert book.a.breaker.state is CircuitState.PROBING
    assert book.admit("a", due_s + 3) is None, "two probes at once"


def test_the_success_of_a_forced_attempt_starts_the_ramp(book: Book) -> None:
    due_s = book.tripped()
    book.answered(book.let_in(due_s - 2, force=True), due_s - 1)
    assert book.a.breaker.state is CircuitState.RAMPING
    assert book.a.suspicion == 0.0


def test_a_forced_attempt_passes_a_rate_limit(book: Book) -> None:
    book.failed(book.let_in(), NOW, Failure(FailureKind.RATE_LIMITED, retry_after_s=60.0), 0.0, parks=False)
    assert book.admit("a", NOW + 1) is None
    assert book.let_in(NOW + 1, force=True).how is Admission.FORCED


# -- parking and rate limits ----------------------------------------------------------------------------------------


def test_parking_is_loud_and_lasts(book: Book) -> None:
    wrong_key = Failure(FailureKind.AUTH, "Incorrect API key provided")
    book.failed(book.let_in(), NOW, wrong_key, 0.0, parks=True)
    assert book.admit("a", NOW + 299) is None
    assert book.let_in(NOW + 300).how is Admission.PROBE
    parked = [event for event in book.events if isinstance(event, TargetParked)]
    assert parked == [TargetParked("a", FailureKind.AUTH, "Incorrect API key provided", 300.0)]


def test_a_refused_key_from_before_a_recovery_parks_nobody() -> None:
    """The key has been replaced while a slow request with the old one was under way."""
    book = Book(staged=False)
    slow = book.let_in()
    wrong_key = Failure(FailureKind.AUTH, "Incorrect API key provided")
    book.failed(book.let_in(), NOW, wrong_key, 0.0, parks=True)
    book.answered(book.let_in(NOW + 300), NOW + 301)
    assert book.a.breaker.state is CircuitState.CLOSED
    book.events.clear()
    book.failed(slow, NOW + 302, wrong_key, 0.0, parks=True)
    assert (book.a.breaker.state, book.events) == (CircuitState.CLOSED, [])


def test_a_crowd_with_a_refused_key_parks_once(book: Book) -> None:
    crowd = [book.let_in() for _ in range(10)]
    for number, permit in enumerate(crowd):
        book.failed(permit, NOW + number, Failure(FailureKind.AUTH, f"request {number}: wrong key"), 0.0, parks=True)
    assert book.a.available_in_s(NOW + 9) == 291.0
    assert sum(isinstance(event, TargetParked) for event in book.events) == 1


def test_how_long_a_target_is_parked_can_be_set() -> None:
    book = Book(park_s=20.0)
    book.failed(book.let_in(), NOW, Failure(FailureKind.BILLING), 0.0, parks=True)
    assert book.a.available_in_s(NOW) == 20.0


def test_a_rate_limit_blocks_without_blame(book: Book) -> None:
    book.failed(book.let_in(), NOW, Failure(FailureKind.RATE_LIMITED, retry_after_s=7.0), 0.0, parks=False)
    assert (book.a.suspicion, book.a.breaker.state, book.a.is_healthy(NOW)) == (0.0, CircuitState.CLOSED, True)
    assert book.a.available_in_s(NOW + 2) == 5.0
    assert book.admit("a", NOW + 6.9) is None
    assert book.let_in(NOW + 7).how is Admission.NORMAL


def test_nothing_is_left_of_a_rate_limit_that_has_passed(book: Book) -> None:
    """Otherwise each request would cost twice as much for ever."""
    book.failed(book.let_in(), NOW, Failure(FailureKind.RATE_LIMITED, retry_after_s=0.5), 0.0, parks=False)
    book.answered(book.let_in(NOW + 1.0), NOW + 2.0)
    assert book.a.limit.hits == 1, "two more, soon, would mean a lasting limit"
    book.answered(book.let_in(NOW + 40.0), NOW + 41.0)
    assert book.a.limit is NO_LIMIT
    assert book.a.is_spotless


def test_what_the_headers_say_is_kept_until_it_is_full_again(book: Book) -> None:
    used_up = RateLimitFacts(limit_requests=10, remaining_requests=0, reset_requests_s=20.0)
    book.answered(book.let_in(), NOW + 1.0, facts=used_up)
    assert book.admit("a", NOW + 1.0) is None
    assert book.let_in(NOW + 2.0).how is Admission.NORMAL
    assert book.admit("a", NOW + 2.0) is None
    assert book.a.is_healthy(NOW)
    assert book.let_in(NOW + 1.0, force=True).how is Admission.FORCED


# -- caps -----------------------------------------------------------------------------------------------------------


def test_a_cap_on_attempts_under_way(book: Book) -> None:
    book.add({"a": 2}, {})
    first, second = book.let_in(), book.let_in()
    assert book.admit("a", NOW) is None
    assert book.admit("a", NOW, force=True) is None, "it is there to protect the target: it holds for everybody"
    assert book.a.available_in_s(NOW) > 0.0
    assert book.a.is_healthy(NOW), "to be busy is no illness"
    book.answered(first, NOW + 1.0)
    assert book.a.available_in_s(NOW) == 0.0
    assert book.let_in(NOW + 1.0)
    book.cancelled(second, NOW + 1.0)
    assert book.let_in(NOW + 1.0)
    assert book.a.in_flight == 2


def test_a_cap_leaves_a_due_probe_to_the_next_request(book: Book) -> None:
    book.add({"a": 1}, {})
    due_s = book.tripped()
    forced = book.let_in(due_s - 1.0, force=True)
    assert book.admit("a", due_s) is None
    assert book.a.breaker.state is CircuitState.OPEN
    book.cancelled(forced, due_s)
    assert book.let_in(due_s).how is Admission.PROBE


def test_adding_targets_keeps_what_is_known(book: Book) -> None:
    book.error()
    before = book.a
    book.add({"a": None, "c": 3}, {"a": ["c"], "c": ["a"]})
    assert book.a is before
    assert (book.snapshot["c"].max_concurrent, book.snapshot["c"].asked) == (3, 0)


# -- recovery -------------------------------------------------------------------------------------------------------


def test_fast_recovery_closes_with_the_first_good_answer() -> None:
    book = Book(staged=False)
    due_s = book.tripped()
    book.answered(book.let_in(due_s), due_s + 1.0)
    assert (book.a.breaker.state, book.a.suspicion) == (CircuitState.CLOSED, 0.0)
    assert book.a.breaker.trips == 1.0, "but the trip is remembered"
    again_s = book.tripped(due_s + 2.0)
    assert again_s - (due_s + 2.0) > (due_s - NOW) * 0.8 / 1.2


def test_fast_recovery_needs_a_good_answer() -> None:
    book = Book(staged=False)
    due_s = book.tripped()
    book.error(due_s, book.let_in(due_s))
    assert book.a.breaker.state is CircuitState.OPEN


@pytest.mark.parametrize("began", ["before the trip", "in the ramp"])
def test_what_is_silent_for_ever_does_not_keep_a_target_from_coming_back(book: Book, began: str) -> None:
    early = book.let_in()
    due_s = book.tripped(NOW + 1.0)
    if began == "before the trip":
        book.silent(early, NOW + 1.0, 3.0)
    book.answered(book.let_in(due_s), due_s)
    if began == "in the ramp":
        held = book.let_in(due_s + 1.0)
        book.silent(held, due_s + 2.0, 3.0)
    now = due_s
    while book.a.breaker.state is not CircuitState.CLOSED and now < due_s + 2 * PROBE_LEASE_S:
        now += 1.0
        permit = book.admit("a", now)
        if permit is not None:
            book.answered(permit, now)
    assert book.a.breaker.state is CircuitState.CLOSED
    assert now - due_s < (20.0 if began == "before the trip" else PROBE_LEASE_S + 20.0)
    book.cancelled(early, now)
    assert book.a.pending >= 0.0


# -- what is usual --------------------------------------------------------------------------------------------------


def calls(book: Book, count: int, bad_every: int = 0) -> float:
    """One bad call in so many; returns the end."""
    now = NOW
    for number in range(count):
        now = NOW + 0.2 * number
        if bad_every and number % bad_every == 0:
            book.error(now)
        else:
            book.answered(book.let_in(now), now)
    return now


@pytest.mark.parametrize(("bad_every", "needed"), [(0, 3), (200, 3), (50, 4), (20, 6)])
def test_errors_weigh_less_where_they_are_usual_but_an_outage_still_trips(bad_every: int, needed: int) -> None:
    book = Book()
    now = calls(book, 3000, bad_every)
    assert book.a.breaker.trips == 0.0
    if bad_every:
        assert book.a.usual_rate == pytest.approx(1 / bad_every, rel=0.1)
    errors = 0
    while book.a.breaker.state is CircuitState.CLOSED:
        book.error(now)
        errors += 1
    assert errors == needed


def test_an_old_reputation_fades() -> None:
    book = Book()
    now = calls(book, 3000, 20)
    for _ in range(2):
        for number in range(3000):
            book.answered(book.let_in(now + number), now + number)
        now += 3000
        book.error(now)
        for _ in range(20):
            book.answered(book.let_in(now), now)
    assert book.a.usual_rate < 0.01


def test_an_incident_is_never_taken_for_usual(book: Book) -> None:
    now = calls(book, 500)
    for _ in range(5):
        due_s = book.tripped(now)
        book.answered(book.let_in(due_s), due_s)
        now = due_s
        while book.a.breaker.state is not CircuitState.CLOSED:
            now += 1.0
            permit = book.admit("a", now)
            if permit is not None:
                book.answered(permit, now)
    assert book.a.oddities == 0.0


def test_an_attempt_is_odd_once_however_much_is_said_against_it(book: Book) -> None:
    permit = book.let_in()
    book.overdue(permit, NOW + 5.0, "late")
    book.lost(permit, NOW + 6.0, ERROR_NATS, "b was faster", runs_on=True, hedged=None)
    book.error(NOW + 7.0, permit)
    assert book.a.odd_lately == 1


# -- slow and bad answers -------------------------------------------------------------------------------------------


def test_slow_decoding_is_evidence(book: Book) -> None:
    gap = ("gap", False, "")
    for number in range(60):
        now = NOW + 10.0 * number
        book.answered(book.let_in(now), now, [(("first_token", False, ""), 0.5), (gap, 0.05)])
    book.answered(book.let_in(now), now, [(("first_token", False, ""), 0.5), (gap, 0.6)])
    assert book.a.suspicion == pytest.approx(OVERDUE_NATS)
    for _ in range(3):
        book.answered(book.let_in(now), now, [(("first_token", False, ""), 0.5), (gap, 0.6)])
    assert (book.a.breaker.state, book.a.breaker.reason) == (CircuitState.OPEN, "gap took 0.60 s")


def test_six_bad_outputs_in_a_row_trip(book: Book) -> None:
    for number in range(6):
        assert book.a.breaker.state is CircuitState.CLOSED, number
        bad = Failure(FailureKind.INVALID_OUTPUT, "it repeats itself")
        book.failed(book.let_in(), NOW, bad, BAD_OUTPUT_NATS, parks=False)
    assert book.a.breaker.state is CircuitState.OPEN


# -- health ---------------------------------------------------------------------------------------------------------


def test_doubt_fades_with_time_also_when_nothing_happens(book: Book) -> None:
    book.error()
    book.error()
    assert not book.a.is_healthy(NOW)
    assert book.a.is_healthy(NOW + 600)
    assert book.a.doubt(NOW + 600) < 0.1


def test_an_open_circuit_is_never_healthy(book: Book) -> None:
    book.tripped()
    assert not book.a.is_healthy(NOW + 10_000)


# -- habits ---------------------------------------------------------------------------------------------------------


def test_habits_are_learned_for_each_kind_of_request(book: Book) -> None:
    thinking = ("answer", True, "")
    for _ in range(10):
        book.answered(book.let_in(), NOW, [(ANSWER, 1.0)])
        book.answered(book.let_in(), NOW, [(thinking, 40.0)])
    assert book.habits.own("a", ANSWER).samples == book.habits.own("a", thinking).samples == 10
    assert book.habits.own("a", ANSWER).mean < book.habits.own("a", thinking).mean
    assert book.habits.own("b", ANSWER).samples == 0


def test_nothing_is_learned_while_the_target_is_suspicious(book: Book) -> None:
    """Else a slow decline would become the new normal (the boiling frog)."""
    book.error()
    book.error()
    book.answered(book.let_in(), NOW, [(ANSWER, 60.0)])
    assert book.habits.own("a", ANSWER).samples == 0
    book.answered(book.let_in(NOW + 900), NOW + 900, [(ANSWER, 1.0)])
    assert book.habits.own("a", ANSWER).samples == 1


def test_labels_made_up_for_each_request_do_not_fill_the_memory(book: Book) -> None:
    for number in range(10 * MAX_KINDS):
        book.answered(book.let_in(), NOW, [(("answer", False, f"user {number}"), 1.0)])
    assert len(book.habits._habits["a"]) == MAX_KINDS


# -- retry budget ---------------------------------------------------------------------------------------------------


def test_the_retry_budget_is_spent_and_refilled(book: Book) -> None:
    assert [book.traffic.spend_retry() for _ in range(21)] == [True] * 20 + [False]
    for _ in range(3):
        book.traffic.request_began()
    assert not book.traffic.spend_retry()
    book.traffic.request_began()
    assert book.traffic.spend_retry()


def test_the_retry_budget_has_a_ceiling(book: Book) -> None:
    for _ in range(1000):
        book.traffic.request_began()
    assert book.traffic.retries_left == 20.0


def test_no_retry_budget_means_no_retries() -> None:
    book = Book(retry_budget_tokens=0.0)
    book.traffic.request_began()
    assert not book.traffic.spend_retry()


# -- events and snapshots -------------------------------------------------------------------------------------------


def test_events_tell_each_change_of_a_circuit_once(book: Book) -> None:
    due_s = book.tripped()
    book.answered(book.let_in(due_s), due_s)
    changes = [event for event in book.events if isinstance(event, CircuitChanged)]
    assert [(event.target, event.old, event.new) for event in changes] == [
        ("a", "closed", "open"),
        ("a", "open", "probing"),
        ("a", "probing", "ramping"),
    ]
    assert changes[0].reason == "server_error: boom"
    assert changes[0].until_s == pytest.approx(due_s - NOW)
    assert changes[1].until_s is None


def test_a_listener_may_ask_the_book(book: Book) -> None:
    """Events are told outside the lock."""
    seen = []
    book._emit = lambda event: seen.append(book.admit("b", NOW))  # type: ignore[method-assign]
    book.tripped()
    assert seen[0] is not None


def beliefs(snapshot: Any) -> Any:
    """Without what each attempt changes: counts and pace."""
    return {name: replace(state, **COUNTS) for name, state in snapshot.items()}


def test_what_is_believed_in_a_published_snapshot_never_changes(book: Book) -> None:
    book.answered(book.let_in(), NOW)
    snapshot = book.snapshot
    picture = deepcopy(beliefs(snapshot))
    due_s = book.tripped(NOW + 1)
    book.answered(book.let_in(due_s), due_s, [(ANSWER, 1.0)])
    assert beliefs(snapshot) == picture
    assert beliefs(book.snapshot) != picture
    assert snapshot["b"] is book.snapshot["b"], "what has not changed is shared"


def test_many_threads_leave_no_permit_behind(book: Book) -> None:
    def work(number: int) -> None:
        rng = Random(number)
        for _ in range(200):
            permit = book.admit("a", NOW, force=True)
            assert permit is not None
            outcome = rng.randrange(3)
            if outcome == 0:
                book.answered(permit, NOW, [(ANSWER, 1.0)])
            elif outcome == 1:
                book.error(NOW, permit)
            else:
                book.cancelled(permit, NOW)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert (book.a.in_flight, book.a.asked) == (0, 1600)


def test_the_silence_of_who_was_forced_past_a_probe_does_not_fail_the_probe(book: Book) -> None:
    """With every circuit open, requests are forced past the one that is being probed, and some take their time."""
    due_s = book.tripped()
    probe = book.let_in(due_s)
    forced = book.let_in(due_s + 0.1, force=True)
    assert (probe.how, forced.how) == (Admission.PROBE, Admission.FORCED)
    book.silent(forced, due_s + 1.0, 0.5)
    assert book.a.breaker.state is CircuitState.PROBING
    book.answered(probe, due_s + 1.2)
    assert book.a.breaker.state is CircuitState.RAMPING


def test_a_clock_of_another_loop_that_is_far_behind(book: Book) -> None:
    book.answered(book.let_in(NOW), NOW, [(ANSWER, 1.0)])
    book.answered(book.let_in(NOW - 1e6), NOW - 1e6, [(ANSWER, 0.5)])
    assert book.a.pace_s == pytest.approx(1.0)
    assert book.a.in_flight == 0
