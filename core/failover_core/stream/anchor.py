"""Where does another target's answer go on from the text already shown?

A target that is asked to resume either repeats the last characters as it was told and goes on, or starts its answer
from the beginning. In both cases the end of the shown text, the anchor, appears in the new text, and the join is
right after it. White space is ignored in the comparison, since models re-wrap lines. No anchor, no join: nothing is
ever concatenated on faith.
"""

from __future__ import annotations

ANCHOR_CHARS = 24  # a part of what `resume_instruction` quotes: models drop half words at the quote's beginning
SHORT_ANCHOR_CHARS = 12
WINDOW_CHARS = 400  # beyond the length of the shown text itself, for targets that start all over in other words
LONGEST_WORD_CHARS = 20  # more without white space is no word but a language without it


class Joiner:
    """Takes the text of a resumed answer bit by bit and gives what follows the anchor.

    Args:
        shown: everything the caller has seen.
    """

    def __init__(self, shown: str) -> None:
        self._shown = _squeezed(shown)
        self._spaces = len(shown) - len(shown.rstrip())  # shown already, so not to be shown again
        self._anchor = self._shown[-ANCHOR_CHARS:]
        self._tail = _squeezed(quoted_tail(shown))
        self._text = ""
        self._squeezed = ""
        self._ends: list[int] = []  # position in _text after each character of _squeezed
        self._window = len(self._shown) + WINDOW_CHARS
        self.joined = False

    def feed(self, text: str) -> str:
        """The part of `text` that goes on from the shown text; "" until the anchor has been found."""
        if self.joined:
            return self._without_shown_spaces(text) if self._spaces else text
        start = len(self._text)
        self._text += text
        for position, character in enumerate(text, start + 1):
            if not character.isspace():
                self._squeezed += character
                self._ends.append(position)
        end = self._join_at()
        if end is None:
            return ""
        self.joined = True
        return self._without_shown_spaces(self._text[self._ends[end - 1] if end else 0 :])

    @property
    def settled(self) -> bool:
        """True when all further text goes on as it is."""
        return self.joined and not self._spaces

    @property
    def hopeless(self) -> bool:
        """True when so much new text has come without the anchor that it will not come any more."""
        return not self.joined and len(self._squeezed) > self._window and not self._repeats_from_the_start()

    def _without_shown_spaces(self, text: str) -> str:
        rest = text.lstrip()
        dropped = min(self._spaces, len(text) - len(rest))
        self._spaces = 0 if rest else self._spaces - dropped
        return text[dropped:]

    def _join_at(self) -> int | None:
        """Index into the squeezed text just after the anchor, or None while there is none."""
        if self._repeats_from_the_start():
            return len(self._shown) if len(self._squeezed) >= len(self._shown) else None
        if self._squeezed.startswith(self._tail):
            return len(self._tail)
        if self._tail.startswith(self._squeezed):
            return None  # what it was asked to repeat may hold the anchor twice
        if len(self._anchor) < SHORT_ANCHOR_CHARS:
            return None  # so short an anchor may turn up by chance, except as the very beginning
        found = self._squeezed.find(self._anchor, 0, self._window)
        return None if found < 0 else found + len(self._anchor)

    def _repeats_from_the_start(self) -> bool:
        length = min(len(self._squeezed), len(self._shown))
        return self._squeezed[:length] == self._shown[:length]


def quoted_tail(text: str) -> str:
    """The last words of a text, which a target is asked to repeat first. They hold at least as many characters as the
    join looks for, and start at the beginning of a word if there are words.

    As short as can be, since in a text that repeats itself a longer one could be joined at the wrong place. But where
    the text begins with the same words, nobody could tell whether an answer goes on or starts all over: then as long as
    it takes to tell, if anything does.
    """
    start = shortest = _start_of_tail(text, ANCHOR_CHARS)
    begins = _squeezed(text)
    while start > 0 and begins.startswith(_squeezed(text[start:])):
        if shortest - start > WINDOW_CHARS:
            return text[shortest:]
        start = _start_of_tail(text, len(_squeezed(text[start:])) + 1)
    return text[start or shortest :]


def _start_of_tail(text: str, chars: int) -> int:
    """Where a tail with so many characters begins, white space left out."""
    start, seen = len(text), 0
    while start > 0 and seen < chars:
        start -= 1
        seen += not text[start].isspace()
    word = start
    while word > 0 and not text[word - 1].isspace():
        word -= 1
    return word if start - word <= LONGEST_WORD_CHARS else start


def _squeezed(text: str) -> str:
    return "".join(text.split())
