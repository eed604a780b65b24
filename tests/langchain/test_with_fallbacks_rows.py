"""What `with_fallbacks` gets wrong, case by case: A is the primary, B stands by."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.exceptions import ContextOverflowError, ModelError
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.output_parsers.openai_tools import PydanticToolsParser
from langchain_core.outputs import ChatGenerationChunk
from pydantic import BaseModel

from failover_core import AllTargetsFailed, RequestRejected, Settings
from langchain_failover import ChatFailover, wrap
from lc_targets import FakeModel, calling, down

QUICK = Settings(same_target_retries=0)


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str


GOOD = {"setup": "Why?", "punchline": "Because."}
B_TEXT = "answer from B"


def chat(*targets: Any, **options: Any) -> ChatFailover:
    return ChatFailover(targets=list(targets), **{"settings": QUICK, **options})


def test_it_is_a_chat_model_with_a_profile() -> None:
    profile = {"max_input_tokens": 1000, "tool_calling": True, "structured_output": False}
    llm = chat(FakeModel(profile=profile), FakeModel(profile={**profile, "max_input_tokens": 500}))

    assert isinstance(llm, BaseChatModel)
    assert llm.profile == {"max_input_tokens": 500, "tool_calling": True, "structured_output": False}
    SummarizationMiddleware(model=llm, trigger=("fraction", 0.8))  # needs a profile


@pytest.mark.parametrize("first_piece", ["answer ", AIMessageChunk(content="")], ids=["text", "content-free"])
async def test_an_error_inside_a_stream_is_invisible(first_piece: Any) -> None:
    a = FakeModel([first_piece, down("cut off")])

    assert "".join(chunk.text for chunk in chat(a, FakeModel(B_TEXT)).stream("hi")) == B_TEXT
    assert "".join([chunk.text async for chunk in chat(a, FakeModel(B_TEXT)).astream("hi")]) == B_TEXT


class Slow(FakeModel):
    """Says nothing for as long as the test may take."""

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        time.sleep(0.5)
        return super()._generate(*args, **kwargs)

    async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(30)
        return await super()._agenerate(*args, **kwargs)

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        time.sleep(0.5)
        yield from super()._stream(*args, **kwargs)

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        await asyncio.sleep(30)
        yield ChatGenerationChunk(message=AIMessageChunk(content="late"))


async def test_a_hanging_model_is_raced() -> None:
    settings = Settings(answer_s=0.05, first_token_s=0.05)

    for style in ("invoke", "ainvoke", "stream", "astream"):
        llm = chat(Slow("late"), FakeModel(B_TEXT), settings=settings)
        began = time.monotonic()
        assert await ask(llm, style) == B_TEXT
        assert time.monotonic() - began < 0.45, style


@pytest.mark.parametrize("style", ["invoke", "ainvoke", "stream", "astream"])
async def test_an_empty_answer_is_no_answer(style: str) -> None:
    assert await ask(chat(FakeModel(""), FakeModel(B_TEXT)), style) == B_TEXT


def test_a_dead_model_is_remembered() -> None:
    a, b = FakeModel(down()), FakeModel(B_TEXT)
    llm = chat(a, b)

    for _ in range(10):
        assert llm.invoke("hi").content == B_TEXT

    assert len(a.calls) < 5
    assert len(b.calls) == 10


@pytest.mark.parametrize("style", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("bad", [{"setup": "Why?"}, {"setup": "Why?", "punchline": ["no", "text"]}])
async def test_bad_arguments_for_a_bound_tool_go_to_the_next(style: str, bad: dict[str, Any]) -> None:
    a, b = FakeModel(calling("Joke", **bad)), FakeModel(calling("Joke", **GOOD))
    chain = chat(a, b).bind_tools([Joke]) | PydanticToolsParser(tools=[Joke], first_tool_only=True)

    assert await ask(chain, style) == Joke(**GOOD)
    assert len(a.calls) == 1


@pytest.mark.parametrize("include_raw", [False, True])
@pytest.mark.parametrize("schema", [Joke, Joke.model_json_schema()], ids=["pydantic", "dict"])
def test_structured_output_that_does_not_fit_goes_to_the_next(schema: Any, include_raw: bool) -> None:
    llm = chat(FakeModel(calling("Joke", setup="Why?")), FakeModel(calling("Joke", **GOOD)))

    answer = llm.with_structured_output(schema, include_raw=include_raw).invoke("tell me")

    if include_raw:
        assert answer["parsing_error"] is None
        assert answer["raw"].response_metadata["failover"]["switched"]
        answer = answer["parsed"]
    assert answer == (Joke(**GOOD) if schema is Joke else GOOD)


class Unannotated(FakeModel):
    """Inherits `with_structured_output`; its `bind_tools` has no return annotation."""

    def bind_tools(self, tools, **kwargs):  # type: ignore[no-untyped-def]
        return super().bind_tools(tools, **kwargs)


def test_inherited_structured_output_and_unannotated_bind_tools() -> None:
    llm = chat(Unannotated(down()), Unannotated(calling("Joke", **GOOD)))

    assert llm.with_structured_output(Joke).invoke("tell me") == Joke(**GOOD)
    assert llm.bind_tools([Joke]).invoke("tell me").tool_calls[0]["args"] == GOOD


def test_models_with_retry_can_be_targets_and_bind_tools() -> None:
    a = FakeModel(down())
    llm = chat(a.with_retry(stop_after_attempt=9), FakeModel(calling("Joke", **GOOD)).with_retry())

    assert llm.bind_tools([Joke]).invoke("tell me").tool_calls[0]["args"] == GOOD
    assert len(a.calls) == 1, "the retries of the wrapper were used"


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
async def test_v3_stream_events() -> None:
    llm = chat(FakeModel(["answer ", down()]), FakeModel(B_TEXT))

    stream = llm.stream_events("hi", version="v3")
    assert "".join(stream.text) == B_TEXT
    assert stream.output.response_metadata["failover"]["switched"]

    astream = await llm.astream_events("hi", version="v3")
    assert (await astream).text == B_TEXT


def test_a_bug_of_the_caller_is_raised_at_once() -> None:
    b = FakeModel(B_TEXT)

    with pytest.raises(RequestRejected) as caught:
        chat(FakeModel(TypeError("unexpected keyword")), b).invoke("hi")

    assert isinstance(caught.value.__cause__, TypeError)
    assert not b.calls


def test_all_errors_are_told() -> None:
    last = ConnectionError("B is down")

    with pytest.raises(AllTargetsFailed) as caught:
        chat(FakeModel(down("A is down")), FakeModel(last)).invoke("hi")

    assert [str(attempt.failure.exception) for attempt in caught.value.attempts] == ["A is down", "B is down"]
    assert "A is down" in str(caught.value) and "B is down" in str(caught.value)
    assert caught.value.__cause__ is last
    assert isinstance(caught.value, ModelError) and caught.value.is_retryable


async def test_an_agents_user_never_sees_the_tokens_of_a_model_that_failed() -> None:
    agent = create_agent(chat(FakeModel(["answer ", down()]), FakeModel(B_TEXT)), tools=[get_weather])

    tokens = [message.text async for message, _ in agent.astream(QUESTION, stream_mode="messages")]

    assert "".join(tokens) == B_TEXT
    assert agent.invoke(QUESTION)["messages"][-1].text == B_TEXT


def test_a_context_overflow_is_not_sent_to_targets_that_are_no_larger() -> None:
    error = _Overflow("maximum context length is 10 tokens")
    small, larger = FakeModel(B_TEXT), FakeModel("from a larger one")

    llm = chat(
        wrap(FakeModel(error), name="a", context_window_tokens=100),
        wrap(small, name="b", context_window_tokens=100),
        wrap(larger, name="c", context_window_tokens=1000),
    )
    assert llm.invoke("hi").content == "from a larger one"
    assert not small.calls

    llm = chat(
        wrap(FakeModel(error), name="a", context_window_tokens=100), wrap(small, name="b", context_window_tokens=100)
    )
    with pytest.raises(ContextOverflowError) as caught:
        llm.invoke("hi")
    assert isinstance(caught.value, RequestRejected) and not small.calls


def test_each_target_gets_the_history_in_its_own_words() -> None:
    b = FakeModel(B_TEXT)
    thought = AIMessage([{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "yo"}])
    thought.response_metadata["model_provider"] = "anthropic"

    chat(FakeModel(down()), b).invoke([HumanMessage("hi"), thought, HumanMessage("and?")])

    assert b.calls[0][1] == [HumanMessage("hi"), AIMessage("yo"), HumanMessage("and?")]


QUESTION = {"messages": [{"role": "user", "content": "hi"}]}


def get_weather(city: str) -> str:
    """Weather of a city."""
    return f"18 C in {city}"


class _Overflow(ContextOverflowError):
    status_code = 400


async def ask(llm: Any, style: str) -> Any:
    """The whole answer, in one of the four styles: the text of messages, the last one of objects."""
    if style in ("invoke", "ainvoke"):
        whole = llm.invoke("hi") if style == "invoke" else await llm.ainvoke("hi")
        return whole.text if isinstance(whole, AIMessage) else whole
    pieces = list(llm.stream("hi")) if style == "stream" else [piece async for piece in llm.astream("hi")]
    return "".join(p.text for p in pieces) if isinstance(pieces[0], AIMessageChunk) else pieces[-1]
