"""What listeners and logs are told: enough to know what happened, silent by default, and never in the way."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from failover_core import Failover, FailureKind, Settings, Target, Verdict
from failover_core.events import (
    AttemptEnded,
    AttemptOverdue,
    AttemptStarted,
    CircuitChanged,
    RequestLost,
    RequestServed,
    TargetParked,
)
from failover_core.telemetry import Telemetry
from failover_core.testing.scripted import Finish, ScriptedError
from failover_core.trace import RouteTrace
from stepping import Stepper, failover_of

DOWN = ScriptedError(503, "overloaded, come back later")
WRONG_KEY = ScriptedError(401, "Incorrect API key provided")


@pytest.fixture
def heard() -> list[Any]:
    return []


def names(events: list[Any]) -> list[str]:
    return [type(event).__name__ for event in events]


# -- events ---------------------------------------------------------------------------------------------------------


def test_a_healthy_request(heard: list[Any]) -> None:
    request = Stepper(failover_of("a", on_event=heard.append))
    assert names(heard) == ["AttemptStarted"]
    request.returns("a", "hello", after_s=1.5)
    assert names(heard) == ["AttemptStarted", "AttemptEnded", "RequestServed"]
    started, ended, served = heard
    assert isinstance(started, AttemptStarted)
    assert isinstance(ended, AttemptEnded)
    assert isinstance(served, RequestServed)
    assert started.request_id == ended.request_id == served.trace.request_id
    assert started.attempt is ended.attempt is served.trace.attempts[0]
    assert (ended.attempt.verdict, ended.attempt.elapsed_s) == (Verdict.ANSWERED, 1.5)
    assert served.trace.elapsed_s == 1.5


def test_a_failover(heard: list[Any]) -> None:
    request = Stepper(failover_of("a", "b", same_target_retries=0, on_event=heard.append))
    request.fails("a", DOWN)
    request.returns("b", "hello")
    assert names(heard) == [
        *["AttemptStarted", "AttemptEnded"],
        *["AttemptStarted", "AttemptEnded", "RequestServed"],
    ]
    assert heard[1].attempt.failure.kind is FailureKind.OVERLOADED


def test_lateness_is_told_when_it_happens(heard: list[Any]) -> None:
    request = Stepper(failover_of("a", "b", on_event=heard.append))
    request.times_out()
    overdue = heard[1]
    assert isinstance(overdue, AttemptOverdue)
    assert (overdue.attempt.target.name, overdue.elapsed_s) == ("a", 30.0)
    assert overdue.attempt.overdue
    request.returns("b", "hello")
    assert [(e.attempt.target.name, e.attempt.verdict) for e in heard if isinstance(e, AttemptEnded)] == [
        ("b", "answered"),
        ("a", "lost"),
    ]


def test_an_attempt_ends_with_the_verdict_that_stays(heard: list[Any]) -> None:
    """A listener that looks at once sees the same as one that looks later."""
    verdicts = []

    def look(event: Any) -> None:
        heard.append(event)
        if isinstance(event, AttemptEnded):
            verdicts.append(event.attempt.verdict)

    request = Stepper(failover_of("a", "b", hold_back_tokens=2, on_event=look), "stream")
    request.sends("a", "The quick brown fox jumps over the lazy dog ")
    request.fails("a", ConnectionResetError("reset"))
    request.sends("b", "The quick brown fox jumps over the lazy dog and sleeps all day")
    request.finishes("b")
    assert verdicts == ["resumed", "answered"]
    assert [attempt.verdict for attempt in request.trace.attempts] == verdicts


def test_every_attempt_that_started_ends_exactly_once(heard: list[Any]) -> None:
    request = Stepper(failover_of("a", "b", "c", on_event=heard.append))
    request.times_out()
    request.times_out()
    request.fails("b", DOWN)
    request.close()
    started = [event.attempt.number for event in heard if isinstance(event, AttemptStarted)]
    ended = [event.attempt.number for event in heard if isinstance(event, AttemptEnded)]
    assert started == [1, 2, 3]
    assert sorted(ended) == [1, 2, 3]


def test_a_lost_request_comes_with_its_error(heard: list[Any]) -> None:
    request = Stepper(failover_of("a", same_target_retries=0, on_event=heard.append))
    request.fails("a", DOWN, after_s=0.5)
    lost = heard[-1]
    assert isinstance(lost, RequestLost)
    assert lost.error is request.error
    assert lost.trace is request.trace
    assert lost.trace.elapsed_s == 0.5


def test_a_request_that_nobody_may_take_is_lost_too(heard: list[Any]) -> None:
    failover = failover_of("a", on_event=heard.append, max_attempts=1)
    book = failover._book
    permit = book.admit("a", 1000.0)
    assert permit is not None
    book.failed(
        permit, 1000.0, failover._desk.classify(ScriptedError(429, headers={"retry-after": "99"})), 0, parks=False
    )
    Stepper(failover)
    assert names(heard) == ["RequestLost"]


def test_circuits(heard: list[Any]) -> None:
    failover = failover_of("a", "b", same_target_retries=0, on_event=heard.append)
    for _ in range(3):
        Stepper(failover).fails("a", DOWN)
    changes = [event for event in heard if isinstance(event, CircuitChanged)]
    assert [(change.target, change.old, change.new) for change in changes] == [("a", "closed", "open")]
    assert changes[0].reason == "overloaded: overloaded, come back later"
    assert changes[0].until_s is not None
    assert 4.0 <= changes[0].until_s <= 6.0


def test_a_parked_target_is_loud(heard: list[Any]) -> None:
    Stepper(failover_of("a", "b", on_event=heard.append, park_s=120.0)).fails("a", WRONG_KEY)
    parked = [event for event in heard if isinstance(event, TargetParked)]
    assert parked == [TargetParked("a", FailureKind.AUTH, "Incorrect API key provided", 120.0)]


def test_going_away_is_no_loss(heard: list[Any]) -> None:
    request = Stepper(failover_of("a", "b", on_event=heard.append), "stream")
    request.close()
    assert names(heard) == ["AttemptStarted", "AttemptEnded"]
    assert heard[-1].attempt.verdict is Verdict.CANCELLED


# -- listeners ------------------------------------------------------------------------------------------------------


def test_a_broken_listener_disturbs_nobody(heard: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: Any) -> None:
        raise ZeroDivisionError("a bug in the display")

    failover = Failover([Target("a", call=lambda request: "hello")], on_event=broken)
    failover.subscribe(heard.append)
    assert failover.call("x") == "hello"
    assert names(heard) == ["AttemptStarted", "AttemptEnded", "RequestServed"]
    assert failover.health()["a"].in_flight == 0
    assert "a listener of Failover events failed" in caplog.text
    assert "a bug in the display" in caplog.text


def test_all_listeners_hear_in_the_order_of_their_subscription() -> None:
    order: list[str] = []
    telemetry = Telemetry(lambda event: order.append("first"))
    telemetry.subscribe(lambda event: order.append("second"))
    telemetry.emit(TargetParked("a", FailureKind.AUTH, "", 1.0))
    assert order == ["first", "second"]


def test_unsubscribing_twice_is_no_error() -> None:
    telemetry = Telemetry()
    leave = telemetry.subscribe(print)
    assert telemetry.detailed
    leave()
    leave()
    assert not telemetry.detailed


def test_a_listener_may_leave_while_it_is_told() -> None:
    telemetry, told = Telemetry(), []

    def once(event: Any) -> None:
        told.append(event)
        leave()

    leave = telemetry.subscribe(once)
    telemetry.emit(TargetParked("a", FailureKind.AUTH, "", 1.0))
    telemetry.emit(TargetParked("a", FailureKind.AUTH, "", 1.0))
    assert len(told) == 1


# -- logging --------------------------------------------------------------------------------------------------------


def log_of(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "failover"]


def test_logs_are_silent_until_they_are_configured() -> None:
    """In a fresh interpreter, where an unconfigured logger would print errors to stderr."""
    script = """
