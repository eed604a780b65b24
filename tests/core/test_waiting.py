"""A request whose attempts are all silent goes on looking for somebody who answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failover_core import Failover, Failure, FailureKind, RequestInfo, Settings
from failover_core.health.latency import COLD_ANSWER_S, COLD_STALL_S
from failover_core.health.ratelimit_headers import RateLimitFacts
from failover_core.health.suspicion import ERROR_NATS
from failover_core.limits import HOPELESS_STALL_S
from failover_core.patience import MAX_KNOCK_S, MAX_KNOCKS
from failover_core.simulate import Incident, Profile, Record, Scenario, Traffic, run
from failover_core.testing.scripted import ScriptedError
from stepping import START_S, Stepper, failover_of

BOTH = (Profile("primary", errors=0.0), Profile("second", errors=0.0))
SILENT = Incident(30.0, 330.0, silent=1.0)


def unanswered(records: list[Record]) -> list[list[tuple[str, float]]]:
    return [record.attempts for record in records if record.total_s is None]


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_backup_that_comes_back_by_shares_is_asked_although_it_had_no_room_at_first(seed: int) -> None:
    """It fails all for a while, so its circuit opens and ramps, just when the primary falls silent."""
    short = replace(SILENT, until_s=130.0)
    back = Incident(20.0, 60.0, target="second", errors=1.0)
    scenario = Scenario("crossing", incidents=(short, back), providers=BOTH, seconds=240.0, traffic=Traffic(2.0))
    records = list(run(scenario, seed=seed, settings=Settings(max_attempts=8)).records)
    late = [record for record in records if record.ask.at_s - 1000.0 > 62.0]
    assert unanswered(late) == []
    assert len(late) > 200


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_backup_that_stumbles_is_asked_again(seed: int) -> None:
    stumbling = (BOTH[0], replace(BOTH[1], errors=0.03))
    scenario = Scenario("stumbling", incidents=(SILENT,), providers=stumbling, seconds=360.0)
    assert [record.attempts for record in run(scenario, seed=seed).records if not record.good] == []


def test_who_is_silent_is_set_aside_although_every_other_circuit_is_open() -> None:
    """Better slow than nobody, but one who never says anything is nobody."""
    flaky = Incident(30.0, 330.0, target="second", errors=0.5)
    scenario = Scenario("both ill", incidents=(SILENT, flaky), providers=BOTH, seconds=360.0)
    found = run(scenario, seed=2)
    assert "primary" in [name for _, name in found.opened]
    assert all(record.total_s < 60.0 for record in found.records[-20:] if record.total_s is not None)


# -- one request, step by step --------------------------------------------------------------------------------------

TEXT = "a text that is long enough to be trusted and to be shown at once, and then nothing more comes"


def opened(failover: Failover, name: str) -> float:
    """Opens the circuit of a target; returns when it may be probed."""
    book = failover._book
    for _ in range(3):
        permit = book.admit(name, START_S)
        assert permit is not None
        book.failed(permit, START_S, Failure(FailureKind.SERVER_ERROR), ERROR_NATS, parks=False)
    return book.snapshot[name].breaker.until_s


def test_a_stalled_stream_is_taken_over_although_nobody_could_when_it_began() -> None:
    failover = failover_of("a", "b", same_target_retries=0)
    opened(failover, "b")
    request = Stepper(failover, "stream")
    request.sends("a", TEXT)
    request.times_out()
    assert (request.now, request.started) == (START_S + COLD_STALL_S, ["a", "b"])


def test_a_stalled_stream_is_left_as_soon_as_somebody_comes_back() -> None:
    failover = failover_of("a", "b", same_target_retries=0, park_s=60.0)
    permit = failover._book.admit("b", START_S)
    assert permit is not None
    failover._book.failed(permit, START_S, Failure(FailureKind.AUTH), 0.0, parks=True)
    request = Stepper(failover, "stream")
    request.sends("a", TEXT)
    request.sends("a", " or does it", after_s=5.0)
    request.times_out()
    assert (request.now, request.started) == (START_S + 60.0, ["a", "b"])


def test_a_stream_that_nobody_may_take_over_may_be_silent_for_longer() -> None:
    request = Stepper(failover_of("a", "b", midstream="raise"), "stream")
    request.sends("a", TEXT)
    assert request.until_s == START_S + HOPELESS_STALL_S


@pytest.mark.parametrize("midstream", ["resume", "replace"])
def test_a_stalled_stream_is_taken_over_by_one_that_had_only_stumbled(midstream: str) -> None:
    request = Stepper(failover_of("a", "b", same_target_retries=0, midstream=midstream), "stream")
    request.fails("a", ScriptedError(503))
    request.sends("b", TEXT)
    request.times_out()
    assert (request.now, request.started) == (START_S + COLD_STALL_S, ["a", "b", "a"])


@pytest.mark.parametrize("told", [None, "5"])
def test_who_waits_for_a_silent_target_comes_back_to_one_that_was_rate_limited(told: str | None) -> None:
    """Not before its limit is over, and not while the other one may still be in time."""
    request = Stepper(failover_of("a", "b"), "call")
    request.fails("a", ScriptedError(429, headers=None if told is None else {"retry-after": told}))
    assert request.started == ["a", "b"]
    request.times_out()
    assert (request.now, request.started) == (START_S + COLD_ANSWER_S, ["a", "b", "a"])
    request.returns("a", "the answer")
    assert request.result == "the answer"


@pytest.mark.parametrize("midstream", ["resume", "replace"])
def test_a_broken_stream_too(midstream: str) -> None:
    request = Stepper(failover_of("a", "b", same_target_retries=0, midstream=midstream), "stream")
    request.fails("a", ScriptedError(503))
    request.sends("b", TEXT)
    request.fails("b", ConnectionResetError("reset"))
    assert request.started == ["a", "b", "a"]


def test_keep_alives_do_not_use_up_the_search() -> None:
    """The second target has room, but not for so large a request, until its quota has been refilled."""
    failover = failover_of("a", "b", same_target_retries=0)
    permit = failover._book.admit("b", START_S)
    assert permit is not None
    told = RateLimitFacts(limit_tokens=100_000, remaining_tokens=1_000, reset_tokens_s=120.0)
    failover._book.answered(permit, START_S, facts=told)
    request = Stepper(failover, "stream", RequestInfo(prompt_tokens=90_000))
    request.times_out()
    for _ in range(2 * MAX_KNOCKS):
        assert request.until_s is not None
        if request.now + 0.05 > request.until_s:
            request.times_out()
        request.sends("a", "", after_s=0.05)
    assert request.started == ["a"]
    while request.started == ["a"]:
        request.times_out()
    assert request.now < START_S + 120.0 + MAX_KNOCK_S


@pytest.mark.parametrize(("tokens", "started"), [(1.0, ["a", "b"]), (0.0, ["a"])])
def test_who_waits_need_not_wait_for_other_requests_to_pay(tokens: float, started: list[str]) -> None:
    """The last of a batch: the budget is spent, and nobody comes who would fill it up."""
    failover = failover_of("a", "b", same_target_retries=0, retry_budget_tokens=tokens)
    due_s = opened(failover, "b")
    request = Stepper(failover, now=due_s + 60.0)
    failover._book.traffic.spend_retry()
    while request.started == ["a"] and request.until_s is not None:
        request.times_out()
    assert request.started == started
