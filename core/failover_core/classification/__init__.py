"""`classify`: what any failure means, as a `Failure`.

Evidence is asked in the order in which it deserves trust:

1. our own exceptions, cancellation, and bugs in local code (`python_errors`);
2. codes, types and reasons that say what happened (`tables.MEANINGS`), wherever they were found: on the exception,
   in its body (`envelope`), in the body that a gateway wrapped (`evidence`);
3. the status that says most, the response's or one inside the body, and what the message makes of it
   (`statuses`, `wording`): status alone never decides;
4. for errors without any status: the message, then the kind of connection error (`transport`).

An exception's causes and the members of groups are examined too; the one with the most certain evidence decides.
No SDK is imported: classes are known by name. All of it is pure and bounded, whatever the error holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from failover_core.failure import (
    ConfigError,
    DeadlineExceeded,
    ErrorReport,
    FailoverError,
    Failure,
    FailureKind,
    OutputRejected,
    StreamInterrupted,
)
from failover_core.redact import cut, redact

from . import aws, evidence, google, judge, llamaindex, python_errors, retry_after
from .evidence import Evidence
from .html import plain
from .judge import CERTAIN, HINTED, LIKELY, UNTOLD
from .providers import provider_of

__all__ = ["classify", "readable"]

MESSAGE_CHARS = 300
# Those that hide facts where others do not; by the package of the exception's class.
_FAMILIES: Mapping[str, Callable[[BaseException, Evidence], None]] = {
    "botocore": aws.read,
    "grpc": google.read,
    "builtins": llamaindex.read,
}
_T = TypeVar("_T")


@dataclass(slots=True)
class _Finding:
    kind: FailureKind
    certainty: int
    facts: Evidence
    error: BaseException | None = None


def classify(error: BaseException | ErrorReport, *, now: Callable[[], float] | None = None) -> Failure:
    """What a failure means. Never raises, and takes microseconds whatever it is given.

    Args:
        error: any exception, from an SDK or not, wrapped or not; or a report of an error that was only text.
        now: a wall clock (seconds since the epoch) for a Retry-After that names a moment, in responses without a
            `date` header.
    """
    original = error if isinstance(error, BaseException) else None
    try:
        return _classify(error, now)
    except Exception as bug:  # an exception object can be hostile; the caller's error must not be replaced by ours
        message = f"{type(error).__name__} (could not be examined: {type(bug).__name__})"
        return Failure(FailureKind.UNKNOWN, message, exception=original)


def _classify(error: BaseException | ErrorReport, now: Callable[[], float] | None) -> Failure:
    if isinstance(error, ErrorReport):
        facts = evidence.read_report(error)
        kind, certainty = judge.kind_of(facts, None)
        return _failure([_Finding(kind, certainty, facts)], None, now)
    findings = []
    for member, implicit in evidence.chain_of(error):
        finding = _examine(member, head=member is error)
        if implicit:  # what happened to be handled at the time explains an error only where nothing else does
            finding.certainty = min(finding.certainty, HINTED)
        findings.append(finding)
    findings.sort(key=lambda finding: -finding.certainty)  # stable: of equals, the outermost
    return _failure(findings, error, now)


def _examine(error: BaseException, *, head: bool) -> _Finding:
    if isinstance(error, FailoverError):
        return _our_own(error)
    if isinstance(error, BaseExceptionGroup):
        return _Finding(FailureKind.UNKNOWN, UNTOLD, Evidence(text=evidence.text_of(error)), error)
    kind = python_errors.kind_of(error)
    if kind is not None:
        # A timeout is delivered by cancelling: only a cancellation that arrives as one is one.
        certainty = CERTAIN if head else LIKELY if isinstance(error, Exception) else HINTED
        return _Finding(kind, certainty, Evidence(text=evidence.text_of(error)), error)
    facts = evidence.read(error)
    facts.provider = provider_of(error)
    if family := _FAMILIES.get(type(error).__module__.partition(".")[0]):
        family(error, facts)
    kind, certainty = judge.kind_of(facts, error)
    return _Finding(kind, certainty, facts, error)


def _our_own(error: FailoverError) -> _Finding:
    """Raised by a validator, or by a target that is a `Failover` itself."""
    inner = error.failure
    if isinstance(error, OutputRejected):
        kind = error.kind
    elif isinstance(error, ConfigError):
        kind = FailureKind.LOCAL_ERROR
    elif isinstance(error, StreamInterrupted):
        kind = FailureKind.STREAM_BROKEN
    elif isinstance(error, DeadlineExceeded):
        kind = FailureKind.TIMEOUT
    else:
        kind = inner.kind if inner is not None else FailureKind.UNKNOWN
    facts = Evidence(text=evidence.text_of(error))
    if inner is not None:
        facts.status, facts.code, facts.provider = inner.status, inner.code, inner.provider
        facts.waits += [("retryafter", str(inner.retry_after_s))] if inner.retry_after_s is not None else []
    return _Finding(kind, CERTAIN, facts, error)


def _failure(findings: list[_Finding], original: BaseException | None, now: Callable[[], float] | None) -> Failure:
    """The most certain finding, its gaps filled from the others."""
    best = findings[0]
    told = [finding.facts for finding in findings if finding.certainty > UNTOLD] or [best.facts]
    exhausted = best.kind in (FailureKind.RATE_LIMITED, FailureKind.QUOTA_EXHAUSTED)
    waits = (
        retry_after.seconds(facts.headers, facts.waits, facts.words, exhausted=exhausted, now=now) for facts in told
    )
    return Failure(
        kind=best.kind,
        message=_message(best),
        status=_first(facts.best_status for facts in told),
        code=_first(facts.code for facts in told),
        provider=_first(facts.provider for facts in told),
        retry_after_s=_first(waits),
        exception=original,
    )


def _first(values: Iterable[_T | None]) -> _T | None:
    return next((value for value in values if value is not None), None)


def _message(finding: _Finding) -> str:
    facts = finding.facts
    if facts.messages:
        text = facts.messages[0]
    else:
        name = type(finding.error).__name__ if finding.error is not None else ""
        text = facts.text if not name or name in facts.text else f"{name}: {facts.text}" if facts.text else name
    return readable(text)


def readable(text: str) -> str:
    """What people are told of a text: one short line, secrets redacted, a page reduced to its words."""
    return cut(redact(plain(text), max_chars=2 * MESSAGE_CHARS), MESSAGE_CHARS)