from failover_core import Failover, Target
def wrong_key(request): raise type("AuthenticationError", (Exception,), {"status_code": 401})("Incorrect API key")
def broken(event): raise ValueError
failover = Failover([Target("a", call=wrong_key), Target("b", call=lambda request: "hello")], on_event=broken)
print(failover.call("x"), failover.health()["a"].state)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("hello open\n", "")


def test_a_failover_is_told_at_info_level(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "failover"):
        request = Stepper(failover_of("a", "b", same_target_retries=0))
        request.fails("a", DOWN, after_s=0.25)
        request.returns("b", "hello")
    assert log_of(caplog) == [
        (
            "INFO",
            f"request {request.trace.request_id}: 1. a (first, at 0.00 s, took 0.25 s): next, overloaded: "
            "overloaded, come back later",
        )
    ]


def test_a_healthy_request_is_told_at_debug_level_only(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "failover"):
        Stepper(failover_of("a")).returns("a", "hello")
    assert log_of(caplog) == []
    with caplog.at_level(logging.DEBUG, "failover"):
        Stepper(failover_of("a")).returns("a", "hello")
    assert [level for level, _ in log_of(caplog)] == ["DEBUG"] * 3


def test_lateness_is_told_at_info_level(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "failover"):
        request = Stepper(failover_of("a", "b"))
        request.times_out()
    assert log_of(caplog) == [("INFO", f"request {request.trace.request_id}: a is overdue after 30.00 s")]


