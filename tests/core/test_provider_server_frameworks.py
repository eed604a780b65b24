"""The frameworks' own classes understand the provider server: text, streams, tool loops, structured output, faults."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI
from llama_index.core.llms import ChatMessage, MessageRole
from llama_index.core.tools import FunctionTool
from llama_index.llms.anthropic import Anthropic
from llama_index.llms.google_genai import GoogleGenAI
from llama_index.llms.openai import OpenAI
from pydantic import BaseModel, Field

from failover_core.testing import ProviderServer, faults
from failover_core.testing.answers import default_script
from failover_core.testing.behaviour import Behaviour

TEXT = "One two three four five six seven eight nine ten."
WIRES = ["openai", "anthropic", "gemini"]

# google-genai subclasses aiohttp's session, which aiohttp discourages; LlamaIndex uses Anthropic's older parameter.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'output_format' parameter is deprecated:DeprecationWarning"),
]

LANGCHAIN: dict[str, Callable[[ProviderServer], Any]] = {
    "openai": lambda s: ChatOpenAI(
        model="gpt-4o-mini", base_url=s.openai_url, api_key="k", max_retries=0, timeout=5, stream_usage=True
    ),
    "anthropic": lambda s: ChatAnthropic(
        model="claude-haiku-4-5", base_url=s.anthropic_url, api_key="k", max_retries=0, timeout=5
    ),
    "gemini": lambda s: ChatGoogleGenerativeAI(
        model="gemini-2.5-flash", base_url=s.gemini_url, api_key="k", max_retries=1, timeout=5
    ),
}
LLAMAINDEX: dict[str, Callable[[ProviderServer], Any]] = {
    "openai": lambda s: OpenAI(model="gpt-4o-mini", api_base=s.openai_url, api_key="k", max_retries=0, timeout=5),
    "anthropic": lambda s: Anthropic(
        model="claude-haiku-4-5", base_url=s.anthropic_url, api_key="k", max_retries=0, timeout=5
    ),
    # Its constructor asks for the model's limits: GET /v1beta/models/MODEL.
    "gemini": lambda s: GoogleGenAI(
        model="gemini-2.5-flash", api_key="k", max_retries=0, http_options={"base_url": s.gemini_url}
    ),
}


class Population(BaseModel):
    """How many people live in a city."""

    city: str = Field(description="The city")
    people: int = Field(description="How many live there")


@pytest.fixture(scope="module")
def running() -> Iterator[ProviderServer]:
    with ProviderServer(keep_alive=False) as server:
        yield server


@pytest.fixture
def server(running: ProviderServer) -> ProviderServer:
    running.heal()
    running.clear()
    running.behaviour = Behaviour(answer=TEXT)
    return running


@pytest.fixture(params=WIRES)
def chat_model(request: pytest.FixtureRequest, server: ProviderServer) -> Any:
    return LANGCHAIN[request.param](server)


@pytest.fixture(params=WIRES)
def llm(request: pytest.FixtureRequest, server: ProviderServer) -> Any:
    return LLAMAINDEX[request.param](server)


# --- LangChain ---------------------------------------------------------------------------------------------------


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_langchain_invoke_and_stream(server: ProviderServer, chat_model: Any) -> None:
    answer = chat_model.invoke("Count.")
    assert answer.text == TEXT
    assert answer.usage_metadata["output_tokens"] == 13
    chunks = list(chat_model.stream("Count."))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert whole.text == TEXT
    assert whole.usage_metadata["output_tokens"] == 13
    assert sum(bool(chunk.text) for chunk in chunks) == 4
    metadata = whole.response_metadata
    assert (metadata.get("finish_reason") or metadata.get("stop_reason")) in ("stop", "end_turn", "STOP")
    assert metadata["model_name"] == server.log[0].model


def test_langchain_async(chat_model: Any) -> None:
    async def both() -> tuple[str, str]:
        answer = await chat_model.ainvoke("Count.")
        return answer.text, "".join([chunk.text async for chunk in chat_model.astream("Count.")])

    assert asyncio.run(both()) == (TEXT, TEXT)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_langchain_tool_loop(server: ProviderServer, chat_model: Any, stream: bool) -> None:
    server.behaviour.answer = default_script
    model = chat_model.bind_tools([add])

    def ask(messages: list[Any]) -> Any:
        if not stream:
            return model.invoke(messages)
        chunks = list(model.stream(messages))
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole += chunk
        return whole

    question = HumanMessage("What is 17 plus 25?")
    called = ask([question])
    (call,) = called.tool_calls
    assert (call["name"], call["args"]) == ("add", {"a": 17, "b": 25})
    result: ToolMessage = add.invoke(call)
    final = ask([question, called, result])
    assert final.tool_calls == []
    assert "42" in final.text


def test_langchain_structured_output(server: ProviderServer, chat_model: Any) -> None:
    server.behaviour.answer = default_script
    structured = chat_model.with_structured_output(Population)
    assert structured.invoke('There are 545000 people in "Lisbon".') == Population(city="Lisbon", people=545000)


def test_langchain_sees_the_faults(server: ProviderServer, chat_model: Any) -> None:
    server.script([faults.Status(429), faults.Cut(2)])
    with pytest.raises(Exception, match=r"429|[Rr]ate|RESOURCE_EXHAUSTED"):
        chat_model.invoke("Count.")
    seen = []
    with pytest.raises(Exception, match="incomplete chunked read"):
        seen.extend(chunk.text for chunk in chat_model.stream("Count."))
    assert server.calls == 2


# --- LlamaIndex --------------------------------------------------------------------------------------------------

COUNT = [ChatMessage(role=MessageRole.USER, content="Count.")]


def test_llamaindex_chat_complete_and_stream(llm: Any) -> None:
    assert llm.chat(COUNT).message.content == TEXT
    assert llm.complete("Count.").text == TEXT
    deltas = [chunk.delta or "" for chunk in llm.stream_chat(COUNT)]
    assert "".join(deltas) == TEXT
    assert len([delta for delta in deltas if delta]) == 4


def test_llamaindex_async(llm: Any) -> None:
    async def both() -> tuple[str, str]:
        answer = await llm.achat(COUNT)
        stream = await llm.astream_chat(COUNT)
        return answer.message.content, "".join([chunk.delta or "" async for chunk in stream])

    assert asyncio.run(both()) == (TEXT, TEXT)


def sum_of(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_llamaindex_tool_calls(server: ProviderServer, llm: Any, stream: bool) -> None:
    server.behaviour.answer = default_script
    tools = [FunctionTool.from_defaults(sum_of)]
    if stream:
        *_, response = llm.stream_chat_with_tools(tools, "What is 17 plus 25?")
    else:
        response = llm.chat_with_tools(tools, "What is 17 plus 25?")
    (call,) = llm.get_tool_calls_from_response(response)
    assert (call.tool_name, call.tool_kwargs) == ("sum_of", {"a": 17, "b": 25})


def test_llamaindex_tool_loop(server: ProviderServer, llm: Any) -> None:
    server.behaviour.answer = default_script
    assert "42" in str(llm.predict_and_call([FunctionTool.from_defaults(sum_of)], "What is 17 plus 25?"))


def test_llamaindex_structured_output(server: ProviderServer, llm: Any) -> None:
    server.behaviour.answer = default_script
    question = ChatMessage(role=MessageRole.USER, content='There are 545000 people in "Lisbon".')
    answer = llm.as_structured_llm(Population).chat([question])
    assert answer.raw == Population(city="Lisbon", people=545000)
