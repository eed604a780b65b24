"""Answers that are not what was asked for go to the next target; when nobody does better, the last one is of use."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from pydantic import BaseModel, field_validator

from failover_core import (
    AllTargetsFailed,
    DeadlineExceeded,
    Failure,
    FailureKind,
    RequestRejected,
    RouteTrace,
    Settings,
    StreamInterrupted,
    Target,
)
from failover_core.testing import Ask, ProviderServer, ToolCall
from failover_core.trace import Attempt, Verdict
from langchain_failover import ChatFailover
from langchain_failover.checks import AnswerRejected
from langchain_failover.second_best import second_best
from lc_targets import KINDS, FakeModel, calling, down, make

QUICK = Settings(same_target_retries=0, backoff_s=0.01)
STYLES = ("invoke", "ainvoke", "stream", "astream")


class Sum(BaseModel):
    """A sum."""

    a: int
    b: int = 1


@tool
def plus(a: int, b: int = 1) -> str:
    """Add two numbers."""
    return str(a + b)


GOOD, UNFIT = calling("plus", a=1), calling("plus", a="x")
UNPARSED = AIMessage(
    "", invalid_tool_calls=[{"name": "plus", "args": '{"a"', "id": "1", "error": None, "type": "invalid_tool_call"}]
)
PROSE = " ".join(f"word{number}" for number in range(60))


async def answer(llm: Any, style: str) -> Any:
    if style in ("invoke", "ainvoke"):
        return llm.invoke("hi") if style == "invoke" else await llm.ainvoke("hi")
    chunks = list(llm.stream("hi")) if style == "stream" else [chunk async for chunk in llm.astream("hi")]
    return sum(chunks[1:], chunks[0])


def bound(*says: Any, settings: Settings = QUICK) -> Any:
    return ChatFailover(targets=[FakeModel(said) for said in says], settings=settings).bind_tools([plus])


def way(message: Any) -> list[tuple[str, str | None]]:
    return [(attempt["target"], attempt["kind"]) for attempt in message.response_metadata["failover"]["attempts"]]


@pytest.mark.parametrize("style", STYLES)
async def test_a_call_that_does_not_fit_goes_to_the_next(style: str) -> None:
    message = await answer(bound(UNFIT, GOOD), style)

    assert [call["args"] for call in message.tool_calls] == [{"a": 1}]
    assert way(message) == [("FakeModel", "invalid_output"), ("FakeModel#2", None)]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("others", [(calling("plus", a="y"),), (down(),), (UNPARSED,), (down(), calling("plus", a=[]))])
async def test_when_nobody_does_better_the_caller_gets_the_last_such_call(others: tuple[Any, ...], style: str) -> None:
    message = await answer(bound(UNFIT, *others), style)

    calls = [said for said in others if isinstance(said, AIMessage) and said.tool_calls]
    expected, target = (calls[-1], f"FakeModel#{len(others) + 1}") if calls else (UNFIT, "FakeModel")
    assert [call["args"] for call in message.tool_calls] == [expected.tool_calls[0]["args"]]
    assert message.response_metadata["failover"]["target"] == target
    assert all(kind is not None for _, kind in way(message)) and len(way(message)) == len(others) + 1


class GraphInterrupt(Exception):
    """As LangGraph raises it, whose base it is known by."""


class GraphBubbleUp(GraphInterrupt):
    pass


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("error", [ZeroDivisionError("bug"), GraphBubbleUp("ask a human")])
async def test_a_mistake_or_an_interrupt_is_not_covered_up(error: Exception, style: str) -> None:
    def broken(messages: Any) -> Any:
        raise error

    llm = ChatFailover(targets=[FakeModel(UNFIT), Target("broken", call=broken)], settings=QUICK).bind_tools([plus])

    with pytest.raises(type(error) if isinstance(error, GraphBubbleUp) else RequestRejected):
        await answer(llm, style)


@pytest.mark.parametrize("style", STYLES)
async def test_arguments_that_do_not_parse_are_no_answer(style: str) -> None:
    piece = AIMessageChunk("", tool_call_chunks=[{"name": "plus", "args": '{"a": 1', "id": "1", "index": 0}])
    said = UNPARSED if style in ("invoke", "ainvoke") else [piece]

    with pytest.raises(AllTargetsFailed, match="not valid JSON"):
        await answer(bound(said, down()), style)


@pytest.mark.parametrize("style", ["stream", "astream"])
async def test_text_before_such_a_call_is_shown_once(style: str) -> None:
    """Nobody may go on with such a stream, but what the same target has said is whole."""
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    said = [*PROSE.split(" "), AIMessageChunk("", tool_calls=UNFIT.tool_calls, usage_metadata=usage)]

    message = await answer(bound(said, GOOD), style)

    assert message.text == PROSE.replace(" ", "")
    assert [call["args"] for call in message.tool_calls] == [{"a": "x"}]
    assert message.usage_metadata == usage
    assert message.response_metadata["failover"]["target"] == "FakeModel"


def test_text_of_another_answer_is_not_joined_to_such_a_call() -> None:
    said = [*PROSE.split(" "), ConnectionError("cut")]
    chunks = bound(UNFIT, said).stream("hi")

    with pytest.raises(StreamInterrupted):
        list(chunks)


def rejected(answer: Any, target: str = "first") -> Attempt:
    rejection = AnswerRejected("unfit", output=AIMessage(""), blames_target=False, answer=answer)
    failure = Failure(FailureKind.INVALID_OUTPUT, "unfit", exception=rejection)
    return Attempt(1, Target(target, call=str), "first", 0.0, verdict=Verdict.NEXT, failure=failure)


def late(*attempts: Attempt) -> DeadlineExceeded:
    return DeadlineExceeded("too late", trace=RouteTrace("1", list(attempts)))


def test_a_deadline_that_passes_takes_no_answer_away() -> None:
    """Unless the caller has begun to read another one."""
    whole = ChatResult(generations=[ChatGeneration(message=UNFIT)])
    chunks = [ChatGenerationChunk(message=AIMessageChunk(word)) for word in ("one", "two", "three")]
    other = ChatGenerationChunk(message=AIMessageChunk("two"))

    found = second_best(late(rejected(whole, "first"), rejected(None, "second")))

    assert found is not None and found.value is whole
    assert found.trace.target is not None and found.trace.target.name == "first"
    rest = second_best(late(rejected(chunks)), chunks[1])
    assert rest is not None and rest.value == chunks[2:]
    assert second_best(late(rejected(chunks)), other) is None
    assert second_best(late(rejected(None))) is None and second_best(late()) is None


def test_nobody_is_blamed_for_a_schema_that_nobody_meets() -> None:
    llm = ChatFailover(targets=[FakeModel(UNFIT), FakeModel(UNFIT)], settings=QUICK)
    structured = llm.with_structured_output(Sum)

    for _ in range(12):
        llm.bind_tools([plus]).invoke("hi")
        with pytest.raises(AllTargetsFailed):
            llm.with_structured_output(plus.args_schema, method="json_schema").invoke("hi")

    assert {state.state for state in llm.failover.health().values()} == {"closed"}
    for _ in range(12):
        with pytest.raises(AllTargetsFailed):
            structured.invoke("hi")  # there is no call of `Sum` at all
    assert {state.state for state in llm.failover.health().values()} == {"open"}


@pytest.mark.parametrize("style", STYLES)
async def test_checks_are_off_where_the_settings_say_so(style: str) -> None:
    llm = bound(UNFIT, GOOD, settings=Settings(same_target_retries=0, output_checks=False))

    assert way(await answer(llm, style)) == [("FakeModel", None)]


def script(ask: Ask) -> Any:
    """Takes three tries, and reads what is wrong."""
    if not ask.tool_results:
        return ToolCall(ask.tools[0].name, {"b": 2})
    if "rror" in ask.tool_results[-1]:
        return ToolCall(ask.tools[0].name, {"a": 1, "b": 2})
    return f"It is {ask.tool_results[-1]}."


@pytest.mark.parametrize("kind", KINDS)
async def test_agents_heal_themselves(
    kind: str, first: ProviderServer, second: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for server in (first, second):
        monkeypatch.setattr(server.behaviour, "answer", script)
    llm = ChatFailover(targets=[make(kind, first), make("openai", second)], settings=QUICK)
    question: Any = {"messages": [("user", "What is 1 + 2?")]}

    whole = create_agent(llm, [plus]).invoke(question)["messages"]
    streamed = [part async for part in create_agent(llm, [plus]).astream(question, stream_mode=["messages", "values"])][
        -1
    ][1]["messages"]
    structured = await create_agent(llm, [], response_format=ToolStrategy(Sum)).ainvoke(question)

    assert whole[-1].text == streamed[-1].text == "It is 3."
    assert structured["structured_response"] == Sum(a=1, b=2)


class Even(BaseModel):
    """An even number."""

    value: int

    @field_validator("value")
    @classmethod
    def _even(cls, value: int) -> int:
        return 10 // (value - 7) and value  # a validator with a bug


def test_a_bug_in_a_validator_kills_no_answer() -> None:
    llm = ChatFailover(targets=[FakeModel(calling("Even", value=7))], settings=QUICK)

    assert llm.bind_tools([Even]).invoke("hi").tool_calls[0]["args"] == {"value": 7}
    with pytest.raises(ZeroDivisionError):
        llm.with_structured_output(Even).invoke("hi")


REJECTED = {
    "unfit": calling("Sum", a="x"),
    "unparsed": UNPARSED,
    "prose": AIMessage("One and two make three."),
    "broken JSON": AIMessage('{"b": 1, "a'),
    "another tool": calling("Product", a=1),
}


@pytest.mark.parametrize("style", ["invoke", "ainvoke"])
@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
@pytest.mark.parametrize("said", REJECTED)
async def test_include_raw_reports_what_does_not_parse(said: str, method: Any, style: str) -> None:
    llm = ChatFailover(targets=[FakeModel(down()), FakeModel(REJECTED[said])], settings=QUICK)

    told = await answer(llm.with_structured_output(Sum, method=method, include_raw=True), style)

    assert told["parsed"] is None
    assert isinstance(told["parsing_error"], ValueError | OutputParserException)
    assert told["raw"].text == REJECTED[said].text and told["raw"].tool_calls == REJECTED[said].tool_calls
    assert told["raw"].response_metadata["failover"]["target"] == "FakeModel#2"


async def test_include_raw_in_a_stream() -> None:
    llm = ChatFailover(targets=[FakeModel(calling("Sum", a="x"))], settings=QUICK)
    chain = llm.with_structured_output(Sum, include_raw=True)

    parts = [part async for part in chain.astream("hi")]

    assert isinstance(next(part["parsing_error"] for part in parts if "parsing_error" in part), ValueError)
    assert any("raw" in part and part["raw"].tool_calls for part in parts)


def test_include_raw_takes_the_better_answer_where_there_is_one() -> None:
    llm = ChatFailover(targets=[FakeModel(REJECTED["prose"]), FakeModel(calling("Sum", a=1))], settings=QUICK)

    told = llm.with_structured_output(Sum, include_raw=True).invoke("hi")

    assert told["parsed"] == Sum(a=1) and told["parsing_error"] is None
