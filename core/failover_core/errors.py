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
    _explain_skips(route, "no attempt was left for it" if route.decided_by is None else "nobody else may be asked")
    failure = route.decided_by or route.last_failure
    if failure is None:
        return NoTargetAvailable(_told("No target may take this request:", route), trace=route.trace, failure=None)
    if route.shown:
        return interrupted_error(route, failure, route.shown)
    if RULES[failure.kind].next_target is not NextTarget.YES:
        target = next((attempt.target.name for attempt in route.trace.attempts if attempt.failure is failure), None)
        local = failure.kind is FailureKind.LOCAL_ERROR
        call = "The choice of a target" if target is None else f"The call of {target}"
        what = f"{call} failed on this side" if local else f"{target} refused the request"
        headline = f"{what} ({failure.kind}): {failure.message}"
        return _caused(RequestRejected(_told(headline, route), trace=route.trace, failure=failure), route)
    asked = len({attempt.target.name for attempt in route.trace.attempts})
    headline = f"No target answered ({asked} asked, {_seconds(route)}):"
    return _caused(AllTargetsFailed(_told(headline, route), trace=route.trace, failure=failure), route)


def deadline_error(route: Route, *, shown: str = "") -> DeadlineExceeded:
    """The caller's deadline has passed: what is under way is given up, which blames nobody."""
    passed = Failure(FailureKind.TIMEOUT, "the caller's deadline passed")
    for live in list(route.live.values()):
        route.drop(live, Verdict.CANCELLED, passed)
    _explain_skips(route, "no time was left for it")
    begun = f" after {len(shown):,} characters had been shown" if shown else " before any target had answered"
    headline = f"The deadline passed{begun} ({_seconds(route)}):"
    error = DeadlineExceeded(_told(headline, route), partial=shown, trace=route.trace, failure=route.last_failure)
    return _caused(error, route)


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
    _explain_skips(route, skipped)
    headline = f"The stream broke after {len(shown):,} characters and {what}: {failure.message}"
    return _caused(StreamInterrupted(_told(headline, route), partial=shown, trace=route.trace, failure=failure), route)


def _explain_skips(route: Route, else_because: str) -> None:
    """Why each target that is left was not asked: a candidate, or one that the policy did not want."""
    route.explain_skips(else_because)
    asked = {attempt.target.name for attempt in route.trace.attempts}
    wanted_nobody = "the policy failed" if route.decided_by is not None and not asked else "the policy left it out"
    for target in route.desk.targets:
        if target.name not in asked:
            route.trace.skipped.setdefault(target.name, wanted_nobody)


def _told(headline: str, route: Route) -> str:
    details = route.trace.explain()
    return f"{headline}\n{details}" if details else headline


def _caused(error: Error, route: Route) -> Error:
    """With the original error as its cause: that of the failure which decided, or else the last there was before it."""
    failures = (error.failure, *(attempt.failure for attempt in reversed(route.trace.attempts)))
    causes = (failure.exception for failure in failures if failure is not None)
    error.__cause__ = next((cause for cause in causes if cause is not None), None)
    return error


def _seconds(route: Route) -> str:
    return f"{route.finish().elapsed_s:.2f} s"
