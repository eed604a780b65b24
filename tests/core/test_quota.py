"""What providers say is left of their limits: it is used, and after that shared at the speed of the refill."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_core import Failure, FailureKind
from failover_core.health.book import HealthBook
from failover_core.health.breaker import CircuitState
from failover_core.health.quota import MAX_AGE_S, Quota, quota_of
from failover_core.health.ratelimit import NO_LIMIT, RateLimit, admitted, answered
from failover_core.health.ratelimit_headers import RateLimitFacts, parse_rate_limit

NOW = 1000.0


def requests(remaining: int, limit: int = 60, reset_s: float = 30.0) -> RateLimitFacts:
    return RateLimitFacts(limit, remaining, reset_s)


def tokens(remaining: int, limit: int = 6000, reset_s: float = 30.0) -> RateLimitFacts:
    return RateLimitFacts(limit_tokens=limit, remaining_tokens=remaining, reset_tokens_s=reset_s)


def quota(facts: RateLimitFacts) -> Quota:
    made = quota_of(facts, NOW)
    assert made is not None
    return made


@pytest.mark.parametrize(
    "facts",
    [
        requests(30),
        tokens(5999),
        RateLimitFacts(60, None, 30.0),
        RateLimitFacts(60, 0, None),
        RateLimitFacts(None, 0, 30.0),
        RateLimitFacts(0, 0, 30.0),
        RateLimitFacts(60, 0, 0.0),
    ],
    ids=["half is plenty", "all", "what is left?", "until when?", "of how many?", "of none", "reset already"],
)
def test_plenty_and_too_little_said_are_not_kept(facts: RateLimitFacts) -> None:
    assert quota_of(facts, NOW) is None


def test_what_is_left_may_be_asked_at_once() -> None:
    left = quota(requests(3))
    for _ in range(3):
        assert left.wait_s(NOW) == 0.0
        left = left.taken(1, 0)
    assert left.wait_s(NOW) == pytest.approx(30.0 / 57)


def test_after_that_it_is_shared_at_the_speed_of_the_refill() -> None:
    left, asked, step = quota(requests(0, limit=60, reset_s=40.0)), 0, 0.05
    for tick in range(int(20 / step)):
        if left.wait_s(NOW + tick * step) == 0.0:
            left, asked = left.taken(1, 0), asked + 1
    assert asked == pytest.approx(20 * 60 / 40, abs=1)


def test_what_was_asked_since_puts_the_end_off() -> None:
    left = quota(requests(0))
    assert left.until_s == pytest.approx(NOW + 30.0)
    assert left.taken(30, 0).until_s == pytest.approx(NOW + 45.0)


def test_when_it_is_full_again_it_is_forgotten() -> None:
    limit = RateLimit(quota=quota(requests(0)))
    assert limit.wait_s(NOW + 30.0) == 0.0
    assert admitted(limit, NOW + 30.0).quota is None


def test_tokens_count_as_well_as_requests() -> None:
    left = quota(tokens(1000))
    assert left.wait_s(NOW, tokens=900) == 0.0
    assert left.wait_s(NOW, tokens=2000) == pytest.approx(1000 / (5000 / 30))
    assert left.taken(1, 900).wait_s(NOW, tokens=900) == pytest.approx(800 / (5000 / 30))


def test_a_request_larger_than_the_limit_goes_when_it_is_full() -> None:
    """Only the provider can say what it makes of it."""
    assert quota(tokens(0)).wait_s(NOW, tokens=1_000_000) == pytest.approx(30.0)


def test_a_limit_for_the_day_does_not_remove_a_target_for_a_day() -> None:
    limit = RateLimit(quota=quota(requests(0, limit=50, reset_s=86_400.0)))
    assert limit.wait_s(NOW) == MAX_AGE_S
    assert limit.wait_s(NOW + 100.0) == MAX_AGE_S - 100.0
    assert limit.wait_s(NOW + MAX_AGE_S) == 0.0


def test_older_news_changes_nothing() -> None:
    newer = answered(NO_LIMIT, requests(0), NOW + 5.0)
    assert answered(newer, requests(29), NOW) is newer
    assert answered(newer, requests(20), NOW + 6.0).wait_s(NOW + 6.0) == 0.0
    assert answered(newer, requests(60), NOW + 6.0).quota is None


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.floats(0.001, 1e6), st.integers(0, 500), st.floats(0, 1e6))
def test_nobody_waits_longer_than_until_it_is_full(
    limit: int, remaining: int, reset_s: float, asked: int, after_s: float
) -> None:
    left = quota_of(requests(remaining, limit, reset_s), NOW)
    if left is not None:
        left = left.taken(asked, 0)
        wait_s = left.wait_s(NOW + after_s)
        assert 0.0 <= wait_s <= max(0.0, left.until_s - NOW - after_s) + 1e-6 * reset_s


# -- in the book ----------------------------------------------------------------------------------------------------


def book() -> HealthBook:
    return HealthBook(["a"], rng=Random(1), emit=lambda event: None)


def test_news_counts_what_was_asked_since_the_attempt_began() -> None:
    """Headers are made when a request is accepted; by the time its answer ends, others have been asked."""
    health = book()
    first = health.admit("a", NOW, tokens=100)
    assert first is not None
    later = [health.admit("a", NOW, tokens=100) for _ in range(5)]
    assert all(later)
    health.answered(first, NOW, facts=requests(5))
    assert health.admit("a", NOW) is None
    assert health.snapshot["a"].available_in_s(NOW) == pytest.approx(30.0 / 55)


def test_the_same_for_tokens() -> None:
    health = book()
    first = health.admit("a", NOW, tokens=100)
    assert first is not None
    assert health.admit("a", NOW, tokens=900)
    health.answered(first, NOW, facts=tokens(1000))
    assert health.admit("a", NOW, tokens=200) is None, "900 of the 1000 are spoken for"
    assert health.admit("a", NOW, tokens=100) is not None


def test_a_used_up_quota_is_no_ill_health() -> None:
    health = book()
    for _ in range(20):
        permit = health.admit("a", NOW, force=True)
        assert permit is not None
        health.failed(permit, NOW, Failure(FailureKind.RATE_LIMITED), 0.0, parks=False)
    state = health.snapshot["a"]
    assert (state.suspicion, state.breaker.state) == (0.0, CircuitState.CLOSED)


def test_headers_as_providers_send_them() -> None:
    openai = parse_rate_limit(
        {
            "x-ratelimit-limit-requests": "500",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "1m0s",
            "x-ratelimit-limit-tokens": "30000",
            "x-ratelimit-remaining-tokens": "29000",
            "x-ratelimit-reset-tokens": "2s",
        }
    )
    assert openai is not None
    assert quota(openai).wait_s(NOW) == pytest.approx(60 / 500)
    anthropic = parse_rate_limit(
        {
            "date": "Thu, 01 Jan 2026 12:00:00 GMT",
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2026-01-01T12:00:01Z",
            "anthropic-ratelimit-input-tokens-limit": "20000",
            "anthropic-ratelimit-input-tokens-remaining": "0",
            "anthropic-ratelimit-input-tokens-reset": "2026-01-01T12:00:40Z",
        }
    )
    assert anthropic is not None
    assert quota(anthropic).wait_s(NOW, tokens=500) == pytest.approx(1.0)
