"""Tools and options reach each target in its own words; arguments are checked against the tools."""

from __future__ import annotations

import copy
from typing import Annotated, Any

import pytest
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from failover_core.testing import ProviderServer
from langchain_failover.dialects import Wire
from langchain_failover.options import asks_for_thinking, options_for, output_limit
from langchain_failover.schema import misfit
from langchain_failover.tools import ToolDict, as_tool_dicts, bind_late, neutral_choice, server_tools
from lc_targets import make


@tool
def get_weather(city: str, days: int = 1) -> str:
    """Weather of a city."""
    return f"18 C in {city}"


class Search(BaseModel):
    """Search the web."""

    query: str
    limit: int = Field(default=3, ge=1)


class Point(TypedDict):
    """A point."""

    x: int
    y: int


class Joke(TypedDict):
    """A joke."""

    setup: Annotated[str, ..., "how it begins"]
    tags: list[str | None]
    author: str | None
    rating: Annotated[int | None, None, "from 1 to 10"]


def test_a_tool_dict_is_openais_format_and_remembers_the_tool() -> None:
    tool_dict = ToolDict(get_weather)

    assert tool_dict == convert_to_openai_tool(get_weather)
    assert tool_dict.original is get_weather
    assert tool_dict.name == "get_weather"
    assert as_tool_dicts([tool_dict])[0] is tool_dict
    assert copy.deepcopy(tool_dict) == tool_dict


@pytest.mark.parametrize(
    ("given", "arguments", "wrong"),
    [
        (get_weather, {"city": "Paris"}, None),
        (get_weather, {"days": 2}, "city"),
        (get_weather, {"city": "Paris", "days": "many"}, "days"),
        (Search, {"query": "q", "limit": "5"}, None),
        (Search, {"query": "q", "limit": 0}, "limit"),
        (Point, {"x": 1, "y": 2}, None),
        (Point, {"x": 1}, "y is missing"),
        (Joke, {"setup": "a", "tags": [None], "author": None, "rating": None}, None),
        (Joke, {"setup": "a", "tags": [], "author": None, "rating": "good"}, "rating"),
        (Joke, {"setup": "a", "tags": []}, "author is missing"),
        ({"name": "f", "description": "", "input_schema": {"type": "object", "required": ["a"]}}, {}, "a is missing"),
    ],
)
def test_arguments_are_checked(given: Any, arguments: dict[str, Any], wrong: str | None) -> None:
    problem = ToolDict(given).misfit(arguments)

    assert problem is None if wrong is None else wrong in str(problem)


SCHEMA = {
    "type": "object",
    "properties": {
        "n": {"type": "integer"},
        "kind": {"enum": ["a", "b"]},
        "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["n"],
    "additionalProperties": False,
    "$defs": {"item": {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}},
}


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ({"n": 1}, None),
        ({"n": "7"}, None),
        ({"n": 1.0, "kind": "a", "items": [{"ok": True}], "maybe": None}, None),
        ({}, "n is missing"),
        ({"n": 1.5}, "n is 1.5"),
        ({"n": True}, "n is True"),
        ({"n": 1, "kind": "c"}, "kind is 'c'"),
        ({"n": 1, "items": [{"ok": True}, {}]}, "items[1].ok is missing"),
        ({"n": 1, "maybe": 3}, "maybe is 3"),
        ({"n": 1, "extra": 1}, "extra is not expected"),
        ([], "not object"),
    ],
)
def test_json_schema(value: Any, wrong: str | None) -> None:
    problem = misfit(value, SCHEMA)

    assert problem is None if wrong is None else wrong in str(problem)


@pytest.mark.parametrize(
    ("schema", "value", "wrong"),
    [
        ({"type": "integer"}, None, None),  # nobody requires it
        ({"type": "integer", "nullable": True}, None, None),
        ({"type": "integer", "nullable": True}, "one", "not integer"),
        (True, {"any": "thing"}, None),
        (False, 1, "x is not expected"),
        ({"anyOf": [False, {"type": "integer"}]}, 1, None),
        ({"anyOf": [True, {"type": "integer"}]}, "one", None),
        ({"type": "array", "items": True}, [1, "a"], None),
        ({"type": "array", "prefixItems": [{"type": "integer"}], "items": False}, [1], None),
        ({"type": "array", "prefixItems": [{"type": "integer"}], "items": {"type": "string"}}, [1, "a"], None),
        ({"type": "object", "properties": None, "required": None}, {"a": 1}, None),
        ({"type": "object", "patternProperties": {"^a": {}}, "additionalProperties": False}, {"a": 1}, None),
        ({"type": "boolean"}, "Yes", None),
        ({"type": "boolean"}, "perhaps", "not boolean"),
        ({"allOf": None, "type": "integer"}, "one", "not integer"),
        ({"$ref": "#/properties/x"}, 1, None),
        ({"$ref": "#/$defs/loop"}, 1, None),
        ({"$ref": 7}, 1, None),
        ({"enum": 7}, 1, None),
        ({"type": 7}, 1, None),
        ("nonsense", 1, None),
    ],
)
def test_odd_schemas_are_no_reason_to_refuse_an_answer(schema: Any, value: Any, wrong: str | None) -> None:
    loop = {"anyOf": [{"$ref": "#/$defs/loop"}, {"$ref": "#/$defs/loop"}]}

    problem = misfit({"x": value}, {"type": "object", "properties": {"x": schema}, "$defs": {"loop": loop}})

    assert problem is None if wrong is None else wrong in str(problem)


