"""Rate limits: believed when the provider says how long, guessed when it does not, shared when they last."""

from __future__ import annotations

from math import inf, nan

import pytest

from failover_core.health.ratelimit import (
    COUNT_S,
    FIRST_SHARE,
    MAX_BLOCK_S,
    MAX_GUESS_S,
    NO_LIMIT,
    RateLimit,
    admitted,
    answered,
    asked_to_wait,
    limited,
)
from failover_core.health.ratelimit_headers import RateLimitFacts

NOW = 1000.0


@pytest.mark.parametrize(
    ("retry_after_s", "blocked_s"),
    [(7.5, 7.5), (0.0, 0.0), (-3.0, 0.0), (86_400.0, MAX_BLOCK_S), (inf, MAX_BLOCK_S), (nan, 0.0)],
)
def test_the_provider_s_own_time_holds_within_reason(retry_after_s: float, blocked_s: float) -> None:
    assert limited(NO_LIMIT, NOW, retry_after_s).blocked_until_s == NOW + blocked_s
    assert asked_to_wait(NO_LIMIT, NOW, retry_after_s).blocked_until_s == NOW + blocked_s


def test_guesses_double_up_to_half_a_minute() -> None:
    """As long as nothing is accepted in between there is nothing to share."""
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
    assert (after.blocked_until_s, after.strikes) == (limit.blocked_until_s, 0)
    assert limited(after, NOW + 10.0, None).blocked_until_s == NOW + 11.0


def test_a_good_answer_without_a_limit_changes_nothing() -> None:
    assert answered(NO_LIMIT) is NO_LIMIT
    assert admitted(NO_LIMIT, NOW) is NO_LIMIT


def test_a_limit_that_has_passed_is_forgotten_with_the_next_good_answer() -> None:
    limit = limited(NO_LIMIT, NOW, 2.0)
    began_s = NOW + COUNT_S + 1.0
    assert answered(limit, at_s=NOW + 3.0).hits == 1, "hits so near still count"
    assert answered(limit, at_s=NOW - 60.0).hits == 1, "it began before the limit was met"
    assert answered(limit, at_s=began_s) is NO_LIMIT
    assert answered(limited(NO_LIMIT, NOW, 60.0), at_s=began_s).blocked_until_s == NOW + 60.0
    assert answered(paced(20, 10.0), at_s=began_s).per_s > 0.0, "a pace of our own is forgotten by growing"


def test_to_have_been_asked_to_wait_is_forgotten_too() -> None:
    limit = asked_to_wait(NO_LIMIT, NOW, 2.0)
    assert answered(limit, at_s=NOW + 1.0) is not NO_LIMIT
    assert answered(limit, at_s=NOW + 2.0) is NO_LIMIT


def test_a_provider_that_says_that_plenty_is_left_leaves_nothing_of_a_limit() -> None:
    scarce = RateLimitFacts(limit_requests=100, remaining_requests=2, reset_requests_s=60.0)
    limit = answered(NO_LIMIT, scarce, NOW)
    assert limit.quota is not None
    plenty = RateLimitFacts(limit_requests=100, remaining_requests=99, reset_requests_s=1.0)
    assert answered(limit, plenty, NOW + 70.0) is NO_LIMIT


# -- a pace of our own ----------------------------------------------------------------------------------------------


def paced(accepted: int, seconds: float, refused: int = 3) -> RateLimit:
    """After so many accepted and refused requests, evenly mixed over the last seconds before NOW."""
    limit = limited(NO_LIMIT, NOW - seconds, 0.0)
    for _ in range(accepted + refused - 1):
        limit = admitted(limit, NOW - seconds)
    for _ in range(refused - 1):
        limit = limited(limit, NOW, 0.0)
    return limit


def per_s(limit: RateLimit, now: float, seconds: float = 10.0) -> float:
    """How many requests a second are let in from `now` on, when many more are wanted."""
    count, step = 0, 0.01
    for tick in range(int(seconds / step)):
        if limit.wait_s(now + tick * step) <= 0.0:
            limit = admitted(limit, now + tick * step)
            count += 1
    return count / seconds


