"""The incidents that are lived through, as data. A scenario of your own is a JSON object with the same fields:

{"name": "brown-out", "seconds": 520, "traffic": {"rate": 2.0},
 "incidents": [{"from_s": 100, "until_s": 400, "errors": 0.3, "slowdown": 3.0}]}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from ..failure import ConfigError
from .faults import Incident
from .fields import made, need, need_choice, need_flags, need_name, need_numbers
from .traffic import Traffic
from .world import PROFILES, Profile

WARM_UP_S = 100.0
FAULT_S = 300.0
AFTER_S = 120.0
AFTERMATH_S = 30.0
USUAL_TRAFFIC = Traffic()


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens, to whom, under which traffic.

    Args:
        name: a word or two.
        why: what it shows.
        incidents: what goes wrong; none = everybody is well.
        traffic: what the application asks for.
        seconds: how long requests keep coming.
        providers: the targets, in order of preference.
        recoverable: some target is well all the time, so no request need be lost.
        returns: the primary comes back at full strength, so its return can be timed.

    Raises:
        ConfigError: naming the field and what to write instead.
    """

    name: str
    why: str = ""
    incidents: tuple[Incident, ...] = ()
    traffic: Traffic = USUAL_TRAFFIC
    seconds: float = WARM_UP_S + FAULT_S + AFTER_S
    providers: tuple[Profile, ...] = PROFILES
    recoverable: bool = True
    returns: bool = True

    def __post_init__(self) -> None:
        need_name(self, "name")
        need_numbers(self, "seconds", above=0.0)
        need_flags(self, "recoverable", "returns")
        names = [one.name for one in self.providers]
        need(self, "providers", bool(names) and len(set(names)) == len(names), "at least one, each with its own name")
        for incident in self.incidents:
            need_choice(incident, "target", ("*", *names))

    @property
    def fault(self) -> tuple[float, float]:
        """From when to when something is wrong; all the time after the warm-up when nothing is."""
        if not self.incidents:
            return WARM_UP_S, self.seconds
        return min(one.from_s for one in self.incidents), max(one.until_s for one in self.incidents)

    @property
    def single_target(self) -> bool:
        """Only the primary is hit."""
        return bool(self.incidents) and all(one.target == self.providers[0].name for one in self.incidents)

    def calm(self) -> Scenario:
        """The same requests at the same times, with nothing wrong: what latencies are compared with."""
        if not self.incidents:
            return self
        return replace(self, name="calm", why="", incidents=tuple(one.harmless for one in self.incidents))

    def as_dict(self) -> dict[str, Any]:
        """As plain data; `from_dict` makes it a scenario again."""
        return asdict(self)

    def ill(self, target: str, at_s: float) -> bool:
        """Is this target hit at this second, or was it within the last half minute?"""
        return any(one.hits(target) and one.from_s <= at_s < one.until_s + AFTERMATH_S for one in self.incidents)


def _for_300_s(name: str, why: str, **what: Any) -> Scenario:
    return Scenario(name, why, (Incident(WARM_UP_S, WARM_UP_S + FAULT_S, **what),))


HEALTHY = Scenario("healthy", "nothing is wrong: what does failover itself cost, and does it cry wolf?")

SCENARIOS: tuple[Scenario, ...] = (
    HEALTHY,
    _for_300_s("hard down", "every call fails at once with a 503", errors=1.0),
    _for_300_s("black hole", "every call is accepted and never answered", silent=1.0),
    _for_300_s("slow", "first tokens take 8 times as long, the rest 4 times", slowdown=8.0, drag=4.0),
    _for_300_s("flaky", "one call in five fails", errors=0.2),
    _for_300_s("stalls", "30 % of the answers break off in silence", stalls=0.3),
    _for_300_s("rate limited", "1.5 requests a second are served, the others get a bare 429", limit_per_s=1.5),
    _for_300_s("flapping", "20 s down, 20 s up, again and again", errors=1.0, on_s=20.0, off_s=20.0),
    Scenario(
        "weak recovery",
        "down for 300 s; then its capacity grows from 0.5 to 12 requests a second in 60 s",
        (
            Incident(WARM_UP_S, WARM_UP_S + FAULT_S, errors=1.0),
            Incident(WARM_UP_S + FAULT_S, WARM_UP_S + FAULT_S + 60.0, capacity_from=0.5, capacity_to=12.0),
        ),
        seconds=WARM_UP_S + FAULT_S + 60.0 + AFTER_S,
        returns=False,
    ),
    Scenario(
        "slow ramp",
        "it slows down for a minute, up to 10 times, and then says nothing any more",
        (
            Incident(WARM_UP_S, WARM_UP_S + 60.0, slowdown=10.0, drag=4.0, ramp=True),
            Incident(WARM_UP_S + 60.0, WARM_UP_S + FAULT_S, silent=1.0),
        ),
    ),
    replace(
        HEALTHY, name="reasoning mix", why="10 % of the requests think for 10 s", traffic=Traffic(thinking_share=0.1)
    ),
    Scenario(
        "all down",
        "every target fails for a minute: how hard is it knocked at closed doors?",
        (Incident(WARM_UP_S, WARM_UP_S + 60.0, target="*", errors=1.0),),
        seconds=WARM_UP_S + 60.0 + AFTER_S,
        recoverable=False,
    ),
    Scenario(
        "low traffic",
        "a black hole, with one request every 5 s",
        (Incident(3 * WARM_UP_S, 3 * WARM_UP_S + FAULT_S, silent=1.0),),
        traffic=Traffic(rate=0.2),
        seconds=3 * WARM_UP_S + FAULT_S + AFTER_S,
    ),
)


def named(name: str) -> Scenario:
    """The scenario of this name, or that of a JSON file.

    Raises:
        ConfigError: for a name that is neither, listing the names; for a file that is no scenario.
    """
    for scenario in SCENARIOS:
        if scenario.name == name.replace("_", " ").replace("-", " "):
            return scenario
    if name.endswith(".json"):
        return from_file(Path(name))
    names = ", ".join(repr(scenario.name) for scenario in SCENARIOS)
    raise ConfigError(f"There is no scenario {name!r}: write one of {names}, or the path of a JSON file")


def from_file(path: Path) -> Scenario:
    """
    Raises:
        ConfigError: for a file that cannot be read, that is no JSON, or that is no scenario.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is not a scenario: {error}") from error
    return from_dict(data)


def from_dict(data: Mapping[str, Any]) -> Scenario:
    """A scenario from plain data.

    Raises:
        ConfigError: naming the field that does not exist, is missing or has a wrong value.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"A scenario is an object such as {{'name': ..., 'incidents': [...]}}, not {data!r}")
    what = f"scenario {data.get('name', '?')!r}"
    fields = dict(data)
    fields["incidents"] = _all(Incident, data.get("incidents", ()), f"{what}: incident")
    fields["traffic"] = made(Traffic, data.get("traffic", {}), f"{what}: traffic")
    if "providers" in data:
        fields["providers"] = _all(Profile, data["providers"], f"{what}: provider")
    return made(Scenario, fields, what)


T = TypeVar("T")


def _all(kind: type[T], rows: object, what: str) -> tuple[T, ...]:
    if not isinstance(rows, list | tuple):
        raise ConfigError(f"{what}s: {rows!r} is no list")
    return tuple(made(kind, row, f"{what} {number}") for number, row in enumerate(rows, 1))
