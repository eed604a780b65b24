"""What is left of a provider's rate limit, by its own account: the `remaining` and `reset` headers of its responses.

Limits of this kind refill steadily (OpenAI, Anthropic: token buckets), by limit - remaining within the time until the
reset. Between two responses what is left is therefore what was told, less what has been asked since the attempt that
brought the news, and more what has been refilled since then. Requests are let in while that is enough, and after that
at the speed of the refill: the traffic is shared at the limit instead of running into it.

A limit of which half or more is left is not worth keeping in mind: it costs something at each request.
"""

from __future__ import annotations

from dataclasses import dataclass

from .ratelimit_headers import RateLimitFacts

PLENTY = 0.5
MAX_AGE_S = 300.0  # a limit for the day must not remove a target for a day


@dataclass(frozen=True, slots=True)
class Level:
    """What is left of the requests, or of the tokens.

    Args:
        left: as of the quota's `at_s`; negative when more was asked for since than was left.
        per_s: how fast it refills.
        full: where refilling ends.
    """

    left: float
    per_s: float
    full: float

    @property
    def full_s(self) -> float:
        """Seconds until nothing is lacking."""
        return (self.full - self.left) / self.per_s

    def wait_s(self, age_s: float, wanted: float) -> float:
        """Seconds until so much is left. More than the limit itself is never there: such a request goes when it is
        full, for only the provider can say what it makes of it.
        """
        lacking = min(wanted, self.full) - min(self.full, self.left + self.per_s * age_s)
        return lacking / self.per_s if lacking > 0.0 else 0.0


@dataclass(frozen=True, slots=True)
class Quota:
    """A value.

    Args:
        at_s: when the attempt began that brought the news.
        until_s: when all of it is full again, or the news is too old.
        requests, tokens: what is left; None = plenty, or nothing is said.
    """

    at_s: float
    until_s: float
    requests: Level | None
    tokens: Level | None

    def wait_s(self, now: float, tokens: int = 1) -> float:
        """Seconds until a request of this size would be let in; 0 = at once."""
        if now >= self.until_s:
            return 0.0
        age_s = now - self.at_s
        wait_s = self.requests.wait_s(age_s, 1.0) if self.requests is not None else 0.0
        if self.tokens is not None:
            wait_s = max(wait_s, self.tokens.wait_s(age_s, max(1, tokens)))
        return min(wait_s, self.until_s - now)

    def taken(self, requests: int, tokens: int) -> Quota:
        """After so much has been asked for."""
        return _quota(self.at_s, _less(self.requests, requests), _less(self.tokens, tokens))


def quota_of(facts: RateLimitFacts, at_s: float) -> Quota | None:
    """What `facts` leave, told to an attempt that began at `at_s`; None = plenty, or too little is said."""
    requests = _level(facts.limit_requests, facts.remaining_requests, facts.reset_requests_s)
    tokens = _level(facts.limit_tokens, facts.remaining_tokens, facts.reset_tokens_s)
    return None if requests is None and tokens is None else _quota(at_s, requests, tokens)


def _quota(at_s: float, requests: Level | None, tokens: Level | None) -> Quota:
    full_s = max(level.full_s for level in (requests, tokens) if level is not None)
    return Quota(at_s, at_s + min(full_s, MAX_AGE_S), requests, tokens)


def _level(limit: int | None, remaining: int | None, reset_s: float | None) -> Level | None:
    if not limit or remaining is None or not reset_s or remaining >= PLENTY * limit:
        return None
    return Level(remaining, (limit - remaining) / reset_s, limit)


def _less(level: Level | None, by: int) -> Level | None:
    return level and Level(level.left - by, level.per_s, level.full)
