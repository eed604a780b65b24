"""Statuses and codes in plain text: a log line, a wrapper's message, what stands around a JSON body."""

from __future__ import annotations

import re

_STATUS = re.compile(
    r"(?:\A\W{0,3}|(?:error code|status code|status|http(?:/[\d.]{1,3})?|api error|error|code|returned|rejected"
    r"|responded with|\[|\()\W{0,4})"
    r"(?P<status>[45]\d\d)\b(?!\s*(?:tokens?|ms|s|seconds?|chars?|characters?|words?|bytes|[,.]\d))",
    re.I,
)
# insufficient_quota, RESOURCE_EXHAUSTED, RateLimitError, throttlingException; not every word: prose has "tokens" too
_NAME = re.compile(
    r"\b(?:[a-z]{2,}(?:_[a-z]{2,}){1,4}|[A-Z]{4,}(?:_[A-Z]{2,}){0,4}|[A-Za-z]{3,60}?(?:Error|Exception|Exceeded))\b(?!\()"
)


def status_in(text: str) -> int | None:
    """The HTTP status that a text names near its start ("Error code: 429 - ...", "[503 ] ...")."""
    found = _STATUS.search(text, 0, 400)
    return int(found["status"]) if found else None


def names_in(text: str) -> list[str]:
    """What looks like an error's code or class in the first words, up to where a JSON body begins."""
    start = text[:600]
    brace = start.find("{")
    return _NAME.findall(start if brace < 0 else start[:brace])[:12]
