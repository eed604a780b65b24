"""Native targets in LangChain's types: what goes there, and what comes back."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.tool import invalid_tool_call
from pydantic import BaseModel

from failover_core import AllTargetsFailed, FailureKind, Settings, Target
from failover_core.providers import (
    CallTool,
    ChatRequest,
    File,
    Image,
    Reasoning,
    ResponseFormat,
    Text,
    Thinking,
    ToolCall,
)
from failover_core.testing import Answer, ProviderServer, faults
from langchain_failover import ChatFailover
from langchain_failover.checks import check_for
from langchain_failover.native import NativeCallee
from langchain_failover.request import ModelRequest
from langchain_failover.structured import KEY, StructuredOutput
from langchain_failover.targets import made_targets
from lc_targets import NATIVE, make
from raw_server import events, raw_server

STYLES = ("invoke", "ainvoke", "stream", "astream")


class Joke(BaseModel):
    """A joke."""

    setup: str


def asked(kind: str, server: ProviderServer, messages: Any = None, stop: Any = None, **options: Any) -> ChatRequest:
    (target,) = made_targets([make(kind, server)])
    assert isinstance(target.source, NativeCallee)
    request = ModelRequest(messages or [HumanMessage("hi")], stop, options, {}, check_for(options))
    return target.source._asked(request)


def test_messages(first: ProviderServer) -> None:
    picture = {"type": "image", "base64": base64.b64encode(b"\x89PNG").decode(), "mime_type": "image/png"}
    url = {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}}
    pdf = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}}
    call = {"name": "f", "args": {"a": 1}, "id": "1"}

    request = asked(
        "openai:",
        first,
        [
            SystemMessage("Be brief."),
            HumanMessage([{"type": "text", "text": "Look:"}, picture, url, pdf]),
            AIMessage("I call.", tool_calls=[call], invalid_tool_calls=[invalid_tool_call(name="g", args="{", id="2")]),
            ToolMessage("no", tool_call_id="1", status="error", name="f"),
        ],
    )

    system, human, assistant, result = request.messages
    assert (system.role, system.text) == ("system", "Be brief.")
    assert human.parts == (
        Text("Look:"),
        Image(data=b"\x89PNG", mime="image/png"),
        Image(url="https://example.com/a.png", detail="low"),
        File(data=b"hi", mime="application/pdf", name="document"),
    )
    assert assistant.parts == (Text("I call."), ToolCall("1", "f", {"a": 1}), ToolCall("2", "g", raw_arguments="{"))
    (part,) = result.parts
    assert (result.role, part.id, part.text, part.is_error, part.name) == ("tool", "1", "no", True, "f")


def test_files_by_id_belong_to_an_account(first: ProviderServer) -> None:
    with pytest.raises(ValueError, match="pass its content"):
        asked("openai:", first, [HumanMessage([{"type": "file", "file_id": "file-1"}])])


def test_options(first: ProviderServer) -> None:
    request = asked(
        "google:",
        first,
        stop=["END"],
        temperature=0.1,
        max_tokens=7,
        top_k=3,
        seed=1,
        tools=[Joke],
        tool_choice="Joke",
        reasoning_effort="low",
        safety_settings={"A": "B"},
        logit_bias={},
        timeout=3,
    )

    assert (request.temperature, request.max_output_tokens, request.top_k, request.seed) == (0.1, 7, 3, 1)
    assert request.stop == ("END",)
    assert [tool.name for tool in request.tools] == ["Joke"]
    assert request.tool_choice == CallTool("Joke")
    assert request.thinking == Thinking(effort="low")
    assert request.options == {"google": {"safety_settings": {"A": "B"}, "http_options": {"timeout": 3000}}}


@pytest.mark.parametrize("kind", NATIVE)
async def test_the_timeout_of_a_call_holds(kind: str, first: ProviderServer) -> None:
    first.always(faults.Silence())
    llm = ChatFailover(targets=[make(kind, first)], timeout=0.2, settings=Settings(same_target_retries=0))

    for call in (llm.ainvoke("hi"), asyncio.to_thread(llm.invoke, "hi", timeout=0.1)):
        with pytest.raises(AllTargetsFailed) as caught:
            await asyncio.wait_for(call, 5.0)
        assert caught.value.failure is not None
        assert caught.value.failure.kind is FailureKind.TIMEOUT


@pytest.mark.parametrize(
    ("options", "thinking"),
    [
        ({}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, Thinking(budget_tokens=2048)),
        ({"thinking": {"type": "disabled"}}, Thinking(effort="none")),
        ({"effort": "high"}, Thinking(effort="high")),
    ],
)
def test_thinking(options: dict[str, Any], thinking: Thinking | None, first: ProviderServer) -> None:
    assert asked("anthropic:", first, **options).thinking == thinking


def test_forms_of_output(first: ProviderServer) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "A", "schema": schema, "strict": False}}

    assert asked("openai:", first).response_format is None
    assert asked("openai:", first, response_format=wanted).response_format == ResponseFormat(schema, "A", False)
    assert asked("openai:", first, response_format={"type": "json_object"}).response_format == "json"
    structured = StructuredOutput(Joke, "json_schema")
    by_schema = asked("openai:", first, **{KEY: structured}).response_format
    assert isinstance(by_schema, ResponseFormat) and by_schema.name == "Joke" and by_schema.strict
    assert asked("openai:", first, **{KEY: StructuredOutput(Joke, "json_mode")}).response_format == "json"
    assert asked("openai:", first, **{KEY: StructuredOutput(Joke)}).response_format is None


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", NATIVE)
async def test_what_comes_back(kind: str, style: str, first: ProviderServer) -> None:
    llm = ChatFailover(targets=[make(kind, first)])

    message = await whole(llm, style, "hi")

    assert message.text and isinstance(message.content, str)
    assert message.response_metadata["finish_reason"] in ("stop", "end_turn", "STOP")
    assert message.response_metadata["model_name"]
    assert message.usage_metadata is not None
    assert message.usage_metadata["total_tokens"] == (
        message.usage_metadata["input_tokens"] + message.usage_metadata["output_tokens"]
    )
    assert message.content_blocks == [{"type": "text", "text": message.text}]


@pytest.mark.parametrize("style", STYLES)
async def test_signed_thoughts_go_back_to_their_author(
    style: str, first: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first.behaviour, "answer", lambda ask: Answer("Yes.", thinking="I wonder."))
    llm = ChatFailover(targets=[make("anthropic:", first)])
    options = {"thinking": {"type": "enabled", "budget_tokens": 2048}, "include_thoughts": True}

    message = await whole(llm.bind(**options), style, "hi")
    thought, text = _sent_back(llm, message)

    assert message.text == "Yes."
    assert message.additional_kwargs["reasoning_content"] == "I wonder."
    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text"]
    assert isinstance(thought, Reasoning) and thought.text == "I wonder." and thought.signature
    assert text == Text("Yes.")


@pytest.mark.parametrize("style", STYLES)
async def test_signed_tool_calls_go_back_to_their_author(style: str, first: ProviderServer) -> None:
    llm = ChatFailover(targets=[make("google:", first, model="gemini-3-flash-preview")])

    message = await whole(llm.bind_tools([Joke], tool_choice="any"), style, "hi")
    (call,) = _sent_back(llm, message)

    assert isinstance(call, ToolCall) and call.signature and call.provider == "google"


def _sent_back(llm: ChatFailover, message: AIMessage) -> tuple[Any, ...]:
    (target,) = llm.failover.targets
    request = target.source._asked(ModelRequest([HumanMessage("hi"), message, HumanMessage("And?")]))
    return request.messages[1].parts


async def whole(llm: Any, style: str, question: Any) -> AIMessage:
    if style == "invoke":
        return llm.invoke(question)
    if style == "ainvoke":
        return await llm.ainvoke(question)
    chunks = list(llm.stream(question)) if style == "stream" else [chunk async for chunk in llm.astream(question)]
    return sum(chunks[1:], chunks[0])


def piece(text: str = "", finish: str | None = None, usage: dict[str, int] | None = None) -> str:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    told = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps({**told, 'usage': usage})}\n\n"


USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
ENDINGS = {
    "together": ([piece(finish="stop", usage=USAGE)], 3),
    "after": ([piece(finish="stop"), piece(usage=USAGE)], 3),
    "before": ([piece(usage=USAGE), piece(finish="stop")], 3),
    "twice": ([piece(finish="stop", usage=USAGE), piece(usage=USAGE)], 3),
    "never": ([piece(finish="stop")], None),
}


@pytest.mark.parametrize("when", ENDINGS)
async def test_finish_reason_and_usage_are_told_once(when: str) -> None:
    ending, tokens = ENDINGS[when]
    with raw_server() as server:
        server.answer(events(piece("Yes."), *ending, "data: [DONE]\n\n"))
        target = Target.native("openai:m", base_url=server.url, api_key="k")
        message = await whole(ChatFailover(targets=[target]), "astream", "hi")

        assert message.response_metadata["finish_reason"] == "stop"
        assert (message.usage_metadata or {}).get("total_tokens") == tokens
        await target.source.aclose()


def test_the_finish_reason_is_passed_on_when_it_comes() -> None:
    """Some servers tell no usage, say no [DONE] and do not close: held back, it looked like a stall."""
    with raw_server() as server:
        server.answer(events(piece("Yes."), piece(finish="stop"), complete=False), "hang")
        (target,) = made_targets([Target.native("openai:m", base_url=server.url, api_key="k", timeout_s=2)])
        assert target.stream is not None
        chunks: Any = target.stream(ModelRequest([HumanMessage("hi")]))

        assert [next(chunks).message.text, next(chunks).message.response_metadata["finish_reason"]] == ["Yes.", "stop"]
        chunks.close()
        target.source.target.source.close()
