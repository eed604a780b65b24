"""When a target may be asked again after it said "too many requests". Never counted as ill health.

A 429 blocks its target for what the provider asks, or for a doubling guess where it does not say. Three of them within
half a minute mean a lasting limit: then requests are let through at a pace of our own (a leaky bucket: Turner 1986,
"virtual scheduling" in ITU-T I.371), so that the traffic is shared at the limit instead of running into it. The pace
starts at what was accepted lately, falls by a fifth with each further 429 and rises by 2 % a second, by 10 % after ten
quiet seconds; when it has grown eightfold, nothing is left of the limit. A provider that tells what is left of its
limit (`quota`) needs no such guesses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..failure import Failure, FailureKind
from .quota import Quota, quota_of
from .ratelimit_headers import RateLimitFacts

MAX_BLOCK_S = 300.0  # an absurd Retry-After must not remove a target for a day
FIRST_BLOCK_S = 1.0
MAX_GUESS_S = 30.0
SLOWEST_PER_S = 1.0 / MAX_GUESS_S  # many late refusals in a row must not remove a target for hours

COUNT_S = 30.0
LASTING_HITS = 3
FIRST_SHARE = 0.9
DECREASE = 0.8
DECREASE_EVERY_S = 1.0
RISE, FAST_RISE = 1.02, 1.1
QUIET_S = 10.0
FORGOTTEN_GROWTH = 8.0
FORGOTTEN_S = 60.0  # by then it has grown more than that


@dataclass(slots=True, unsafe_hash=True)
class RateLimit:
    """A value: never changed after it was made.

    Args:
        blocked_until_s: no request before that.
        strikes: rate limits in a row without a good answer.
        since_s: since when hits and requests are counted.
        hits, admits: rate limits, and requests let through, since then.
        per_s: our own pace in requests a second, as of `paced_s`; 0 = none.
        due_s: when the next request would be due at this pace.
        quota: what the provider says is left; None = nothing is said, or plenty is left.
    """

    blocked_until_s: float = 0.0
    strikes: int = 0
    since_s: float = 0.0
    hits: int = 0
    admits: int = 0
    per_s: float = 0.0
    paced_s: float = 0.0
    due_s: float = 0.0
    quota: Quota | None = None

    def wait_s(self, now: float, tokens: int = 1) -> float:
        """Seconds until a request of this size may be made; 0 = now."""
        wait_s = max(0.0, self.blocked_until_s - now)
        if self.quota is not None:
            wait_s = max(wait_s, self.quota.wait_s(now, tokens))
        return wait_s


NO_LIMIT = RateLimit()


def limited(limit: RateLimit, now: float, retry_after_s: float | None) -> RateLimit:
    """After a 429."""
    new = replace(limit, strikes=min(limit.strikes + 1, 16), hits=limit.hits + 1)
    if limit.hits == 0 or now - limit.since_s > COUNT_S:
        new.since_s, new.hits, new.admits = now, 1, 0
    if limit.per_s:
        if now - limit.paced_s >= DECREASE_EVERY_S:
            new.per_s, new.paced_s = max(SLOWEST_PER_S, DECREASE * _grown(limit, now)), now
    elif new.hits >= LASTING_HITS and new.admits >= new.hits and now > new.since_s:
        accepted = new.admits - (new.hits - 1)  # all but the first of those refused have been let in since
        new.per_s, new.paced_s = FIRST_SHARE * accepted / (now - new.since_s), now
    if retry_after_s is not None:
        block_s = min(MAX_BLOCK_S, max(0.0, retry_after_s))
    elif new.per_s:
        block_s = min(MAX_GUESS_S, 1.0 / new.per_s)
    else:
        block_s = min(MAX_GUESS_S, FIRST_BLOCK_S * 2.0**limit.strikes)
    new.blocked_until_s = max(limit.blocked_until_s, now + block_s)
    return new


def admitted(limit: RateLimit, now: float, tokens: int = 0) -> RateLimit:
    """After a request of this size was let through: at a pace of our own, the next one but one has to wait."""
    if limit is NO_LIMIT:
        return limit
    quota = limit.quota
    if quota is not None:
        quota = quota.taken(1, tokens) if now < quota.until_s else None
    if not limit.per_s:
        return replace(limit, admits=limit.admits + 1, quota=quota)
    per_s = _grown(limit, now)
    if per_s >= FORGOTTEN_GROWTH * limit.per_s:
        return NO_LIMIT if quota is None else RateLimit(quota=quota)
    due_s = max(limit.due_s, now) + 1.0 / per_s
    blocked_until_s = max(limit.blocked_until_s, due_s - 1.0 / per_s)
    return replace(limit, admits=limit.admits + 1, due_s=due_s, blocked_until_s=blocked_until_s, quota=quota)


def failed(limit: RateLimit, now: float, failure: Failure) -> RateLimit:
    """After any failure; only those that ask for less traffic change anything."""
    if failure.kind is FailureKind.RATE_LIMITED:
        return limited(limit, now, failure.retry_after_s)
    return limit if failure.retry_after_s is None else asked_to_wait(limit, now, failure.retry_after_s)


def asked_to_wait(limit: RateLimit, now: float, retry_after_s: float) -> RateLimit:
    """After another failure that names a time to come back, such as a 503 with Retry-After."""
    until_s = now + min(MAX_BLOCK_S, max(0.0, retry_after_s))
    return replace(limit, blocked_until_s=max(limit.blocked_until_s, until_s))


def answered(
    limit: RateLimit, facts: RateLimitFacts | None = None, at_s: float = 0.0, asked_since: tuple[int, int] = (0, 0)
) -> RateLimit:
    """After a good answer.

    Args:
        facts: what its headers say of the limits. Older news than the last changes nothing.
        at_s: when the attempt began.
        asked_since: requests, and tokens, asked since then: they were not counted when the news was made.
    """
    if limit.strikes:
        limit = replace(limit, strikes=0)
    if facts is not None and (limit.quota is None or at_s >= limit.quota.at_s):
        quota = quota_of(facts, at_s)
        if quota is not None:
            return replace(limit, quota=quota.taken(*asked_since))
        if limit.quota is not None:
            limit = replace(limit, quota=None)
    return NO_LIMIT if _is_over(limit, at_s) else limit


def _is_over(limit: RateLimit, at_s: float) -> bool:
    """Was nothing left of it when the attempt that has been answered began? Hits that far back count no more."""
    if limit.per_s or limit.quota is not None or at_s < limit.blocked_until_s:
        return False
    return limit.hits == 0 or at_s - limit.since_s > COUNT_S


def _grown(limit: RateLimit, now: float) -> float:
    """The pace now."""
    quiet_s = min(max(0.0, now - limit.paced_s), FORGOTTEN_S)
    growth: float = RISE ** min(quiet_s, QUIET_S) * FAST_RISE ** max(0.0, quiet_s - QUIET_S)
    return limit.per_s * growth
