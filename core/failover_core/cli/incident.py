"""The demo's incident: what happens to the first provider, and when. Also how fast a provider is when it is well.

The trace records no failures, so the incident is made up, in the order in which real ones tend to grow: slow, silent,
refusing, well again. Every lane has providers of its own, which go through it at the same seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import exp
from random import Random

from ..testing.faults import Fault, Silence, Status
from ..testing.reply import Reply
from ..testing.wires.base import Incoming

# First tokens and speed of claude-3-haiku as thefastest.ai measured them in May 2024 (95 calls from 3 regions, MIT).
FIRST_TOKEN_S = 0.36
FIRST_TOKEN_DEVIATION = 0.44  # of ln(seconds)
TOKENS_PER_S = 125.0

WORDS_PER_CHUNK = 6
TOKENS_PER_CHUNK = 8.5  # six words of the demo's answers
SLOWDOWN = 12.0


@dataclass(frozen=True, slots=True)
class Pace(Fault):
    """The pace of a provider that answers: lognormal first tokens, then a steady stream.

    Args:
        rng: draws the first-token times.
        slowdown: factor on them.
    """

    rng: Random = field(compare=False)
    slowdown: float = 1.0

    def change_reply(self, incoming: Incoming, reply: Reply) -> Reply:
        first_s = FIRST_TOKEN_S * exp(FIRST_TOKEN_DEVIATION * self.rng.gauss(0.0, 1.0))
        return replace(reply, first_delay_s=self.slowdown * first_s, chunk_delay_s=TOKENS_PER_CHUNK / TOKENS_PER_S)


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the incident.

    Args:
        name: a word or two for the screen.
        from_share: when it begins, as a share of the replay.
        fault: what happens to requests that arrive in it; None = they are served.
        slowdown: factor on first-token times where they are served.
    """

    name: str
    from_share: float
    fault: Fault | None = None
    slowdown: float = 1.0

    def applied(self, rng: Random) -> Fault:
        """What the provider does from now on."""
        return self.fault if self.fault is not None else Pace(rng, self.slowdown)


HEALTHY = Phase("healthy", 0.0)
INCIDENT = (
    HEALTHY,
    Phase("slow", 0.20, slowdown=SLOWDOWN),
    Phase("silent", 0.32, fault=Silence()),
    Phase("503", 0.45, fault=Status(503)),
    Phase("recovered", 0.54),
)


def phase_at(share: float, phases: Sequence[Phase] = INCIDENT) -> Phase:
    """The phase that rules when `share` of the replay has passed."""
    return next(phase for phase in reversed(phases) if share >= phase.from_share)
