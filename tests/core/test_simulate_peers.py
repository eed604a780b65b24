"""Others' policies do what their sources say, in fixed sequences of events.

Read in langchain-core 1.7, openai 2.x, litellm 1.106 (`router_utils/cooldown_handlers.py`, `router.py`) and the
documentation of Polly and resilience4j. LiteLLM itself was played the sequences of one 429, of Retry-After, of retries
and orders, of more than half failed, and of all cooled down: it asked the same deployments at the same times.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from failover_core import Target
from failover_core.drivers.sim import Happens, Simulation
from failover_core.effects import Chunk, Ended, Failed, Returned, Start
from failover_core.simulate.peers import PEERS, LiteLLMRouter, Peer, Sequential, WindowBreaker
from failover_core.simulate.traffic import Ask
from failover_core.simulate.world import Call
from failover_core.testing.scripted import ScriptedError

ASK = Ask(0, 0.0, 10, 10, False)


@dataclass
class World:
    """Two or three targets whose next answers are written down: "ok", a status, "silent", or "cut".

    Args:
        script: target's name -> what its calls do, in order; the last one for all after it.
    """

    script: dict[str, list[Any]]
    asked: list[tuple[float, str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.simulation = Simulation(self.plan)
        self.targets = [Target(name, call=str) for name in self.script]

    def plan(self, start: Start, now: float) -> Iterator[tuple[float, Happens]]:
        name = start.context.target.name
        self.asked.append((round(now, 3), name))
        start.request.attempts.append((name, 0.0))
        script = self.script[name]
        what = script.pop(0) if len(script) > 1 else script[0]
        if what == "ok":
            yield 0.0, lambda number, at_s: Returned(number, name, at_s)
        elif what == "cut":
            yield 0.0, lambda number, at_s: Chunk(number, "a", at_s)
            yield 0.0, lambda number, at_s: Ended(number, at_s)
        elif what == "breaks":
            yield 0.0, lambda number, at_s: Chunk(number, "a", at_s)
            yield 0.0, lambda number, at_s: Failed(number, ConnectionResetError(), at_s)
        elif what != "silent":
            yield 0.0, lambda number, at_s: Failed(number, ScriptedError(what, headers=self.headers), at_s)

    def serve(self, peer: Peer, *times: float) -> list[Any]:
        """The answer, or the error, of a request at each of these times."""
        done: list[Any] = []
        for at_s in times:
            self.simulation.submit(
                at_s, lambda now: peer.flow(Call(ASK), now), lambda value, error: done.append(error or value)
            )
        self.simulation.run()
        return done

    def names(self) -> list[str]:
        return [name for _, name in self.asked]


class Unjittered(Random):
    def random(self) -> float:
        return 0.0


def status(error: Any) -> int:
    return error.status_code


# -- one model, with_fallbacks --------------------------------------------------------------------------------------


def test_the_sdk_s_own_retries_back_off() -> None:
    world = World({"a": [503, 503, 503, "ok"]})
    (error,) = world.serve(PEERS["one model"](world.targets, Unjittered()), 10.0)
    assert world.asked == [(10.0, "a"), (10.5, "a"), (11.5, "a")]
    assert status(error) == 503


def test_the_sdk_obeys_retry_after_up_to_a_minute() -> None:
    for told, expected_s in (("7", 17.0), ("61", 10.5)):
        world = World({"a": [429, "ok"]}, headers={"retry-after": told})
        assert world.serve(Sequential(world.targets, Unjittered(), 600.0, 2), 10.0) == ["a"]
        assert world.asked[1] == (expected_s, "a")


def test_fallbacks_are_asked_in_order_and_nothing_is_remembered() -> None:
    world = World({"a": [503], "b": [500, "ok"], "c": ["ok"]})
    assert world.serve(PEERS["with_fallbacks, 30 s"](world.targets, Random(1)), 0.0, 1.0) == ["c", "b"]
    assert world.names() == ["a", "b", "c", "a", "b"]


@pytest.mark.parametrize(("policy", "timeout_s"), [("with_fallbacks", 600.0), ("with_fallbacks, 30 s", 30.0)])
def test_a_silent_target_costs_its_timeout(policy: str, timeout_s: float) -> None:
    world = World({"a": ["silent"], "b": ["ok"]})
    assert world.serve(PEERS[policy](world.targets, Unjittered()), 0.0) == ["b"]
    tries = 3 if policy == "with_fallbacks" else 1
    assert world.asked[-1][0] == pytest.approx(tries * timeout_s, abs=2.0)
    assert world.names() == ["a"] * tries + ["b"]


@pytest.mark.parametrize("policy", [name for name in PEERS if name != "one model"])
def test_nobody_goes_on_with_a_broken_stream(policy: str) -> None:
    world = World({"a": ["breaks"], "b": ["ok"]})
    (error,) = world.serve(PEERS[policy](world.targets, Random(1)), 0.0)
    assert isinstance(error, ConnectionResetError)
    assert world.names() == ["a"]


@pytest.mark.parametrize("policy", list(PEERS))
def test_nobody_notices_a_cut_stream(policy: str) -> None:
    world = World({"a": ["cut"], "b": ["ok"]})
    assert world.serve(PEERS[policy](world.targets, Random(1)), 0.0) == [["a"]]


# -- LiteLLM --------------------------------------------------------------------------------------------------------


def litellm(world: World) -> LiteLLMRouter:
    return LiteLLMRouter(world.targets, Random(1))


def test_litellm_cools_down_for_5_s_after_one_429() -> None:
    world = World({"a": [429, "ok"], "b": ["ok"]})
    peer = litellm(world)
    assert world.serve(peer, 10.0, 14.9, 15.0) == ["b", "b", "a"]
    assert peer.opened == [(10.0, "a")]


def test_litellm_cools_down_for_as_long_as_retry_after_says() -> None:
    world = World({"a": [429, "ok"], "b": ["ok"]}, headers={"retry-after": "20"})
    assert world.serve(litellm(world), 10.0, 29.9, 30.0) == ["b", "b", "a"]


def test_litellm_does_not_understand_fractions() -> None:
    world = World({"a": [429, "ok"], "b": ["ok"]}, headers={"retry-after": "1.5"})
    assert world.serve(litellm(world), 10.0, 12.0, 15.0) == ["b", "b", "a"]


def test_litellm_retries_twice_at_the_lowest_order_and_then_goes_up() -> None:
    world = World({"a": [503], "b": [503, "ok"]})
    assert world.serve(litellm(world), 10.0) == ["b"]
    assert world.asked == [(10.0, name) for name in ("a", "a", "a", "b", "b")]


def test_litellm_cools_down_when_more_than_half_of_5_have_failed() -> None:
    world = World({"a": [503], "b": ["ok"]})
    peer = litellm(world)
    world.serve(peer, 10.0, 11.0, 12.0, 15.9, 16.1)
    at_11 = [name for at_s, name in world.asked if at_s == 11.0]
    assert at_11 == ["a", "a", "b"]  # its fourth and fifth failure
    assert peer.opened == [(11.0, "a"), (16.1, "a")]
    assert [name for at_s, name in world.asked if at_s in (12.0, 15.9)] == ["b", "b"]


def test_litellm_does_not_cool_down_at_exactly_half() -> None:
    world = World({"a": ["ok", 503, "ok", 503, "ok", 503, "ok", 503], "b": ["ok"]})
    peer = litellm(world)
    world.serve(peer, *range(4))
    assert peer.opened == []


def test_litellm_s_minute_does_not_slide() -> None:
    """9 answers at the end of one minute, 5 failures at the start of the next: the answers are forgotten."""
    answers = ["ok"] * 10
    world = World({"a": [*answers, 503], "b": ["ok"]})
    peer = litellm(world)
    world.serve(peer, 0.0, *(59.0 + number / 100 for number in range(9)), 60.5, 60.6)
    assert peer.opened == [(60.6, "a")]
    slides = World({"a": [*answers, 503], "b": ["ok"]})
    peer = litellm(slides)
    slides.serve(peer, *(20.0 + number / 100 for number in range(10)), 60.5, 60.6)
    assert peer.opened == []


def test_litellm_gives_up_at_once_when_all_are_cooled_down() -> None:
    world = World({"a": [429], "b": [429]})
    for error in world.serve(litellm(world), 10.0, 11.0):
        assert "No deployments available" in str(error)
    assert world.names() == ["a", "b"]


def test_litellm_s_silent_target_is_asked_three_times() -> None:
    world = World({"a": ["silent"], "b": ["ok"]})
    assert world.serve(litellm(world), 0.0) == ["b"]
    assert world.asked == [(0.0, "a"), (30.0, "a"), (60.0, "a"), (90.0, "b")]


# -- the window breaker ---------------------------------------------------------------------------------------------


def breaker(world: World) -> WindowBreaker:
    return WindowBreaker(world.targets, Random(1))


def test_the_window_breaker_opens_at_half_of_10_calls() -> None:
    world = World({"a": ["ok"] * 5 + [503], "b": ["ok"]})
    peer = breaker(world)
    world.serve(peer, *range(10), 10.5)
    assert peer.opened == [(9.0, "a")]
    assert world.asked[-1] == (10.5, "b")


def test_the_window_breaker_forgets_what_is_older_than_30_s() -> None:
    world = World({"a": [*([503] * 5), *(["ok"] * 4), "ok"], "b": ["ok"]})
    peer = breaker(world)
    world.serve(peer, *range(5), *range(40, 50))
    assert peer.opened == []


def test_the_window_breaker_tests_with_one_call_after_30_s() -> None:
    """While one call tests, the others go elsewhere; its success closes the circuit."""
    script = [*([503] * 10), "silent", "ok"]
    world = World({"a": script, "b": ["ok"]})
    peer = breaker(world)
    world.serve(peer, *(number / 10 for number in range(10)), 30.0, 31.0, 32.0)
    at_s = {name: [at_s for at_s, asked in world.asked if asked == name and at_s > 1.0] for name in "ab"}
    assert at_s == {"a": [31.0], "b": [30.0, 32.0, 61.0]}  # the test timed out at 61 s


def test_the_window_breaker_closes_after_a_good_test_and_opens_again_after_a_bad_one() -> None:
    for tested, expected in (("ok", ["a", "a"]), (503, ["b", "b"])):
        world = World({"a": [*([503] * 10), tested, "ok"], "b": ["ok"]})
        assert world.serve(breaker(world), *(number / 10 for number in range(10)), 31.0, 32.0)[-2:] == expected
