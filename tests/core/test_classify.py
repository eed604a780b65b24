"""What `classify` makes of errors of every shape: reports, plain exceptions, chains, groups, our own."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
from typing import Any

import pytest

from failover_core.classify import classify
from failover_core.failure import (
    AllTargetsFailed,
    ConfigError,
    DeadlineExceeded,
    ErrorReport,
    Failure,
    FailureKind,
    NoTargetAvailable,
    OutputRejected,
    StreamInterrupted,
)

K = FailureKind


def report(message: Any = "", status: int | None = None, **facts: Any) -> ErrorReport:
    text = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)
    return ErrorReport(message=text, status=status, **facts)


def openai_body(message: str = "no", type: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": type, "param": None, "code": code}}


def anthropic_body(type: str, message: str = "no") -> dict[str, Any]:
    return {"type": "error", "error": {"type": type, "message": message}, "request_id": "req_x"}


def google_body(code: int, status: str, message: str = "no", *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "status": status, "message": message, "details": list(details)}}


# -- structure first -------------------------------------------------------------------------------

ENVELOPES: list[tuple[str, int | None, Any, FailureKind]] = [
    ("openai quota", 429, openai_body("You exceeded your current quota", "insufficient_quota"), K.QUOTA_EXHAUSTED),
    ("openai pace", 429, openai_body("Limit 3", "requests", "rate_limit_exceeded"), K.RATE_LIMITED),
    (
        "openai long",
        400,
        openai_body("Too much", "invalid_request_error", "context_length_exceeded"),
        K.CONTEXT_OVERFLOW,
    ),
    ("openai key", 401, openai_body("no", "invalid_request_error", "invalid_api_key"), K.AUTH),
    ("openai model", 404, openai_body("no", "invalid_request_error", "model_not_found"), K.MODEL_NOT_FOUND),
    ("openai region", 403, openai_body(code="unsupported_country_region_territory"), K.PERMISSION_OR_REGION),
    ("openai billing", 429, openai_body(code="billing_hard_limit_reached"), K.BILLING),
    ("anthropic overloaded", 529, anthropic_body("overloaded_error"), K.OVERLOADED),
    ("anthropic in a 200", 200, anthropic_body("overloaded_error", "Overloaded"), K.OVERLOADED),
    ("anthropic api error in a 200", 200, anthropic_body("api_error", "Internal server error"), K.SERVER_ERROR),
    ("anthropic large", 413, anthropic_body("request_too_large"), K.CONTEXT_OVERFLOW),
    ("anthropic billing", 400, anthropic_body("invalid_request_error", "Your credit balance is too low"), K.BILLING),
    ("google pace", 429, google_body(429, "RESOURCE_EXHAUSTED"), K.RATE_LIMITED),
    (
        "google per minute in spite of its words",
        429,
        google_body(
            429,
            "RESOURCE_EXHAUSTED",
            "You exceeded your current quota, please check your plan and billing details.",
            {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]},
        ),
        K.RATE_LIMITED,
    ),
    (
        "google per day",
        429,
        google_body(
            429,
            "RESOURCE_EXHAUSTED",
            "You exceeded your current quota, please check your plan and billing details.",
            {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},
        ),
        K.QUOTA_EXHAUSTED,
    ),
    ("google key as a 400", 400, google_body(400, "INVALID_ARGUMENT", "no", {"reason": "API_KEY_INVALID"}), K.AUTH),
    (
        "google region as a 400",
        400,
        google_body(400, "FAILED_PRECONDITION", "User location is not supported"),
        K.PERMISSION_OR_REGION,
    ),
    ("google billing", 403, google_body(403, "PERMISSION_DENIED", "no", {"reason": "BILLING_DISABLED"}), K.BILLING),
    ("google late", 504, google_body(504, "DEADLINE_EXCEEDED"), K.TIMEOUT),
    ("azure filter", 400, openai_body("filtered", None, "content_filter"), K.CONTENT_FILTERED),
    ("azure deployment", 404, openai_body("no", None, "DeploymentNotFound"), K.MODEL_NOT_FOUND),
    ("bedrock", None, {"__type": "ThrottlingException", "message": "Too many requests"}, K.RATE_LIMITED),
    ("bedrock quota", None, {"__type": "com.amazon#ServiceQuotaExceededException", "message": "no"}, K.QUOTA_EXHAUSTED),
    ("mistral", 429, {"object": "error", "message": "Service tier capacity exceeded for this model."}, K.OVERLOADED),
    ("dashscope", 400, {"code": "DataInspectionFailed", "message": "no", "request_id": "x"}, K.CONTENT_FILTERED),
    ("dashscope money", 400, {"code": "Arrearage", "message": "Access denied"}, K.BILLING),
    ("zhipu number", 429, {"error": {"code": "1113", "message": "no"}}, K.BILLING),
    ("fastapi", 422, {"detail": [{"type": "missing", "loc": ["body"], "msg": "Field required"}]}, K.INVALID_REQUEST),
    (
        "problem+json",
        404,
        {"status": 404, "title": "Not Found", "detail": "Function 'x': Not found for account"},
        K.MODEL_NOT_FOUND,
    ),
    ("ollama", 404, {"error": "model 'x' not found, try pulling it first"}, K.MODEL_NOT_FOUND),
    (
        "vllm",
        400,
        {"object": "error", "message": "This model's maximum context length is 10 tokens", "code": 400},
        K.CONTEXT_OVERFLOW,
    ),
    (
        "llama.cpp",
        500,
        {"error": {"code": 500, "message": "no", "type": "exceed_context_size_error"}},
        K.CONTEXT_OVERFLOW,
    ),
    (
        "llama.cpp loading",
        503,
        {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
        K.OVERLOADED,
    ),
    ("groq tool call", 400, openai_body("Failed to call a function.", None, "tool_use_failed"), K.INVALID_OUTPUT),
]


@pytest.mark.parametrize(("name", "status", "body", "kind"), ENVELOPES, ids=[row[0] for row in ENVELOPES])
def test_a_providers_envelope_decides(name: str, status: int | None, body: Any, kind: FailureKind) -> None:
    assert classify(report(body, status)).kind is kind
    assert classify(report(repr(body), status)).kind is kind, "the same as a Python repr"
    assert classify(Exception(f"Error code: {status} - {body}")).kind is kind, "the same in an exception's text"


def test_the_innermost_error_decides_however_often_it_was_wrapped() -> None:
    inner = json.dumps(openai_body("Your account is suspended due to insufficient balance", "invalid_request_error"))
    middle = json.dumps({"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": inner}}})
    outer = json.dumps({"error": {"message": f"litellm.APIError: {middle}", "code": "500"}})
    failure = classify(report(outer, 500))
    assert failure.kind is K.BILLING
    assert failure.message == "Your account is suspended due to insufficient balance"


@pytest.mark.parametrize("cut_at", range(20, 120, 9))
def test_a_cut_off_body_still_tells_what_it_said(cut_at: int) -> None:
    text = '{"error":{"code":"insufficient_quota","message":"You exceeded your current quota, please check your pla'
    expected = K.QUOTA_EXHAUSTED if cut_at >= len('{"error":{"code":"insufficient_quota"') else K.RATE_LIMITED
    assert classify(report(text[:cut_at], 429)).kind is expected


# -- then status, and what the wording makes of it -------------------------------------------------

STATUSES = [
    (400, K.INVALID_REQUEST),
    (401, K.AUTH),
    (402, K.BILLING),
    (403, K.PERMISSION_OR_REGION),
    (404, K.MODEL_NOT_FOUND),
    (408, K.TIMEOUT),
    (413, K.CONTEXT_OVERFLOW),
    (422, K.INVALID_REQUEST),
    (429, K.RATE_LIMITED),
    (500, K.SERVER_ERROR),
    (502, K.SERVER_ERROR),
    (503, K.OVERLOADED),
    (504, K.TIMEOUT),
    (520, K.SERVER_ERROR),
    (524, K.TIMEOUT),
    (529, K.OVERLOADED),
]


@pytest.mark.parametrize(("status", "kind"), STATUSES)
def test_a_status_without_a_word(status: int, kind: FailureKind) -> None:
    failure = classify(report("", status))
    assert (failure.kind, failure.status) == (kind, status)


WORDINGS: list[tuple[int | None, str, FailureKind]] = [
    (429, "Rate limit reached on tokens per day (TPD): Limit 100000", K.QUOTA_EXHAUSTED),
    (429, "Rate limit reached on tokens per minute (TPM): Limit 6000. Upgrade to Dev Tier today", K.RATE_LIMITED),
    (429, "Your team has used all available credits", K.BILLING),
    (429, "The engine is currently overloaded, please try again later", K.OVERLOADED),
    (429, "Quota exceeded for quota metric 'requests' and limit 'requests per minute'", K.RATE_LIMITED),
    (403, "Your newly created team doesn't have any credits yet", K.BILLING),
    (403, "Your input was flagged by the moderation endpoint", K.CONTENT_FILTERED),
    (403, "You have exceeded a secondary rate limit", K.RATE_LIMITED),
    (400, "API key not valid. Please pass a valid API key.", K.AUTH),
    (400, "The model `x` has been decommissioned and is no longer supported", K.MODEL_NOT_FOUND),
    (400, "This organization has been disabled.", K.PERMISSION_OR_REGION),
    (400, "prompt is too long: 208310 tokens > 200000 maximum", K.CONTEXT_OVERFLOW),
    (400, "You have reached your specified API usage limits. You will regain access on 2026-01-01", K.QUOTA_EXHAUSTED),
    (400, "max_tokens is too large: 100000. This model supports at most 16384 completion tokens", K.INVALID_REQUEST),
    (
        502,
        "This model's maximum context length is 16000 tokens. However, you requested 17165 tokens",
        K.CONTEXT_OVERFLOW,
    ),
    (500, "insufficient balance (1008)", K.BILLING),
    (503, "当前分组 default 下对于模型 gpt-4 无可用渠道", K.MODEL_NOT_FOUND),
    (None, "That model is currently overloaded with other requests.", K.OVERLOADED),
    (None, "Candidate was blocked due to SAFETY", K.CONTENT_FILTERED),
    (None, "connect ECONNREFUSED 127.0.0.1:443", K.CONNECTION),
    (None, "stream disconnected before completion", K.STREAM_BROKEN),
    (None, "context deadline exceeded", K.TIMEOUT),
    (None, "something nobody has ever said", K.UNKNOWN),
    (400, "Provider returned error", K.UNKNOWN),
    (200, "The socket connection was closed unexpectedly", K.STREAM_BROKEN),
]


@pytest.mark.parametrize(("status", "message", "kind"), WORDINGS, ids=[f"{s} {m[:40]}" for s, m, _ in WORDINGS])
def test_what_the_wording_makes_of_a_status(status: int | None, message: str, kind: FailureKind) -> None:
    assert classify(report(message, status)).kind is kind


@pytest.mark.parametrize(
    "quoted",
    ["please explain what a rate limit is", "insufficient_quota and what to do about it", "my api key is invalid, why"],
)
def test_a_bad_request_that_quotes_the_prompt_stays_a_bad_request(quoted: str) -> None:
    message = f"Invalid value for 'messages[0].content': \"{quoted}\" does not match the expected format."
    assert classify(report(openai_body(message, "invalid_request_error"), 400)).kind is K.INVALID_REQUEST


@pytest.mark.parametrize("echo", ["rate limit exceeded", "429 Too Many Requests", "overloaded_error", "timed out"])
def test_no_400_becomes_a_rate_limit_or_an_outage_by_its_words(echo: str) -> None:
    message = f"Unexpected text in the tool result: {echo}"
    assert classify(report(openai_body(message, "invalid_request_error"), 400)).kind is K.INVALID_REQUEST


def test_what_the_caller_sent_is_not_read() -> None:
    body = {"detail": [{"msg": "Field required", "input": {"code": "insufficient_quota", "message": "rate limit"}}]}
    assert classify(report(body, 422)).kind is K.INVALID_REQUEST


PAGES: list[tuple[int | None, str, FailureKind, str]] = [
    (502, "<html><head><title>502 Bad Gateway</title></head><body><hr>nginx</body></html>", K.SERVER_ERROR, "502 Bad"),
    (None, "<!DOCTYPE html><title>x.com | 524: A timeout occurred</title>", K.TIMEOUT, "524"),
    (200, "<html><head><title>Welcome</title></head><body>Log in</body></html>", K.INVALID_OUTPUT, "Welcome"),
    (200, "<html><head><title>503 Service Unavailable</title></head></html>", K.OVERLOADED, "503"),
    (403, "<html><head><title>Just a moment...</title></head><body>x</body></html>", K.PERMISSION_OR_REGION, "Just a"),
    (None, "<html><title>Attention Required! | Cloudflare</title></html>", K.PERMISSION_OR_REGION, "Attention"),
]


@pytest.mark.parametrize(("status", "page", "kind", "shown"), PAGES, ids=[p[1][:45] for p in PAGES])
def test_html_pages_are_read_by_their_title(status: int | None, page: str, kind: FailureKind, shown: str) -> None:
    failure = classify(report(page, status))
    assert failure.kind is kind
    assert shown in failure.message
    assert "<" not in failure.message


# -- exceptions ------------------------------------------------------------------------------------


class GraphBubbleUp(Exception):
    """As LangGraph's interrupts are derived from one."""


