"""Reading values that the core does not understand."""

from __future__ import annotations

from typing import Any

import pytest

from failover_core.output import PLAIN, Finished, Reading


@pytest.mark.parametrize("read", [PLAIN.read, PLAIN.read_chunk])
def test_a_str_is_text_and_an_empty_one_is_nothing(read: Any) -> None:
    assert read("hello") == Reading(text="hello", has_content=True)
    assert read("") == Reading()


def test_white_space_may_be_a_part_of_an_answer_but_is_none() -> None:
    assert PLAIN.read_chunk(" \n ").has_content
    assert PLAIN.read(" \n ") == Reading(text=" \n ")


@pytest.mark.parametrize("text", [None, b"hello", ["hello"]])
def test_the_text_that_a_reader_returns_must_be_one(text: Any) -> None:
    with pytest.raises(TypeError, match="the text of a Reading must be a str, not "):
        Finished.of("answer", Reading(text=text), PLAIN)


@pytest.mark.parametrize("value", [b"bytes", 0, None, {"role": "assistant"}, ["a", "list"], object()])
def test_anything_else_is_content_of_unknown_kind(value: Any) -> None:
    assert PLAIN.read(value) == PLAIN.read_chunk(value) == Reading(has_content=True, opaque=True)


def test_plain_targets_have_no_finish_marker() -> None:
    assert not PLAIN.expects_finish


def test_plain_text_is_replaced_by_text() -> None:
    assert PLAIN.with_text("hello world", " world") == " world"


def test_an_empty_reading_shows_no_progress() -> None:
    reading = Reading()
    assert not (reading.has_content or reading.has_tool_call or reading.opaque)
    assert (reading.finish_reason, reading.refusal, reading.flaw, reading.usage, reading.model) == (None,) * 5
