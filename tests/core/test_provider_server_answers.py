"""The script of the provider server, without a server: schemas that are filled, tools that are chosen, cuts resumed."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_core.testing import Answer, Ask, Tool, ToolCall, Turn, default_script
from failover_core.testing.answers import answer_to, pieces_of
from failover_core.testing.schema import fill

TEXT = "One two three four five six seven eight nine ten."
ADD = Tool("add", {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})
LOOK = Tool("look_up", {"type": "object", "properties": {"query": {"type": "string"}}})


def asking(*turns: Turn | str, **more: Any) -> Ask:
    """A conversation; strings are the user's."""
    messages = tuple(Turn("user", turn) if isinstance(turn, str) else turn for turn in turns)
    return Ask(wire="openai", model="m", messages=messages, **more)


def calls(*names: str) -> Turn:
    return Turn("assistant", "", tuple(ToolCall(name) for name in names))


def answer(ask: Ask, script: Any = default_script) -> Answer:
    return answer_to(ask, script, continuation=True)


# --- schemas -----------------------------------------------------------------------------------------------------

TREE = {
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer", "minimum": 10},
                "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
            },
            "required": ["value", "children", "next"],
        }
    },
    "$ref": "#/$defs/Node",
}
SCHEMAS = {
    "enum from the text": ({"enum": ["red", "green"]}, "Paint it GREEN", "green"),
    "const": ({"const": 7}, "", 7),
    "numbers in order": (
        {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "number"}}},
        "first 3, then -4.5",
        {"a": 3, "b": -4.5},
    ),
    "quoted strings in order": (
        {"type": "object", "properties": {"x": {"type": "string"}, "y": {"type": "string"}}},
        "from \"Rome\" to 'Oslo', it's far",
        {"x": "Rome", "y": "Oslo"},
    ),
    "defaults are left alone": (
        {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "unit": {"type": "string", "default": "cm"}},
            "required": ["a"],
        },
        "5",
        {"a": 5},
    ),
    "limits": ({"type": "integer", "minimum": 2, "maximum": 9}, "100", 9),
    "above an exclusive minimum": ({"type": "integer", "exclusiveMinimum": 0}, "0", 1),
    "lengths": ({"type": "string", "minLength": 3, "maxLength": 4}, "'ab'", "ab."),
    "nullable": ({"type": ["null", "boolean"]}, "", True),
    "any of": ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, "8", 8),
    "all of": (
        {"allOf": [{"properties": {"a": {"type": "integer"}}}, {"properties": {"b": {"type": "boolean"}}}]},
        "8",
        {"a": 8, "b": True},
    ),
    "items": ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, "4 and 5", [4, 5]),
    "Gemini's dialect": ({"type": "OBJECT", "properties": {"a": {"type": "INTEGER"}}}, "4", {"a": 4}),
    "format": ({"type": "string", "format": "date"}, "", "2025-01-15"),
}


@pytest.mark.parametrize(("schema", "text", "value"), SCHEMAS.values(), ids=SCHEMAS)
def test_schemas_are_filled_from_the_text(schema: dict[str, Any], text: str, value: Any) -> None:
    assert fill(schema, text) == value


def test_a_recursive_schema_ends_and_is_valid() -> None:
    value = fill(TREE, "numbers: 11 and 3")
    jsonschema.validate(value, TREE)
    assert value["value"] == 11


