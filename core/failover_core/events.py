"""What happened, for whoever wants to know: logs, displays, alerts. Listeners get these values, never the engine."""

from __future__ import annotations

from dataclasses import dataclass

from .failure import Failure, FailureKind
from .trace import Attempt, RouteTrace


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    request_id: str
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """Also for attempts that were cancelled or lost a race; `attempt.verdict` and `attempt.failure` say it all."""

    request_id: str
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class AttemptOverdue:
    """An attempt is waited for no longer, `elapsed_s` seconds after its start: another target may be asked as well."""

    request_id: str
    attempt: Attempt
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class RequestServed:
    trace: RouteTrace


@dataclass(frozen=True, slots=True)
class RequestLost:
    """The caller got `error` instead of an answer."""

    trace: RouteTrace
    error: BaseException


@dataclass(frozen=True, slots=True)
class CircuitChanged:
    """A target's circuit went from one state to another. `until_s` = seconds until the next probe, when open."""

    target: str
    old: str
    new: str
    reason: str
    until_s: float | None


@dataclass(frozen=True, slots=True)
class TargetParked:
    """A target cannot work until a person acts (key, billing, quota, model name, permission)."""

    target: str
    kind: FailureKind
    message: str
    park_s: float


@dataclass(frozen=True, slots=True)
class TargetChecked:
    """A health check has ended, after `elapsed_s` seconds. `failure` = None when the provider answered."""

    target: str
    failure: Failure | None
    elapsed_s: float


Happening = (
    AttemptStarted
    | AttemptEnded
    | AttemptOverdue
    | RequestServed
    | RequestLost
    | CircuitChanged
    | TargetParked
    | TargetChecked
)
