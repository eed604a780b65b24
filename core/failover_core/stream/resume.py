"""How another target is asked to go on with an answer that broke off: in words, never by a prefilled answer."""

from __future__ import annotations

from .anchor import quoted_tail


def resume_instruction(shown_text: str) -> str:
    """What to say to a model, after an assistant message with `shown_text`, so that its answer can be joined there.

    It is asked to repeat the last words first. They hold at least as many characters as the join looks for (which
    leaves white space out), and start at the beginning of a word if there are words.
    """
    return (
        "Your last message was cut off in the middle by a technical fault. Continue it exactly from where it stops, in "
        "the same language and format. Begin your reply by repeating, character for character, its last words, given "
        "here between <tail> and </tail>, and go straight on from there. Write no introduction, no apology and no "
        f"tags, and do not start over.\n<tail>{quoted_tail(shown_text)}</tail>"
    )
