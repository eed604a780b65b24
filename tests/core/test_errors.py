"""Errors are for people: what happened, to which target, what was tried, and the original inside."""

from __future__ import annotations

import pickle
from threading import Lock
from typing import Any

import pytest

from failover_core import (
    AllTargetsFailed,
    DeadlineExceeded,
    FailoverError,
    FailureKind,
    NoTargetAvailable,
    OutputRejected,
    RequestInfo,
    RequestRejected,
    StreamInterrupted,
)
from failover_core.testing.scripted import ScriptedError
from stepping import Stepper, failover_of, scripted

DOWN = ScriptedError(503, "overloaded, come back later")
RESET = ConnectionResetError(104, "Connection reset by peer")
BAD = ScriptedError(400, "Invalid value for 'temperature'")
FOX = "The quick brown fox jumps over the lazy dog "


def message(request: Stepper) -> list[str]:
    return str(request.error).splitlines()


def test_all_targets_failed_has_one_line_an_attempt() -> None:
    request = Stepper(failover_of("a", "b", same_target_retries=0))
    request.fails("a", DOWN, after_s=0.25)
    request.fails("b", RESET, after_s=1.0)
    assert type(request.error) is AllTargetsFailed
    assert message(request) == [
        "No target answered (2 asked, 1.25 s):",
        "1. a (first, at 0.00 s, took 0.25 s): next, overloaded: overloaded, come back later",
        "2. b (failed over, at 0.25 s, took 1.00 s): next, connection: "
        "ConnectionResetError: [Errno 104] Connection reset by peer",
    ]


def test_the_error_holds_the_trace_the_attempts_the_failure_and_the_original() -> None:
    request = Stepper(failover_of("a", "b", same_target_retries=0))
    request.fails("a", DOWN)
    request.fails("b", RESET)
    error = request.error
    assert isinstance(error, FailoverError)
    assert error.trace is request.trace
    assert [attempt.target.name for attempt in error.attempts] == ["a", "b"]
    assert error.attempts[0].failure is not None
    assert error.attempts[0].failure.exception is DOWN
    assert error.failure is error.attempts[1].failure
    assert error.__cause__ is RESET


def test_retries_are_lines_too_and_targets_are_counted_once() -> None:
    request = Stepper(failover_of("a", backoff_s=0.0))
    request.fails("a", DOWN)
    request.fails("a", DOWN)
    assert message(request)[0] == "No target answered (1 asked, 0.00 s):"
    assert [line[:9] for line in message(request)[1:]] == ["1. a (fir", "2. a (ret"]


def test_a_refused_request_says_who_refused_it_and_why() -> None:
    request = Stepper(failover_of("a", "b"))
    request.fails("a", BAD, after_s=0.1)
    error = request.error
    assert type(error) is RequestRejected
    assert isinstance(error, AllTargetsFailed)
    assert message(request) == [
        "a refused the request (invalid_request): Invalid value for 'temperature'",
        "1. a (first, at 0.00 s, took 0.10 s): raise, invalid_request: Invalid value for 'temperature'",
        "-  b: not asked, nobody else may be asked",
    ]
    assert error.failure is not None
    assert error.failure.kind is FailureKind.INVALID_REQUEST
    assert error.__cause__ is BAD


def test_a_refusal_in_a_good_response_has_a_cause_too() -> None:
    class Refuses:
        expects_finish = False
        usage_adds_up = False

        def read(self, output: Any) -> Any:
            from failover_core.output import Reading

            return Reading("I can't.", has_content=True, refusal="I can't.")

    request = Stepper(failover_of(scripted("a", reader=Refuses()), "b"))
    request.returns("a", {"raw": "response"})
    assert isinstance(request.error, RequestRejected)
    assert isinstance(request.error.__cause__, OutputRejected)
    assert request.error.__cause__.output == {"raw": "response"}