_SIMPLE = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "maxLength": 3},
        {"type": "integer", "minimum": 3, "maximum": 5},
        {"type": "number"},
        {"type": "boolean"},
        {"enum": ["a", 1, None]},
        {"const": "x"},
    ]
)
_SCHEMAS = st.recursive(
    _SIMPLE,
    lambda inner: st.one_of(
        st.builds(lambda items, n: {"type": "array", "items": items, "minItems": n}, inner, st.integers(0, 3)),
        st.builds(
            lambda props: {"type": "object", "properties": props, "required": sorted(props)},
            st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
        ),
        st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=8,
)


@given(schema=_SCHEMAS, text=st.text(max_size=60))
def test_whatever_the_schema_the_value_is_valid(schema: dict[str, Any], text: str) -> None:
    jsonschema.validate(fill(schema, text), schema)


# --- the default script ------------------------------------------------------------------------------------------


def test_the_first_tool_is_called_once() -> None:
    ask = asking("add 5", tools=(ADD, LOOK))
    assert answer(ask).tool_calls == (ToolCall("add", {"a": 5}),)
    assert answer(ask).finish == "tool_calls"
    after = asking("add 5", calls("add"), Turn("tool", "it is 5"), tools=(ADD, LOOK))
    assert answer(after).tool_calls == ()
    assert "it is 5" in answer(after).text


def test_a_new_question_starts_a_new_tool_loop() -> None:
    ask = asking("add 5", calls("add"), Turn("tool", "5"), Turn("assistant", "It is 5."), "add 6", tools=(ADD,))
    assert answer(ask).tool_calls == (ToolCall("add", {"a": 6}),)


def test_where_a_call_is_required_each_tool_gets_its_turn() -> None:
    ask = asking("add 5", calls("add"), Turn("tool", "5"), tools=(ADD, LOOK), tool_choice="required")
    assert answer(ask).tool_calls[0].name == "look_up"
    ask = asking("add 5", calls("add", "look_up"), Turn("tool", "5"), tools=(ADD, LOOK), tool_choice="required")
    assert answer(ask).tool_calls[0].name == "look_up"


def test_json_of_any_shape_takes_its_keys_from_the_prompt() -> None:
    ask = asking("A joke as JSON with 'setup' and 'punchline' keys", schema={"type": "object"})
    assert set(json.loads(answer(ask).text)) == {"setup", "punchline"}
    assert set(json.loads(answer(asking("JSON please", schema={"type": "object"})).text)) == {"answer"}


def test_an_output_limit_and_stop_sequences() -> None:
    assert answer(asking("x", max_tokens=2), TEXT) == Answer("One two ", finish="length")
    assert answer(asking("x", stop=("five", "three")), TEXT) == Answer("One two ", stop_sequence="three")


def test_a_script_may_say_it_in_four_ways() -> None:
    call = ToolCall("add", {"a": 1})
    called = Answer(tool_calls=(call,), finish="tool_calls")
    assert answer(asking("x"), lambda ask: call) == called
    assert answer(asking("x"), lambda ask: [call]) == called
    assert answer(asking("x"), lambda ask: Answer(tool_calls=(call,))) == called
    assert answer(asking("x"), lambda ask: ask.question) == Answer("x")


@given(st.text(max_size=200), st.integers(1, 5))
def test_pieces_make_up_the_text(text: str, words: int) -> None:
    assert "".join(pieces_of(text, words)) == text


# --- going on after a cut ----------------------------------------------------------------------------------------


def resume(shown: str, request: str) -> str:
    return answer(asking("Count.", Turn("assistant", shown), request), TEXT).text


def test_the_rest_starts_with_what_was_quoted() -> None:
    assert resume("One two three four", "Go on after <tail>two three four</tail>.") == TEXT[4:]
    assert resume("One two three four ", "Go on after <tail>two three four</tail>.") == TEXT[4:]
    assert resume("One", "Go on after: One") == TEXT
    assert resume(TEXT, "Your last words: eight nine ten.") == " eight nine ten."


@pytest.mark.parametrize(
    ("shown", "request_text"),
    [
        ("One two three four", "Something quite different"),
        ("Un deux trois quatre", "Go on after <tail>deux trois quatre</tail>"),
    ],
    ids=["nothing quoted", "not how our answer begins"],
)
def test_other_messages_are_answered_as_usual(shown: str, request_text: str) -> None:
    assert resume(shown, request_text) == TEXT


def test_a_prefilled_answer_goes_on_where_it_stops() -> None:
    assert answer(asking("Count.", Turn("assistant", "One two")), TEXT).text == TEXT[7:]


def test_the_default_answer_can_be_resumed_by_any_server() -> None:
    whole = answer(asking("Why?")).text
    shown = whole[:150]
    request = f"Continue. It ended with: {shown[-40:]}"
    assert answer(asking("Why?", Turn("assistant", shown), request)).text == whole[110:]
