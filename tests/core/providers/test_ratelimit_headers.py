from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_core.health.ratelimit_headers import RateLimitFacts, duration_s, parse_rate_limit

NOON_S = 1_767_268_800.0  # 2026-01-01T12:00:00Z


def test_openai() -> None:
    headers = {
        "X-RateLimit-Limit-Requests": "500",
        "x-ratelimit-remaining-requests": "499",
        "x-ratelimit-reset-requests": "120ms",
        "x-ratelimit-limit-tokens": "30000",
        "x-ratelimit-remaining-tokens": "29000",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    assert parse_rate_limit(headers) == RateLimitFacts(500, 499, 0.12, 30_000, 29_000, 360.0)


def test_anthropic_resets_are_told_from_the_server_s_own_clock() -> None:
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2026-01-01T12:00:30Z",
        "anthropic-ratelimit-tokens-limit": "10000",
        "anthropic-ratelimit-tokens-remaining": "10000",
        "anthropic-ratelimit-tokens-reset": "2026-01-01T11:00:00Z",
    }
    assert parse_rate_limit(headers, NOON_S) == RateLimitFacts(50, 0, 30.0, 10_000, 10_000, 0.0)
    dated = {**headers, "date": "Thu, 01 Jan 2026 12:00:10 GMT"}
    assert parse_rate_limit(dated, NOON_S + 500).reset_requests_s == 20.0
    assert parse_rate_limit(headers).reset_requests_s is None


def test_the_scarcer_of_input_and_output_tokens_counts() -> None:
    headers = {
        "anthropic-ratelimit-input-tokens-limit": "1000",
        "anthropic-ratelimit-input-tokens-remaining": "900",
        "anthropic-ratelimit-output-tokens-limit": "100",
        "anthropic-ratelimit-output-tokens-remaining": "10",
    }
    facts = parse_rate_limit(headers)
    assert (facts.limit_tokens, facts.remaining_tokens) == (100, 10)


@pytest.mark.parametrize(
    ("headers", "reset_s"),
    [
        ({"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "3", "ratelimit-reset": "7"}, 7.0),
        ({"x-ratelimit-limit": "100", "x-ratelimit-remaining": "3", "x-ratelimit-reset": str(NOON_S + 9)}, 9.0),
    ],
)
def test_others(headers: dict[str, str], reset_s: float) -> None:
    assert parse_rate_limit(headers, NOON_S) == RateLimitFacts(100, 3, reset_s)


@pytest.mark.parametrize("headers", [None, {}, {"content-type": "x"}, {"x-ratelimit-limit-requests": "many"}])
def test_nothing_told(headers: dict[str, str] | None) -> None:
    assert parse_rate_limit(headers) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("6m0s", 360), ("1h2m3.5s", 3723.5), ("20ms", 0.02), (" 7 ", 7), ("1d", 86400), ("0", 0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "-1", "nan", "inf", "9" * 400, "1x", "9" * 400 + "s"])
def test_what_is_no_duration(text: str) -> None:
    assert duration_s(text) is None


names = st.sampled_from(
    [f"x-ratelimit-{what}-{kind}" for what in ("limit", "remaining", "reset") for kind in ("requests", "tokens")]
    + [f"anthropic-ratelimit-tokens-{what}" for what in ("limit", "remaining", "reset")]
    + ["ratelimit-reset", "date"]
)


@given(st.dictionaries(names, st.text(max_size=40)), st.none() | st.floats(0, 1e11))
def test_any_header_is_survived(headers: dict[str, str], now_s: float | None) -> None:
    facts = parse_rate_limit(headers, now_s)
    assert facts is None or (facts.reset_requests_s or 0) >= 0
