"""What a provider says of its rate limits in the headers of any response, good or bad. Pure: headers in, facts out.

=============  ==================================================================================================
OpenAI family  `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, resets as durations ("1s", "6m0s", "20ms")
Anthropic      `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`, resets as
               RFC 3339 times
others         `[x-]ratelimit-{limit,remaining,reset}`, resets as seconds or as a Unix time
=============  ==================================================================================================

Google sends none. Sources: https://platform.openai.com/docs/guides/rate-limits,
https://docs.anthropic.com/en/api/rate-limits, https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+")
_STEP = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_UNIX_TIME_S = 1e9  # a bare number above this is a point in time, not a wait of 30 years


@dataclass(frozen=True, slots=True)
class RateLimitFacts:
    """The state of the limits after one response; None = not said.

    Args:
        limit_requests, remaining_requests: requests allowed in the provider's window, and left of it.
        reset_requests_s: seconds until the requests are full again.
        limit_tokens, remaining_tokens, reset_tokens_s: the same for tokens; where input and output tokens are
            limited apart and no total is given, the one with the smaller share left.
    """

    limit_requests: int | None = None
    remaining_requests: int | None = None
    reset_requests_s: float | None = None
    limit_tokens: int | None = None
    remaining_tokens: int | None = None
    reset_tokens_s: float | None = None


def parse_rate_limit(headers: Mapping[str, str] | None, now_s: float | None = None) -> RateLimitFacts | None:
    """The rate limits told by response headers of any case; None when they tell nothing.

    Args:
        headers: of a response.
        now_s: the time as a Unix timestamp, for resets given as a point in time; a `date` header goes first, since it
            is free of the difference between two clocks. Without either such resets are None.
    """
    if not headers:
        return None
    found = {str(key).lower(): str(value).strip() for key, value in headers.items() if "ratelimit" in str(key).lower()}
    if not found:
        return None
    now_s = _date_s(headers) or now_s
    requests = _triple(found, now_s, "requests")
    tokens = _triple(found, now_s, "tokens")
    if requests == (None, None, None):
        requests = _numbers(found, now_s, "x-ratelimit-{}", "ratelimit-{}")
    if tokens == (None, None, None):
        tokens = min((_triple(found, now_s, kind) for kind in ("input-tokens", "output-tokens")), key=_share_left)
    facts = RateLimitFacts(*requests, *tokens)
    return None if all(getattr(facts, f.name) is None for f in fields(facts)) else facts


def duration_s(text: str) -> float | None:
    """Seconds of "6m0s", "1.5s", "20ms" or a bare number; None for anything else."""
    text = text.strip().lower()
    try:
        if _DURATION.fullmatch(text):
            seconds = sum(float(number) * _UNITS_S[unit] for number, unit in _STEP.findall(text))
        else:
            seconds = float(text)
    except ValueError:
        return None
    return seconds if isfinite(seconds) and seconds >= 0 else None


_Triple = tuple[int | None, int | None, float | None]


def _triple(found: Mapping[str, str], now_s: float | None, kind: str) -> _Triple:
    return _numbers(found, now_s, f"x-ratelimit-{{}}-{kind}", f"anthropic-ratelimit-{kind}-{{}}")


def _numbers(found: Mapping[str, str], now_s: float | None, *patterns: str) -> _Triple:
    def value(field: str) -> str:
        return next((found[key] for pattern in patterns if (key := pattern.format(field)) in found), "")

    return _whole(value("limit")), _whole(value("remaining")), _reset_s(value("reset"), now_s)


def _whole(text: str) -> int | None:
    head = text.split(",", 1)[0].split(";", 1)[0].strip()  # the IETF draft allows "100, 100;w=60"
    return int(head) if head.isdecimal() and head.isascii() and len(head) < 19 else None


def _reset_s(text: str, now_s: float | None) -> float | None:
    seconds = duration_s(text)
    if seconds is None:
        try:
            then = datetime.fromisoformat(text)
        except ValueError:
            return None
        seconds = (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp()
    elif seconds < _UNIX_TIME_S:
        return seconds
    return None if now_s is None else max(0.0, seconds - now_s)


def _share_left(triple: _Triple) -> float:
    limit, remaining, _ = triple
    return remaining / limit if limit and remaining is not None else float("inf")


def _date_s(headers: Mapping[str, str]) -> float | None:
    text = next((str(value) for key, value in headers.items() if str(key).lower() == "date"), "")
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
