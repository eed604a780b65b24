"""A tool loop begun on one provider and ended on another: every pair, in every style."""

from __future__ import annotations

import json

import pytest

from failover_core.providers import ChatMessage, Thinking, ToolCall, ToolResult, ToolSpec, as_chat_request
from failover_core.testing import Answer, Ask, ProviderServer
from failover_core.testing import ToolCall as Said
from native_targets import PROVIDERS, STYLES, answer, native

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [ToolSpec("weather", "The weather in a city.", CITY), ToolSpec("local_time", "The time in a city.", CITY)]


def two_calls_then_an_answer(ask: Ask) -> Answer:
    if ask.tool_results:
        return Answer(" and ".join(ask.tool_results))
    calls = (Said("weather", {"city": "Oslo"}), Said("local_time", {"city": "Oslo"}))
    return Answer("One moment.", calls, thinking="Two tools will do." if ask.thinking else "")


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("ends", PROVIDERS)
@pytest.mark.parametrize("begins", PROVIDERS)
async def test_a_loop_begun_on_one_provider_ends_on_another(begins: str, ends: str, style: str) -> None:
    with ProviderServer(two_calls_then_an_answer) as server:
        first, last = native(begins, server), native(ends, server)
        thinking = Thinking("low", show=True)
        history = [ChatMessage("system", "Be brief."), ChatMessage("user", "How is Oslo?")]
        for round_trip in range(2):  # the second loop starts with the first one in its history
            begun = await answer(first, as_chat_request(history, tools=TOOLS, thinking=thinking), style)
            assert [call.name for call in begun.tool_calls] == ["weather", "local_time"], round_trip
            results = [ToolResult(begun.tool_calls[1].id, "noon"), ToolResult(begun.tool_calls[0].id, "rain")]
            history += [begun.message, *(ChatMessage("tool", [result]) for result in results)]
            ended = await answer(last, as_chat_request(history, tools=TOOLS, thinking=thinking), style)
            assert ended.text == "rain and noon"
            history += [ended.message, ChatMessage("user", "And tomorrow?")]
        assert {call.status for call in server.log} == {200}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("begins", ["openai", "anthropic"])
async def test_gemini_is_told_to_skip_the_signatures_of_foreign_calls(begins: str, style: str) -> None:
    with ProviderServer(two_calls_then_an_answer) as server:
        begun = await answer(native(begins, server), as_chat_request("How is Oslo?", tools=TOOLS), style)
        results = [ToolResult(call.id, "fine") for call in begun.tool_calls]
        history = [ChatMessage("user", "How is Oslo?"), begun.message, ChatMessage("tool", results)]
        await answer(native("google", server), as_chat_request(history, tools=TOOLS), style)
        model = server.log[-1].body["contents"][1]
    # The documented word must arrive as it is, and on the first of parallel calls only.
    signatures = [part.get("thoughtSignature") for part in model["parts"] if "functionCall" in part]
    assert signatures == ["skip_thought_signature_validator", None]


async def test_a_loop_without_its_tools_on_offer_is_still_legal_for_claude() -> None:
    with ProviderServer(two_calls_then_an_answer) as server:
        begun = await answer(native("openai", server), as_chat_request("How is Oslo?", tools=TOOLS), "call")
        results = [ToolResult(call.id, "fine") for call in begun.tool_calls]
        history = [ChatMessage("user", "How is Oslo?"), begun.message, ChatMessage("tool", results)]
        ended = await answer(native("anthropic", server), as_chat_request(history), "call")
        assert ended.finish_reason == "stop"
        sent = server.log[-1].body
    assert [tool["name"] for tool in sent["tools"]] == ["weather", "local_time"]
    assert sent["tool_choice"] == {"type": "none"}


async def test_arguments_that_did_not_parse_go_on_as_an_object() -> None:
    broken = ToolCall("call_1", "weather", raw_arguments='{"city": ')
    history = [
        ChatMessage("user", "How is Oslo?"),
        ChatMessage("assistant", [broken]),
        ChatMessage("tool", [ToolResult("call_1", "bad arguments", is_error=True)]),
    ]
    with ProviderServer(two_calls_then_an_answer) as server:
        for provider in PROVIDERS:
            ended = await answer(native(provider, server), as_chat_request(history, tools=TOOLS), "call")
            assert "bad arguments" in ended.text
            assert "unparsable_arguments" in json.dumps(server.log[-1].body)
