"""Runs one scenario under one policy: the same requests and the same luck for every policy, in simulated time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, cast

from ..client import Failover
from ..drivers.sim import Simulation
from ..effects import Effect, Emit, Flow
from ..events import CircuitChanged, Happening
from ..failure import ConfigError
from ..model import Target
from ..policy.ranking import Policy
from ..settings import Settings
from ..testing.scripted import Finish
from ..trace import StreamRestarted
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
        total_s: until the whole answer, or the error; None = it waits for ever.
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


def run(
    scenario: Scenario,
    policy: str = KIT,
    seed: int = 1,
    settings: Settings | None = None,
    ranking: str | Policy = "priority",
) -> Run:
    """Let the scenario happen.

    Args:
        policy: one of `POLICIES`.
        seed: of arrivals, sizes and luck.
        settings: for Failover Kit; the defaults if not given.
        ranking: Failover Kit's `policy=`: in which order it asks.

    Raises:
        ConfigError: for a policy that does not exist, listing those that do.
    """
    if policy not in POLICIES:
        raise ConfigError(f"There is no policy {policy!r}: write one of {', '.join(map(repr, POLICIES))}")
    providers = {one.name: Provider(one, scenario.incidents, START_S, seed) for one in scenario.providers}
    world = Simulation(lambda start, now: providers[start.context.target.name].plan(start, now), start_s=START_S)
    targets = [provider.target() for provider in providers.values()]
    open_flow, opened = _lane(scenario, policy, targets, Random(seed), settings, ranking, world.now)
    records = []
    for ask in asks(scenario.traffic, START_S, scenario.seconds, Random(seed)):
        record = Record(ask, [])
        records.append(record)
        _submit(world, record, open_flow)
    world.run()
    for record in records:
        if record.total_s is None:
            record.error = "waits for ever"
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
    ranking: str | Policy,
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

    failover = Failover(targets, settings, ranking, rng=rng, on_event=note)

    def open_flow(call: Call, now: float) -> Flow:
        info = info_of(call.ask, thinking_told=scenario.traffic.thinking_told)
        return failover.flow(call, info, now=now, streamed=call.ask.streamed)

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
            record.good = _text(value) == ask.text
            record.error = "" if record.good else "not the whole answer"

    world.submit(ask.at_s, begin, finished)


def _text(value: str | list[Any]) -> str:
    """What the caller has in the end of an answer or of the chunks of a stream."""
    if isinstance(value, str):
        return value
    shown: list[str] = []
    for chunk in value:
        if isinstance(chunk, StreamRestarted):
            shown.clear()
        elif not isinstance(chunk, Finish):
            shown.append(chunk)
    return "".join(shown)


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