def test_an_overflow_that_nobody_can_hold() -> None:
    targets = [scripted("large", context_window_tokens=200), scripted("small", context_window_tokens=100)]
    request = Stepper(failover_of(*targets))
    request.fails("large", ScriptedError(400, "prompt is too long: 210000 tokens > 200000 maximum"))
    assert isinstance(request.error, RequestRejected)
    assert request.error.failure is not None
    assert request.error.failure.kind is FailureKind.CONTEXT_OVERFLOW
    assert message(request)[-1] == "-  small: not asked, its window is not larger than that of large"


def test_no_target_available_says_why_for_each() -> None:
    targets = [scripted("a", lacks={"images"}), scripted("b", context_window_tokens=100), scripted("c", call=None)]
    info = RequestInfo(prompt_tokens=5000, needs=frozenset({"images"}))
    request = Stepper(failover_of(*targets), info=info)
    assert type(request.error) is NoTargetAvailable
    assert message(request) == [
        "No target may take this request:",
        "-  a: not asked, it cannot do images",
        "-  b: not asked, about 5,000 tokens do not fit its window of 100",
        "-  c: not asked, it has no call= callable",
    ]
    assert request.error.__cause__ is None
    assert list(request.error.attempts) == []


def test_the_deadline_is_a_timeout_for_those_who_expect_one() -> None:
    request = Stepper(failover_of("a", "b", deadline_s=8.0))
    while not request.done:
        request.times_out()
    error = request.error
    assert type(error) is DeadlineExceeded
    assert isinstance(error, TimeoutError)
    assert message(request) == [
        "The deadline passed before any target had answered (8.00 s):",
        "1. a (first, at 0.00 s, took 8.00 s): cancelled, timeout: the caller's deadline passed",
        "2. b (overdue, at 4.00 s, took 4.00 s): cancelled, timeout: the caller's deadline passed",
    ]
    assert error.__cause__ is None


def test_the_deadline_s_cause_is_the_last_failure_before_it() -> None:
    request = Stepper(failover_of("a", "b", deadline_s=8.0, same_target_retries=0, max_attempts=2))
    request.fails("a", DOWN)
    request.times_out()
    assert isinstance(request.error, DeadlineExceeded)
    assert request.error.__cause__ is DOWN
    assert request.error.failure is not None
    assert request.error.failure.kind is FailureKind.OVERLOADED


def test_a_deadline_in_the_middle_of_a_stream_carries_what_was_shown() -> None:
    request = Stepper(failover_of("a", "b", hold_back_tokens=2, deadline_s=3.0), "stream")
    request.sends("a", FOX)
    while not request.done:
        request.times_out()
    assert type(request.error) is DeadlineExceeded
    assert request.error.partial == FOX
    assert DeadlineExceeded("before anything was shown").partial == ""


def test_the_cause_is_the_last_original_error_also_where_the_last_failure_has_none() -> None:
    """An attempt that was given up, or does not go on from where another broke off, has not raised anything."""
    request = Stepper(failover_of("a", "b", same_target_retries=0, hedge="off", answer_s=5.0))
    request.fails("a", RESET)
    request.returns("b", "")
    assert isinstance(request.error, AllTargetsFailed)
    assert isinstance(request.error.__cause__, OutputRejected), "a rejected output is one"
    request = Stepper(failover_of("a", "b", "c", same_target_retries=0, hedge="off", answer_s=5.0, deadline_s=8.0))
    request.fails("a", RESET)
    while not request.done:
        request.times_out()
    assert isinstance(request.error, DeadlineExceeded)
    assert request.error.failure is not None
    assert request.error.failure.exception is None
    assert request.error.__cause__ is RESET


def test_an_interrupted_stream_has_the_error_that_broke_it_for_its_cause() -> None:
    request = Stepper(failover_of("a", "b", hold_back_tokens=2, max_attempts=2), "stream")
    request.sends("a", FOX)
    request.fails("a", RESET)
    for number in range(200):
        if request.done:
            break
        request.sends("b", f"something else entirely {number} ")
    assert type(request.error) is StreamInterrupted
    assert request.error.failure is not None
    assert request.error.failure.message == "its answer does not go on from the text already shown"
    assert request.error.__cause__ is RESET


