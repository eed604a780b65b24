"""One attempt's stream as it arrives: what is held, what is shown, what is remembered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from failover_core import Target
from failover_core.output import Reading
from failover_core.stream.inlet import Inlet

NOW = 1000.0


@dataclass
class Piece:
    """A chunk that says of itself what is in it."""

    text: str = ""
    thought: bool = False
    tool: bool = False
    finish: str | None = None
    refusal: str | None = None
    flaw: str | None = None
    usage: dict[str, int] | None = None
    model: str | None = None


class PieceReader:
    expects_finish = True
    usage_adds_up = False

    def read_chunk(self, piece: Piece) -> Reading:
        return Reading(
            text=piece.text,
            has_content=bool(piece.text or piece.thought or piece.tool),
            only_thoughts=piece.thought and not piece.text and not piece.tool,
            has_tool_call=piece.tool,
            finish_reason=piece.finish,
            refusal=piece.refusal,
            flaw=piece.flaw,
            usage=piece.usage,
            model=piece.model,
        )

    def read(self, output: Any) -> Reading:
        raise AssertionError("a stream is read chunk by chunk")

    def with_text(self, piece: Piece, text: str) -> Piece:
        return Piece(text, finish=piece.finish, usage=piece.usage)


TARGET = Target("t", astream=lambda request: None, reader=PieceReader())  # type: ignore[arg-type,return-value]


def inlet(shown: str = "", *, hold_back_tokens: int = 16, hold_back_s: float = 0.3, **options: Any) -> Inlet:
    return Inlet(TARGET, hold_back_tokens, hold_back_s, shown, **options)


# -- holding back ---------------------------------------------------------------------------------------------------


def test_nothing_is_ready_before_there_is_content() -> None:
    stream = inlet()
    stream.take(Piece(), NOW)
    assert not stream.ready(NOW + 999)
    assert (stream.release_at_s(), stream.first_content_s, stream.progress_s) == (None, None, None)


def test_ready_after_enough_text() -> None:
    stream = inlet(hold_back_tokens=2)
    stream.take(Piece("1234567"), NOW)
    assert not stream.ready(NOW)
    stream.take(Piece("8"), NOW)
    assert stream.ready(NOW), "two tokens are about eight characters"


def test_ready_after_enough_time_since_the_first_content() -> None:
    stream = inlet(hold_back_s=0.3)
    stream.take(Piece(), NOW)
    stream.take(Piece("a"), NOW + 5.0)
    assert stream.release_at_s() == NOW + 5.3
    assert not stream.ready(NOW + 5.29)
    assert stream.ready(NOW + 5.3)


@pytest.mark.parametrize("options", [{"hold_back_tokens": 0}, {"hold_back_s": 0.0}])
def test_no_hold_back_shows_the_first_content_at_once(options: dict[str, Any]) -> None:
    stream = inlet(**options)
    stream.take(Piece("a"), NOW)
    assert stream.ready(NOW)


def test_reasoning_is_content_but_no_text() -> None:
    stream = inlet(hold_back_tokens=1)
    stream.take(Piece(thought=True), NOW)
    assert (stream.first_content_s, stream.text_chars, stream.text) == (NOW, 0, "")
    assert stream.ready(NOW + 0.3)


def test_thoughts_alone_are_no_answer() -> None:
    stream = inlet()
    stream.take(Piece(thought=True), NOW)
    stream.take(Piece(finish="stop"), NOW)
    assert not stream.finished().has_content
    stream.take(Piece("so"), NOW)
    assert stream.finished().has_content


def test_white_space_before_the_first_word_is_neither_shown_nor_progress() -> None:
    stream = inlet(hold_back_tokens=1)
    for second in range(40):
        stream.take(Piece(" "), NOW + second)
    assert not stream.ready(NOW + 99)
    assert (stream.progress_s, stream.finished().has_content) == (None, False)
    stream.take(Piece("word"), NOW + 99)
    stream.take(Piece(" "), NOW + 100)
    assert (stream.first_content_s, stream.progress_s) == (NOW + 99, NOW + 100)
    assert stream.text == " " * 40 + "word "


def test_a_refusal_is_never_shown_before_it_was_judged() -> None:
    stream = inlet(hold_back_tokens=0)
    stream.take(Piece("I ", refusal="I "), NOW)
    stream.take(Piece("won't.", refusal="won't."), NOW)
    assert not stream.ready(NOW + 999)
    assert stream.finished().refusal == "I won't."


# -- reading --------------------------------------------------------------------------------------------------------


def test_everything_is_remembered_for_the_judge() -> None:
    stream = inlet()
    stream.take(Piece("All is "), NOW)
    stream.take(Piece("well.", flaw="odd"), NOW)
    stream.take(Piece(finish="stop", usage={"output_tokens": 4}, model="m-2024"), NOW)
    finished = stream.finished()
    assert (finished.text, finished.finish_reason, finished.flaw) == ("All is well.", "stop", "odd")
    assert (finished.has_content, finished.has_tool_call, finished.streamed) == (True, False, True)
    assert finished.reader is TARGET.reader
    assert (stream.usage, stream.model, stream.chunks) == ({"output_tokens": 4}, "m-2024", 3)


def test_keep_alives_are_no_progress() -> None:
    stream = inlet()
    stream.take(Piece("a"), NOW)
    stream.take(Piece(), NOW + 5)
    assert stream.progress_s == NOW
    stream.take(Piece("b"), NOW + 6)
    assert (stream.first_content_s, stream.progress_s) == (NOW, NOW + 6)


def test_chunks_of_a_fresh_stream_pass_untouched() -> None:
    piece = Piece("a")
    assert inlet().take(piece, NOW) is piece


def test_plain_targets_give_text_and_opaque_values() -> None:
    stream = Inlet(Target("t", call=print), 0, 0.0)
    assert stream.take("some", NOW) == "some"
    assert stream.take("", NOW) == ""
    assert stream.take({"any": "thing"}, NOW) == {"any": "thing"}
    assert stream.text == "some"


# -- tool calls -----------------------------------------------------------------------------------------------------


def test_a_tool_call_is_withheld_from_its_beginning_on() -> None:
    stream = inlet(hold_back_tokens=0)
    stream.take(Piece("Let me look. "), NOW)
    assert stream.ready(NOW)
    stream.take(Piece(tool=True), NOW)
    stream.take(Piece("More."), NOW)
    assert stream.withholds
    assert not stream.ready(NOW + 999)
    assert (stream.seen, stream.text) == ("Let me look. ", "Let me look. More.")


def test_tool_calls_can_be_let_through() -> None:
    stream = inlet(hold_back_tokens=0, hold_tool_calls=False)
    stream.take(Piece("Let me look. "), NOW)
    stream.take(Piece(tool=True), NOW)
    assert stream.has_tool_call
    assert not stream.withholds
    assert stream.ready(NOW)


# -- going on from shown text ---------------------------------------------------------------------------------------

SHOWN = "The quick brown fox jumps over the lazy dog "


def test_what_was_shown_is_not_shown_again() -> None:
    stream = inlet(SHOWN)
    assert stream.take(Piece("brown fox jumps over "), NOW) is None
    assert not stream.joined
    assert stream.take(Piece("the lazy dog"), NOW) == Piece("")
    assert stream.joined
    assert stream.take(Piece(" and sleeps"), NOW) == Piece("and sleeps"), "the space was shown already"
    last = Piece(" all day", finish="stop")
    assert stream.take(last, NOW) is last
    assert stream.text == "The quick brown fox jumps over the lazy dog and sleeps all day"
    assert stream.finished().text == stream.text


def test_only_new_text_counts_for_the_hold_back() -> None:
    stream = inlet(SHOWN, hold_back_tokens=1, hold_back_s=60.0)
    stream.take(Piece("brown fox jumps over the lazy dog "), NOW)
    assert (stream.text_chars, stream.ready(NOW)) == (0, False)
    stream.take(Piece("and "), NOW)
    assert stream.ready(NOW)


def test_nothing_is_released_before_the_join() -> None:
    stream = inlet(SHOWN, hold_back_tokens=0, hold_back_s=0.0)
    stream.take(Piece("Something else"), NOW)
    assert (stream.release_at_s(), stream.ready(NOW + 999)) == (None, False)


def test_facts_in_swallowed_chunks_are_not_lost() -> None:
    stream = inlet(SHOWN)
    stream.take(Piece("brown fox jumps ", model="m-2024", usage={"input_tokens": 9}), NOW)
    assert (stream.model, stream.usage) == ("m-2024", {"input_tokens": 9})


def test_hopeless_when_the_anchor_does_not_come() -> None:
    stream = inlet(SHOWN)
    stream.take(Piece("unrelated words " * 40), NOW)
    assert stream.hopeless
    assert not inlet().hopeless


@pytest.mark.parametrize(("adds_up", "total"), [(True, {"input": 7, "output": 3}), (False, {"output": 2})])
def test_usage_is_added_up_where_the_reader_says_so(adds_up: bool, total: dict[str, int]) -> None:
    class Reader(PieceReader):
        usage_adds_up = adds_up

    stream = Inlet(Target("t", stream=iter, reader=Reader()), 16, 0.3)
    for usage in ({"input": 7}, None, {"output": 1}, {"output": 2}):
        stream.take(Piece("word", usage=usage), NOW)
    assert stream.usage == total
