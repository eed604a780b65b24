"""What all requests of a `Failover` share (`Desk`), and one attempt under way (`Live`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from .failure import Failure
from .health.book import HealthBook, Permit
from .health.habits import HabitKey
from .health.latency import moment_s
from .health.ratelimit_headers import RateLimitFacts
from .health.suspicion import LOOKS
from .limits import Limit, gap_key, habit_key, pace_key, size_of
from .model import RequestInfo, Target
from .policy.guards import Style, cannot
from .policy.ranking import Policy
from .settings import Settings
from .stream.inlet import Inlet
from .telemetry import Telemetry
from .trace import Attempt

FIRST_TOKEN_TOKENS = 40  # the wait for the first token, in tokens: .6 s at 64 tokens a second
MIN_SILENCE_S = 0.5  # a busy machine is late by itself, and nobody minds such a wait


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
    _able: dict[Style, tuple[tuple[Target, ...], dict[str, str]]] = field(default_factory=dict)

    def able(self, info: RequestInfo, style: Style) -> tuple[tuple[Target, ...], dict[str, str]]:
        """The targets that can take such a request, and why the others cannot. Do not change the reasons."""
        if info.prompt_tokens is not None or info.needs:
            return self._sorted_out(info, style)
        plain = self._able.get(style)
        if plain is None:
            plain = self._able[style] = self._sorted_out(info, style)
        return plain

    def _sorted_out(self, info: RequestInfo, style: Style) -> tuple[tuple[Target, ...], dict[str, str]]:
        reasons = {target.name: cannot(target, info, style) for target in self.targets}
        able = tuple(target for target in self.targets if reasons[target.name] is None)
        return able, {name: reason for name, reason in reasons.items() if reason is not None}


@dataclass(slots=True, eq=False)
class Live:
    """An attempt under way.

    Args:
        began_s: when it started, on the driver's clock.
        limit: when it is overdue; None = it may take all the time there is.
        was_healthy: the target's health when it was asked.
        inlet: its stream, None for a call.
        apart: it can be left to itself when it has lost its race.
        value: its answer, once it has one.
        ended: its stream has come to a good end.
        looks: how often it has been looked at while it was silent.
        hedge_at_s: when a second target may be asked although it is not overdue; None = not any more.
        told: what came with its answer about the provider's rate limits.
        paced: the pace of its stream has been looked at.
        output_tokens: how long its whole answer is; 0 = unknown, or not worth knowing.
    """

    attempt: Attempt
    permit: Permit
    began_s: float
    limit: Limit | None
    was_healthy: bool
    inlet: Inlet | None
    apart: bool = False
    value: Any = None
    ended: bool = False
    looks: int = 0
    hedge_at_s: float | None = None
    told: RateLimitFacts | None = None
    paced: bool = False
    output_tokens: float = 0.0

    @property
    def rate_limit(self) -> RateLimitFacts | None:
        return self.told if self.inlet is None else self.inlet.rate_limit

    @property
    def target(self) -> Target:
        return self.attempt.target

    @property
    def unjoined(self) -> bool:
        """It was to go on from shown text and has not. To be bad at that is no illness."""
        return self.inlet is not None and not self.inlet.joined

    def look_s(self) -> float | None:
        """When it is looked at next, as long as it is silent and before its limit."""
        limit = self.limit
        if limit is None or limit.habit is None or self.looks >= len(LOOKS):
            return None
        if self.inlet is not None and self.inlet.progress_s is not None:
            return None
        after_s = max(MIN_SILENCE_S, limit.scale * moment_s(limit.habit, LOOKS[self.looks][0]))
        return self.began_s + after_s if after_s < limit.seconds else None


@dataclass(slots=True)
class Refusal:
    """What a target said, at `at_s`, that was only asked since an earlier attempt was late. It decides when that one
    fails, or has been silent for another `patience_s`: as long as the request had taken by then.
    """

    failure: Failure
    at_s: float
    patience_s: float


def durations_of(live: Live, info: RequestInfo, now: float) -> list[tuple[HabitKey, float]]:
    """What a good answer teaches: seconds to the answer, or to the first content; then its pace."""
    elapsed_s, inlet = now - live.began_s, live.inlet
    if inlet is None:
        durations = [(habit_key(info, False), elapsed_s)]
        if live.output_tokens > 0.0:
            durations.append((pace_key(info), 100.0 * elapsed_s / (live.output_tokens + FIRST_TOKEN_TOKENS)))
        return durations
    if inlet.first_content_s is None:
        return []
    first_s = inlet.first_content_s - live.began_s
    durations = [(habit_key(info, True), first_s / size_of(info))]
    if inlet.chunks > 4:
        gaps_s = elapsed_s - first_s - inlet.idle_s
        durations.append((gap_key(info), gaps_s / (inlet.chunks - 1)))
    return durations
