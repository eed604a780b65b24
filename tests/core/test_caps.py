"""`Target(max_concurrent=...)` and `Settings(recovery="fast")` through the engine."""

from __future__ import annotations

from random import Random
from typing import Any

from failover_core import Failover, NoTargetAvailable, RequestInfo, Settings
from failover_core.health.state import BUSY_S
from failover_core.testing.scripted import ScriptedError
from stepping import START_S, Stepper, scripted

DOWN = ScriptedError(503)


def failover_of(caps: dict[str, int | None], **settings: Any) -> Failover:
    targets = [scripted(name, max_concurrent=cap) for name, cap in caps.items()]
    return Failover(targets, Settings(**settings), rng=Random(1))


def test_what_is_above_the_cap_goes_to_the_next_target() -> None:
    failover = failover_of({"own": 2, "other": None})
    requests = [Stepper(failover) for _ in range(4)]
    assert [request.started for request in requests] == [["own"], ["own"], ["other"], ["other"]]
    requests[0].returns("own", "done")
    assert Stepper(failover).started == ["own"]
    assert failover._book.snapshot["own"].is_healthy(START_S)


def test_the_trace_says_that_it_was_busy() -> None:
    failover = failover_of({"own": 1, "other": None}, same_target_retries=0)
    holds = Stepper(failover)
    request = Stepper(failover)
    request.fails("other", ScriptedError(400, "Invalid value"))
    assert request.trace.skipped == {"own": "busy: 1 of at most 1 attempts are under way"}
    assert not holds.done


def test_when_all_are_busy_the_first_to_have_room_is_asked() -> None:
    failover = failover_of({"own": 1, "other": 1})
    first, second, third = (Stepper(failover) for _ in range(3))
    assert (first.started, second.started, third.started) == (["own"], ["other"], [])
    second.returns("other", "done", after_s=0.4)
    third.times_out()
    assert third.now == START_S + BUSY_S
    assert third.started == ["other"]
    third.returns("other", "done")
    assert third.result == "done"


def test_when_all_stay_busy_the_error_says_so() -> None:
    failover = failover_of({"own": 1, "other": 1})
    holding = [Stepper(failover), Stepper(failover)]
    request = Stepper(failover)
    request.times_out()
    assert not any(holds.done for holds in holding)
    assert isinstance(request.error, NoTargetAvailable)
    assert "own: not asked, busy: 1 of at most 1 attempts are under way" in str(request.error)
    assert "other: not asked, busy" in str(request.error)
    assert request.now == START_S + BUSY_S


def test_nobody_waits_for_room_who_does_not_want_to_wait() -> None:
    failover = failover_of({"own": 1}, retry_after_patience_s=0.0)
    holds = Stepper(failover)
    assert isinstance(Stepper(failover).error, NoTargetAvailable)
    assert not holds.done


def test_a_busy_target_is_no_backup_until_it_has_room() -> None:
    failover = failover_of({"a": None, "own": 1}, answer_s=5.0, same_target_retries=0)
    holds = Stepper(failover, info=RequestInfo())
    holds.fails("a", ConnectionResetError(), after_s=0.1)
    assert holds.started[-1] == "own"
    late = Stepper(failover, now=START_S + 1.0)
    assert late.started == ["a"]
    late.times_out()
    assert late.started == ["a"], "its limit has passed, and there is nobody to ask"
    holds.returns("own", "done")
    late.times_out()
    assert late.started == ["a", "own"]


def test_a_resting_target_and_a_busy_one() -> None:
    """The closed door is knocked at; the cap holds."""
    failover = failover_of({"down": None, "own": 1}, same_target_retries=0, retry_after_patience_s=0.0)
    for _ in range(3):
        request = Stepper(failover)
        request.fails("down", DOWN)
        request.returns("own", "done")
    assert failover._book.snapshot["down"].breaker.state == "open"
    holds, request = Stepper(failover), Stepper(failover)
    assert (holds.started, request.started) == (["own"], ["down"])
    assert request.trace.attempts[0].why == "last resort"


def test_fast_recovery_gives_all_traffic_back_at_once() -> None:
    for recovery, state in (("fast", "closed"), ("staged", "ramping")):
        failover = failover_of({"a": None, "b": None}, recovery=recovery, same_target_retries=0)
        for _ in range(3):
            request = Stepper(failover)
            request.fails("a", DOWN)
            request.returns("b", "done")
        probe = Stepper(failover, now=START_S + 20.0)
        assert probe.trace.attempts[0].why == "probe"
        probe.returns("a", "done")
        assert failover._book.snapshot["a"].breaker.state == state
