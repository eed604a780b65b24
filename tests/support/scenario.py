"""Runs a scenario (see `tests/scenarios/README.md`) under each driver and gives what was decided, as plain data."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from failover_core import Failover, FailoverError, RequestInfo, Settings, StreamRestarted
from failover_core.drivers.sim import Simulation
from failover_core.engine import answer_flow, plan, stream_flow
from failover_core.testing.clock import START_S, VirtualLoop, VirtualWorld
from failover_core.testing.scripted import Behaviour, Finish, ScriptedTarget
from failover_core.trace import RouteTrace

Scenario = dict[str, Any]
Decision = dict[str, Any]


class Run:
    """One scenario, with fresh scripts, a seeded random source and a fresh health book."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.scripts = {
            name: ScriptedTarget(name, behaviours(script), options(scenario, name))
            for name, script in scenario["targets"].items()
        }

    def failover(self, world: VirtualWorld | None = None) -> Failover:
        return Failover(
            [script.target(world) for script in self.scripts.values()],
            Settings(**self.scenario.get("settings", {})),
            world=world,
            rng=Random(self.scenario.get("seed", 7)),
        )

    def requests(self) -> Iterator[tuple[float, bool, RequestInfo]]:
        for request in self.scenario["requests"]:
            info = dict(request.get("info", {}))
            for name in ("needs", "tags"):
                if name in info:
                    info[name] = frozenset(info[name])
            for repetition in range(request.get("times", 1)):
                at_s = START_S + request.get("at_s", 0.0) + repetition * request.get("every_s", 0.0)
                yield at_s, request.get("stream", False), RequestInfo(**info)


def behaviours(script: list[dict[str, Any]]) -> Any:
    """A list of behaviours, or of incidents `{"until_s": ..., ...}` when the first one has an end."""
    made = [Behaviour(**{k: v for k, v in one.items() if k != "until_s"}) for one in script]
    if "until_s" not in script[0]:
        return made
    ends = [one.get("until_s", float("inf")) for one in script]

    def at(number: int, now: float) -> Behaviour:
        return next(behaviour for behaviour, end in zip(made, ends, strict=True) if now - START_S < end)

    return at


def options(scenario: Scenario, name: str) -> dict[str, Any]:
    given = dict(scenario.get("options", {}).get(name, {}))
    if "lacks" in given:
        given["lacks"] = frozenset(given["lacks"])
    return given


def under_sync(scenario: Scenario) -> list[Decision]:
    run = Run(scenario)
    decisions = []
    with VirtualWorld() as world:
        failover = run.failover(world)
        for at_s, streamed, info in run.requests():
            world.sleep(max(0.0, at_s - world.now()))
            stream = failover.stream("request", info) if streamed else None
            decisions.append(
                decided(lambda s=stream, i=info: list(s) if s is not None else failover.run("request", i), stream)
            )
    return decisions


def under_asyncio(scenario: Scenario) -> list[Decision]:
    run = Run(scenario)

    async def all_requests() -> list[Decision]:
        failover = run.failover()
        loop = asyncio.get_running_loop()
        decisions = []
        for at_s, streamed, info in run.requests():
            await asyncio.sleep(max(0.0, at_s - loop.time()))
            stream = failover.astream("request", info) if streamed else None
            result: Any
            try:
                result = [c async for c in stream] if stream is not None else await failover.arun("request", info)
            except FailoverError as error:
                result = error
            decisions.append(decided(lambda r=result: r, stream))
        return decisions

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(all_requests())


def under_simulation(scenario: Scenario) -> list[Decision]:
    run = Run(scenario)
    failover = run.failover()
    decisions: list[Decision] = []
    streaming = False
    world = Simulation(
        lambda start, now: run.scripts[start.context.target.name].plan(start, now, streaming=streaming),
        start_s=START_S,
    )
    for at_s, streamed, info in run.requests():
        streaming = streamed
        world.submit(max(at_s, world.now()), *simulated(failover, streamed, info, decisions))
        already = len(decisions)
        while len(decisions) == already and world.step():  # a probe left behind goes on during the next requests
            pass
    return decisions


def simulated(failover: Failover, streamed: bool, info: RequestInfo, decisions: list[Decision]) -> tuple[Any, Any]:
    """What the simulation needs of one request: how to open its flow, and what to do at its end."""
    traces: list[RouteTrace] = []

    def open_flow(now: float) -> Any:
        route = plan(failover._desk, "request", info, "stream" if streamed else "call", now)
        traces.append(route.trace)
        return stream_flow(route) if streamed else answer_flow(route)

    def finished(value: Any, error: BaseException | None) -> None:
        decisions.append(decision(value, error, traces[0]))

    return open_flow, finished


DRIVERS: dict[str, Callable[[Scenario], list[Decision]]] = {
    "sync": under_sync,
    "asyncio": under_asyncio,
    "simulation": under_simulation,
}


def decided(call: Callable[[], Any], stream: Any) -> Decision:
    try:
        result = call()
    except FailoverError as error:
        result = error
    if isinstance(result, FailoverError):
        assert result.trace is not None
        return decision(None, result, result.trace)
    return decision(result, None, stream.trace) if stream is not None else decision(result.value, None, result.trace)


def decision(value: Any, error: BaseException | None, trace: RouteTrace) -> Decision:
    """What was decided for one request: who was asked, why, how it ended, when, and what the caller got."""
    got: Any = type(error).__name__ if error is not None else value
    restarts: list[StreamRestarted] = []
    if isinstance(got, list):
        restarts = [chunk for chunk in got if isinstance(chunk, StreamRestarted)]
        valid = got[got.index(restarts[-1]) + 1 :] if restarts else got
        got = "".join(chunk for chunk in valid if not isinstance(chunk, Finish))
    return {
        "got": got,
        "attempts": [
            [attempt.target.name, attempt.why, attempt.verdict.value, attempt.kind.value if attempt.kind else None]
            for attempt in trace.attempts
        ],
        "started_s": [round(attempt.started_s, 3) for attempt in trace.attempts],
        "elapsed_s": round(trace.elapsed_s, 3),
        "skipped": sorted(trace.skipped),
        "restarts": [[restart.broken, restart.target, restart.void_chars, restart.kind.value] for restart in restarts],
    }
