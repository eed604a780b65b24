"""When a target may be asked again after it said "too many requests". Never counted as ill health."""

from __future__ import annotations

from dataclasses import dataclass

MAX_BLOCK_S = 300.0  # an absurd Retry-After must not remove a target for a day
FIRST_BLOCK_S = 1.0
MAX_GUESS_S = 30.0


@dataclass(slots=True, unsafe_hash=True)
class RateLimit:
    """A value: never changed after it was made. `strikes` = rate limits in a row without a good answer."""

    blocked_until_s: float = 0.0
    strikes: int = 0


NO_LIMIT = RateLimit()


def limited(limit: RateLimit, now: float, retry_after_s: float | None) -> RateLimit:
    """After a 429: blocked for what the provider asked, or for a doubling guess when it did not say."""
    if retry_after_s is None:
        block_s = min(MAX_GUESS_S, FIRST_BLOCK_S * 2.0**limit.strikes)
    else:
        block_s = min(MAX_BLOCK_S, max(0.0, retry_after_s))
    return RateLimit(max(limit.blocked_until_s, now + block_s), min(limit.strikes + 1, 16))


def asked_to_wait(limit: RateLimit, now: float, retry_after_s: float) -> RateLimit:
    """After another failure that names a time to come back, such as a 503 with Retry-After."""
    until_s = now + min(MAX_BLOCK_S, max(0.0, retry_after_s))
    return RateLimit(max(limit.blocked_until_s, until_s), limit.strikes)


def answered(limit: RateLimit) -> RateLimit:
    """After a good answer."""
    return limit if limit is NO_LIMIT or not limit.strikes else RateLimit(limit.blocked_until_s, 0)
