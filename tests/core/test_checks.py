"""Built-in judges of finished output: what is rubbish, and what only looks like it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from failover_core import FailureKind, OutputRejected
from failover_core.checks import built_in, holds_json, json_demand, judge, loops_at_the_end
from failover_core.output import PLAIN, Finished
from failover_core.providers import ResponseFormat
from failover_core.testing.scripted import ScriptedReader

GOOD = Finished("All is well.", "All is well.", has_content=True, finish_reason="stop", reader=ScriptedReader())


def kind_of(finished: Finished) -> FailureKind | None:
    failure = built_in(finished)
    return failure.kind if failure is not None else None


# -- judgements -----------------------------------------------------------------------------------------------------


def test_a_good_answer_passes() -> None:
    assert built_in(GOOD) is None


def test_an_answer_without_its_finish_marker_was_cut_off() -> None:
    assert kind_of(replace(GOOD, finish_reason=None)) is FailureKind.INVALID_OUTPUT
    assert kind_of(replace(GOOD, finish_reason=None, streamed=True)) is FailureKind.STREAM_BROKEN


def test_targets_without_finish_markers_need_none() -> None:
    assert built_in(replace(GOOD, finish_reason=None, reader=PLAIN)) is None


def test_nothing_is_not_an_answer_but_a_tool_call_is_one() -> None:
    empty = replace(GOOD, text="", has_content=False)
    assert kind_of(empty) is FailureKind.INVALID_OUTPUT
    assert built_in(replace(empty, has_tool_call=True)) is None


def test_a_refusal_counts_as_filtered_whatever_else_is_in_it() -> None:
    refused = replace(GOOD, refusal="I cannot help with that.")
    failure = built_in(refused)
    assert failure is not None
    assert (failure.kind, failure.message) == (FailureKind.CONTENT_FILTERED, "I cannot help with that.")
    assert kind_of(replace(refused, finish_reason=None, text="", has_content=False)) is FailureKind.CONTENT_FILTERED


def test_a_refusal_without_words_is_one_too() -> None:
    failure = built_in(replace(GOOD, refusal=""))
    assert failure is not None
    assert (failure.kind, failure.message) == (FailureKind.CONTENT_FILTERED, "the answer was filtered")


def test_a_flaw_seen_by_the_reader() -> None:
    failure = built_in(replace(GOOD, flaw="the arguments of tool call 1 are not JSON"))
    assert failure is not None
    assert (failure.kind, failure.message) == (
        FailureKind.INVALID_OUTPUT,
        "the arguments of tool call 1 are not JSON",
    )


def test_the_failure_carries_the_output_as_an_exception() -> None:
    failure = built_in(replace(GOOD, has_content=False, text=""))
    assert failure is not None
    assert isinstance(failure.exception, OutputRejected)
    assert failure.exception.output == "All is well."
    assert failure.exception.kind is failure.kind


# -- validators -----------------------------------------------------------------------------------------------------


def impolite(finished: Finished) -> None:
    if "please" not in finished.text:
        raise OutputRejected("impolite", output=finished.output)


def refused_in_words(finished: Finished) -> None:
    if finished.text.startswith("I'm sorry"):
        raise OutputRejected("a refusal in words", kind=FailureKind.CONTENT_FILTERED)


def test_validators_refuse_by_raising() -> None:
    failure = judge(GOOD, [impolite])
    assert failure is not None
    assert (failure.kind, failure.message) == (FailureKind.INVALID_OUTPUT, "impolite")
    assert judge(replace(GOOD, text="Come in, please."), [impolite]) is None


def test_validators_can_say_what_kind_of_failure_it_is() -> None:
    failure = judge(replace(GOOD, text="I'm sorry, Dave."), [refused_in_words])
    assert failure is not None
    assert failure.kind is FailureKind.CONTENT_FILTERED


def test_all_validators_are_asked_and_the_first_refusal_counts() -> None:
    failure = judge(replace(GOOD, text="I'm sorry."), [lambda finished: None, refused_in_words, impolite])
    assert failure is not None
    assert failure.message == "a refusal in words"


def test_built_in_checks_come_first_and_can_be_switched_off() -> None:
    empty = replace(GOOD, text="", has_content=False)
    failure = judge(empty, [impolite])
    assert failure is not None
    assert failure.message == "the answer is empty"
    assert judge(empty, [], checks=False) is None
    assert judge(empty, [impolite], checks=False) is not None


def test_a_bug_in_a_validator_is_a_local_error() -> None:
    def buggy(finished: Finished) -> None:
        json.loads(finished.text)

    failure = judge(GOOD, [buggy, impolite])
    assert failure is not None
    assert failure.kind is FailureKind.LOCAL_ERROR
    assert failure.message.startswith("the validator buggy failed: JSONDecodeError: ")
    assert isinstance(failure.exception, json.JSONDecodeError)


def test_what_a_validator_says_is_one_short_line_without_secrets() -> None:
    secret = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"

    def rejects(finished: Finished) -> None:
        raise OutputRejected(f"the answer tells {secret}\nand goes on" + 1000 * " and on")

    def breaks(finished: Finished) -> None:
        raise KeyError(f"{secret}\nand goes on" + 1000 * " and on")

    for validator in (rejects, breaks):
        failure = judge(GOOD, [validator])
        assert failure is not None
        assert "[redacted]" in failure.message
        assert secret not in failure.message
        assert "\n" not in failure.message
        assert len(failure.message) < 400


def test_a_rejection_of_no_known_kind_is_a_mistake_in_the_validator() -> None:
    def odd(finished: Finished) -> None:
        raise OutputRejected("bad", kind="weird")  # type: ignore[arg-type]

    failure = judge(GOOD, [odd])
    assert failure is not None
    assert failure.kind is FailureKind.LOCAL_ERROR
    assert failure.message.startswith("the validator odd failed: ConfigError: OutputRejected(kind='weird'): pass")


def test_a_kind_may_be_told_by_its_word() -> None:
    assert OutputRejected("no", kind="content_filtered").kind is FailureKind.CONTENT_FILTERED  # type: ignore[arg-type]


# -- endless loops --------------------------------------------------------------------------------------------------

SENTENCE = "I will think about this once more. "
PROSE = (
    "The old lighthouse keeper had three daughters, and each of them wanted to leave the island for her own reason. "
    "The eldest dreamt of the city, the second of the sea, and the youngest of a library that she had seen in a book. "
)

LOOPS = {
    "a sentence": PROSE + SENTENCE * 12,
    "a sentence, cut in the middle": PROSE + SENTENCE * 12 + "I will think ab",
    "a word": PROSE + "very " * 60,
    "a syllable": PROSE + "ha" * 150,
    "one character": PROSE + "!" * 300,
    "a paragraph": PROSE * 5,
    "a long paragraph": PROSE + (PROSE + SENTENCE + "Then it was winter, and nobody came. ") * 4,
    "lines of code": "x = []\n" + "    x.append(0)\n" * 40,
    "JSON objects": '{"rows": [' + '{"id": 0, "name": ""}, ' * 30,
    "Chinese": "从前有座山、山里有座庙、庙里有个老和尚在讲故事。" * 15,
    "emoji": "Well done! " + "🎉" * 300,
    "new lines with a word": "a list:\n" + "- item\n\n" * 50,
}


@pytest.mark.parametrize("text", LOOPS.values(), ids=LOOPS.keys())
def test_endless_loops_are_seen(text: str) -> None:
    assert loops_at_the_end(text)
    assert kind_of(replace(GOOD, text=text)) is FailureKind.INVALID_OUTPUT


TABLE = "| year | cases | share |\n|------|-------|-------|\n" + "".join(
    f"| {1980 + n} | {n * 37 % 101} | {n * 13 % 47} % |\n" for n in range(40)
)
CODE = "".join(
    f"def test_case_{n}():\n    result = compute({n})\n    assert result == {n * n}\n\n\n" for n in range(30)
)
FINE = {
    "prose": PROSE * 1 + "And so they left, one after the other, and the light went on turning. " + PROSE[:100],
    "a short repetition": "No, no, no, no, no! " * 3,
    "a chorus sung three times": (SENTENCE * 2 + "\n") * 3,
    "a table": TABLE,
    "a table with a wide rule below": TABLE + "|" + "-" * 400 + "|",
    "a banner": PROSE + "\n" + "=" * 400,
    "a banner of stars and spaces": PROSE + "\n" + "* " * 300,
    "an empty table": "| a | b |\n" + "|   |   |\n" * 60,
    "code with many similar functions": CODE,
    "numbered lines": "".join(f"{n}. the same line, but numbered\n" for n in range(80)),
    "JSON with similar rows": json.dumps([{"id": n, "name": "", "tags": []} for n in range(60)]),
    "JSON indented": json.dumps([{"id": n, "name": None, "tags": []} for n in range(60)], indent=4),
    "a loop that was left in the end": SENTENCE * 20 + "Enough of that: the answer is 42, because it always was.",
    "dots": "to be continued" + "." * 300,
    "trailing new lines": PROSE + "\n" * 400,
    "three long paragraphs alike": PROSE * 3,
    "base64": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==" * 1,
    "empty": "",
}


@pytest.mark.parametrize("text", FINE.values(), ids=FINE.keys())
def test_what_only_looks_like_a_loop(text: str) -> None:
    assert not loops_at_the_end(text)


@pytest.mark.parametrize(("times", "loops"), [(3, False), (4, True)])
def test_four_periods_make_a_loop(times: int, loops: bool) -> None:
    assert loops_at_the_end(PROSE * times) == loops


@given(st.text(alphabet=st.characters(categories=["L"]), min_size=1, max_size=400), st.text(max_size=300))
def test_any_text_repeated_often_enough_is_a_loop(period: str, before: str) -> None:
    repeats = max(4, -(-240 // len(period))) + 1
    assert loops_at_the_end(before + period * repeats)


@given(st.lists(st.integers(), min_size=1, max_size=300, unique=True))
def test_a_list_of_different_numbers_is_no_loop(numbers: list[int]) -> None:
    assert not loops_at_the_end("".join(f"item {number};\n" for number in numbers))


def test_long_texts_take_no_time() -> None:
    """The check runs once on each answer; a megabyte of near repetition must not hang it."""
    assert not loops_at_the_end("".join(f"{n % 7}abcdefghijklmnopqrstuvwxyz0123456789" for n in range(30_000)) + PROSE)


# -- JSON where JSON was asked for ----------------------------------------------------------------------------------

FENCED = '```json\n{"a": 1}\n```'


@pytest.mark.parametrize(
    ("text", "any_", "strict"),
    [
        ('{"a": 1}', True, True),
        (" \n[1, 2]\n", True, True),
        ('"a word"', True, True),
        (FENCED, True, False),
        (f"Here it is:\n{FENCED}\nAnything else?", True, False),
        ("```\n[]\n```", True, False),
        ('{"a": 1', False, False),
        ('{"a": 1} and so on', False, False),
        ("```json\n{oops}\n```", False, False),
        ("I cannot say.", False, False),
        ("[" * 100_000, True, True),
    ],
)
def test_json_is_what_parses(text: str, any_: bool, strict: bool) -> None:
    assert (holds_json(text, "any"), holds_json(text, "strict")) == (any_, strict)


def test_nobody_minds_prose_where_no_json_was_asked_for() -> None:
    assert built_in(GOOD) is None
    failure = built_in(GOOD, "any")
    assert failure is not None
    assert (failure.kind, failure.message) == (
        FailureKind.INVALID_OUTPUT,
        "JSON was asked for, and the answer does not parse",
    )


def test_answers_without_text_are_not_judged_as_json() -> None:
    """A tool call instead of an answer, and an object that its library has parsed already."""
    assert built_in(replace(GOOD, has_tool_call=True), "strict") is None
    assert built_in(replace(GOOD, text=""), "strict") is None


def test_a_refusal_is_told_as_one_where_json_was_asked_for() -> None:
    failure = built_in(replace(GOOD, refusal="no"), "strict")
    assert failure is not None
    assert failure.kind is FailureKind.CONTENT_FILTERED


class Trip(BaseModel):
    city: str


@pytest.mark.parametrize(
    ("response_format", "demand"),
    [
        (None, None),
        ("json", "any"),
        ("text", None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, "any"),
        ({"type": "json_schema", "json_schema": {"name": "t", "schema": {}}}, "any"),
        ({"type": "json_schema", "json_schema": {"name": "t", "schema": {}, "strict": True}}, "strict"),
        ({"type": "grammar"}, None),
        (ResponseFormat({"type": "object"}), "strict"),
        (ResponseFormat({"type": "object"}, strict=False), "any"),
        (Trip, "any"),
    ],
)
def test_what_a_response_format_demands(response_format: Any, demand: str | None) -> None:
    assert json_demand(response_format) == demand


@given(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), st.lists, max_leaves=20))
def test_whatever_json_writes_is_json(value: Any) -> None:
    assert holds_json(json.dumps(value), "strict")
    assert holds_json(json.dumps(value, ensure_ascii=False, indent=2), "strict")
