"""The record of a request, as people and as JSON see it."""

from __future__ import annotations

import json

from failover_core import RouteTrace
from failover_core.testing.scripted import ScriptedError
from stepping import Stepper, failover_of, scripted

DOWN = ScriptedError(503, "overloaded")
ATTEMPT_FIELDS = {
    "target",
    "provider",
    "model",
    "why",
    "verdict",
    "kind",
    "error",
    "status",
    "overdue",
    "started_s",
    "first_token_s",
    "elapsed_s",
    "usage",
}


def switched_request() -> Stepper:
    targets = [scripted("a", provider="openai", model="m-1"), scripted("b", provider="anthropic", model="m-2")]
    request = Stepper(failover_of(*targets, same_target_retries=0))
    request.fails("a", DOWN, after_s=0.1234567891)
    request.returns("b", "hello", after_s=1.0)
    return request


def test_the_dict_of_a_request() -> None:
    trace = switched_request().trace
    told = trace.as_dict()
    assert {key: told[key] for key in ("target", "provider", "model", "switched", "skipped", "seams")} == {
        "target": "b",
        "provider": "anthropic",
        "model": "m-2",
        "switched": True,
        "skipped": {},
        "seams": [],
    }
    assert told["elapsed_s"] == 1.123457
    assert len(told["request_id"]) == 16
    assert int(told["request_id"], 16) >= 0


def test_the_dict_of_an_attempt() -> None:
    first, second = switched_request().trace.as_dict()["attempts"]
    assert set(first) >= ATTEMPT_FIELDS
    assert (first["target"], first["verdict"], first["kind"], first["error"], first["status"]) == (
        "a",
        "next",
        "overloaded",
        "overloaded",
        503,
    )
    assert (first["started_s"], first["elapsed_s"], first["first_token_s"]) == (0.0, 0.123457, None)
    assert (second["why"], second["verdict"], second["kind"], second["error"]) == (
        "failed over",
        "answered",
        None,
        None,
    )


def test_it_is_plain_data() -> None:
    told = switched_request().trace.as_dict()
    assert json.loads(json.dumps(told)) == told
    assert type(told["attempts"][0]["kind"]) is str
    assert type(told["attempts"][0]["verdict"]) is str


def test_not_switched_means_the_first_target_answered_also_after_a_retry() -> None:
    request = Stepper(failover_of("a", "b"))
    request.fails("a", DOWN)
    request.times_out()
    request.returns("a", "hello")
    assert not request.trace.switched
    assert request.trace.answer is request.trace.attempts[1]


def test_a_late_winner_was_not_switched() -> None:
    request = Stepper(failover_of("a", "b"))
    request.times_out()
    request.returns("a", "at last")
    assert not request.trace.switched
    assert request.trace.as_dict()["attempts"][0]["overdue"]


def test_a_lost_request_has_no_target() -> None:
    request = Stepper(failover_of("a", same_target_retries=0))
    request.fails("a", DOWN)
    told = request.trace.as_dict()
    assert (told["target"], told["provider"], told["model"], told["switched"]) == (None, None, None, False)
    assert request.trace.answer is None


def test_an_attempt_under_way_is_readable_too() -> None:
    request = Stepper(failover_of("a"))
    assert request.trace.explain() == "1. a (first, at 0.00 s, not over): running"
    assert request.trace.as_dict()["attempts"][0]["elapsed_s"] is None
    request.close()
    assert "running" not in request.trace.explain()


def test_explain_has_a_line_an_attempt_and_a_line_a_skipped_target() -> None:
    request = Stepper(failover_of("a", "b", "c", same_target_retries=0, max_attempts=2))
    request.fails("a", DOWN, after_s=0.5)
    request.fails("b", DOWN, after_s=0.5)
    assert request.trace.explain().splitlines() == [
        "1. a (first, at 0.00 s, took 0.50 s): next, overloaded: overloaded",
        "2. b (failed over, at 0.50 s, took 0.50 s): next, overloaded: overloaded",
        "-  c: not asked, no attempt was left for it",
    ]


def test_an_empty_trace() -> None:
    trace = RouteTrace("0" * 16)
    assert trace.explain() == ""
    assert trace.as_dict()["attempts"] == []
    assert not trace.switched


def test_seams_are_told() -> None:
    text = "The quick brown fox jumps over the lazy dog and sleeps all day"
    request = Stepper(failover_of("a", "b", hold_back_tokens=2), "stream")
    request.sends("a", text[:44])
    request.fails("a", ConnectionResetError("reset"))
    request.sends("b", text)
    request.finishes("b")
    told = request.trace.as_dict()
    assert told["seams"] == [{"offset_chars": 44, "broken": "a", "resumed": "b", "kind": "resume"}]
    assert (told["target"], told["switched"]) == ("b", True)
