"""Structured output in every form; whatever does not parse goes to the next target instead of to the caller."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from failover_core import AllTargetsFailed, Settings
from failover_core.testing import ProviderServer, ToolCall, faults
from langchain_failover import ChatFailover
from lc_targets import KINDS, FakeModel, calling, make

QUICK = Settings(same_target_retries=0, backoff_s=0.01)
FORMS = [(method, strict) for method in ("function_calling", "json_schema") for strict in (None, True, False)]
FORMS.append(("json_mode", None))  # there is nothing to be strict about
QUESTION = 'Tell me a joke. Answer in JSON with the keys "setup" and "punchline".'


class Joke(BaseModel):
    """A joke."""

    setup: str = Field(description="how it begins")
    punchline: str = Field(description="how it ends")


class JokeDict(TypedDict):
    """A joke."""

    setup: str
    punchline: str


JokeDict.__name__ = "Joke"
SCHEMAS: dict[str, Any] = {"pydantic": Joke, "typeddict": JokeDict, "json schema": Joke.model_json_schema()}
GOOD = {"setup": "Why?", "punchline": "Because."}


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # ChatOpenAI streams a JSON schema
@pytest.mark.parametrize("include_raw", [False, True])
@pytest.mark.parametrize(("method", "strict"), FORMS)
@pytest.mark.parametrize("kind", KINDS)
async def test_every_method_on_every_target_with_a_dead_one_first(
    kind: str, method: Any, strict: bool | None, include_raw: bool, first: ProviderServer, second: ProviderServer
) -> None:
    first.always(faults.Status(503))
    dead = make("anthropic" if kind.startswith("openai") else "openai", first)
    llm = ChatFailover(targets=[dead, make(kind, second)], settings=QUICK)

    for schema in SCHEMAS.values():
        chain = llm.with_structured_output(schema, method=method, strict=strict, include_raw=include_raw)
        streamed = [part async for part in chain.astream(QUESTION)]
        for answer in (
            chain.invoke(QUESTION),
            await chain.ainvoke(QUESTION),
            streamed[-1] if not include_raw else None,
        ):
            if answer is None:
                continue
            if include_raw:
                assert answer["parsing_error"] is None
                assert isinstance(answer["raw"], AIMessage)
                answer = answer["parsed"]
            assert (answer.model_dump() if schema is Joke else answer).keys() == GOOD.keys()


BAD = {
    "a missing field": calling("Joke", setup="Why?"),
    "a wrong type": calling("Joke", setup="Why?", punchline={"no": "text"}),
    "another tool": calling("Story", setup="Why?", punchline="Because."),
    "prose": AIMessage("Here is a joke: ..."),
    "broken JSON": AIMessage('{"setup": "Why?", "punch'),
    "broken arguments": AIMessage(
        "",
        invalid_tool_calls=[
            {"name": "Joke", "args": '{"setup"', "id": "1", "error": None, "type": "invalid_tool_call"}
        ],
    ),
}


@pytest.mark.parametrize("style", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("bad", BAD)
async def test_what_does_not_parse_goes_to_the_next(bad: str, schema: str, style: str) -> None:
    llm = ChatFailover(targets=[FakeModel(BAD[bad]), FakeModel(calling("Joke", **GOOD))], settings=QUICK)
    chain = llm.with_structured_output(SCHEMAS[schema])

    if style == "invoke":
        answer = chain.invoke("hi")
    elif style == "ainvoke":
        answer = await chain.ainvoke("hi")
    else:
        parts = list(chain.stream("hi")) if style == "stream" else [part async for part in chain.astream("hi")]
        answer = parts[-1]

    assert (answer.model_dump() if schema == "pydantic" else answer) == GOOD


@pytest.mark.parametrize("style", ["invoke", "stream"])
def test_json_text_is_withheld_until_it_parses(style: str) -> None:
    bad = FakeModel(['{"setup": "Why?', " And so on and so on and so on and so on and so on and so on and so on"])
    llm = ChatFailover(targets=[bad, FakeModel(JSON)], settings=Settings(same_target_retries=0, hold_back_tokens=0))
    chain = llm.with_structured_output(Joke, method="json_mode")

    assert (chain.invoke("hi") if style == "invoke" else list(chain.stream("hi"))[-1]) == Joke(**GOOD)


JSON = '```json\n{"setup": "Why?", "punchline": "Because."}\n```'


def test_the_reason_is_told_when_nobody_gets_it_right() -> None:
    llm = ChatFailover(targets=[FakeModel(calling("Joke", setup="Why?"))], settings=QUICK)

    with pytest.raises(AllTargetsFailed, match="punchline") as caught:
        llm.with_structured_output(Joke).invoke("hi")

    assert caught.value.failure is not None and caught.value.failure.kind == "invalid_output"


def test_a_response_format_is_checked_too() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "Joke", "schema": Joke.model_json_schema()}}
    llm = ChatFailover(targets=[FakeModel('{"setup": "Why?"}'), FakeModel(JSON)], settings=QUICK)

    message = llm.bind(response_format=wanted).invoke("hi")

    assert message.text == JSON
    assert message.response_metadata["failover"]["attempts"][0]["kind"] == "invalid_output"


@pytest.mark.parametrize("style", ["invoke", "stream"])
@pytest.mark.parametrize("said", ["no JSON, but quite a lot of words instead of it", '{"a": 1'])
def test_json_mode_is_checked_and_withheld_too(said: str, style: str) -> None:
    settings = Settings(same_target_retries=0, hold_back_tokens=0, hold_back_s=0.0)
    llm = ChatFailover(targets=[FakeModel([said[:4], said[4:]]), FakeModel('{"a": 1}')], settings=settings)
    bound = llm.bind(response_format={"type": "json_object"})

    message = bound.invoke("hi") if style == "invoke" else sum_of(bound.stream("hi"))

    assert message.text == '{"a": 1}'
    assert message.response_metadata["failover"]["attempts"][0]["kind"] == "invalid_output"


def sum_of(chunks: Any) -> Any:
    first, *rest = chunks
    return sum(rest, first)


def test_json_mode_without_a_schema_gives_any_object() -> None:
    llm = ChatFailover(targets=[FakeModel("no JSON"), FakeModel('{"a": 1}')], settings=QUICK)

    assert llm.with_structured_output(method="json_mode").invoke("hi") == {"a": 1}


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # ChatOpenAI streams a JSON schema
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
async def test_a_stream_gives_the_finished_object_only(kind: str, method: Any, first: ProviderServer) -> None:
    """Half of a text is a text, so a half-done object of a class would look like the whole one."""
    chain = ChatFailover(targets=[make(kind, first)]).with_structured_output(Joke, method=method)

    assert list(chain.stream(QUESTION)) == [chain.invoke(QUESTION)]
    assert [part async for part in chain.astream(QUESTION)] == [chain.invoke(QUESTION)]


def test_a_stream_of_a_dict_shows_it_grow() -> None:
    said = FakeModel(['{"setup": "Why', '?", "punchline":', ' "Because."}'])
    chain = ChatFailover(targets=[said]).with_structured_output(JokeDict, method="json_mode")

    assert list(chain.stream("hi"))[:2] == [{"setup": "Why"}, {"setup": "Why?"}]
    assert list(chain.stream("hi"))[-1] == GOOD


class OptionalJoke(TypedDict):
    """A joke."""

    setup: str
    author: str | None
    rating: Annotated[int | None, None, "from 1 to 10"]


@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
def test_null_for_what_may_be_none(method: Any) -> None:
    nulls = {"setup": "Why?", "author": None, "rating": None}
    said = calling("OptionalJoke", **nulls) if method == "function_calling" else json.dumps(nulls)
    llm = ChatFailover(targets=[FakeModel(said)], settings=QUICK)

    assert llm.with_structured_output(OptionalJoke, method=method).invoke("hi") == nulls


class PartialJoke(TypedDict, total=False):
    """A joke."""

    setup: str
    punchline: str


@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
def test_what_a_dict_may_leave_out(method: Any) -> None:
    said = calling("PartialJoke", setup="Why?") if method == "function_calling" else '{"setup": "Why?"}'
    llm = ChatFailover(targets=[FakeModel(said)], settings=QUICK)

    assert llm.with_structured_output(PartialJoke, method=method).invoke("hi") == {"setup": "Why?"}


@tool
def look(query: str) -> str:
    """Look something up."""
    return query


@pytest.mark.parametrize("kind", ["openai", "anthropic", "openai:", "anthropic:"])  # Gemini cannot do both at once
def test_a_tool_that_is_offered_beside_may_be_called_instead(
    kind: str, first: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first.behaviour, "answer", lambda ask: ToolCall("look", {"query": "jokes"}))
    llm = ChatFailover(targets=[make(kind, first)], settings=QUICK)
    chain = llm.with_structured_output(Joke, method="json_schema", tools=[look], strict=True, include_raw=True)

    told = chain.invoke(QUESTION)

    assert [call["name"] for call in told["raw"].tool_calls] == ["look"]
    assert told["parsed"] is None and told["parsing_error"] is None


def test_tools_beside_a_strict_schema_are_strict_for_openai(
    first: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its SDK refuses to parse the answer otherwise."""
    monkeypatch.setattr(first.behaviour, "answer", json.dumps(GOOD))
    llm = ChatFailover(targets=[make("openai", first)], settings=QUICK)
    chain = llm.with_structured_output(Joke, method="json_schema", tools=[look], strict=True)

    assert chain.invoke("hi") == Joke(**GOOD)
    assert first.log[-1].body["tools"][0]["function"]["strict"] is True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
def test_a_json_schema_needs_no_title(kind: str, method: Any, first: ProviderServer) -> None:
    schema = {key: value for key, value in Joke.model_json_schema().items() if key != "title"}
    chain = ChatFailover(targets=[make(kind, first)], settings=QUICK).with_structured_output(schema, method=method)

    assert chain.invoke(QUESTION).keys() == GOOD.keys()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("style", ["invoke", "stream"])
def test_broken_tool_arguments_on_the_wire(
    kind: str, style: str, first: ProviderServer, second: ProviderServer
) -> None:
    first.always(faults.BadToolArguments())
    llm = ChatFailover(targets=[make(kind, first), make("openai", second)], settings=QUICK)
    bound = llm.bind_tools([Joke])

    if style == "invoke":
        message = bound.invoke(QUESTION)
    else:
        chunks = list(bound.stream(QUESTION))
        message = sum(chunks[1:], chunks[0])

    assert message.tool_calls[0]["args"].keys() == GOOD.keys() and not message.invalid_tool_calls
    assert message.response_metadata["failover"]["attempts"][0]["kind"] == "invalid_output"
