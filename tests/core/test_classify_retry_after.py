"""`Failure.retry_after_s`: every form in which providers ask to be left alone, and the ones that are none."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from failover_core.classify import classify
from failover_core.failure import ErrorReport

DATE = "Thu, 01 Jan 2026 12:00:00 GMT"
EPOCH_S = 1_767_268_800  # the same moment


def wait(headers: dict[str, str] | None = None, body: object = "slow down", status: int = 429) -> float | None:
    message = body if isinstance(body, str) else json.dumps(body)
    return classify(ErrorReport(status=status, message=message, headers=headers or {})).retry_after_s


HEADERS: list[tuple[str, dict[str, str], float | None]] = [
    ("seconds", {"retry-after": "20"}, 20),
    ("any case", {"Retry-After": "20"}, 20),
    ("fractional", {"retry-after": "0.75"}, 0.75),
    ("zero", {"retry-after": "0"}, 0),
    ("spaces", {"retry-after": "  5 "}, 5),
    ("with a unit", {"retry-after": "30s"}, 30),
    ("two of them joined by a proxy", {"retry-after": "5, 9"}, 5),
    ("an absurd wait is a fact", {"retry-after": "31536000"}, 31_536_000),
    ("a date, by the response's clock", {"retry-after": "Thu, 01 Jan 2026 12:01:30 GMT", "date": DATE}, 90),
    ("a date that has passed", {"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT", "date": DATE}, 0),
    ("a date without any clock", {"retry-after": "Thu, 01 Jan 2026 12:01:30 GMT"}, None),
    ("a date that is none", {"retry-after": "Thu, 99 Foo 2026 12:01:30 GMT", "date": DATE}, None),
    ("milliseconds", {"retry-after-ms": "1500"}, 1.5),
    ("milliseconds are finer", {"retry-after": "2", "retry-after-ms": "1500"}, 1.5),
    ("Azure's milliseconds", {"x-ms-retry-after-ms": "250"}, 0.25),
    ("negative", {"retry-after": "-5"}, None),
    ("words", {"retry-after": "soon"}, None),
    ("empty", {"retry-after": ""}, None),
    ("not a number", {"retry-after": "nan"}, None),
    ("infinite", {"retry-after": "inf"}, None),
    ("an exhausted limit", {"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "0"}, 360),
    ("a limit that is not", {"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "9"}, None),
    (
        "only the exhausted one of two",
        {
            "x-ratelimit-reset-requests": "1d",
            "x-ratelimit-remaining-requests": "99",
            "x-ratelimit-reset-tokens": "120ms",
            "x-ratelimit-remaining-tokens": "0",
        },
        0.12,
    ),
    ("nobody tells which", {"x-ratelimit-reset-requests": "1.5s", "x-ratelimit-reset-tokens": "2s"}, 2),
    (
        "Anthropic's moment",
        {
            "anthropic-ratelimit-input-tokens-reset": "2026-01-01T12:00:45Z",
            "anthropic-ratelimit-input-tokens-remaining": "0",
            "date": DATE,
        },
        45,
    ),
    (
        "Anthropic's moment of another limit",
        {
            "anthropic-ratelimit-input-tokens-reset": "2026-01-01T12:00:45Z",
            "anthropic-ratelimit-input-tokens-remaining": "1000",
            "date": DATE,
        },
        None,
    ),
    ("seconds since the epoch", {"x-ratelimit-reset": str(EPOCH_S + 30), "date": DATE}, 30),
    ("milliseconds since the epoch", {"x-ratelimit-reset": str((EPOCH_S + 30) * 1000), "date": DATE}, 30),
    ("an answer to when, not a wait", {"retry-after": "7", "x-ratelimit-reset-tokens": "99s"}, 7),
]


@pytest.mark.parametrize(("name", "headers", "expected"), HEADERS, ids=[row[0] for row in HEADERS])
def test_headers(name: str, headers: dict[str, str], expected: float | None) -> None:
    assert wait(headers) == expected


def test_resets_matter_to_failures_of_limits_only() -> None:
    assert wait({"x-ratelimit-reset-requests": "6m0s"}, "Internal error", status=500) is None
    assert wait({"retry-after": "3"}, status=503) == 3


def test_a_moment_is_measured_with_the_given_clock_where_the_response_has_none() -> None:
    report = ErrorReport(status=429, headers={"retry-after": "Thu, 01 Jan 2026 12:00:10 GMT"})
    assert classify(report, now=lambda: EPOCH_S).retry_after_s == 10
    dated = ErrorReport(status=429, headers={**report.headers, "date": DATE})
    assert classify(dated, now=lambda: 0.0).retry_after_s == 10


BODIES: list[tuple[str, object, float | None]] = [
    (
        "google.rpc.RetryInfo",
        {
            "error": {
                "code": 429,
                "message": "Resource exhausted",
                "status": "RESOURCE_EXHAUSTED",
                "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.074824224s"}],
            }
        },
        34.074824224,
    ),
    ("a number in the body", {"error": {"message": "slow down", "retry_after": 12}}, 12),
    ("a number in quotes", {"message": "slow down", "retryAfter": "12"}, 12),
    ("OpenAI", "Rate limit reached. Please try again in 1.4s. Visit https://x.com/7 to learn more.", 1.4),
    ("OpenAI, milliseconds", "Limit 3, Used 3, Requested 1. Please try again in 120ms.", 0.12),
    ("OpenAI, minutes", "Please try again in 6m0s.", 360),
    ("Groq", "Please try again in 7m54.336s.", 474.336),
    ("Azure", "Please retry after 20 seconds. Please go here: https://aka.ms/oai/quotaincrease", 20),
    ("Azure, one", "Try again in 1 second.", 1),
    ("hours and minutes", "quota used up, retry in 1h2m", 3720),
    ("spelled out", "Rate limit exceeded, please wait 2 minutes and 5 seconds before trying again", 125),
    ("Google", "Please retry in 42.5s.", 42.5),
    ("days", "Your limit resets in 3 days", 259_200),
    ("an absurd wait", "Please try again in 720h0m0s", 2_592_000),
    ("no wait", "Please try again later.", None),
    ("a limit is no wait", "You may send 20 requests in 60 seconds", None),
    ("a time spent is no wait", "Request took 30 seconds and failed", None),
    ("a number without a unit", "please try again in 5", None),
]


@pytest.mark.parametrize(("name", "body", "expected"), BODIES, ids=[row[0] for row in BODIES])
def test_bodies_and_words(name: str, body: object, expected: float | None) -> None:
    assert wait(body=body) == expected


def test_the_header_binds_more_than_the_words() -> None:
    assert wait({"retry-after": "9"}, "Please try again in 1s") == 9


def test_headers_of_an_sdks_exception_and_of_its_response() -> None:
    class OnResponse(Exception):
        status_code, response = 429, SimpleNamespace(headers={"Retry-After": "4"})

    class OnItself(Exception):
        status_code, headers = 429, {b"retry-after": b"5"}

    assert classify(OnResponse("no")).retry_after_s == 4
    assert classify(OnItself("no")).retry_after_s == 5
