"""What messages mean where codes and statuses do not say it. The families of wordings themselves are in `families`."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable

from failover_core.failure import FailureKind as K

from .families import RULES

# "litellm.RateLimitError: ..." names a class, which others judge; here it would speak of rate limits.
_CLASS_NAME = re.compile(r"(?<![\w.])[\w.]*(?:Error|Exception)\b")
_QUOTED = re.compile(
    r"(?<!\w)([\"'`])(?!\s)(?P<inside>[^\"'`]{1,2000}?)(?<!\s)\1(?!\w)|\u201c(?P<curly>[^\u201c\u201d]{1,2000})\u201d"
)
_SAYS_NOTHING = re.compile(
    r"\W*(?:[\w ]{1,40}:)?\W*(?:\d{3}\W+)?(?:upstream )?provider returned (?:an )?error\W*", re.I
)


def meaning_of(text: str, allowed: Container[K] | None = None) -> K | None:
    """The kind that a message speaks of, or None.

    Args:
        text: the provider's message, a few thousand characters at most.
        allowed: the kinds to consider; None for all.
    """
    lower = " ".join(_CLASS_NAME.sub(" ", text).lower().replace("\u2019", "'").split())
    for kind, needle, matcher in RULES:
        if needle in lower and (allowed is None or kind in allowed) and (matcher is None or matcher.search(lower)):
            return kind
    return None


def says_nothing(messages: Iterable[str]) -> bool:
    """Whether a gateway reports no more than that its provider did not like something."""
    return all(len(message) < 100 and _SAYS_NOTHING.fullmatch(message) for message in messages)


def unquoted(text: str) -> str:
    """`text` without quoted passages of four words or more, unless hardly anything else is left.

    A complaint about a request may quote the request, and a prompt about rate limits is none. Names in quotes, of
    models and parameters, are shorter and stay.
    """

    def shorten(match: re.Match[str]) -> str:
        inside = match["inside"] or match["curly"]
        return match[0] if len(inside.split(None, 4)) < 4 else "..."

    rest = _QUOTED.sub(shorten, text)
    return rest if len(rest.split(None, 4)) > 3 else text