def test_an_interrupted_stream_carries_what_was_shown() -> None:
    request = Stepper(failover_of("a", "b", hold_back_tokens=2, midstream="raise"), "stream")
    request.sends("a", FOX)
    request.fails("a", RESET, after_s=0.5)
    error = request.error
    assert type(error) is StreamInterrupted
    assert error.partial == FOX
    assert error.__cause__ is RESET
    assert message(request)[0] == (
        "The stream broke after 44 characters and was not resumed, as midstream='raise' says: "
        "ConnectionResetError: [Errno 104] Connection reset by peer"
    )
    assert message(request)[-1] == "-  b: not asked, midstream='raise'"


def test_an_interrupted_stream_says_why_nobody_went_on() -> None:
    for info, why in (
        (RequestInfo(), "could not be resumed:"),
        (RequestInfo(structured=True), "cannot be resumed, since tools or structured output were asked for:"),
    ):
        request = Stepper(failover_of("a", scripted("b", resume=None), hold_back_tokens=2), "stream", info=info)
        request.sends("a", FOX)
        request.fails("a", RESET, after_s=0.5)
        assert message(request)[0].startswith(f"The stream broke after 44 characters and {why} Connection")


def test_a_mistake_on_this_side_is_not_told_as_a_refusal() -> None:
    request = Stepper(failover_of("a", "b"))
    request.fails("a", TypeError("'int' object is not callable"))
    assert type(request.error) is RequestRejected
    assert message(request)[0] == (
        "The call of a failed on this side (local_error): TypeError: 'int' object is not callable"
    )


def test_an_error_raised_again_keeps_its_cause() -> None:
    """`raise error from original` and a traceback that shows both."""
    request = Stepper(failover_of("a", same_target_retries=0))
    request.fails("a", DOWN)
    assert request.error is not None
    with pytest.raises(AllTargetsFailed) as caught:
        raise request.error
    assert caught.value.__cause__ is DOWN
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("kind", [FailoverError, AllTargetsFailed, DeadlineExceeded, StreamInterrupted, OutputRejected])
def test_errors_can_be_made_by_hand_and_sent_to_another_process(kind: type[Exception]) -> None:
    error = kind("what happened")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (kind, "what happened")


class MadeOfTwo(Exception):
    """As SDKs have them: pickle cannot make it again."""

    def __init__(self, message: str, *, response: Any) -> None:
        super().__init__(message)
        self.response = response


def test_the_error_of_a_request_arrives_in_another_process_with_what_it_says() -> None:
    request = Stepper(failover_of("a", same_target_retries=0))
    request.fails("a", MadeOfTwo("no idea", response=Lock()))
    assert isinstance(request.error, AllTargetsFailed)
    vars(request.error)["response"] = Lock()  # adapters add what handlers of the original read
    again = pickle.loads(pickle.dumps(request.error))
    assert (type(again), str(again)) == (AllTargetsFailed, str(request.error))
    assert again.failure == request.error.failure
    assert (again.trace, list(again.attempts), again.partial) == (None, [], "")


def test_a_combined_class_arrives_as_ours() -> None:
    both = type("AllTargetsFailed", (AllTargetsFailed, MadeOfTwo), {"__module__": AllTargetsFailed.__module__})
    error = AllTargetsFailed("what happened")
    error.__class__ = both
    assert type(pickle.loads(pickle.dumps(error))) is AllTargetsFailed


def test_a_rejection_keeps_what_it_means() -> None:
    error = OutputRejected("no", output=Lock(), kind=FailureKind.CONTENT_FILTERED, blames_target=False)
    again = pickle.loads(pickle.dumps(error))
    assert (again.kind, again.blames_target, again.output) == (FailureKind.CONTENT_FILTERED, False, None)
