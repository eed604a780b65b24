"""In which order are targets asked? A policy is a function; users can pass their own.

`policy(candidates, snapshot, request, draw) -> candidates in order`: `candidates` are the targets that can take the
request, in the order of the configuration; `snapshot` maps names to `TargetState`; `request` is a `RequestInfo`;
`draw()` gives uniform random numbers in [0, 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log

from ..failure import ConfigError
from ..health.state import TargetState
from ..model import RequestInfo, Target

Policy = Callable[[Sequence[Target], Mapping[str, TargetState], RequestInfo, Callable[[], float]], Sequence[Target]]


def priority(
    candidates: Sequence[Target], snapshot: Mapping[str, TargetState], request: RequestInfo, draw: Callable[[], float]
) -> Sequence[Target]:
    """By tier, then as configured."""
    return sorted(candidates, key=_tier)


def weighted(
    candidates: Sequence[Target], snapshot: Mapping[str, TargetState], request: RequestInfo, draw: Callable[[], float]
) -> Sequence[Target]:
    """By tier, then at random so that each target comes first in proportion to its weight.

    Keys ln(u) / weight, largest first (Efraimidis & Spirakis 2006).
    """
    return sorted(candidates, key=lambda target: (target.tier, -log(1.0 - draw()) / target.weight))


def _tier(target: Target) -> int:
    return target.tier


POLICIES: dict[str, Policy] = {"priority": priority, "weighted": weighted}


def named(policy: str | Policy) -> Policy:
    """The policy of this name, or the function itself.

    Raises:
        ConfigError: for a name that does not exist, listing those that do.
    """
    if callable(policy):
        return policy
    if policy in POLICIES:
        return POLICIES[policy]
    raise ConfigError(
        f"policy={policy!r} does not exist: write one of {', '.join(map(repr, POLICIES))}, or pass a function "
        "of (candidates, snapshot, request, draw)"
    )
