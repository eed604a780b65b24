"""What all requests of a `Failover` share (`Desk`), and one attempt under way (`Live`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from .failure import Failure
from .health.book import HealthBook, Permit
from .limits import Limit
from .model import RequestInfo, Target
from .policy.guards import Style, cannot
from .policy.ranking import Policy
from .settings import Settings
from .stream.inlet import Inlet
from .telemetry import Telemetry
from .trace import Attempt


@dataclass(frozen=True, slots=True)
class Desk:
    """What all requests of a `Failover` share."""

    targets: tuple[Target, ...]
    settings: Settings
    policy: Policy
    book: HealthBook
    rng: Random
    classify: Callable[[BaseException], Failure]
    telemetry: Telemetry
    _able: dict[Style, tuple[list[Target], dict[str, str]]] = field(default_factory=dict)

    def able(self, info: RequestInfo, style: Style) -> tuple[list[Target], dict[str, str]]:
        """The targets that can take such a request, and why the others cannot. Do not change either."""
        if info.prompt_tokens is not None or info.needs:
            return self._sorted_out(info, style)
        plain = self._able.get(style)
        if plain is None:
            plain = self._able[style] = self._sorted_out(info, style)
        return plain

    def _sorted_out(self, info: RequestInfo, style: Style) -> tuple[list[Target], dict[str, str]]:
        reasons = {target.name: cannot(target, info, style) for target in self.targets}
        able = [target for target in self.targets if reasons[target.name] is None]
        return able, {name: reason for name, reason in reasons.items() if reason is not None}


@dataclass(slots=True, eq=False)
class Live:
    """An attempt under way.

    Args:
        began_s: when it started, on the driver's clock.
        limit: when it is overdue; None = it may take all the time there is.
        was_healthy: the target's health when it was asked.
        inlet: its stream, None for a call.
        value: its answer, once it has one.
        ended: its stream has come to a good end.
    """

    attempt: Attempt
    permit: Permit
    began_s: float
    limit: Limit | None
    was_healthy: bool
    inlet: Inlet | None
    value: Any = None
    ended: bool = False

    @property
    def target(self) -> Target:
        return self.attempt.target
