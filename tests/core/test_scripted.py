"""Scripted targets behave the same in every world, and the simulated world keeps the order of time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from failover_core import Failover, Settings, classify
from failover_core.drivers.sim import Simulation
from failover_core.engine import answer_flow, plan
from failover_core.model import NO_INFO
from failover_core.testing.clock import START_S, VirtualLoop, VirtualWorld
from failover_core.testing.scripted import Behaviour, Finish, ScriptedError, ScriptedTarget


def steps(behaviour: Behaviour, *, streaming: bool) -> list[tuple[float, str, Any]]:
    return [(after_s, what, value) for after_s, what, value in behaviour.steps(streaming=streaming)]


def test_an_answer_and_its_stream() -> None:
    behaviour = Behaviour(after_s=1.0, text="one two three", gap_s=0.5)
    assert steps(behaviour, streaming=False) == [(1.0, "return", "one two three")]
    assert steps(behaviour, streaming=True) == [
        (1.0, "chunk", "one "),
        (0.5, "chunk", "two "),
        (0.5, "chunk", "three"),
        (0.0, "chunk", Finish()),
        (0.0, "end", None),
    ]


def test_streams_that_do_not_end_well() -> None:
    silent = Behaviour(text="one two three", words=2, then="silence")
    cut = Behaviour(text="one two three", words=2, then="cut")
    broken = Behaviour(text="one two three", words=1, status="reset")
    assert [what for _, what, _ in steps(silent, streaming=True)] == ["chunk", "chunk"]
    assert [what for _, what, _ in steps(cut, streaming=True)] == ["chunk", "chunk", "end"]
    assert [what for _, what, _ in steps(broken, streaming=True)] == ["chunk", "fail"]
    assert steps(Behaviour(silent=True), streaming=True) == []


@pytest.mark.parametrize(
    ("status", "kind"), [(503, "overloaded"), (401, "auth"), ("reset", "connection"), ("refused", "connection")]
)
def test_scripted_errors_are_classified_like_real_ones(status: Any, kind: str) -> None:
    assert classify(Behaviour(status=status).error()).kind == kind


def test_a_retry_after_is_told_as_a_header() -> None:
    error = Behaviour(status=429, retry_after="7").error()
    assert isinstance(error, ScriptedError)
    assert classify(error).retry_after_s == 7.0


def test_a_script_is_one_behaviour_a_call_and_the_last_one_for_ever() -> None:
    script = ScriptedTarget("a", [Behaviour(text="first"), Behaviour(text="then")])
    assert [script.next_behaviour(0.0).text for _ in range(4)] == ["first", "then", "then", "then"]


def test_a_script_may_be_a_function_of_number_and_time() -> None:
    script = ScriptedTarget("a", lambda number, now: Behaviour(text=f"{number} at {now:.0f}"))
    assert [script.next_behaviour(now).text for now in (0.0, 5.0)] == ["0 at 0", "1 at 5"]


def test_blocking_and_async_code_see_the_same_times() -> None:
    def script() -> ScriptedTarget:
        return ScriptedTarget("a", [Behaviour(after_s=2.0, gap_s=1.0, text="one two three")])

    with VirtualWorld() as world:
        stream = Failover([script().target(world)], world=world).stream("x")
        assert "".join(chunk for chunk in stream if isinstance(chunk, str)) == "one two three"
        blocking = world.now() - START_S

    async def main() -> float:
        stream = Failover([script().target()]).astream("x")
        assert "".join([chunk async for chunk in stream if isinstance(chunk, str)]) == "one two three"
        return asyncio.get_running_loop().time() - START_S

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(main()) == pytest.approx(blocking) == 4.0


# -- simulated time -------------------------------------------------------------------------------------------------


def test_many_requests_at_once_in_the_order_of_time() -> None:
    scripts = {
        "a": ScriptedTarget("a", lambda number, now: Behaviour(after_s=3.0 - number, text=f"answer {number}")),
        "b": ScriptedTarget("b", [Behaviour()]),
    }
    failover = Failover([script.target() for script in scripts.values()], Settings())
    world = Simulation(
        lambda start, now: scripts[start.context.target.name].plan(start, now, streaming=False), start_s=START_S
    )
    ended: list[tuple[float, Any]] = []
    for _ in range(3):
        world.submit(
            START_S,
            lambda now: answer_flow(plan(failover._desk, "x", NO_INFO, "call", now)),
            lambda value, error: ended.append((world.now() - START_S, value)),
        )
    world.run()
    assert ended == [(1.0, "answer 2"), (2.0, "answer 1"), (3.0, "answer 0")]
    assert failover._book.snapshot["a"].in_flight == 0


def test_time_can_be_stopped_and_goes_on() -> None:
    seen: list[float] = []
    world = Simulation(lambda start, now: iter(()))
    for at_s in (1.0, 2.0, 3.0):
        world.at(at_s, lambda: seen.append(world.now()))
    world.run(until_s=2.5)
    assert (seen, world.now()) == ([1.0, 2.0], 2.5)
    world.run()
    assert seen == [1.0, 2.0, 3.0]


def test_what_is_cancelled_does_not_happen_and_takes_no_time() -> None:
    world = Simulation(lambda start, now: iter(()))
    world.at(50.0, lambda: pytest.fail("it was cancelled")).cancelled = True
    world.run()
    assert world.now() == 0.0
