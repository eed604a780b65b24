"""Rate limits: believed when the provider says how long, guessed when it does not, never for ever."""

from __future__ import annotations

from math import inf, nan

import pytest

from failover_core.health.ratelimit import MAX_BLOCK_S, MAX_GUESS_S, NO_LIMIT, RateLimit, answered, limited

NOW = 1000.0


@pytest.mark.parametrize(
    ("retry_after_s", "blocked_s"),
    [(7.5, 7.5), (0.0, 0.0), (-3.0, 0.0), (86_400.0, MAX_BLOCK_S), (inf, MAX_BLOCK_S), (nan, 0.0)],
)
def test_the_provider_s_own_time_holds_within_reason(retry_after_s: float, blocked_s: float) -> None:
    assert limited(NO_LIMIT, NOW, retry_after_s).blocked_until_s == NOW + blocked_s


def test_guesses_double_up_to_half_a_minute() -> None:
    limit, now, blocks = NO_LIMIT, NOW, []
    for _ in range(7):
        limit = limited(limit, now, None)
        blocks.append(limit.blocked_until_s - now)
        now = limit.blocked_until_s
    assert blocks == [1.0, 2.0, 4.0, 8.0, 16.0, MAX_GUESS_S, MAX_GUESS_S]


def test_many_strikes_do_not_overflow() -> None:
    limit = NO_LIMIT
    for _ in range(5000):
        limit = limited(limit, NOW, None)
    assert limit.blocked_until_s == NOW + MAX_GUESS_S


def test_a_shorter_time_told_later_does_not_unblock() -> None:
    limit = limited(limited(NO_LIMIT, NOW, 60.0), NOW + 1.0, 2.0)
    assert limit.blocked_until_s == NOW + 60.0


def test_a_good_answer_ends_the_doubling_but_not_the_block() -> None:
    """Answers of requests that were already under way say nothing about the next one."""
    limit = limited(limited(NO_LIMIT, NOW, None), NOW, None)
    after = answered(limit)
    assert after == RateLimit(limit.blocked_until_s, 0)
    assert limited(after, NOW + 10.0, None).blocked_until_s == NOW + 11.0


def test_a_good_answer_without_a_limit_changes_nothing() -> None:
    assert answered(NO_LIMIT) is NO_LIMIT
