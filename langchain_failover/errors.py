"""Final errors that are LangChain's own kinds too.

Middlewares and `except` clauses know `ContextOverflowError`, `ModelRateLimitError` and their kin; users of Failover Kit
know `AllTargetsFailed`. What is raised here is both, with the attempts inside and the original error as `__cause__`.
"""

from __future__ import annotations

from dataclasses import replace
from inspect import iscoroutinefunction
from typing import Any, NoReturn, cast

from langchain_core import exceptions as lc

from failover_core import DeadlineExceeded, FailoverError, FailureKind, NoTargetAvailable

_KINDS: dict[FailureKind, type[lc.ModelError]] = {
    FailureKind.RATE_LIMITED: lc.ModelRateLimitError,
    FailureKind.QUOTA_EXHAUSTED: lc.ModelRateLimitError,
    FailureKind.BILLING: lc.ModelPermissionDeniedError,
    FailureKind.OVERLOADED: lc.ModelAPIError,
    FailureKind.SERVER_ERROR: lc.ModelAPIError,
    FailureKind.TIMEOUT: lc.ModelTimeoutError,
    FailureKind.CONNECTION: lc.ModelConnectionError,
    FailureKind.STREAM_BROKEN: lc.ModelAPIError,
    FailureKind.CONTEXT_OVERFLOW: lc.ContextOverflowError,
    FailureKind.CONTENT_FILTERED: getattr(lc, "ModelRefusalError", lc.ModelInvalidRequestError),  # since core 1.7.5
    FailureKind.AUTH: lc.ModelAuthenticationError,
    FailureKind.PERMISSION_OR_REGION: lc.ModelPermissionDeniedError,
    FailureKind.MODEL_NOT_FOUND: lc.ModelNotFoundError,
    FailureKind.INVALID_REQUEST: lc.ModelInvalidRequestError,
    FailureKind.INVALID_OUTPUT: lc.ModelAPIError,
    FailureKind.LOCAL_ERROR: lc.ModelError,
    FailureKind.UNKNOWN: lc.ModelAPIError,
}
_PASSING = frozenset(
    {
        FailureKind.RATE_LIMITED,
        FailureKind.OVERLOADED,
        FailureKind.SERVER_ERROR,
        FailureKind.TIMEOUT,
        FailureKind.CONNECTION,
        FailureKind.STREAM_BROKEN,
        FailureKind.INVALID_OUTPUT,
        FailureKind.UNKNOWN,
    }
)
_TOO_LONG = "do not fit its window"
_SKIPPED: dict[str, type[lc.ModelError]] = {
    _TOO_LONG: lc.ContextOverflowError,
    "rate limited for": lc.ModelRateLimitError,
}
"""What it is called when all targets were skipped for one reason; words of `RouteTrace.skipped`."""
_CALLERS_OWN = frozenset({FailureKind.CONTEXT_OVERFLOW, FailureKind.INVALID_REQUEST, FailureKind.CONTENT_FILTERED})
_RESPONSE_FACTS = ("response", "request_id", "body", "status_code")
"""What LangChain's tracers read from an exception."""


def raise_langchain_error(error: FailoverError) -> NoReturn:
    """Raise `as_langchain_error(error)`, or what a target has thrown for others than us: LangGraph's `interrupt()`."""
    cause = error.__cause__
    if any(cls.__name__ == "GraphBubbleUp" for cls in type(cause).__mro__):
        raise cast(Exception, cause) from None
    raise as_langchain_error(error) from cause


def as_langchain_error(error: FailoverError) -> FailoverError:
    """The same error as an instance of its own class and of LangChain's.

    `is_retryable`, which retry middlewares read, is True when the same call may work a little later.
    """
    facts = {**error.__dict__, "is_retryable": _may_pass(error)}
    twin: FailoverError = _twin(type(error), _kind_of(error), error.args, facts)
    for name in _RESPONSE_FACTS:
        value = getattr(error.__cause__, name, None)
        if value is not None and not iscoroutinefunction(getattr(value, "json", None)):  # tracers would not await it
            twin.__dict__[name] = value
    return twin


def _kind_of(error: FailoverError) -> type[lc.ModelError]:
    if isinstance(error, DeadlineExceeded):
        return lc.ModelTimeoutError
    if error.failure is not None:
        return _KINDS[error.failure.kind]
    if isinstance(error, NoTargetAvailable):
        return next((kind for words, kind in _SKIPPED.items() if _all_were(error, words)), lc.ModelAPIError)
    return lc.ModelAPIError


def _may_pass(error: FailoverError) -> bool:
    if isinstance(error, NoTargetAvailable):
        return not _all_were(error, _TOO_LONG)
    if error.failure is not None and error.failure.kind in _CALLERS_OWN:
        return False
    return isinstance(error, DeadlineExceeded) or any(attempt.kind in _PASSING for attempt in error.attempts)


def _all_were(error: FailoverError, words: str) -> bool:
    """Was every target skipped for this reason?"""
    reasons: list[str] = list(error.trace.skipped.values()) if error.trace is not None else []
    return bool(reasons) and all(words in reason for reason in reasons)


def _both(ours: type[FailoverError], theirs: type[lc.ModelError]) -> type[FailoverError]:
    if issubclass(ours, theirs):
        return ours
    known = _twins.get((ours, theirs))
    if known is None:
        facts: dict[str, Any] = {"__doc__": ours.__doc__, "__module__": ours.__module__, "__reduce__": _reduced}
        known = _twins[ours, theirs] = type(ours.__name__, (ours, theirs), facts)
    return known


def _reduced(error: FailoverError) -> tuple[Any, ...]:
    """For pickle: without the trace, whose targets hold connections, and without the original error. The message still
    tells of each attempt.
    """
    kept = {name: value for name, value in error.__dict__.items() if name not in _RESPONSE_FACTS}
    failure = error.failure and replace(error.failure, exception=None)
    return _twin, (*type(error).__bases__, error.args, {**kept, "trace": None, "failure": failure})


def _twin(ours: type[FailoverError], theirs: type[lc.ModelError], args: Any, facts: dict[str, Any]) -> Any:
    twin_class = _both(ours, theirs)
    twin = twin_class.__new__(twin_class, *args)
    twin.args = args
    twin.__dict__.update(facts)
    return twin


_twins: dict[tuple[type[FailoverError], type[lc.ModelError]], type[FailoverError]] = {}
