"""How another target is asked to go on: in words, with the last words quoted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_core.stream.anchor import ANCHOR_CHARS
from failover_core.stream.resume import resume_instruction

STORY = "Once upon a time there was a fox who lived in the forest of the great big mountain."


def tail(shown: str) -> str:
    return resume_instruction(shown).rpartition("<tail>")[2].removesuffix("</tail>")


def test_the_quote_begins_at_a_word_and_ends_where_the_text_ends() -> None:
    assert tail(STORY[:60]) == "a fox who lived in the forest of" or STORY[:60].endswith(tail(STORY[:60]))
    before = STORY[:60].removesuffix(tail(STORY[:60]))
    assert before.endswith(" ")


def test_a_short_text_is_quoted_whole() -> None:
    assert tail("Yes, and") == "Yes, and"


def test_a_very_long_word_is_cut() -> None:
    assert ANCHOR_CHARS <= len(tail("x" * 500)) <= 2 * ANCHOR_CHARS


def test_white_space_at_the_end_is_quoted_too() -> None:
    assert tail(STORY + "\n\n").endswith("mountain.\n\n")


@pytest.mark.parametrize("phrase", ["Continue it exactly", "do not start over", "no apology"])
def test_it_says_what_to_do_and_what_not(phrase: str) -> None:
    assert phrase in resume_instruction(STORY)


@given(st.text(max_size=300))
def test_the_quote_always_holds_enough_to_find_the_place_again(shown: str) -> None:
    quote = tail(shown)
    assert shown.endswith(quote)
    assert len("".join(quote.split())) >= min(ANCHOR_CHARS, len("".join(shown.split())))