PLAIN: list[tuple[BaseException, FailureKind]] = [
    (TimeoutError(), K.TIMEOUT),
    (socket.timeout("timed out"), K.TIMEOUT),  # noqa: UP041 an alias that people still raise
    (ConnectionRefusedError(111, "Connection refused"), K.CONNECTION),
    (ConnectionResetError(), K.CONNECTION),
    (BrokenPipeError(32, "Broken pipe"), K.CONNECTION),
    (socket.gaierror(-2, "Name or service not known"), K.CONNECTION),
    (ssl.SSLCertVerificationError("certificate verify failed"), K.CONNECTION),
    (OSError(101, "Network is unreachable"), K.CONNECTION),
    (OSError(28, "No space left on device"), K.LOCAL_ERROR),
    (http.client.RemoteDisconnected("Remote end closed connection without response"), K.CONNECTION),
    (http.client.IncompleteRead(b"x"), K.STREAM_BROKEN),
    (asyncio.IncompleteReadError(b"x", 5), K.STREAM_BROKEN),
    (FileNotFoundError(2, "No such file"), K.LOCAL_ERROR),
    (PermissionError(13, "Permission denied"), K.LOCAL_ERROR),
    (TypeError("'NoneType' object is not subscriptable"), K.LOCAL_ERROR),
    (AttributeError("no"), K.LOCAL_ERROR),
    (NameError("rate limit exceeded"), K.LOCAL_ERROR),
    (KeyError("rate limit exceeded"), K.LOCAL_ERROR),
    (ImportError("no"), K.LOCAL_ERROR),
    (NotImplementedError(), K.LOCAL_ERROR),
    (RecursionError(), K.LOCAL_ERROR),
    (asyncio.CancelledError(), K.LOCAL_ERROR),
    (GraphBubbleUp("rate limit exceeded"), K.LOCAL_ERROR),
    (KeyboardInterrupt(), K.LOCAL_ERROR),
    (GeneratorExit(), K.LOCAL_ERROR),
    (RuntimeError("Event loop is closed"), K.LOCAL_ERROR),
    (RuntimeError("Task got Future attached to a different loop"), K.LOCAL_ERROR),
    (RuntimeError("<asyncio.locks.Event object [unset]> is bound to a different event loop"), K.LOCAL_ERROR),
    (RuntimeError("no running event loop"), K.LOCAL_ERROR),
    (RuntimeError("asyncio.run() cannot be called from a running event loop"), K.LOCAL_ERROR),
    (RuntimeError("cannot schedule new futures after shutdown"), K.LOCAL_ERROR),
    (RuntimeError("Cannot send a request, as the client has been closed."), K.LOCAL_ERROR),
    (ValueError("invalid literal for int() with base 10: 'x'"), K.LOCAL_ERROR),
    (json.JSONDecodeError("Expecting value", "", 0), K.INVALID_OUTPUT),
    (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), K.INVALID_OUTPUT),
    (ValueError("No generation chunks were returned"), K.INVALID_OUTPUT),
    (RuntimeError("Response was terminated early: MAX_TOKENS"), K.INVALID_OUTPUT),
    (RuntimeError("Response was terminated early: SAFETY [...]"), K.CONTENT_FILTERED),
    (RuntimeError("Response was terminated early: PROHIBITED_CONTENT"), K.CONTENT_FILTERED),
    (ValueError({"message": "The model is overloaded", "type": "server_error"}), K.OVERLOADED),
    (ValueError("server_error: The server had an error processing your request"), K.SERVER_ERROR),
    (Exception("Rate limit exceeded, slow down"), K.RATE_LIMITED),
    (Exception("no idea"), K.UNKNOWN),
    (Exception(), K.UNKNOWN),
]


