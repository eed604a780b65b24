"""The failure table: what each kind of failure means for the request and for the target's health."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..failure import Failure, FailureKind
from ..health.suspicion import BAD_OUTPUT_NATS, ERROR_NATS
from ..settings import Settings


class NextTarget(StrEnum):
    """May another target be asked?"""

    YES = "yes"
    ROOMIER = "roomier"  # only one whose context window is larger or unknown
    OPT_IN = "opt_in"  # only where the settings say "next"
    NO = "no"


SPREAD_S = 0.05  # a crowd told the same time must not come back at the same instant


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table.

    Args:
        same_target: a passing fault: the same, healthy target may be asked once more after a short wait.
        next_target: whether other targets may be asked.
        evidence_nats: what it adds to the target's suspicion.
        parks: the target cannot work until a person acts.
    """

    same_target: bool
    next_target: NextTarget
    evidence_nats: float = 0.0
    parks: bool = False


_PASSING = Rule(same_target=True, next_target=NextTarget.YES, evidence_nats=ERROR_NATS)
_SICK = Rule(same_target=False, next_target=NextTarget.YES, evidence_nats=ERROR_NATS)
_NEEDS_A_PERSON = Rule(same_target=False, next_target=NextTarget.YES, parks=True)
_CALLERS_OWN = Rule(same_target=False, next_target=NextTarget.OPT_IN)

RULES: dict[FailureKind, Rule] = {
    FailureKind.RATE_LIMITED: Rule(same_target=True, next_target=NextTarget.YES),
    FailureKind.QUOTA_EXHAUSTED: _NEEDS_A_PERSON,
    FailureKind.BILLING: _NEEDS_A_PERSON,
    FailureKind.AUTH: _NEEDS_A_PERSON,
    FailureKind.PERMISSION_OR_REGION: _NEEDS_A_PERSON,
    FailureKind.MODEL_NOT_FOUND: _NEEDS_A_PERSON,
    FailureKind.OVERLOADED: _PASSING,
    FailureKind.SERVER_ERROR: _PASSING,
    FailureKind.CONNECTION: _PASSING,
    FailureKind.TIMEOUT: _SICK,
    FailureKind.STREAM_BROKEN: _SICK,
    FailureKind.CONTEXT_OVERFLOW: Rule(same_target=False, next_target=NextTarget.ROOMIER),
    FailureKind.CONTENT_FILTERED: _CALLERS_OWN,
    FailureKind.INVALID_REQUEST: _CALLERS_OWN,
    FailureKind.INVALID_OUTPUT: Rule(same_target=False, next_target=NextTarget.YES, evidence_nats=BAD_OUTPUT_NATS),
    FailureKind.LOCAL_ERROR: Rule(same_target=False, next_target=NextTarget.NO),
    FailureKind.UNKNOWN: Rule(same_target=False, next_target=NextTarget.YES, evidence_nats=BAD_OUTPUT_NATS),
}


NOTHING = Rule(same_target=False, next_target=NextTarget.YES)


def health_check_rule(failure: Failure) -> Rule:
    """What a failed health check means for the target.

    The free call has rate limits, permissions and a path of its own, so that what is said of these says nothing of
    requests. A key that is refused is refused everywhere.
    """
    rule = RULES[failure.kind]
    told_of_the_call_itself = rule.parks and failure.kind is not FailureKind.AUTH
    return NOTHING if told_of_the_call_itself or failure.status == 501 else rule


def may_go_on(kind: FailureKind, settings: Settings) -> bool:
    """May any other target be asked after a failure of this kind?"""
    wish = RULES[kind].next_target
    if wish is NextTarget.OPT_IN:
        choice = settings.on_content_filter if kind is FailureKind.CONTENT_FILTERED else settings.on_invalid_request
        return choice == "next"
    return wish is not NextTarget.NO


def retry_delay_s(
    failure: Failure, settings: Settings, retries: int, *, healthy: bool, draw: float, idle: bool = False
) -> float | None:
    """Seconds to wait before asking the same target again, or None to leave it.

    Args:
        retries: how often this request has already gone back to this target.
        healthy: the target's health before this request: nobody knocks twice at a sick target's door.
        idle: nothing else is left but to wait for targets that are silent; then it is asked again as long as attempts
            are left.
        draw: a uniform random number in [0, 1) for the jitter.

    Backoff with "equal jitter" (AWS Architecture Blog, "Exponential Backoff And Jitter"): half fixed, half random.
    """
    if not RULES[failure.kind].same_target or (retries >= settings.same_target_retries and not idle):
        return None
    told_s = failure.retry_after_s
    if told_s is not None and not 0.0 <= told_s <= settings.retry_after_patience_s:
        return None
    if failure.kind is FailureKind.RATE_LIMITED:
        return None if told_s is None else told_s + SPREAD_S * draw
    if not healthy:
        return None
    backoff_s = settings.backoff_s * 2.0**retries * (0.5 + 0.5 * draw)
    return backoff_s if told_s is None else max(backoff_s, told_s + SPREAD_S * draw)