def test_what_a_person_must_act_on_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    Stepper(failover_of("a", "b")).fails("a", WRONG_KEY)
    assert log_of(caplog) == [
        ("WARNING", "a: circuit closed -> open (auth: Incorrect API key provided)"),
        ("ERROR", "a is set aside for 300 s, a person must act: auth: Incorrect API key provided"),
    ]


def test_a_lost_request_is_an_error_with_every_attempt(caplog: pytest.LogCaptureFixture) -> None:
    request = Stepper(failover_of("a", "b", same_target_retries=0))
    request.fails("a", DOWN)
    request.fails("b", DOWN)
    level, message = log_of(caplog)[-1]
    assert level == "ERROR"
    assert message == f"request {request.trace.request_id} was lost: {request.error}"
    assert "1. a" in message
    assert "2. b" in message


def test_a_request_that_was_refused_for_what_it_asks_is_no_error_of_the_service(
    caplog: pytest.LogCaptureFixture,
) -> None:
    Stepper(failover_of("a", "b")).fails("a", ScriptedError(400, "Invalid value for 'temperature'"))
    level, message = log_of(caplog)[-1]
    assert level == "WARNING"
    assert "was lost: a refused the request (invalid_request)" in message


def test_events_are_not_even_made_while_nobody_listens() -> None:
    telemetry = failover_of("a")._telemetry
    assert not telemetry.detailed
    telemetry.subscribe(print)
    assert telemetry.detailed


def test_who_listens_already_is_not_told_things_twice(heard: list[Any]) -> None:
    """As one who is given to each of several `Failover`s that share their health, and so their listeners."""
    target = Target("a", call=lambda request: "hello")
    first = Failover([target], on_event=heard.append)
    second = Failover([target], health_of=first, on_event=heard.append)
    leave = second.subscribe(heard.append)
    first.call("x")
    second.call("x")
    assert names(heard) == 2 * ["AttemptStarted", "AttemptEnded", "RequestServed"]
    leave()
    first.call("x")
    assert len(heard) == 6


def test_listeners_that_are_equal_are_not_the_same() -> None:
    @dataclass
    class Collector:
        events: list[Any]

        def __call__(self, event: Any) -> None:
            self.events.append(event)

    one, other = Collector([]), Collector([])
    telemetry = Telemetry(one)
    telemetry.subscribe(other)
    telemetry.emit(RequestServed(RouteTrace("an id")))
    assert len(one.events) == len(other.events) == 1


def test_settings_are_not_needed_to_listen(heard: list[Any]) -> None:
    Failover([Target("a", stream=lambda request: ["one"])], Settings(), on_event=heard.append).stream("x").close()
    assert heard == []


def test_a_streamed_request_tells_its_first_token(heard: list[Any]) -> None:
    request = Stepper(failover_of("a", on_event=heard.append), "stream")
    request.sends("a", "hello", after_s=1.25)
    request.sends("a", Finish(), after_s=0.1)
    request.ends("a")
    assert heard[1].attempt.first_token_s == 1.25