@pytest.mark.parametrize(("error", "kind"), PLAIN, ids=[repr(error)[:60] for error, _ in PLAIN])
def test_plain_exceptions(error: BaseException, kind: FailureKind) -> None:
    failure = classify(error)
    assert failure.kind is kind
    assert failure.exception is error


def raised(
    error: BaseException, cause: BaseException | None = None, context: BaseException | None = None
) -> BaseException:
    error.__cause__ = cause
    error.__context__ = context
    error.__suppress_context__ = cause is not None  # as `raise ... from cause` does; assigning alone always does
    return error


class APIConnectionError(Exception):
    """As every SDK calls its wrapper of a failed connection."""


class WithStatus(Exception):
    def __init__(self, status: int, message: str = "no", code: str | None = None) -> None:
        super().__init__(message)
        self.status_code, self.code = status, code


CHAINS: list[tuple[str, BaseException, FailureKind]] = [
    ("a wrapper's cause", raised(RuntimeError("the chain failed"), cause=WithStatus(429)), K.RATE_LIMITED),
    ("the wrapper knows better", raised(WithStatus(429), cause=ValueError("no")), K.RATE_LIMITED),
    (
        "a code in the cause beats the wrapper's status",
        raised(WithStatus(429), cause=WithStatus(429, "no", "insufficient_quota")),
        K.QUOTA_EXHAUSTED,
    ),
    (
        "a closed loop behind a connection error",
        raised(APIConnectionError("Connection error."), cause=RuntimeError("Event loop is closed")),
        K.LOCAL_ERROR,
    ),
    ("a timeout behind one", raised(APIConnectionError("Connection error."), cause=TimeoutError()), K.TIMEOUT),
    ("a bug while handling an error", raised(TypeError("no"), context=WithStatus(503)), K.LOCAL_ERROR),
    ("an error while handling a bug", raised(WithStatus(503), context=TypeError("no")), K.OVERLOADED),
    ("only the context knows", raised(RuntimeError("the chain failed"), context=WithStatus(503)), K.OVERLOADED),
    ("a timeout made of a cancellation", raised(TimeoutError(), cause=asyncio.CancelledError()), K.TIMEOUT),
    ("a group", ExceptionGroup("unhandled errors", [ValueError("no idea"), WithStatus(401)]), K.AUTH),
    ("a group in a group", ExceptionGroup("a", [ExceptionGroup("b", [WithStatus(402)])]), K.BILLING),
    ("a group of cancellations", BaseExceptionGroup("a", [asyncio.CancelledError()]), K.LOCAL_ERROR),
]