def test_two_refusals_are_no_lasting_limit() -> None:
    assert paced(20, 10.0, refused=2).per_s == 0.0


def test_three_refusals_long_apart_are_no_lasting_limit() -> None:
    limit = NO_LIMIT
    for number in range(6):
        limit = admitted(limited(limit, NOW + 20.0 * number, None), NOW + 20.0 * number)
        assert limit.per_s == 0.0


def test_after_three_refusals_traffic_is_let_in_at_about_the_accepted_rate() -> None:
    limit = paced(accepted=15, seconds=10.0)
    assert limit.per_s == pytest.approx(FIRST_SHARE * 1.5)
    assert per_s(limit, NOW) == pytest.approx(1.5, rel=0.15)


def test_a_burst_is_spread() -> None:
    limit = paced(accepted=10, seconds=10.0)
    now = NOW + 2.0
    for _ in range(2):
        limit = admitted(limit, now)
    assert limit.wait_s(now) == pytest.approx(1.0 / limit.per_s, rel=0.1)


def test_each_further_refusal_takes_a_fifth_but_one_a_second_at_most() -> None:
    limit = paced(accepted=20, seconds=10.0)
    once = limited(limit, NOW + 1.0, None)
    assert once.per_s == pytest.approx(0.8 * limit.per_s * 1.02)
    assert limited(once, NOW + 1.5, None).per_s == once.per_s, "asked before the pace had changed"
    assert limited(once, NOW + 2.0, None).per_s == pytest.approx(0.8 * once.per_s * 1.02)


def test_it_grows_slowly_first_then_quickly_and_is_forgotten() -> None:
    limit = paced(accepted=20, seconds=10.0)
    after_10 = limited(limit, NOW + 10.0, None).per_s / (0.8 * limit.per_s)
    after_15 = limited(limit, NOW + 15.0, None).per_s / (0.8 * limit.per_s)
    assert after_10 == pytest.approx(1.02**10)
    assert after_15 == pytest.approx(1.02**10 * 1.1**5)
    assert admitted(limit, NOW + 20.0).per_s > 0.0
    assert admitted(limit, NOW + 40.0) is NO_LIMIT


@pytest.mark.parametrize("hours", [2, 1000])
def test_a_pace_from_long_ago_is_no_error(hours: int) -> None:
    long_after = NOW + 3600.0 * hours
    assert admitted(paced(20, 10.0), long_after) is NO_LIMIT
    assert limited(paced(20, 10.0), long_after, None).wait_s(long_after) <= MAX_GUESS_S


def test_a_bare_refusal_at_a_pace_of_our_own_waits_for_one_turn() -> None:
    limit = limited(paced(accepted=20, seconds=10.0), NOW + 5.0, None)
    assert limit.blocked_until_s == pytest.approx(NOW + 5.0 + 1.0 / limit.per_s)


def test_a_provider_that_refuses_everything_is_asked_less_and_less() -> None:
    limit, now = paced(accepted=20, seconds=10.0), NOW
    for _ in range(60):
        now = max(now + 1.0, limit.blocked_until_s)
        limit = limited(admitted(limit, now), now, None)
    assert 5.0 < limit.wait_s(now) <= MAX_GUESS_S


def test_many_late_refusals_do_not_remove_a_target_for_hours() -> None:
    """They were under way when the limit was met, and come back one after the other."""
    limit = limited(NO_LIMIT, NOW, 0.0)
    for _ in range(10):
        limit = admitted(limit, NOW)
    for number in range(1, 60):
        limit = limited(limit, NOW + number, 1.0)
    assert 0.0 < limit.per_s < 0.1
    now = NOW + 61.0
    for _ in range(2):
        assert limit.wait_s(now) == 0.0
        limit = admitted(limit, now)
    assert 0.0 < limit.wait_s(now) <= MAX_GUESS_S
