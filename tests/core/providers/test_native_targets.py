"""Every feature of native targets through the real SDKs, against a server that checks requests like the real APIs."""

from __future__ import annotations

import json

from failover_core.providers import (
    CallTool,
    ChatMessage,
    File,
    Image,
    Reasoning,
    ResponseFormat,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
    accumulate,
    as_chat_request,
)
from failover_core.testing import Answer, ProviderServer
from failover_core.testing import ToolCall as Said
from native_targets import MODELS, answer, chunks, everywhere, native, on, streamed

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = ToolSpec("weather", "The weather in a city.", CITY)
TIME = ToolSpec("local_time", "The time in a city.", CITY, strict=True)
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16


def body(server: ProviderServer) -> dict:
    return server.log[-1].body


@everywhere
async def test_text(server: ProviderServer, provider: str, style: str) -> None:
    response = await answer(native(provider, server), "What is failover?", style)
    assert response.text.startswith("You asked: What is failover?")
    assert response.finish_reason == "stop"
    assert response.usage == Usage(input_tokens=5, output_tokens=response.usage.output_tokens)
    assert response.usage.output_tokens > 50
    assert response.model == MODELS[provider]
    assert response.provider == provider
    assert response.id


@streamed
async def test_a_stream_comes_in_pieces_that_tell_the_end_once(
    server: ProviderServer, provider: str, style: str
) -> None:
    got = await chunks(native(provider, server), "What is failover?", style)
    assert len([chunk for chunk in got if chunk.text]) > 10
    assert len([chunk for chunk in got if chunk.finish_reason is not None]) == 1
    assert accumulate(got).text == (await answer(native(provider, server), "What is failover?", "call")).text


@everywhere
async def test_parallel_tool_calls(provider: str, style: str) -> None:
    said = [Said("weather", {"city": "Zürich"}), Said("local_time", {"city": "Lagos"}), Said("weather", {})]
    with ProviderServer(lambda ask: Answer("Let me look.", tuple(said))) as server:
        response = await answer(native(provider, server), as_chat_request("hi", tools=[WEATHER, TIME]), style)
    assert response.text == "Let me look."
    calls = [(call.name, dict(call.arguments)) for call in response.tool_calls]
    assert calls == [("weather", {"city": "Zürich"}), ("local_time", {"city": "Lagos"}), ("weather", {})]
    assert len({call.id for call in response.tool_calls}) == 3
    assert {call.provider for call in response.tool_calls} == {provider}
    assert response.finish_reason == "tool_calls"
    assert response.flaw is None


@everywhere
async def test_a_forced_tool_is_called(server: ProviderServer, provider: str, style: str) -> None:
    for choice, wanted in ((CallTool("local_time"), "local_time"), ("required", "weather")):
        request = as_chat_request("hi", tools=[WEATHER, TIME], tool_choice=choice)
        response = await answer(native(provider, server), request, style)
        assert [call.name for call in response.tool_calls] == [wanted]
        assert response.finish_reason == "tool_calls"


@everywhere
async def test_a_forbidden_tool_is_not_called(server: ProviderServer, provider: str, style: str) -> None:
    request = as_chat_request("hi", tools=[WEATHER], tool_choice="none", parallel_tool_calls=False)
    response = await answer(native(provider, server), request, style)
    assert response.tool_calls == ()
    assert response.finish_reason == "stop"


@everywhere
async def test_strict_json_output(server: ProviderServer, provider: str, style: str) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "places": {"type": "array", "items": CITY}},
        "required": ["name", "places"],
    }
    request = as_chat_request("hi", response_format=ResponseFormat(schema, name="trip"))
    response = await answer(native(provider, server), request, style)
    parsed = json.loads(response.text)
    assert set(parsed) == {"name", "places"}
    assert response.finish_reason == "stop"


@everywhere
async def test_strict_json_output_together_with_tools(server: ProviderServer, provider: str, style: str) -> None:
    request = as_chat_request("hi", tools=[WEATHER], response_format=CITY)
    first = await answer(native(provider, server), request, style)
    assert [call.name for call in first.tool_calls] == ["weather"]
    result = ChatMessage("tool", [ToolResult(first.tool_calls[0].id, "sunny")])
    request = as_chat_request([ChatMessage("user", "hi"), first.message, result], tools=[WEATHER], response_format=CITY)
    second = await answer(native(provider, server), request, style)
    assert set(json.loads(second.text)) == {"city"}


@everywhere
async def test_json_mode(server: ProviderServer, provider: str, style: str) -> None:
    response = await answer(native(provider, server), as_chat_request("hi", response_format="json"), style)
    if provider == "anthropic":  # has no such mode and is asked in words
        assert "JSON" in json.dumps(body(server)["system"])
    else:
        assert isinstance(json.loads(response.text), dict)


@everywhere
async def test_stop_sequences(server: ProviderServer, provider: str, style: str) -> None:
    response = await answer(native(provider, server), as_chat_request("hi", stop=[" short", "never"]), style)
    assert response.text == "You asked: hi\nHere is a"
    assert response.finish_reason == "stop"


@everywhere
async def test_output_limit(server: ProviderServer, provider: str, style: str) -> None:
    response = await answer(native(provider, server), as_chat_request("hi", max_output_tokens=5), style)
    assert response.text == "You asked: hi\nHere i"
    assert response.finish_reason == "length"


