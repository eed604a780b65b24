"""How long may an attempt take before another target is asked as well?"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from failover_core import RequestInfo, Settings, Target
from failover_core.health.book import HealthBook
from failover_core.limits import PROBE_HEAD_START_S, Limit, limit_for, stall_limit_s

TARGET = Target("a", call=lambda request: None)
NOW = 1000.0


def book_that_knows(what: str = "answer", seconds: float = 1.0, samples: int = 20, **key: Any) -> HealthBook:
    book = HealthBook(["a"], rng=Random(1), emit=lambda event: None)
    for number in range(samples):
        permit = book.admit("a", NOW)
        assert permit is not None
        taught = (what, key.get("thinking", False), key.get("task", ""))
        book.answered(permit, NOW + number * seconds, [(taught, seconds)])
    return book


UNKNOWN = book_that_knows(samples=0)


def limit(
    settings: Settings | None = None,
    info: RequestInfo | None = None,
    book: HealthBook = UNKNOWN,
    *,
    streaming: bool = False,
    probing: bool = False,
    remaining_s: float | None = None,
) -> Limit | None:
    found = whole_limit(settings, info, book, streaming, probing, remaining_s)
    return None if found is None else replace(found, usual_s=0.0)


def whole_limit(
    settings: Settings | None = None,
    info: RequestInfo | None = None,
    book: HealthBook = UNKNOWN,
    streaming: bool = False,
    probing: bool = False,
    remaining_s: float | None = None,
) -> Limit | None:
    return limit_for(
        TARGET,
        info or RequestInfo(),
        settings or Settings(),
        book,
        streaming=streaming,
        probing=probing,
        remaining_s=remaining_s,
    )


@pytest.mark.parametrize(
    ("info", "streaming", "seconds"),
    [
        (RequestInfo(), True, 10.0),
        (RequestInfo(), False, 30.0),
        (RequestInfo(thinking=True), False, 60.0),
        (RequestInfo(max_output_tokens=4096), False, 30.0),
        (RequestInfo(max_output_tokens=4097), False, 60.0),
    ],
)
def test_the_pinned_values_until_something_is_learned(info: RequestInfo, streaming: bool, seconds: float) -> None:
    assert limit(info=info, streaming=streaming) == Limit(seconds)


def test_learned_from_the_target_s_own_habit() -> None:
    learned = limit(book=book_that_knows("answer", 2.0))
    assert learned is not None
    assert 2.0 < learned.seconds < 6.0


@pytest.mark.parametrize(
    "info", [RequestInfo(thinking=True), RequestInfo(task="summary")], ids=["thinking", "another task"]
)
def test_a_habit_counts_for_its_own_kind_of_request_only(info: RequestInfo) -> None:
    book = book_that_knows("answer", 1.0)
    assert limit(info=info, book=book) == limit(info=info)


def test_streams_and_answers_have_habits_of_their_own() -> None:
    assert limit(book=book_that_knows("first_token", 0.5)) == Limit(30.0)
    assert limit(book=book_that_knows("answer", 0.5), streaming=True) == Limit(10.0)


@pytest.mark.parametrize(("field", "streaming"), [("first_token_s", True), ("answer_s", False)])
def test_a_given_limit_goes_before_a_learned_one(field: str, streaming: bool) -> None:
    book = book_that_knows("first_token" if streaming else "answer", 1.0)
    assert limit(Settings(**{field: 7.0}), book=book, streaming=streaming) == Limit(7.0)


def test_without_racing_only_a_given_limit_counts_and_it_kills() -> None:
    assert limit(Settings(hedge="off")) is None
    assert limit(Settings(hedge="off", answer_s=5.0)) == Limit(5.0, kills=True)
    assert limit(Settings(hedge="off", first_token_s=5.0), streaming=False) is None


def test_side_effects_are_never_raced() -> None:
    once = RequestInfo(side_effects=True)
    assert limit(info=once) is None
    assert limit(Settings(answer_s=5.0), once) == Limit(5.0, kills=True)


def test_half_of_the_time_left_is_kept_for_the_next_target() -> None:
    assert limit(remaining_s=20.0) == Limit(10.0, counts=False)
    assert limit(remaining_s=60.0) == Limit(30.0)
    assert limit(remaining_s=600.0) == Limit(30.0)


def test_a_probe_is_raced_after_a_short_head_start() -> None:
    assert limit(probing=True) == Limit(PROBE_HEAD_START_S, counts=False)


def test_the_head_start_follows_the_target_s_habit() -> None:
    raced = limit(probing=True, book=book_that_knows("answer", 4.0))
    assert raced is not None
    assert raced.seconds == pytest.approx(6.0)
    assert not raced.counts


def test_a_deadline_does_not_make_a_probe_wait_longer() -> None:
    assert limit(probing=True, remaining_s=20.0) == Limit(PROBE_HEAD_START_S, counts=False)
    assert limit(probing=True, remaining_s=1.0) == Limit(0.5, counts=False)


@pytest.mark.parametrize(
    "shortened", [{"probing": True}, {"remaining_s": 20.0}, {"probing": True, "remaining_s": 20.0}, {}]
)
def test_what_the_limit_would_be_without_head_start_and_deadline(shortened: dict[str, Any]) -> None:
    found = whole_limit(**shortened)
    assert found is not None
    assert found.usual_s == 30.0


def test_stalls_are_ten_seconds_until_something_is_learned() -> None:
    assert stall_limit_s(TARGET, RequestInfo(), Settings(), UNKNOWN) == 10.0


def test_stalls_are_thirty_usual_gaps() -> None:
    slow = book_that_knows("gap", 0.5)
    assert stall_limit_s(TARGET, RequestInfo(), Settings(), slow) == pytest.approx(15.0)
    assert stall_limit_s(TARGET, RequestInfo(task="other"), Settings(), slow) == 10.0


def test_a_given_stall_limit_goes_before_a_learned_one() -> None:
    assert stall_limit_s(TARGET, RequestInfo(), Settings(stall_s=2.5), book_that_knows("gap", 0.5)) == 2.5
