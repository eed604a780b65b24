"""The life of one request, stepped by hand: no I/O, no threads, no clock. Each line of a test is one event."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from failover_core import (
    AllTargetsFailed,
    ConfigError,
    DeadlineExceeded,
    FailureKind,
    NoTargetAvailable,
    OutputRejected,
    RequestInfo,
    RequestRejected,
    StreamInterrupted,
    Target,
)
from failover_core.effects import Returned
from failover_core.health.breaker import CircuitState
from failover_core.stream.inlet import LAST_WORDS_S
from failover_core.testing.scripted import Finish, ScriptedError
from failover_core.trace import Seam
from stepping import START_S, Stepper, failover_of, scripted

FOX = "The quick brown fox jumps over the lazy dog and then it sleeps all day"
SHOWN, REST = FOX[:44], FOX[44:]
DOWN = ScriptedError(503)
BROKEN = ConnectionResetError(104, "Connection reset by peer")


def in_flight(request: Stepper) -> int:
    return sum(state.in_flight for state in request.failover._book.snapshot.values())


def make_overdue(request: Stepper) -> None:
    request.times_out()
    assert request.trace.attempts[-1].why == "overdue"


# -- one answer -----------------------------------------------------------------------------------------------------


def test_the_first_answer_is_the_answer() -> None:
    request = Stepper(failover_of("a", "b"))
    assert request.started == ["a"]
    request.returns("a", "hello", after_s=1.5)
    assert (request.done, request.result) == (True, "hello")
    assert request.verdicts == [("a", "first", "answered")]
    assert (request.trace.elapsed_s, request.trace.attempts[0].elapsed_s) == (1.5, 1.5)
    assert request.health("a").answered == 1


def test_errors_come_in_as_values_and_another_target_is_asked() -> None:
    request = Stepper(failover_of("a", "b", same_target_retries=0))
    request.fails("a", DOWN, after_s=0.2)
    request.returns("b", "hello", after_s=0.3)
    assert request.result == "hello"
    assert request.verdicts == [("a", "first", "next"), ("b", "failed over", "answered")]
    assert request.trace.attempts[0].kind is FailureKind.OVERLOADED
    assert request.trace.attempts[1].started_s == pytest.approx(0.2)


def test_a_passing_fault_is_tried_again_after_a_wait() -> None:
    request = Stepper(failover_of("a", "b", backoff_s=1.0))
    request.fails("a", DOWN)
    assert request.started == ["a"], "first it waits"
    assert request.until_s is not None
    assert START_S + 0.5 <= request.until_s <= START_S + 1.0
    request.times_out()
    assert request.started == ["a", "a"]
    request.returns("a", "hello")
    assert request.verdicts == [("a", "first", "retry"), ("a", "retry", "answered")]


def test_a_circuit_that_opened_in_the_meantime_is_not_waited_for() -> None:
    """Other requests have just found out that the target is down: nobody waits to knock at a closed door."""
    failover = failover_of("a", "b")
    requests = [Stepper(failover) for _ in range(4)]
    for request in requests[:3]:
        request.fails("a", DOWN)
    assert requests[2].health("a").breaker.state is CircuitState.OPEN
    assert requests[2].started == ["a", "b"]
    budget = failover._book.traffic.retries_left
    requests[3].fails("a", DOWN)
    assert requests[3].started == ["a", "b"]
    assert failover._book.traffic.retries_left == budget


def test_rubbish_moves_on() -> None:
    request = Stepper(failover_of("a", "b"))
    request.returns("a", "")
    request.returns("b", "sense")
    assert request.result == "sense"
    assert request.trace.attempts[0].kind is FailureKind.INVALID_OUTPUT


def test_a_validator_can_refuse() -> None:
    def without_numbers(finished: Any) -> None:
        if any(character.isdigit() for character in finished.text):
            raise OutputRejected("there are numbers in it")

    request = Stepper(failover_of("a", "b", validators=(without_numbers,)))
    request.returns("a", "42")
    request.returns("b", "forty-two")
    assert request.result == "forty-two"
    assert request.trace.attempts[0].failure is not None
    assert request.trace.attempts[0].failure.message == "there are numbers in it"


def test_a_bug_in_a_validator_is_told_and_blames_no_target() -> None:
    def buggy(finished: Any) -> None:
        raise KeyError("score")

    request = Stepper(failover_of("a", "b", validators=(buggy,)))
    request.returns("a", "hello")
    assert isinstance(request.error, RequestRejected)
    assert isinstance(request.error.__cause__, KeyError)
    assert request.started == ["a"]
    assert request.health("a").suspicion == 0.0


def test_usage_and_model_are_kept_in_the_trace() -> None:
    class Reader:
        expects_finish = False
        usage_adds_up = False

        def read(self, output: Any) -> Any:
            from failover_core.output import Reading

            return Reading("x", has_content=True, usage={"output_tokens": 3}, model="m-2024-08")

    request = Stepper(failover_of(scripted("a", reader=Reader(), model="m")))
    request.returns("a", object())
    assert (request.trace.attempts[0].usage, request.trace.attempts[0].model) == ({"output_tokens": 3}, "m-2024-08")
    assert request.trace.as_dict()["model"] == "m-2024-08"


# -- who is asked ---------------------------------------------------------------------------------------------------


def test_max_attempts() -> None:
    request = Stepper(failover_of("a", "b", "c", "d", "e", max_attempts=3))
    for name in ("a", "b", "c"):
        request.fails(name, DOWN)
    assert request.started == ["a", "b", "c"]
    assert isinstance(request.error, AllTargetsFailed)
    assert "no attempt was left for it" in request.trace.skipped["d"]


def test_attempts_are_kept_for_other_targets_rather_than_spent_on_retries() -> None:
    request = Stepper(failover_of("a", "b", max_attempts=2))
    request.fails("a", DOWN)
    assert request.started == ["a", "b"]


def test_nobody_can_take_the_request() -> None:
    request = Stepper(
        failover_of(scripted("a", lacks=frozenset({"images"}))), info=RequestInfo(needs=frozenset({"images"}))
    )
    assert isinstance(request.error, NoTargetAvailable)
    assert request.trace.skipped == {"a": "it cannot do images"}
    assert request.started == []


def test_the_retry_budget_ends_the_third_and_later_attempts() -> None:
    failover = failover_of("a", "b", "c", retry_budget_tokens=0)
    request = Stepper(failover)
    request.fails("a", DOWN)
    request.fails("b", DOWN)
    assert request.started == ["a", "b"], "a switch to a healthy target is free, and only that"
    assert request.trace.skipped["c"] == "the retry budget is spent"
    assert isinstance(request.error, AllTargetsFailed)


def test_a_door_that_does_not_open_costs_no_retry_budget() -> None:
    """A ramping target may refuse by draw; the token is for an attempt, and none was made."""

    class Unlucky(Random):
        def random(self) -> float:
            return 0.9

    failover = failover_of("a", "b", "c", same_target_retries=0, rng=Unlucky())
    trip(failover, "b")
    ramp(failover, "b")
    budget = failover._book.traffic.retries_left
    request = Stepper(failover, now=START_S + 20.0)
    request.fails("a", DOWN)
    assert request.started == ["a", "c"]
    assert failover._book.traffic.retries_left == budget


def trip(failover: Any, name: str, now: float = START_S) -> None:
    for _ in range(3):
        permit = failover._book.admit(name, now, force=True)
        failover._book.failed(permit, now, failover._desk.classify(DOWN), 3.4, parks=False)
    assert failover._book.snapshot[name].breaker.state is CircuitState.OPEN


def ramp(failover: Any, name: str, now: float = START_S + 19.9) -> None:
    failover._book.answered(failover._book.admit(name, now), now)
    assert failover._book.snapshot[name].breaker.state is CircuitState.RAMPING


def test_with_every_circuit_open_one_attempt_goes_to_the_one_due_soonest() -> None:
    failover = failover_of("a", "b", "c")
    trip(failover, "a", START_S)
    trip(failover, "b", START_S - 3.0)
    trip(failover, "c", START_S)
    request = Stepper(failover, now=START_S)
    assert request.started == ["b"]
    request.fails("b", DOWN)
    assert isinstance(request.error, AllTargetsFailed)
    assert request.verdicts == [("b", "last resort", "next")]
    assert "its circuit is open for another" in request.trace.skipped["a"]


def test_a_rate_limited_target_is_called_rate_limited() -> None:
    failover = failover_of("a", "b")
    book = failover._book
    limited = failover._desk.classify(ScriptedError(429, headers={"retry-after": "60"}))
    permit = book.admit("b", START_S)
    assert permit is not None
    book.failed(permit, START_S, limited, 0.0, parks=False)
    request = Stepper(failover)
    request.fails("a", ScriptedError(400, "Invalid value for 'temperature'"))
    assert request.trace.skipped == {"b": "rate limited for another 60.0 s"}


def test_a_request_that_was_refused_does_not_say_that_attempts_were_missing() -> None:
    request = Stepper(failover_of("a", "b"))
    request.fails("a", ScriptedError(400, "Invalid value for 'temperature'"))
    assert isinstance(request.error, RequestRejected)
    assert request.trace.skipped == {"b": "nobody else may be asked"}


# -- racing ---------------------------------------------------------------------------------------------------------


def test_a_late_attempt_is_raced_and_the_first_answer_wins() -> None:
    request = Stepper(failover_of("a", "b"))
    assert request.until_s == START_S + 30.0
    make_overdue(request)
    assert request.started == ["a", "b"]
    assert request.health("a").suspicion == pytest.approx(2.7)
    request.returns("b", "hello", after_s=2.0)
    assert (request.result, request.cancelled) == ("hello", ["a"])
    assert request.verdicts == [("a", "first", "lost"), ("b", "overdue", "answered")]
    assert request.trace.attempts[0].overdue


def test_a_silent_target_is_found_out_under_a_tight_deadline_too() -> None:
    """Half of the deadline comes before the cold limit, so lateness is no evidence; but to be outrun each time is."""
    failover = failover_of("a", "b", deadline_s=20.0)
    now = START_S
    asked = []
    for _ in range(7):
        request = Stepper(failover, now=now)
        if request.started == ["a"]:
            request.times_out()
        request.returns("b", "hello", after_s=1.0)
        asked.append(request.started)
        now = request.now
    assert asked == [["a", "b"]] * 6 + [["b"]]
    assert request.health("a").breaker.reason == "b was faster"
    assert request.health("a").failed == 0


def test_the_one_that_was_asked_later_is_never_blamed_for_losing() -> None:
    request = Stepper(failover_of("a", "b", "c", deadline_s=20.0))
    make_overdue(request)
    make_overdue(request)
    request.returns("a", "at last", after_s=1.0)
    assert request.verdicts == [("a", "first", "answered"), ("b", "overdue", "lost"), ("c", "overdue", "lost")]
    assert request.health("b").suspicion == request.health("c").suspicion == 0.0


def test_the_late_one_may_win_its_race() -> None:
    request = Stepper(failover_of("a", "b"))
    make_overdue(request)
    request.returns("a", "at last", after_s=1.0)
    assert (request.result, request.cancelled) == ("at last", ["b"])
    assert request.health("b").asked == 1
    assert request.health("b").failed == request.health("b").answered == 0


def test_in_a_race_a_failure_leaves_the_other_one_running() -> None:
    request = Stepper(failover_of("a", "b"))
    make_overdue(request)
    request.fails("b", DOWN)
    assert not request.done
    request.returns("a", "at last", after_s=0.1)
    assert request.result == "at last"


def test_in_a_race_with_a_late_one_a_passing_failure_is_tried_again() -> None:
    """The late one may never answer, and nobody else is left."""
    request = Stepper(failover_of("a", "b"))
    make_overdue(request)
    request.fails("b", DOWN)
    request.times_out()
    assert request.started == ["a", "b", "b"]
    request.returns("b", "fine")
    assert (request.result, request.cancelled) == ("fine", ["a"])


def test_three_in_a_race() -> None:
    request = Stepper(failover_of("a", "b", "c"))
    make_overdue(request)
    make_overdue(request)
    assert request.started == ["a", "b", "c"]
    request.times_out()
    assert not request.trace.attempts[-1].overdue, "nobody is left who could be asked instead"
    assert request.until_s is None
    request.returns("c", "hello", after_s=5.0)
    assert sorted(request.cancelled) == ["a", "b"]
    assert in_flight(request) == 0


def test_a_refusal_in_a_race_names_the_target_that_refused() -> None:
    request = Stepper(failover_of("a", "b"))
    make_overdue(request)
    request.fails("a", ScriptedError(400, "Invalid value for 'temperature'"))
    assert isinstance(request.error, RequestRejected)
    assert str(request.error).startswith("a refused the request (invalid_request): ")


def test_a_far_off_retry_does_not_bar_the_way_to_who_is_free_sooner() -> None:
    request = Stepper(failover_of("a", "b", scripted("c", max_concurrent=1)))
    busy = request.failover._book.admit("c", request.now)
    assert busy is not None
    make_overdue(request)
    request.fails("b", ScriptedError(429, headers={"retry-after": "600"}))
    request.failover._book.answered(busy, request.now)
    request.times_out()
    assert request.started == ["a", "b", "c"]
    assert request.now < START_S + 60.0


def test_a_planned_retry_is_not_forgotten_for_another_one() -> None:
    request = Stepper(failover_of("a", "b"))
    make_overdue(request)
    request.fails("b", DOWN)
    assert request.verdicts[1] == ("b", "overdue", "retry")
    request.fails("a", DOWN)
    request.times_out()
    assert request.started == ["a", "b", "b"]


def test_who_failed_late_is_asked_again_when_the_second_is_silent() -> None:
    request = Stepper(failover_of("a", "b"))
    make_overdue(request)
    request.times_out()
    request.fails("a", DOWN, after_s=60.0)
    assert request.until_s == request.now
    request.times_out()
    assert request.started == ["a", "b", "a"]
    request.returns("a", "well again")
    assert (request.result, request.cancelled) == ("well again", ["b"])


REFUSED = ScriptedError(400, "Unsupported parameter: 'temperature'")


def refused_by_the_second(*names: str) -> Stepper:
    request = Stepper(failover_of(*names))
    make_overdue(request)
    request.fails("b", REFUSED)
    assert (request.started, request.done) == (["a", "b"], False)
    return request


def test_a_refusal_of_the_second_does_not_end_a_request_that_the_first_may_still_answer() -> None:
    request = refused_by_the_second("a", "b", "c")
    request.returns("a", "hello", after_s=1.0)
    assert (request.result, request.started) == ("hello", ["a", "b"])


def test_a_refusal_of_the_second_decides_when_the_first_fails_too() -> None:
    request = refused_by_the_second("a", "b", "c")
    request.fails("a", DOWN)
    assert isinstance(request.error, RequestRejected)
    assert str(request.error).startswith("b refused the request (invalid_request): ")
    assert request.started == ["a", "b"], "nobody else is asked"


def test_a_refusal_of_the_second_decides_when_the_first_has_been_silent_for_as_long_again() -> None:
    request = refused_by_the_second("a", "b", "c")
    assert request.until_s == START_S + 2.0 * (request.now - START_S)
    request.times_out()
    assert isinstance(request.error, RequestRejected)
    assert in_flight(request) == 0
    assert request.verdicts == [("a", "first", "cancelled"), ("b", "overdue", "next")]


def test_a_refusal_of_the_second_waits_for_a_first_that_is_speaking() -> None:
    request = Stepper(failover_of("a", "b"), "stream", RequestInfo(json="any", structured=True))
    make_overdue(request)
    request.fails("b", REFUSED)
    for _ in range(20):
        request.sends("a", "1", after_s=5.0)
    assert not request.done
    request.sends("a", Finish())
    request.ends("a")
    assert (request.error, request.emitted[0]) == (None, "1")


def test_a_retry_that_was_planned_before_a_refusal_is_dropped() -> None:
    request = Stepper(failover_of("a", "b", "c"))
    make_overdue(request)
    make_overdue(request)
    request.fails("c", DOWN)
    assert request.verdicts[2] == ("c", "overdue", "retry")
    request.fails("b", REFUSED)
    request.times_out()
    assert request.started == ["a", "b", "c"]
    assert isinstance(request.error, RequestRejected)


def test_a_stream_that_has_won_after_a_refusal_may_be_gone_on_with() -> None:
    request = Stepper(failover_of("a", "b", "c", hold_back_tokens=1, hold_back_s=0.0), "stream")
    request.times_out()
    assert request.started == ["a", "b"]
    request.fails("b", REFUSED)
    request.sends("a", "The quick brown fox jumps over ")
    request.fails("a", DOWN)
    assert request.started == ["a", "b", "c"]


def test_when_a_race_ends_in_an_error_nobody_is_left_running_in_the_record() -> None:
    heard: list[Any] = []
    request = Stepper(failover_of("a", "b", on_event=heard.append))
    make_overdue(request)
    request.fails("a", ScriptedError(400, "Invalid value for 'temperature'"))
    assert request.verdicts == [("a", "first", "raise"), ("b", "overdue", "cancelled")]
    assert "not over" not in str(request.error)
    assert [type(event).__name__ for event in heard].index("RequestLost") == len(heard) - 1


def test_what_was_given_up_is_not_listened_to() -> None:
    request = Stepper(failover_of("a", "b", hedge="off", answer_s=5.0))
    request.times_out()
    assert (request.cancelled, request.started) == (["a"], ["a", "b"])
    request.late(1, Returned(1, "too late", request.now))
    assert not request.done
    request.returns("b", "hello")
    assert request.result == "hello"


def test_a_killed_attempt_counts_as_one_full_error() -> None:
    request = Stepper(failover_of("a", "b", hedge="off", answer_s=5.0))
    request.times_out()
    assert request.health("a").suspicion == pytest.approx(3.4)
    assert request.verdicts[0] == ("a", "first", "next")


def test_the_last_candidate_may_take_for_ever() -> None:
    request = Stepper(failover_of("a"))
    assert request.until_s is None
    request.returns("a", "hello", after_s=5000.0)
    assert request.result == "hello"


JSON = RequestInfo(json="any", structured=True)


@pytest.mark.parametrize("names", [("a",), ("a", "b")])
def test_withheld_output_is_whole_when_all_is_said_although_the_connection_stays_open(names: Any) -> None:
    request = Stepper(failover_of(*names), "stream", JSON)
    request.sends("a", '{"a": 1}', Finish())
    assert request.until_s == request.now + LAST_WORDS_S
    request.times_out()
    assert (request.error, request.emitted) == (None, ['{"a": 1}', Finish()])
    assert (request.started, request.cancelled) == (["a"], ["a"])
    assert request.health("a").suspicion == 0.0


def test_what_is_said_is_judged_although_the_connection_stays_open() -> None:
    request = Stepper(failover_of("a", "b"), "stream", JSON)
    request.sends("a", '{"a": ', Finish())
    request.times_out()
    assert request.verdicts[0] == ("a", "first", "next")
    assert request.started == ["a", "b"]


def test_a_given_stall_s_holds_for_the_last_one_too() -> None:
    request = Stepper(failover_of("a", stall_s=5.0), "stream", JSON)
    request.sends("a", '{"a": ')
    assert request.until_s == request.now + 5.0
    request.times_out()
    assert isinstance(request.error, AllTargetsFailed)
    assert "silent for 5.0 s inside the stream" in str(request.error)
    assert request.cancelled == ["a"]


def test_a_given_stall_s_holds_for_all_who_have_raced() -> None:
    request = Stepper(failover_of("a", "b", stall_s=5.0), "stream", JSON)
    request.sends("a", '{"a": ')
    request.times_out()
    request.sends("b", '{"b": ')
    assert request.cancelled == [], "the first may still be the first"
    while not request.done:
        request.times_out()
    assert isinstance(request.error, AllTargetsFailed)
    assert request.now == START_S + 10.0
    assert sorted(request.cancelled) == ["a", "b"]


def test_a_given_stall_s_is_raced_where_somebody_is_left() -> None:
    request = Stepper(failover_of("a", "b", stall_s=5.0), "stream", JSON)
    request.sends("a", '{"a": ')
    request.times_out()
    assert (request.started, request.cancelled) == (["a", "b"], [])


# -- deadline -------------------------------------------------------------------------------------------------------


def test_half_of_the_deadline_is_kept_for_the_next_target() -> None:
    request = Stepper(failover_of("a", "b", deadline_s=8.0))
    assert request.until_s == START_S + 4.0
    request.times_out()
    assert request.started == ["a", "b"]
    request.times_out()
    assert not request.done, "there is nobody else, and time is left"
    request.times_out()
    assert isinstance(request.error, DeadlineExceeded)
    assert request.now == START_S + 8.0
    assert [verdict for _, _, verdict in request.verdicts] == ["cancelled", "cancelled"]
    assert in_flight(request) == 0
    assert request.health("a").suspicion == request.health("b").suspicion == 0.0


def test_the_smaller_deadline_holds() -> None:
    tighter = Stepper(failover_of("a", deadline_s=60.0), info=RequestInfo(deadline_s=3.0))
    looser = Stepper(failover_of("a", deadline_s=3.0), info=RequestInfo(deadline_s=60.0))
    assert tighter.until_s == looser.until_s == START_S + 3.0


def test_targets_are_told_how_much_time_is_left() -> None:
    request = Stepper(failover_of("a", "b", deadline_s=10.0, same_target_retries=0))
    request.fails("a", DOWN, after_s=3.0)
    assert [start.context.remaining_s for start in request.starts] == [10.0, 7.0]
    assert [start.context.number for start in request.starts] == [1, 2]
    assert Stepper(failover_of("a")).starts[0].context.remaining_s is None


def test_nobody_waits_beyond_the_deadline_for_a_retry() -> None:
    request = Stepper(failover_of("a", deadline_s=1.0, backoff_s=10.0))
    request.fails("a", DOWN)
    assert isinstance(request.error, AllTargetsFailed)


def test_nothing_is_started_after_the_deadline() -> None:
    """A failure that arrives late must not start an attempt that nobody waits for, and that costs money."""
    request = Stepper(failover_of("a", "b", deadline_s=8.0, same_target_retries=0))
    request.until_s = None  # the driver was held up
    request.fails("a", DOWN, after_s=9.0)
    assert request.started == ["a"]
    assert isinstance(request.error, DeadlineExceeded)
    assert request.error.__cause__ is DOWN


@pytest.mark.parametrize("left_s", [0.0, -5.0])
def test_a_deadline_that_has_passed_already_asks_nobody(left_s: float) -> None:
    request = Stepper(failover_of("a", "b"), info=RequestInfo(deadline_s=left_s))
    assert request.started == []
    assert isinstance(request.error, DeadlineExceeded)


def test_an_answer_that_is_already_there_is_not_thrown_away_by_the_deadline() -> None:
    request = Stepper(failover_of("a", deadline_s=8.0))
    request.until_s = None
    request.returns("a", "hello", after_s=8.5)
    assert request.result == "hello"


# -- streams --------------------------------------------------------------------------------------------------------


def streaming(*targets: Target | str, info: RequestInfo | None = None, **settings: Any) -> Stepper:
    return Stepper(failover_of(*targets, **{"hold_back_tokens": 2, **settings}), "stream", info)


def test_the_start_of_a_stream_is_held_back() -> None:
    request = streaming("a", "b")
    request.sends("a", "The ")
    assert request.emitted == []
    assert request.until_s == START_S + 0.3
    request.sends("a", "quick ", after_s=0.1)
    assert request.emitted == ["The ", "quick "]
    request.sends("a", "brown fox")
    request.finishes("a")
    assert request.emitted == ["The ", "quick ", "brown fox", Finish()]
    assert request.done
    assert request.error is None
    assert request.trace.attempts[0].first_token_s == 0.0


def test_a_slow_start_is_shown_after_a_moment() -> None:
    request = streaming("a", "b")
    request.sends("a", "I", after_s=1.0)
    request.times_out()
    assert (request.now, request.emitted) == (START_S + 1.3, ["I"])


def test_an_early_fault_is_invisible() -> None:
    request = streaming("a", "b", same_target_retries=0)
    request.sends("a", "The ")
    request.fails("a", BROKEN)
    request.sends("b", "A different ", "text")
    request.finishes("b")
    assert request.emitted == ["A different ", "text", Finish()]
    assert request.trace.seams == []


def test_a_short_stream_without_its_finish_marker_is_never_shown() -> None:
    request = streaming("a", "b")
    request.sends("a", "The ")
    request.ends("a")
    assert request.emitted == []
    assert request.trace.attempts[0].kind is FailureKind.STREAM_BROKEN
    assert request.started == ["a", "b"]


def test_a_broken_stream_is_joined_to_another_target_s_answer() -> None:
    request = streaming("a", "b")
    request.sends("a", SHOWN)
    request.fails("a", BROKEN, after_s=0.5)
    assert request.starts[1].request == ("request", SHOWN)
    request.sends("b", "brown fox jumps over ", "the lazy dog " + REST)
    request.finishes("b")
    assert "".join(chunk for chunk in request.emitted if isinstance(chunk, str)) == FOX
    assert request.verdicts == [("a", "first", "resumed"), ("b", "resume", "answered")]
    assert [(seam.offset_chars, seam.broken, seam.resumed) for seam in request.trace.seams] == [(len(SHOWN), "a", "b")]
    assert request.trace.attempts[0].kind is FailureKind.STREAM_BROKEN


def test_a_stream_may_break_twice() -> None:
    request = streaming("a", "b", "c")
    request.sends("a", FOX[:44])
    request.fails("a", BROKEN)
    request.sends("b", FOX[:50])
    assert "".join(request.emitted) == FOX[:44], "the first new words are held back again"
    request.sends("b", FOX[50:60])
    request.fails("b", BROKEN)
    assert request.starts[2].request == ("request", FOX[:60])
    request.sends("c", FOX)
    request.finishes("c")
    assert "".join(chunk for chunk in request.emitted if isinstance(chunk, str)) == FOX
    assert [seam.offset_chars for seam in request.trace.seams] == [44, 60]


def test_no_anchor_no_join() -> None:
    request = streaming("a", "b")
    request.sends("a", SHOWN)
    request.fails("a", BROKEN)
    request.sends("b", "Something else altogether")
    request.finishes("b")
    assert isinstance(request.error, StreamInterrupted)
    assert request.error.partial == SHOWN
    assert "".join(request.emitted) == SHOWN


def test_an_answer_that_is_far_from_the_shown_text_is_given_up_early() -> None:
    request = streaming("a", "b", "c")
    request.sends("a", SHOWN)
    request.fails("a", BROKEN)
    for _ in range(20):
        if request.started != ["a", "b", "c"]:
            request.sends("b", "something else altogether, at great length, ")
    assert (request.cancelled, request.started) == (["b"], ["a", "b", "c"])
    assert request.verdicts[1] == ("b", "resume", "next")
    request.sends("c", FOX)
    request.finishes("c")
    assert "".join(chunk for chunk in request.emitted if isinstance(chunk, str)) == FOX


def test_an_overload_inside_a_stream_is_resumed_elsewhere_and_not_retried() -> None:
    failover = failover_of("a", "b", hold_back_tokens=2)
    request = Stepper(failover, "stream")
    request.sends("a", SHOWN)
    budget = failover._book.traffic.retries_left
    request.fails("a", ScriptedError(529))
    assert request.started == ["a", "b"]
    assert failover._book.traffic.retries_left == budget, "no retry was made, so none is paid for"
    assert request.verdicts[0] == ("a", "first", "resumed")


def test_an_interrupted_stream_does_not_say_that_it_was_retried() -> None:
    request = streaming("a", "b", midstream="raise")
    request.sends("a", SHOWN)
    request.fails("a", ScriptedError(529))
    assert isinstance(request.error, StreamInterrupted)
    assert [verdict for _, _, verdict in request.verdicts] != ["retry"]


def test_bad_output_that_was_shown_cannot_be_mended_by_more_of_it() -> None:
    """The whole text is out and a validator refuses it: asking others to go on from it would only cost money."""

    def no_foxes(finished: Any) -> None:
        if "fox" in finished.text:
            raise OutputRejected("a fox")

    request = streaming("a", "b", validators=(no_foxes,))
    request.sends("a", FOX)
    request.finishes("a")
    assert request.started == ["a"]
    assert isinstance(request.error, StreamInterrupted)
    assert request.error.partial == FOX
    assert request.trace.attempts[0].kind is FailureKind.INVALID_OUTPUT


@pytest.mark.parametrize(
    ("settings", "info"),
    [({"midstream": "raise"}, None), ({}, RequestInfo(structured=True))],
    ids=["off", "structured"],
)
def test_going_on_is_not_always_allowed(settings: dict[str, Any], info: RequestInfo | None) -> None:
    request = streaming("a", "b", info=info, **settings)
    request.sends("a", SHOWN)
    request.fails("a", BROKEN)
    assert isinstance(request.error, StreamInterrupted)
    assert request.error.partial == SHOWN
    assert request.error.__cause__ is BROKEN
    assert request.started == ["a"]


def test_only_targets_that_can_rephrase_are_asked_to_go_on() -> None:
    request = streaming("a", scripted("b", resume=None), "c")
    request.sends("a", SHOWN)
    request.fails("a", BROKEN)
    assert request.started == ["a", "c"]
    assert request.trace.skipped == {"b": "it cannot go on from an answer that has begun"}


def test_nobody_who_can_rephrase() -> None:
    request = streaming("a", scripted("b", resume=None))
    request.sends("a", SHOWN)
    request.fails("a", BROKEN)
    assert isinstance(request.error, StreamInterrupted)
    assert request.started == ["a"]


def test_a_rephrasing_that_fails_keeps_no_permit() -> None:
    def breaks(request: Any, shown: str) -> Any:
        raise KeyError("messages")

    request = streaming("a", scripted("b", resume=breaks))
    request.sends("a", SHOWN)
    request.fails("a", BROKEN)
    assert request.done
    assert request.error is not None
    assert in_flight(request) == 0


def test_a_reader_that_is_none_is_seen_at_once() -> None:
    with pytest.raises(ConfigError, match="reader= must be an OutputReader"):
        scripted("a", reader=object())


def test_values_that_are_no_text_are_never_concatenated() -> None:
    """Half of one target's table rows and all of another's are no answer."""
    failover = failover_of(Target("a", stream=iter), Target("b", stream=iter))
    request = Stepper(failover, "stream")
    request.sends("a", {"row": 1}, {"row": 2})
    request.times_out()
    request.sends("a", {"row": 3})
    request.fails("a", BROKEN)
    assert request.emitted == [{"row": 1}, {"row": 2}, {"row": 3}]
    assert isinstance(request.error, StreamInterrupted)
    assert request.started == ["a"]


def test_values_that_are_still_held_back_may_come_from_another_target() -> None:
    request = Stepper(failover_of(Target("a", stream=iter), Target("b", stream=iter), same_target_retries=0), "stream")
    request.sends("a", {"row": 1})
    request.fails("a", BROKEN)
    request.sends("b", {"row": 1}, {"row": 2})
    request.times_out()
    request.ends("b")
    assert request.emitted == [{"row": 1}, {"row": 2}]
    assert request.error is None


def test_reasoning_that_was_shown_does_not_keep_another_target_from_starting_over() -> None:
    class Thinks(ToolReader):
        def read_chunk(self, chunk: Any) -> Any:
            from failover_core.output import Reading

            return Reading(has_content=True) if chunk == "<thought>" else super().read_chunk(chunk)

    request = streaming(scripted("a", reader=Thinks()), scripted("b", reader=Thinks(), resume=None))
    request.sends("a", "<thought>")
    request.times_out()
    assert request.emitted == ["<thought>"]
    request.fails("a", BROKEN)
    request.sends("b", "The whole answer.")
    request.finishes("b")
    assert request.emitted == ["<thought>", "The whole answer.", Finish()]
    assert request.verdicts == [("a", "first", "resumed"), ("b", "resume", "answered")]
    assert request.trace.seams == [Seam(0, "a", "b")]


def test_a_refusal_inside_a_stream_is_the_caller_s() -> None:
    request = streaming("a", "b")
    request.fails("a", ScriptedError(400, "content management policy: content_filter"))
    assert isinstance(request.error, RequestRejected)
    assert request.trace.attempts[0].kind is FailureKind.CONTENT_FILTERED


# -- silence inside a stream ----------------------------------------------------------------------------------------


def test_ten_seconds_of_silence_are_a_stall() -> None:
    request = streaming("a", "b")
    request.sends("a", SHOWN, after_s=1.0)
    assert request.until_s == START_S + 11.0
    request.times_out()
    assert (request.cancelled, request.started) == (["a"], ["a", "b"])
    assert request.trace.attempts[0].kind is FailureKind.TIMEOUT
    assert request.health("a").suspicion == pytest.approx(3.4)


def test_keep_alives_do_not_hide_a_stall() -> None:
    request = streaming("a", "b")
    request.sends("a", SHOWN)
    request.sends("a", "", "", "", after_s=3.0)
    request.times_out()
    assert request.now == START_S + 10.0
    assert request.cancelled == ["a"]


def test_a_slow_reader_is_not_a_slow_target() -> None:
    request = streaming("a", "b")
    request.reader_takes_s = 60.0
    request.sends("a", SHOWN)
    assert request.until_s == request.now + 10.0
    request.sends("a", "and then ", after_s=9.0)
    request.sends("a", "it slept", after_s=9.0)
    request.finishes("a", after_s=9.0)
    assert request.error is None
    assert request.cancelled == []


def test_the_last_candidate_s_silence_is_borne() -> None:
    request = streaming("a")
    request.sends("a", SHOWN)
    assert request.until_s is None


def test_a_given_stall_limit_holds_for_the_last_candidate_too() -> None:
    request = streaming("a", stall_s=5.0)
    request.sends("a", SHOWN)
    request.times_out()
    assert request.now == START_S + 5.0
    assert isinstance(request.error, StreamInterrupted)


def test_without_racing_nobody_watches_for_learned_stalls() -> None:
    """So that blocking code, which then runs inline and cannot watch, decides the same."""
    request = streaming("a", "b", hedge="off")
    request.sends("a", SHOWN)
    assert request.until_s is None


def test_attempts_whose_silence_is_limited_are_watched_from_their_start() -> None:
    assert streaming("a", stall_s=5.0).starts[0].watched
    assert streaming("a", deadline_s=5.0).starts[0].watched
    assert streaming("a", "b").starts[0].watched
    assert not streaming("a").starts[0].watched
    assert not streaming("a", "b", hedge="off").starts[0].watched
    assert not Stepper(failover_of("a", stall_s=5.0)).starts[0].watched


def test_the_deadline_holds_inside_a_stream() -> None:
    request = streaming("a", "b", deadline_s=5.0)
    request.sends("a", SHOWN, after_s=1.0)
    request.times_out()
    assert request.now == START_S + 5.0
    assert isinstance(request.error, DeadlineExceeded)
    assert f"after {len(SHOWN)} characters had been shown" in str(request.error)


# -- tool calls in streams ------------------------------------------------------------------------------------------


class ToolReader:
    """'{...}' is a part of a tool call, everything else text."""

    expects_finish = True
    usage_adds_up = False

    def read_chunk(self, chunk: Any) -> Any:
        from failover_core.output import Reading

        if isinstance(chunk, Finish):
            return Reading(finish_reason="stop")
        tool = chunk.startswith("{")
        return Reading("" if tool else chunk, has_content=True, has_tool_call=tool)

    def with_text(self, chunk: Any, text: str) -> Any:
        return text


def with_tools(name: str) -> Target:
    return scripted(name, reader=ToolReader())


def test_tool_calls_are_shown_whole_at_the_good_end() -> None:
    request = streaming(with_tools("a"), with_tools("b"))
    request.sends("a", "{city:", "Oslo}")
    assert request.emitted == []
    request.finishes("a")
    assert request.emitted == ["{city:", "Oslo}", Finish()]


def test_a_fault_inside_a_tool_call_is_invisible() -> None:
    request = streaming(with_tools("a"), with_tools("b"), same_target_retries=0)
    request.sends("a", "{city:")
    request.fails("a", BROKEN)
    request.sends("b", "{city: Oslo}")
    request.finishes("b")
    assert request.emitted == ["{city: Oslo}", Finish()]


def test_text_then_a_tool_call() -> None:
    """The text is shown as it comes; the tool call, and what comes after it, at the good end."""
    request = streaming(with_tools("a"), with_tools("b"))
    request.sends("a", "Let me look that up. ")
    assert request.emitted == ["Let me look that up. "]
    request.sends("a", "{city:", "Oslo}")
    assert request.emitted == ["Let me look that up. "]
    request.finishes("a")
    assert request.emitted == ["Let me look that up. ", "{city:", "Oslo}", Finish()]


def test_text_then_a_broken_tool_call_is_interrupted() -> None:
    request = streaming(with_tools("a"), with_tools("b"))
    request.sends("a", "Let me look that up. ", "{city:")
    request.fails("a", BROKEN)
    assert isinstance(request.error, StreamInterrupted)
    assert request.error.partial == "Let me look that up. "
    assert request.emitted == ["Let me look that up. "]


# -- going away -----------------------------------------------------------------------------------------------------


def goes_through(request: Stepper, steps: int) -> None:
    """The first `steps` events of a long story with a failure, a race and a resumed stream."""
    story = [
        lambda: request.fails("a", DOWN),  # b is asked
        request.times_out,  # b is overdue, c is raced against it
        lambda: request.sends("b", "The "),  # held back
        lambda: request.sends("b", "quick brown fox jumps over the lazy dog "),  # b wins
        lambda: request.sends("b", "and "),
        lambda: request.fails("b", BROKEN),  # c is asked to go on
        lambda: request.sends("c", "quick brown fox jumps over the lazy dog and "),  # joined, nothing new yet
        lambda: request.sends("c", "then it sleeps "),
        lambda: request.sends("c", Finish()),
    ]
    for event in story[:steps]:
        event()


@pytest.mark.parametrize("steps", range(10))
def test_wherever_the_caller_goes_away_no_permit_is_kept_and_nobody_is_blamed(steps: int) -> None:
    heard: list[Any] = []
    targets = ("a", "b", "c")
    request = Stepper(failover_of(*targets, hold_back_tokens=2, same_target_retries=0, on_event=heard.append), "stream")
    goes_through(request, steps)
    assert not request.done
    assert in_flight(request) == (2 if steps in (2, 3) else 1)
    blamed = {name: (request.health(name).failed, request.health(name).suspicion) for name in targets}
    request.close()
    assert in_flight(request) == 0
    assert {name: (request.health(name).failed, request.health(name).suspicion) for name in targets} == blamed
    assert "running" not in [attempt.verdict for attempt in request.trace.attempts]
    assert request.trace.attempts[-1].verdict in ("cancelled", "lost")
    assert "RequestLost" not in [type(event).__name__ for event in heard]


def test_the_long_story_ends_well() -> None:
    request = Stepper(failover_of("a", "b", "c", hold_back_tokens=2, same_target_retries=0), "stream")
    goes_through(request, 9)
    request.ends("c")
    text = "".join(chunk for chunk in request.emitted if isinstance(chunk, str))
    assert text == "The quick brown fox jumps over the lazy dog and then it sleeps "
    assert request.verdicts == [
        ("a", "first", "next"),
        ("b", "failed over", "resumed"),
        ("c", "overdue", "lost"),
        ("c", "resume", "answered"),
    ]


def test_going_away_while_waiting_for_a_retry() -> None:
    request = Stepper(failover_of("a"))
    request.fails("a", DOWN)
    request.close()
    assert in_flight(request) == 0
    assert request.verdicts == [("a", "first", "retry")]


def test_a_target_that_the_policy_invented_is_an_error_of_the_policy() -> None:
    failover = failover_of("a")
    stranger = scripted("stranger")
    object.__setattr__(failover._desk, "policy", lambda *given: [stranger])
    request = Stepper(failover)
    assert isinstance(request.error, KeyError)
    assert in_flight(request) == 0


def test_a_garbled_event_in_the_middle_is_a_broken_stream_and_is_resumed() -> None:
    """Unlike bad output that has been shown to its end: what came before the garbled event was good."""
    request = streaming("a", "b")
    request.sends("a", SHOWN)
    request.fails("a", OutputRejected("Unterminated string starting at: line 1 column 187"))
    assert request.trace.attempts[0].kind == "stream_broken"
    assert request.verdicts[0] == ("a", "first", "resumed")
    assert request.verdicts[1][:2] == ("b", "resume")
