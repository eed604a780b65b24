"""Failures that LlamaIndex hides or disguises, as errors that the core can classify.

Most errors of the official classes speak for themselves. GoogleGenAI raises a plain RuntimeError when an answer was
filtered, and OpenAIResponses raises nothing at all when a response, or an event of its stream, reports a failure
inside a 200.
"""

from __future__ import annotations

import re
import traceback
from dataclasses import replace
from types import FrameType, TracebackType
from typing import Any

from failover_core import Failover, FailoverError, FailureKind, OutputRejected, classify
from failover_core.failure import in_words

_CUT_SHORT = re.compile(r"Response was terminated early: (\w+)")  # GoogleGenAI, for every reason but STOP
_RESOLVERS = frozenset({"resolve_image", "resolve_document", "resolve_audio", "resolve_video"})
_NOT_FILTERS = ("MAX_TOKENS", "OTHER", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS")


class ProviderReportedError(Exception):
    """A provider reported a failure inside a successful response.

    Attributes:
        code: the provider's own code, such as "server_error" or "rate_limit_exceeded".
        provider: who reported it.
        body: the error as OpenAI's SDK would have it in `APIError.body`.
    """

    def __init__(self, code: str | None, message: str, provider: str = "openai") -> None:
        super().__init__(f"{code or 'error'}: {message}")
        self.code = code
        self.provider = provider
        self.body = {"code": code, "type": code, "message": message}


class TargetNotBuilt(FailoverError):
    """A target's factory failed; `__cause__` says how. That is no reason not to ask another target."""


class AttachmentUnreadable(OutputRejected):
    """LlamaIndex could not read or download an image, a document or the like, on this side, before anybody was asked.
    `__cause__` says why. That is no target's fault; and others are asked, since some pass a link on as it is.
    """

    def __init__(self, error: Exception) -> None:
        told = f"an attachment of the request could not be read here: {in_words(error)}"
        super().__init__(told, kind=FailureKind.UNKNOWN, blames_target=False)


def not_built(name: str, error: Exception) -> Exception:
    """What the failure of a factory means: the error itself, where a constructor asked the provider and failed."""
    failure = classify(error)
    if failure.kind is not FailureKind.LOCAL_ERROR:
        return error
    told = f"the factory of {name} failed: {failure.message}"
    return TargetNotBuilt(told, failure=replace(failure, kind=FailureKind.UNKNOWN, message=told))


def raise_reported(raw: Any) -> None:
    """Raise what a response of OpenAI's Responses API, or an event of its stream, reports.

    Raises:
        ProviderReportedError: for `response.failed`, an `error` event, and a response whose status is "failed".
    """
    kind = getattr(raw, "type", None)
    if kind == "error":
        raise ProviderReportedError(getattr(raw, "code", None), getattr(raw, "message", None) or "no message")
    response = getattr(raw, "response", None) if kind == "response.failed" else raw
    status = getattr(response, "status", None)
    if status in ("failed", "cancelled") and getattr(response, "object", None) == "response":
        error = getattr(response, "error", None)
        message = getattr(error, "message", None) or f"the response has {status}"
        raise ProviderReportedError(getattr(error, "code", None) or "server_error", message)


def true_error(error: Exception) -> Exception:
    """The error that an attempt's exception stands for; nearly all stand for themselves."""
    cut_short = _CUT_SHORT.search(str(error)) if isinstance(error, RuntimeError) else None
    if cut_short is not None:
        return ended_early(cut_short[1])
    if isinstance(error, FailoverError):
        return error
    frames = list(traceback.walk_tb(error.__traceback__))
    if any(frame.f_code.co_name in _RESOLVERS and _is_of_llamaindex(frame) for frame, _ in frames):
        return AttachmentUnreadable(error)
    if isinstance(error, UnboundLocalError) and frames and _is_of_llamaindex(frames[-1][0]):
        return OutputRejected("the stream was empty")  # LlamaIndex reports the last object after its loop
    return error


def ended_early(reason: str) -> OutputRejected:
    """An answer of Gemini's that ended for another reason than that it was whole."""
    kind = FailureKind.INVALID_OUTPUT if reason in _NOT_FILTERS else FailureKind.CONTENT_FILTERED
    return OutputRejected(f"the answer was ended: {reason}", kind=kind)


def _is_of_llamaindex(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith("llama_index.")


class OwnErrors:
    """A context in which the error of a failover with a single target can also be caught as that target's own: nobody
    has to rewrite an `except` for an LLM that is wrapped for its circuit breaker or its deadline only.

    Not as a ValueError, TypeError or AttributeError: LlamaIndex swallows these.
    """

    __slots__ = ("_alone",)

    def __init__(self, failover: Failover) -> None:
        self._alone = len(failover.targets) == 1

    def __enter__(self) -> None:
        pass

    def __exit__(self, cls: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if not self._alone or not isinstance(error, FailoverError):
            return
        original = error.__cause__
        if original is None or isinstance(original, FailoverError | ValueError | TypeError | AttributeError):
            return
        try:
            both = type(type(error).__name__, (type(error), type(original)), {"__module__": type(error).__module__})
            error.__class__ = both
        except TypeError:  # two classes whose instances are built differently, such as an OSError
            return
        for name, value in vars(original).items():  # what handlers of the original read, such as `response`
            vars(error).setdefault(name, value)
