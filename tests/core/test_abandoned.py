"""Attempts that were given up: counted while they hold a thread, and never too many of one target."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from failover_core import Failover, Settings, Target
from failover_core.drivers.abandoned import MAX_ABANDONED
from failover_core.testing.clock import VirtualWorld

QUICK = Settings(answer_s=1.0, first_token_s=1.0, stall_s=1.0, retry_budget_tokens=1000)


class Silent:
    """A target that says nothing until it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.asked = 0

    def call(self, request: Any) -> str:
        self.asked += 1
        self.released.wait(60)
        return "too late"

    def stream(self, request: Any) -> Iterator[str]:
        yield self.call(request)


@pytest.fixture
def silent() -> Iterator[Silent]:
    target = Silent()
    yield target
    target.released.set()


def failover_with(silent: Silent) -> Failover:
    policy = lambda targets, snapshot, info: list(targets)  # noqa: E731  # always the silent one first
    backup = Target("backup", call=lambda request: "here", stream=lambda request: iter(["here"]))
    targets = [Target("silent", call=silent.call, stream=silent.stream), backup]
    return Failover(targets, Settings(answer_s=0.02, first_token_s=0.02, retry_budget_tokens=1000), policy)


@pytest.mark.parametrize("style", ["call", "stream"])
def test_an_attempt_that_lost_its_race_counts_until_its_thread_is_free(silent: Silent, style: str) -> None:
    failover = failover_with(silent)
    answer = failover.call("hi") if style == "call" else "".join(failover.stream("hi"))
    assert answer == "here"
    assert failover.health()["silent"].abandoned == 1
    assert failover.health()["backup"].abandoned == 0
    silent.released.set()
    assert comes_true(lambda: failover.health()["silent"].abandoned == 0)


def test_no_more_threads_than_a_target_may_hold() -> None:
    """Its circuit is kept out of the way: a target that is silent for ever is asked again and again."""
    silent = Silent()
    failover = failover_with(silent)
    for _ in range(MAX_ABANDONED):
        failover._world.abandoned.add("silent")
    outcome = failover.run("hi")
    assert outcome.value == "here"
    assert silent.asked == 0
    first = outcome.trace.attempts[0]
    assert (first.target.name, first.verdict.value) == ("silent", "next")
    assert first.failure is not None
    assert f"busy: {MAX_ABANDONED} attempts that were given up" in first.failure.message
    failover._world.abandoned.remove("silent")
    silent.released.set()
    assert failover.health()["silent"].abandoned == MAX_ABANDONED - 1


def test_a_good_answer_leaves_nobody_behind() -> None:
    with VirtualWorld() as world:
        failover = Failover([Target("a", call=lambda request: "yes")], QUICK, world=world)
        assert failover.call("hi") == "yes"
        assert failover.health()["a"].abandoned == 0


def test_failovers_that_share_health_share_the_count(silent: Silent) -> None:
    failover = failover_with(silent)
    twin = Failover(failover.targets, health_of=failover)
    assert failover.call("hi") == "here"
    assert twin.health()["silent"].abandoned == 1


def comes_true(condition: Any) -> bool:
    for _ in range(400):
        if condition():
            return True
        threading.Event().wait(0.01)
    return False