@pytest.mark.parametrize(("name", "error", "kind"), CHAINS, ids=[row[0] for row in CHAINS])
def test_causes_and_groups(name: str, error: BaseException, kind: FailureKind) -> None:
    failure = classify(error)
    assert failure.kind is kind
    assert failure.exception is error, "callers get what was raised, not what decided"


def test_a_suppressed_context_is_not_looked_at() -> None:
    error = RuntimeError("the chain failed")
    error.__context__, error.__suppress_context__ = WithStatus(503), True
    assert classify(error).kind is K.UNKNOWN


def test_a_cycle_of_causes_ends() -> None:
    first, second = RuntimeError("a"), WithStatus(503)
    first.__cause__, second.__cause__ = second, first
    assert classify(first).kind is K.OVERLOADED


def test_facts_missing_from_the_deciding_error_come_from_its_causes() -> None:
    class Coarse(Exception):
        code = "insufficient_quota"

    cause = WithStatus(429)
    cause.headers = {"Retry-After": "7"}  # type: ignore[attr-defined]
    failure = classify(raised(Coarse("quota"), cause=cause))
    assert (failure.kind, failure.status, failure.retry_after_s) == (K.QUOTA_EXHAUSTED, 429, 7.0)


INNER = Failure(K.RATE_LIMITED, "slow down", status=429, code="x", provider="openai", retry_after_s=5.0)
OURS: list[tuple[Exception, FailureKind]] = [
    (OutputRejected("empty"), K.INVALID_OUTPUT),
    (OutputRejected("refused", kind=K.CONTENT_FILTERED), K.CONTENT_FILTERED),
    (DeadlineExceeded("late"), K.TIMEOUT),
    (ConfigError("no"), K.LOCAL_ERROR),
    (StreamInterrupted("cut", failure=INNER), K.STREAM_BROKEN),
    (AllTargetsFailed("all", failure=INNER), K.RATE_LIMITED),
    (AllTargetsFailed("all"), K.UNKNOWN),
    (NoTargetAvailable("none"), K.UNKNOWN),
]


