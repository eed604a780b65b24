"""How long a provider asks us to wait, in seconds, however it says so.

Sources, the most binding first:
- `retry-after-ms`, `retry-after`: seconds, also fractional, or an HTTP date (RFC 9110, 10.2.3);
- the body: google.rpc.RetryInfo `retryDelay: "34s"`, `retry_after`;
- the provider's words: "try again in 1.4s", "in 6m0s", "after 20 seconds";
- `x-ratelimit-reset-*` (durations such as `6m0s`, seconds, or epoch times), `anthropic-ratelimit-*-reset` (RFC 3339),
  for the limits that are used up.

What it says is a fact: an absurd wait is reported as it is, and the engine decides that nobody waits for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite

_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_UNIT = r"(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)(?![a-z])"
_NUMBER = r"\d{1,12}(?:\.\d{1,12})?"
_NUMBER_AND_UNIT = re.compile(rf"({_NUMBER})\s{{0,3}}({_UNIT})\s{{0,3}}(?:,|and)?\s{{0,3}}", re.I)
_IN_WORDS = re.compile(
    r"(?:try(?:ing)? again|retry(?:ing)?|wait|come back|available(?: again)?|resets?|cool ?down|retry[-_ ]after)\b"
    rf"[\w\s:'\"=(-]{{0,40}}?\s{{0,3}}(?P<duration>(?<![\d.]){_NUMBER}\s{{0,3}}{_UNIT}"
    rf"(?:[\s,]{{0,3}}(?:and )?{_NUMBER}\s{{0,3}}{_UNIT}){{0,3}})",
)
_SECONDS_ONLY = re.compile(r"\d{1,15}(?:\.\d{1,15})?\Z")


def seconds(
    headers: Mapping[str, str],
    waits: Iterable[tuple[str, str]],
    words: str,
    *,
    exhausted: bool,
    now: Callable[[], float] | None,
) -> float | None:
    """The wait that the provider asks for, or None.

    Args:
        headers: response headers, names in lower case.
        waits: (key, value) pairs from the body, such as ("retrydelay", "34s").
        words: the provider's message.
        exhausted: the failure is about a limit, so `*-reset` headers matter.
        now: a wall clock in seconds since the epoch, for the forms that name a moment; without it the response's own
            `date` header is the clock.
    """
    clock = _Clock(headers, now)
    asked = _from_headers(headers, clock)
    if asked is None:
        asked = next((s for key, value in waits if (s := _from_pair(key, value)) is not None), None)
    if asked is None:
        asked = in_words(words)
    if asked is None and exhausted:
        asked = _from_resets(headers, clock)
    return asked


class _Clock:
    """The wall clock, looked at only for the forms that name a moment."""

    def __init__(self, headers: Mapping[str, str], now: Callable[[], float] | None) -> None:
        self._headers = headers
        self._now = now

    def until(self, moment: float | None) -> float | None:
        """Seconds from now to `moment`, not negative; None where either is unknown."""
        if moment is None:
            return None
        # The provider's own clock is the better one: the moment it names was computed from it.
        now = _http_date(self._headers.get("date", ""))
        if now is None and self._now is not None:
            now = self._now()
        return max(0.0, moment - now) if now is not None and isfinite(now) else None


def in_words(text: str) -> float | None:
    """The wait in "Please try again in 6m0s", "Retry after 20 seconds", "resets in 3 hours"."""
    lower = text.lower()
    if not any(hint in lower for hint in ("again", "retry", "wait", "reset", "available", "come back", "cool")):
        return None
    found = _IN_WORDS.search(lower)
    return duration(found["duration"]) if found else None


def duration(text: str) -> float | None:
    """Seconds of "34s", "6m0s", "1.5s", "120ms", "1h2m" or a plain number of seconds."""
    text = text.strip()
    if _SECONDS_ONLY.match(text):
        return float(text)
    total_ms, end = 0.0, 0
    while part := _NUMBER_AND_UNIT.match(text, end):
        unit = part[2].lower()
        total_ms += float(part[1]) * _UNIT_MS["ms" if unit.startswith(("ms", "milli")) else unit[0]]
        end = part.end()
    return total_ms / 1000 if end and end == len(text) else None


def _from_headers(headers: Mapping[str, str], clock: _Clock) -> float | None:
    milliseconds = headers.get("retry-after-ms", "").strip() or headers.get("x-ms-retry-after-ms", "").strip()
    if _SECONDS_ONLY.match(milliseconds):
        return float(milliseconds) / 1000
    value = headers.get("retry-after", "").strip()[:100]
    if not value:
        return None
    wait = duration(value.partition(",")[0])  # a proxy may have joined two of them
    return wait if wait is not None else clock.until(_http_date(value))


def _from_pair(key: str, value: str) -> float | None:
    wait = duration(value[:60])
    return wait / 1000 if wait is not None and key.endswith("ms") else wait


def _from_resets(headers: Mapping[str, str], clock: _Clock) -> float | None:
    """The longest of the resets whose limit is used up, or is not told: all of them have to pass."""
    resets = []
    for name, value in headers.items():
        if "ratelimit" not in name or "reset" not in name:
            continue
        remaining = headers.get(name.replace("reset", "remaining"), "0").strip()
        if remaining in ("0", "0.0") and (wait := _reset(value.strip()[:60], clock)) is not None:
            resets.append(wait)
    return max(resets, default=None)


def _reset(value: str, clock: _Clock) -> float | None:
    wait = duration(value)
    if wait is None:
        return clock.until(_rfc3339(value))
    if wait > 1e11:  # milliseconds since the epoch (OpenRouter)
        return clock.until(wait / 1000)
    if wait > 1e9:  # seconds since the epoch (GitHub)
        return clock.until(wait)
    return wait


def _http_date(text: str) -> float | None:
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text[:60])
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _rfc3339(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
