"""Runs one scenario under one policy: the same requests and the same luck for every policy, in simulated time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, cast

from ..client import Failover
from ..drivers.sim import Simulation
from ..effects import Effect, Emit, Flow
from ..engine import answer_flow, plan, stream_flow
from ..events import CircuitChanged, Happening
from ..model import Target
from ..settings import Settings
from ..testing.scripted import Finish
from .peers import PEERS
from .scenarios import Scenario
from .traffic import Ask, asks
from .world import Call, Provider, info_of

START_S = 1000.0
KIT = "Failover Kit"
POLICIES = (KIT, *PEERS)


@dataclass(slots=True, eq=False)
class Record:
    """What became of one request. Times are seconds since it arrived.

    Args:
        ask: the request.
        attempts: (target's name, billed), in the order in which they were begun.
        good: the caller got the whole, right answer.
        first_s: until the caller got the first text of a stream.
        total_s: until the whole answer, or the error.
        error: why not, for people.
    """

    ask: Ask
    attempts: list[tuple[str, float]]
    good: bool = False
    first_s: float | None = None
    total_s: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One scenario under one policy with one seed.

    Args:
        scenario, policy, seed: what was run.
        records: every request.
        opened: (second of the scenario, target's name) whenever a target was set aside.
        false_trips: those of `opened` at which the target had been well for half a minute.
    """

    scenario: Scenario
    policy: str
    seed: int
    records: Sequence[Record]
    opened: Sequence[tuple[float, str]]
    false_trips: int


def run(scenario: Scenario, policy: str = KIT, seed: int = 1, settings: Settings | None = None) -> Run:
    """Let the scenario happen.

    Args:
        policy: one of `POLICIES`.
        seed: of arrivals, sizes and luck.
        settings: for Failover Kit; the defaults if not given.
    """
    providers = {one.name: Provider(one, scenario.incidents, START_S, seed) for one in scenario.providers}
    world = Simulation(lambda start, now: providers[start.context.target.name].plan(start, now), start_s=START_S)
    targets = [provider.target() for provider in providers.values()]
    open_flow, opened = _lane(scenario, policy, targets, Random(seed), settings, world.now)
    records = []
    for ask in asks(scenario.traffic, START_S, scenario.seconds, Random(seed)):
        record = Record(ask, [])
        records.append(record)
        _submit(world, record, open_flow)
    world.run()
    trips = [(at_s - START_S, name) for at_s, name in opened]
    false = sum(not scenario.ill(name, at_s) for at_s, name in trips)
    return Run(scenario, policy, seed, records, trips, false)


OpenFlow = Callable[[Call, float], Flow]


def _lane(
    scenario: Scenario,
    policy: str,
    targets: Sequence[Target],
    rng: Random,
    settings: Settings | None,
    now: Callable[[], float],
) -> tuple[OpenFlow, list[tuple[float, str]]]:
    """How the policy handles a request, and the list of the times at which it sets targets aside."""
    if policy in PEERS:
        peer = PEERS[policy](targets, rng)
        return peer.flow, peer.opened
    opened: list[tuple[float, str]] = []

    def note(event: Happening) -> None:
        if isinstance(event, CircuitChanged) and event.new == "open" and event.old in ("closed", "ramping"):
            opened.append((now(), event.target))

    failover = Failover(targets, settings, rng=rng)
    failover._book._emit = note  # a listener of the client would also be told of every attempt, which takes time

    def open_flow(call: Call, now: float) -> Flow:
        info = info_of(call.ask, thinking_told=scenario.traffic.thinking_told)
        route = plan(failover._desk, call, info, "stream" if call.ask.streamed else "call", now)
        return stream_flow(route) if call.ask.streamed else answer_flow(route)

    return open_flow, opened


def _submit(world: Simulation, record: Record, open_flow: OpenFlow) -> None:
    ask = record.ask

    def begin(now: float) -> Flow:
        return cast(Flow, _Watched(open_flow(Call(ask, record.attempts), now), record, world.now))

    def finished(value: Any, error: BaseException | None) -> None:
        record.total_s = world.now() - ask.at_s
        if error is not None:
            record.error = f"{type(error).__name__}: {error}"
        else:
            text = value if isinstance(value, str) else "".join(part for part in value if not isinstance(part, Finish))
            record.good = text == ask.text

    world.submit(ask.at_s, begin, finished)


class _Watched:
    """A flow whose first shown chunk is timed."""

    __slots__ = ("_flow", "_now", "_record")

    def __init__(self, flow: Flow, record: Record, now: Callable[[], float]) -> None:
        self._flow = flow
        self._record = record
        self._now = now

    def send(self, reply: Any) -> Effect:
        effect = self._flow.send(reply)
        if effect.__class__ is Emit and self._record.first_s is None:
            self._record.first_s = self._now() - self._record.ask.at_s
        return effect
