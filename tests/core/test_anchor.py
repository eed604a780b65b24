"""Joining another target's answer to the text already shown: exactly, or not at all."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from failover_core.stream.anchor import ANCHOR_CHARS, SHORT_ANCHOR_CHARS, WINDOW_CHARS, Joiner
from failover_core.stream.resume import resume_instruction

STORY = (
    "Once upon a time there was a fox who lived in the forest. Every morning, when the fog lifted, she walked to the "
    "river to look at her own face; and every evening she told the owl what she had seen. One day the river was gone."
)


def squeezed(text: str) -> str:
    return "".join(text.split())


def quoted(shown: str) -> str:
    """The words that a resuming target is asked to repeat."""
    found = re.search(r".*<tail>(.*)</tail>", resume_instruction(shown), re.DOTALL)
    assert found is not None
    return found.group(1)


def joined(shown: str, answer: str, sizes: list[int] | None = None) -> str | None:
    """What the caller sees in the end when `answer` comes in pieces of these sizes; None when it never joins."""
    joiner = Joiner(shown)
    text, position, turn = shown, 0, 0
    while position < len(answer):
        size = sizes[turn % len(sizes)] if sizes else len(answer)
        text += joiner.feed(answer[position : position + size])
        position += size
        turn += 1
    return text if joiner.joined else None


# -- the two ways to go on ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [40, 57, 58, 59, 100, 150, len(STORY) - 1])
@pytest.mark.parametrize("sizes", [[1], [3], [7, 1], None], ids=["letters", "threes", "uneven", "whole"])
def test_a_target_that_goes_on_as_asked(cut: int, sizes: list[int] | None) -> None:
    shown = STORY[:cut]
    assert joined(shown, quoted(shown) + STORY[cut:], sizes) == STORY


@pytest.mark.parametrize("cut", [1, 5, 11, 40, 57, 58, 100, len(STORY) - 1])
@pytest.mark.parametrize("sizes", [[1], [3], [7, 1], None], ids=["letters", "threes", "uneven", "whole"])
def test_a_target_that_starts_all_over(cut: int, sizes: list[int] | None) -> None:
    assert joined(STORY[:cut], STORY, sizes) == STORY


def test_a_target_that_adds_an_introduction() -> None:
    shown = STORY[:100]
    assert joined(shown, "Of course! Here is the rest:\n\n" + quoted(shown) + STORY[100:], [5]) == STORY


def test_a_target_that_wraps_lines_elsewhere() -> None:
    shown = STORY[:100]
    rewrapped = quoted(shown).replace(" ", "\n") + STORY[100:]
    assert joined(shown, rewrapped, [4]) == STORY


def test_white_space_that_was_shown_is_not_shown_again() -> None:
    shown = "The first paragraph ends here, finally.\n\n"
    assert joined(shown, "The first paragraph ends here, finally.\n\nThe second begins.", [1]) == (
        "The first paragraph ends here, finally.\n\nThe second begins."
    )
    assert joined(shown, "The first paragraph ends here, finally. The second begins.", [6]) == (
        "The first paragraph ends here, finally.\n\nThe second begins."
    )


def test_a_text_without_spaces() -> None:
    story = "从前有座山、山里有座庙、庙里有个老和尚、他每天给小和尚讲一个不同的故事、讲到月亮升起来为止。"
    for cut in range(1, len(story)):
        assert joined(story[:cut], story, [2]) == story
        assert joined(story[:cut], quoted(story[:cut]) + story[cut:], [3]) == story


@pytest.mark.parametrize("cut", range(199, 230))
@pytest.mark.parametrize("sizes", [[1], [7, 1], None], ids=["letters", "uneven", "whole"])
def test_a_text_that_repeats_itself_is_continued_where_it_stopped(cut: int, sizes: list[int] | None) -> None:
    """Where its tail is also its beginning, a longer one is asked for, which tells the two ways to go on apart."""
    text = "the cat sat on the mat. " * 30 + "END"
    assert joined(text[:cut], quoted(text[:cut]) + text[cut:], sizes) == text
    assert joined(text[:cut], text, sizes) == text


# -- no anchor, no join ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        "Something else altogether, in words that have nothing to do with it.",
        "I'm sorry, but I cannot continue a text that I have not written.",
        STORY[120:],
        STORY[:30] + " but then something else happened that nobody had told her about",
        "",
    ],
)
def test_an_answer_that_does_not_go_on_never_joins(answer: str) -> None:
    assert joined(STORY[:100], answer, [3]) is None


def test_a_short_text_is_joined_only_at_the_very_beginning() -> None:
    """'Yes, ' turns up by chance in any answer."""
    assert joined("Yes, ", "Well, yes. Yes, of course it is possible.") is None
    assert joined("Yes, ", "Yes, of course.") == "Yes, of course."


def test_hopeless_after_so_much_text_without_the_anchor() -> None:
    joiner = Joiner(STORY[:100])
    unrelated = "a quick brown dog jumps over a lazy fox and sleeps "
    fed = 0
    while not joiner.hopeless:
        assert joiner.feed(unrelated) == ""
        fed += len(squeezed(unrelated))
        assert fed < 10_000
    assert fed > WINDOW_CHARS + len(squeezed(STORY[:100]))
    assert not joiner.joined


def test_starting_all_over_is_never_hopeless() -> None:
    shown = " ".join(f"word{number}" for number in range(2000))
    joiner = Joiner(shown)
    for position in range(0, len(shown), 50):
        joiner.feed(shown[position : position + 50])
        assert not joiner.hopeless
    assert joiner.joined


# -- white space only -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", [" ", "\n\n", " \t\n"])
@pytest.mark.parametrize("sizes", [[1], None], ids=["letters", "whole"])
def test_when_only_white_space_was_shown_nothing_of_the_new_answer_is_lost(shown: str, sizes: list[int] | None) -> None:
    assert joined(shown, STORY, sizes) == shown + STORY
    assert joined(shown, shown + STORY, sizes) == shown + STORY


# -- for any text ---------------------------------------------------------------------------------------------------

WORD = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=9)
SPACE = st.sampled_from([" ", " ", " ", "\n", "\n\n", "  ", "\t"])
TEXT = st.lists(st.tuples(WORD, SPACE), min_size=2, max_size=60).map(lambda pairs: "".join(w + s for w, s in pairs))
SIZES = st.lists(st.integers(1, 30), min_size=1, max_size=6)


@given(TEXT, st.floats(0, 1), SIZES)
def test_any_text_cut_anywhere_started_all_over(text: str, where: float, sizes: list[int]) -> None:
    cut = int(where * len(text))
    assume(text[:cut].strip())
    assert joined(text[:cut], text, sizes) == text


@given(TEXT, st.floats(0, 1), SIZES)
def test_any_text_cut_anywhere_and_continued(text: str, where: float, sizes: list[int]) -> None:
    cut = int(where * len(text))
    shown = text[:cut]
    anchor = squeezed(shown)[-ANCHOR_CHARS:]
    assume(len(anchor) >= SHORT_ANCHOR_CHARS)
    assume(squeezed(text).find(anchor) == squeezed(text).rfind(anchor))  # what is said twice cannot tell where it is
    assert joined(shown, quoted(shown) + text[cut:], sizes) == text


@given(TEXT, TEXT, SIZES)
def test_unrelated_text_never_joins(shown: str, answer: str, sizes: list[int]) -> None:
    anchor = squeezed(shown)[-ANCHOR_CHARS:]
    assume(anchor not in squeezed(answer))
    assert joined(shown, answer, sizes) is None


@given(st.text(max_size=80), st.text(max_size=200), SIZES)
def test_nothing_ever_crashes_and_what_was_shown_stays(shown: str, answer: str, sizes: list[int]) -> None:
    whole = joined(shown, answer, sizes)
    assert whole is None or whole.startswith(shown)


@given(st.sampled_from(["ab", "ha ", "- \n", "xyz"]), st.integers(1, 80), st.integers(0, 80), SIZES)
def test_repetitive_text_started_all_over_is_exact(period: str, shown: int, rest: int, sizes: list[int]) -> None:
    text = period * shown + "then it ended." + period * rest
    for cut in (len(period) * shown, len(period) * shown + 4):
        assert joined(text[:cut], text, sizes) == text
