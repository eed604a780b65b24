"""The incidents that are lived through, as data. A scenario of your own is a JSON object with the same fields:

{"name": "brown-out", "seconds": 520, "traffic": {"rate": 2.0},
 "incidents": [{"from_s": 100, "until_s": 400, "errors": 0.3, "slowdown": 3.0}]}
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..failure import ConfigError
from .faults import Incident
from .traffic import Traffic
from .world import PROFILES, Profile

WARM_UP_S = 100.0
FAULT_S = 300.0
AFTER_S = 120.0
AFTERMATH_S = 30.0


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
    """

    name: str
    why: str = ""
    incidents: tuple[Incident, ...] = ()
    traffic: Traffic = Traffic()
    seconds: float = WARM_UP_S + FAULT_S + AFTER_S
    providers: tuple[Profile, ...] = PROFILES
    recoverable: bool = True
    returns: bool = True

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
    replace(
        _for_300_s("low traffic", "a black hole, with one request every 5 s", silent=1.0), traffic=Traffic(rate=0.2)
    ),
)


def named(name: str) -> Scenario:
    """The scenario of this name, or that of a JSON file.

    Raises:
        ConfigError: for a name that is neither, listing the names; for a file with unknown or missing fields.
    """
    for scenario in SCENARIOS:
        if scenario.name == name.replace("_", " ").replace("-", " "):
            return scenario
    path = Path(name)
    if path.suffix == ".json" and path.exists():
        return from_dict(json.loads(path.read_text(encoding="utf-8")))
    names = ", ".join(repr(scenario.name) for scenario in SCENARIOS)
    raise ConfigError(f"There is no scenario {name!r}: write one of {names}, or the path of a JSON file")


def from_dict(data: dict[str, Any]) -> Scenario:
    """A scenario from plain data.

    Raises:
        ConfigError: naming the field that does not exist or is missing.
    """
    fields = dict(data)
    try:
        fields["incidents"] = tuple(Incident(**one) for one in fields.get("incidents", ()))
        fields["traffic"] = Traffic(**fields.get("traffic", {}))
        if "providers" in fields:
            fields["providers"] = tuple(Profile(**one) for one in fields["providers"])
        return Scenario(**fields)
    except TypeError as error:
        raise ConfigError(f"scenario {data.get('name', '?')!r}: {error}") from error


def names(scenarios: Sequence[Scenario] = SCENARIOS) -> list[str]:
    return [scenario.name for scenario in scenarios]
