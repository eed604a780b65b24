"""The errors that end a request, built so that they can be read: one line an attempt, one for each target not asked."""

from __future__ import annotations

from typing import TypeVar

from .failure import (
    AllTargetsFailed,
    DeadlineExceeded,
    FailoverError,
    Failure,
    FailureKind,
    NoTargetAvailable,
    RequestRejected,
    StreamInterrupted,
)
from .policy.verdicts import RULES, NextTarget
from .route import Route
from .trace import Verdict

Error = TypeVar("Error", bound=FailoverError)


def final_error(route: Route) -> FailoverError:
    """What the caller gets when there is nobody left to ask, or nobody else may be asked."""
    for live in list(route.live.values()):
        route.drop(live, Verdict.CANCELLED)
    route.explain_skips("no attempt was left for it" if route.decided_by is None else "nobody else may be asked")
    failure = route.decided_by or route.last_failure
    if failure is None:
        return NoTargetAvailable(_told("No target may take this request:", route), trace=route.trace, failure=None)
    if route.shown:
        return interrupted_error(route, failure, route.shown)
    if RULES[failure.kind].next_target is not NextTarget.YES:
        target = next(attempt.target.name for attempt in route.trace.attempts if attempt.failure is failure)
        local = failure.kind is FailureKind.LOCAL_ERROR
        what = f"The call of {target} failed on this side" if local else f"{target} refused the request"
        headline = f"{what} ({failure.kind}): {failure.message}"
        return _caused(RequestRejected(_told(headline, route), trace=route.trace, failure=failure), failure)
    asked = len({attempt.target.name for attempt in route.trace.attempts})
    headline = f"No target answered ({asked} asked, {_seconds(route)}):"
    return _caused(AllTargetsFailed(_told(headline, route), trace=route.trace, failure=failure), failure)


def deadline_error(route: Route, *, shown: str = "") -> DeadlineExceeded:
    """The caller's deadline has passed: what is under way is given up, which blames nobody."""
    passed = Failure(FailureKind.TIMEOUT, "the caller's deadline passed")
    for live in list(route.live.values()):
        route.drop(live, Verdict.CANCELLED, passed)
    route.explain_skips("no time was left for it")
    begun = f" after {len(shown):,} characters had been shown" if shown else " before any target had answered"
    error = DeadlineExceeded(
        _told(f"The deadline passed{begun} ({_seconds(route)}):", route), trace=route.trace, failure=route.last_failure
    )
    return error if route.last_failure is None else _caused(error, route.last_failure)


def interrupted_error(route: Route, failure: Failure, shown: str) -> StreamInterrupted:
    """A stream broke after text was shown and nobody could, or may, go on. Whatever the reason: the caller has a part
    of an answer, which only this error carries.
    """
    if route.decided_by is not None:
        what, skipped = f"nobody else may be asked ({failure.kind})", "nobody else may be asked"
    elif route.desk.settings.midstream == "raise":
        what, skipped = "was not resumed, as midstream='raise' says", "midstream='raise'"
    elif route.info.structured:
        what = "cannot be resumed, since tools or structured output were asked for"
        skipped = "nobody goes on with such an answer"
    else:
        what, skipped = "could not be resumed", "it could not go on from there"
    route.explain_skips(skipped)
    headline = f"The stream broke after {len(shown):,} characters and {what}: {failure.message}"
    return _caused(
        StreamInterrupted(_told(headline, route), partial=shown, trace=route.trace, failure=failure), failure
    )


def _told(headline: str, route: Route) -> str:
    details = route.trace.explain()
    return f"{headline}\n{details}" if details else headline


def _caused(error: Error, failure: Failure) -> Error:
    error.__cause__ = failure.exception
    return error


def _seconds(route: Route) -> str:
    return f"{route.finish().elapsed_s:.2f} s"
