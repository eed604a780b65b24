"""What can go wrong, in our words.

`FailureKind` is the vocabulary, `Failure` one failure with its facts, `ErrorReport` an error that reached
us as text instead of an exception. The exceptions at the bottom are the only ones that Failover Kit raises.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .trace import Attempt, RouteTrace


class FailureKind(StrEnum):
    """Why an attempt failed. What the engine does about each kind is `policy.verdicts.RULES`."""

    RATE_LIMITED = "rate_limited"
    QUOTA_EXHAUSTED = "quota_exhausted"
    BILLING = "billing"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    STREAM_BROKEN = "stream_broken"
    CONTEXT_OVERFLOW = "context_overflow"
    CONTENT_FILTERED = "content_filtered"
    AUTH = "auth"
    PERMISSION_OR_REGION = "permission_or_region"
    MODEL_NOT_FOUND = "model_not_found"
    INVALID_REQUEST = "invalid_request"
    INVALID_OUTPUT = "invalid_output"
    LOCAL_ERROR = "local_error"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """An error as somebody saw it, when no exception object is at hand (a log line, an error inside a 200).

    Args:
        provider: "openai", "anthropic", "google", "azure", ... or None.
        status: the HTTP status, or None.
        message: the text; may be a JSON or HTML body.
        exception_type: the exception's class name as printed, or None.
        code: the provider's own code or type, such as "insufficient_quota", or None.
        headers: response headers, any case.
    """

    provider: str | None = None
    status: int | None = None
    message: str = ""
    exception_type: str | None = None
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure, classified.

    Args:
        kind: what it means.
        message: one readable line, secrets redacted.
        status: HTTP status if there was one (an inner status wins over a gateway's).
        code: the provider's own code or type.
        provider: the provider's name if the error tells it.
        retry_after_s: how long the provider asks us to wait, in seconds, as it said it (it may be absurd).
        exception: the original exception, None for an `ErrorReport`.
    """

    kind: FailureKind
    message: str = ""
    status: int | None = None
    code: str | None = None
    provider: str | None = None
    retry_after_s: float | None = None
    exception: BaseException | None = field(default=None, repr=False, compare=False)


def own_bug(target: str, what: str, error: Exception) -> Failure:
    """The failure of code that belongs to a target's description rather than to its provider, such as its reader."""
    return Failure(FailureKind.LOCAL_ERROR, f"{target}: {what} raised {in_words(error)}", exception=error)


def readable(text: str) -> str:
    """A text as a `Failure.message` may hold it: one short line, secrets redacted."""
    from .classification import readable as made_readable  # its tables are loaded at the first failure

    return made_readable(text)


def in_words(error: BaseException) -> str:
    """The same of an exception, with its type."""
    try:
        text = str(error)
    except Exception:  # a foreign __str__ may raise anything
        text = "(its text cannot be read)"
    return f"{type(error).__name__}: {readable(text)}"


class FailoverError(Exception):
    """Base of everything that Failover Kit raises.

    Attributes:
        trace: the `RouteTrace` of the request, None when none was started.
        attempts: every attempt of the request, oldest first.
        failure: the failure that decided, None where there was none.
        partial: the text of a stream that the caller has already received; "" where none was shown.
    """

    def __init__(
        self, message: str, *, partial: str = "", trace: RouteTrace | None = None, failure: Failure | None = None
    ) -> None:
        super().__init__(message)
        self.partial = partial
        self.trace = trace
        self.failure = failure

    @property
    def attempts(self) -> Sequence[Attempt]:
        return self.trace.attempts if self.trace is not None else ()

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process: without the trace, whose targets hold connections, and without foreign exceptions, many
        of which cannot be made again. The message still tells of each attempt.
        """
        own = next(cls for cls in type(self).__mro__ if getattr(sys.modules[cls.__module__], cls.__name__, None) is cls)
        failure = replace(self.failure, exception=None) if self.failure is not None else None
        facts = {"partial": self.partial, "trace": None, "failure": failure}
        return _made_again, (own, self.args, facts)


def _made_again(kind: type[FailoverError], args: tuple[Any, ...], facts: dict[str, Any]) -> FailoverError:
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(facts)
    return error


class ConfigError(FailoverError):
    """A target or a setting cannot work; the message says what to write instead."""


class AllTargetsFailed(FailoverError):
    """No target gave an answer. The message has one line an attempt; `__cause__` is the last original error: attempts
    that were given up, or whose answers were no good, have none of their own.
    """


class RequestRejected(AllTargetsFailed):
    """The request itself was refused before any text was shown, so nobody else was asked: `failure.kind` says why
    (invalid_request, content_filtered, context_overflow, local_error). `__cause__` is the original error.
    """


class NoTargetAvailable(FailoverError):
    """No target was allowed to take the request, and none was asked. The message says why for each of them."""


class DeadlineExceeded(FailoverError, TimeoutError):
    """The caller's `deadline_s` passed before the answer was complete; of a stream, `partial` has been shown."""


class StreamInterrupted(FailoverError):
    """A stream broke after text had been shown, and could not be resumed, or the rules forbid to ask anybody else.

    Once there is text, this is the error whatever broke the stream: `failure.kind` says what (`content_filtered` for a
    refusal in the middle). Only the caller's own deadline ends it with a `DeadlineExceeded`. `partial` has been shown.
    """


class OutputRejected(FailoverError):
    """Raise it in a validator to reject a finished output; the engine goes on to the next target.

    Attributes:
        output: what was rejected, None when not given.
        kind: `invalid_output`, or `content_filtered` for a refusal inside a successful response.
        blames_target: False where it may as well be the request's fault, so that it does not count against the health
            of the target: a schema that nobody meets must not close everybody's doors.
    """

    def __init__(
        self,
        message: str,
        *,
        output: Any = None,
        kind: FailureKind = FailureKind.INVALID_OUTPUT,
        blames_target: bool = True,
    ) -> None:
        super().__init__(message)
        if kind not in tuple(FailureKind):
            raise ConfigError(f"OutputRejected(kind={kind!r}): pass a member of FailureKind, such as CONTENT_FILTERED")
        self.output = output
        self.kind = FailureKind(kind)
        self.blames_target = blames_target

    def __reduce__(self) -> tuple[Any, ...]:
        make, (own, args, facts) = super().__reduce__()
        return make, (own, args, facts | {"output": None, "kind": self.kind, "blames_target": self.blames_target})
