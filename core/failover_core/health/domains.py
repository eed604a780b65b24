"""Trouble spills over: targets of one failure domain (a provider, or one of its regions) tend to fail together, so what
speaks against one of them speaks a little against the others. Part of the health book, which holds the lock.

A part of each piece of evidence is passed on, and a trip makes the others doubtful for 40 s. To be in doubt opens no
circuit: a doubted target is asked after those of other domains and raced sooner, and its first good answer clears it.
Providers' status pages show such shared incidents; how often they are shared differs, so the parts are guesses
(Chu et al., ICPE 2025, count co-occurring failures of OpenAI's, Anthropic's and Character.AI's services).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from math import exp, log

from . import suspicion
from .breaker import CircuitState
from .state import TargetState

SHARE = 0.3
TRIP_SPILLS_NATS = 7.0
FORGOTTEN_NATS = 0.5
NOBODY: frozenset[str] = frozenset()


class Domains:
    """What has spilled over to whom. Readers need no lock: what they read is replaced as a whole."""

    def __init__(self) -> None:
        self._siblings: dict[str, frozenset[str]] = {}
        self._spilled: dict[str, tuple[float, float]] = {}  # nats, and the time as of which
        self._until_s = 0.0

    def relate(self, siblings: Mapping[str, Iterable[str]]) -> None:
        """These targets are in one failure domain with those others."""
        for name, others in siblings.items():
            self._siblings[name] = self._siblings.get(name, NOBODY) | frozenset(others)

    def spill(self, name: str, now: float, nats: float, *, tripped: bool) -> None:
        """Evidence against `name`, or its trip, makes the others doubtful."""
        siblings = self._siblings.get(name)
        if not siblings:
            return
        spilled = {other: entry for other, entry in self._spilled.items() if _now(entry, now) >= FORGOTTEN_NATS}
        for other in siblings:
            total = suspicion.updated(_now(spilled.get(other, (0.0, now)), now), 0.0, SHARE * nats)
            spilled[other] = (TRIP_SPILLS_NATS if tripped else min(total, TRIP_SPILLS_NATS), now)
        self._spilled = spilled
        self._until_s = now + suspicion.DECAY_TIME_S * log(TRIP_SPILLS_NATS / FORGOTTEN_NATS)

    def cleared(self, name: str) -> None:
        """It has given a good answer itself."""
        if name in self._spilled:
            self._spilled = {other: entry for other, entry in self._spilled.items() if other != name}

    def nats(self, name: str, now: float) -> float:
        """How much speaks against this target because of others."""
        return _now(self._spilled[name], now) if name in self._spilled else 0.0

    def doubted(self, states: Mapping[str, TargetState], now: float) -> Set[str]:
        """The closed targets that are degraded, what has spilled over to them included."""
        if now >= self._until_s or not self._spilled:
            return NOBODY
        return {name for name, entry in self._spilled.items() if _doubted(states[name], _now(entry, now), now)}


def _doubted(state: TargetState, nats: float, now: float) -> bool:
    return state.breaker.state is CircuitState.CLOSED and state.doubt(now) + nats >= suspicion.DEGRADED_NATS


def _now(entry: tuple[float, float], now: float) -> float:
    nats, at_s = entry
    return nats * exp(-max(0.0, now - at_s) / suspicion.DECAY_TIME_S)