@everywhere
async def test_system_prompts(provider: str, style: str) -> None:
    with ProviderServer(lambda ask: f"{ask.system} / {ask.messages[-1].text if ask.messages else ''}") as server:
        messages = [
            ("system", "Be brief."),
            ("system", "Be kind."),
            ("user", "hi"),
            ("assistant", "hello"),
            ("system", "Now in French."),
            ("user", "and now?"),
        ]
        response = await answer(native(provider, server), as_chat_request(messages), style)
        assert server.log[-1].status == 200
        assert "Be brief." in response.text and "Be kind." in response.text
        assert "Now in French." in response.text
        assert response.text.endswith("and now?")
        alone = await answer(native(provider, server), as_chat_request([("system", "Say hi.")]), style)
        assert "Say hi." in alone.text


@everywhere
async def test_images_and_files(server: ProviderServer, provider: str, style: str) -> None:
    parts = [
        "What is this?",
        Image("https://example.com/cat.png?size=2"),
        Image(data=PNG),
        Image("data:image/gif;base64,R0lG"),
    ]
    parts += [File(data=b"%PDF-1.7", name="a.pdf"), File(data="Grüße".encode(), mime="text/plain", name="b.txt")]
    response = await answer(native(provider, server), as_chat_request(parts), style)
    assert response.finish_reason == "stop"
    sent = json.dumps(body(server), ensure_ascii=False)
    assert "https://example.com/cat.png?size=2" in sent  # by address: the provider fetches it, not we
    assert "iVBORw0KGgo" in sent and "image/png" in sent
    assert "R0lG" in sent and "image/gif" in sent
    assert "JVBERi0xLjc=" in sent and "application/pdf" in sent
    assert "Grüße" in sent or "R3LDvMOfZQ==" in sent


@everywhere
async def test_a_picture_as_a_tool_result(server: ProviderServer, provider: str, style: str) -> None:
    call = ToolCall("call_1", "screenshot", {})
    result = ToolResult("call_1", [Text("taken"), Image(data=PNG)])
    request = as_chat_request([("user", "look"), ChatMessage("assistant", [call]), ChatMessage("tool", [result])])
    response = await answer(native(provider, server), request, style)
    assert response.finish_reason == "stop"
    assert "iVBORw0KGgo" in json.dumps(body(server))


@everywhere
async def test_sampling_parameters_and_own_options(server: ProviderServer, provider: str, style: str) -> None:
    request = as_chat_request(
        "hi",
        temperature=0.2,
        max_output_tokens=99,
        options={
            "openai": {"user": "u1", "metadata": {"k": "v"}},
            "anthropic": {"metadata": {"user_id": "u1"}, "top_k": 7},
            "google": {"candidate_count": 1},
        },
    )
    await answer(native(provider, server), request, style)
    sent = body(server)
    if provider == "openai":
        assert (sent["temperature"], sent["max_tokens"], sent["user"]) == (0.2, 99, "u1")
    elif provider == "anthropic":
        assert (sent["temperature"], sent["max_tokens"], sent["top_k"]) == (0.2, 99, 7)
        assert sent["metadata"] == {"user_id": "u1"}
    else:
        config = sent["generationConfig"]
        assert (config["temperature"], config["maxOutputTokens"], config["candidateCount"]) == (0.2, 99, 1)


@everywhere
async def test_defaults_of_the_target_fill_what_the_request_leaves_open(
    server: ProviderServer, provider: str, style: str
) -> None:
    target = native(provider, server, defaults={"temperature": 0.5, "max_output_tokens": 7, "stop": "x"})
    await answer(target, as_chat_request("hi", temperature=0.0), style)
    sent = body(server).get("generationConfig", body(server))
    assert sent["temperature"] == 0.0
    assert sent.get("max_tokens", sent.get("maxOutputTokens")) == 7
    assert sent.get("stop", sent.get("stop_sequences", sent.get("stopSequences"))) == ["x"]


@on("anthropic", "google")
async def test_thinking_and_its_signature_go_back_to_their_author(
    server: ProviderServer, provider: str, style: str
) -> None:
    target = native(provider, server, "claude-haiku-4-5" if provider == "anthropic" else None)
    thinking = Thinking("low", show=True)
    first = await answer(target, as_chat_request("hi", tools=[WEATHER], thinking=thinking), style)
    reasoning = first.message.parts[0]
    assert isinstance(reasoning, Reasoning) and "question is clear" in reasoning.text
    assert first.usage.reasoning_tokens > 0 or provider == "anthropic"
    history = [
        ChatMessage("user", "hi"),
        first.message,
        ChatMessage("tool", [ToolResult(first.tool_calls[0].id, "sun")]),
    ]
    second = await answer(target, as_chat_request(history, tools=[WEATHER], thinking=thinking), style)
    assert second.finish_reason == "stop"
    sent = json.dumps(body(server))
    if provider == "anthropic":
        assert reasoning.signature in sent
        assert body(server)["thinking"]["type"] == "enabled"
    else:
        assert first.tool_calls[0].signature in sent
        assert "skip_thought_signature_validator" not in sent


@everywhere
async def test_rate_limits_are_read_from_every_good_answer(server: ProviderServer, provider: str, style: str) -> None:
    response = await answer(native(provider, server), "hi", style)
    if provider == "google":
        assert response.rate_limit is None  # Google tells none
        return
    facts = response.rate_limit
    assert facts.limit_requests == 10_000 and 0 < facts.remaining_requests < 10_000
    assert facts.limit_tokens == 2_000_000 and 0 < facts.remaining_tokens < 2_000_000
    assert 0 <= facts.reset_requests_s <= 60