@pytest.mark.parametrize(("error", "kind"), OURS, ids=[repr(error) for error, _ in OURS])
def test_our_own_exceptions(error: Exception, kind: FailureKind) -> None:
    assert classify(error).kind is kind


def test_a_failover_inside_a_failover_keeps_its_facts() -> None:
    failure = classify(AllTargetsFailed("all", failure=INNER))
    assert (failure.status, failure.code, failure.provider, failure.retry_after_s) == (429, "x", "openai", 5.0)


# -- the failure -----------------------------------------------------------------------------------


def test_the_failure_carries_the_facts() -> None:
    body = openai_body("Slow down, key sk-abcdef1234567890", "requests", "rate_limit_exceeded")
    failure = classify(report(body, 429, provider="openai", headers={"RETRY-AFTER": "2"}))
    assert failure == Failure(
        K.RATE_LIMITED,
        "Slow down, key [redacted]",
        status=429,
        code="rate_limit_exceeded",
        provider="openai",
        retry_after_s=2.0,
    )


def test_an_inner_status_wins_over_the_gateways() -> None:
    assert classify(report({"error": {"message": "no", "code": 400}}, 502)).status == 400
    assert classify(report({"error": {"message": "no", "code": 500}}, 429)).status == 429


def test_the_message_is_one_short_line() -> None:
    failure = classify(report("first line\n\n   second line " + "x" * 1000, 500))
    assert failure.message.startswith("first line second line x")
    assert len(failure.message) <= 302


def test_an_exception_without_words_is_named() -> None:
    assert classify(ConnectionResetError()).message == "ConnectionResetError"


def test_a_reported_code_counts_like_one_in_a_body() -> None:
    assert classify(ErrorReport(code="insufficient_quota", status=429)).kind is K.QUOTA_EXHAUSTED
    assert classify(ErrorReport(exception_type="openai.error.InvalidRequestError")).kind is K.INVALID_REQUEST
    assert classify(ErrorReport(exception_type="httpx.ReadTimeout")).kind is K.TIMEOUT
    assert classify(ErrorReport(exception_type="builtins.TypeError", message="no")).kind is K.LOCAL_ERROR
    assert classify(ErrorReport(exception_type="TypeError", message="no", status=200)).kind is K.INVALID_OUTPUT


def test_a_bug_in_the_classifier_never_replaces_the_callers_error() -> None:
    class Hostile(Exception):
        @property
        def __class__(self) -> type:  # type: ignore[override]
            raise RuntimeError("gotcha")

    error = Hostile("x")
    failure = classify(error)
    assert failure.kind is K.UNKNOWN
    assert failure.exception is error
