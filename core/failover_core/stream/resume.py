"""How another target is asked to go on with an answer that broke off: in words, never by a prefilled answer."""

from __future__ import annotations

from .anchor import ANCHOR_CHARS

LONGEST_WORD_CHARS = 20  # more without white space is no word but a language without it


def resume_instruction(shown_text: str) -> str:
    """What to say to a model, after an assistant message with `shown_text`, so that its answer can be joined there.

    It is asked to repeat the last words first. They hold at least as many characters as the join looks for (which
    leaves white space out), and start at the beginning of a word if there are words.
    """
    return (
        "Your last message was cut off in the middle by a technical fault. Continue it exactly from where it stops, in "
        "the same language and format. Begin your reply by repeating, character for character, its last words, given "
        "here between <tail> and </tail>, and go straight on from there. Write no introduction, no apology and no "
        f"tags, and do not start over.\n<tail>{_tail(shown_text)}</tail>"
    )


def _tail(text: str) -> str:
    """As short as can be, since in a text that repeats itself a longer one could be joined at the wrong place."""
    start, seen = len(text), 0
    while start > 0 and seen < ANCHOR_CHARS:
        start -= 1
        seen += not text[start].isspace()
    word = start
    while word > 0 and not text[word - 1].isspace():
        word -= 1
    return text[word if start - word <= LONGEST_WORD_CHARS else start :]