def test_what_is_required_may_not_be_null() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}

    assert "x is None" in str(misfit({"x": None}, schema))
    assert misfit({"x": None}, schema, TypedDict("Point", {"x": int})) is None


def test_what_is_required_may_not_be_left_out() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}

    assert misfit({}, schema) == "x is missing"
    assert misfit({}, schema, TypedDict("Point", {"x": int})) == "x is missing"
    assert misfit({}, schema, TypedDict("Point", {"x": int}, total=False)) is None


@pytest.mark.parametrize(
    ("choice", "openai", "anthropic"),
    [
        ("auto", "auto", "auto"),
        ("any", "any", "any"),
        ("required", "any", "any"),
        (True, "any", "any"),
        (False, None, None),
        (None, None, None),
        ("none", "none", {"type": "none"}),
        ("get_weather", "get_weather", "get_weather"),
        ({"type": "function", "function": {"name": "f"}}, "f", "f"),
        ({"type": "tool", "name": "f"}, "f", {"type": "tool", "name": "f"}),
        ({"type": "any", "disable_parallel_tool_use": True}, "any", {"type": "any", "disable_parallel_tool_use": True}),
    ],
)
def test_tool_choices_in_words_that_every_model_takes(choice: Any, openai: Any, anthropic: Any) -> None:
    assert neutral_choice(choice, Wire.OPENAI_CHAT) == openai
    assert neutral_choice(choice, Wire.ANTHROPIC) == anthropic


@pytest.mark.parametrize(
    ("given", "owner"),
    [
        (get_weather, None),
        (ToolDict(Search), None),
        ({"type": "web_search_preview"}, Wire.OPENAI_CHAT),
        ({"type": "web_search_20250305", "name": "web_search"}, Wire.ANTHROPIC),
        ({"google_search": {}}, Wire.GOOGLE),
        ({"name": "f", "input_schema": {}}, None),
    ],
)
def test_whose_servers_run_a_tool(given: Any, owner: Wire | None) -> None:
    assert server_tools([given]) == ({owner} if owner else set())


@pytest.mark.parametrize("kind", ["openai", "anthropic", "google"])
def test_late_binding_sends_what_the_model_itself_would_send(kind: str, first: ProviderServer) -> None:
    model = make(kind, first)
    wire = {"openai": Wire.OPENAI_CHAT, "anthropic": Wire.ANTHROPIC, "google": Wire.GOOGLE}[kind]
    extra = {} if kind == "google" else {"parallel_tool_calls": False}

    runnable, options = bind_late(
        model, as_tool_dicts([get_weather, Search]), {"tool_choice": "required", "parallel_tool_calls": False}, wire
    )

    assert runnable is model
    assert options == model.bind_tools([get_weather, Search], tool_choice="any", **extra).kwargs


def test_options_of_other_providers_are_left_out_and_limits_renamed() -> None:
    given = {
        "temperature": 0,
        "max_tokens": 7,
        "seed": 1,
        "top_k": 5,
        "thinking": {"type": "enabled"},
        "logit_bias": {},
        "safety_settings": {},
        "exotic": 1,
    }
    kept = {"temperature": 0, "exotic": 1}

    assert options_for(given, Wire.OPENAI_CHAT) == {**kept, "max_tokens": 7, "seed": 1, "logit_bias": {}}
    assert options_for(given, Wire.ANTHROPIC) == {
        **kept, "max_tokens": 7, "top_k": 5, "thinking": {"type": "enabled"}}  # fmt: skip
    assert options_for(given, Wire.GOOGLE) == {
        **kept, "max_output_tokens": 7, "seed": 1, "top_k": 5, "safety_settings": {}}  # fmt: skip
    assert options_for(given, Wire.OTHER) == given


@pytest.mark.parametrize(
    ("model", "takers"),
    [
        ("gpt-4.1", {Wire.OPENAI_CHAT}),
        ("claude-opus-4-6", {Wire.ANTHROPIC}),
        ("gemini-3-pro", set()),
        ("my-finetune", {Wire.OPENAI_CHAT, Wire.ANTHROPIC}),
    ],
)
def test_a_model_override_goes_to_the_provider_whose_model_it_names(model: str, takers: set[Wire]) -> None:
    wires = (Wire.OPENAI_CHAT, Wire.ANTHROPIC, Wire.GOOGLE)

    assert {wire for wire in wires if "model" in options_for({"model": model}, wire)} == takers


def test_what_a_call_asks_for() -> None:
    assert output_limit({"max_completion_tokens": 9}) == 9
    assert output_limit({}) is None
    assert asks_for_thinking({"reasoning_effort": "high"})
    assert asks_for_thinking({"thinking": {"type": "enabled", "budget_tokens": 1024}})
    assert not asks_for_thinking({"reasoning_effort": "none"})
    assert not asks_for_thinking({"temperature": 0})
