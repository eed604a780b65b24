"""The parts that a family of wordings is made of: see `families`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from failover_core.failure import FailureKind as K


class Matcher(Protocol):
    def search(self, text: str, /) -> object | None: ...


class Near:
    """Matches two things at most `chars` characters apart, in either order unless `ordered`."""

    def __init__(self, one: str, other: str, chars: int = 60, *, ordered: bool = False) -> None:
        self._one, self._other = re.compile(one), re.compile(other)
        self._chars, self._ordered = chars, ordered

    def search(self, text: str, /) -> object | None:
        # Two passes, because a single pattern with a gap takes quadratic time on a text full of the first thing.
        spans = [match.span() for match in islice(self._one.finditer(text), 20)]
        for match in islice(self._other.finditer(text), 40) if spans else ():
            for start, end in spans:
                behind, before = match.start() - end, start - match.end()
                if 0 <= behind <= self._chars or (0 <= before <= self._chars and not self._ordered):
                    return match
        return None


class Unless:
    """Matches what `matcher` matches, in texts without certain words."""

    def __init__(self, words: str, matcher: Matcher) -> None:
        self._words, self._matcher = re.compile(words), matcher

    def search(self, text: str, /) -> object | None:
        found = self._matcher.search(text)
        return None if found is None or self._words.search(text) else found


Rule = tuple[K, str, Matcher | None]


def plain(kind: K, *phrases: str) -> Iterator[Rule]:
    """Phrases that say it all."""
    return ((kind, phrase, None) for phrase in phrases)


def said(kind: K, needle: str, *patterns: str) -> Rule:
    """A needle, and one of the patterns around it."""
    return kind, needle, re.compile("|".join(patterns))
