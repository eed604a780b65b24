"""The same features, and whole failovers, against an outside server, which judges the client itself.

llmock tells the attempts of one call by their body; so two targets of one model stand for two ways to the same answer.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from failover_core import Failover, Settings, Target
from failover_core.failure import AllTargetsFailed, FailureKind
from failover_core.providers import (
    ChatMessage,
    ToolResult,
    ToolSpec,
    accumulate,
    as_chat_request,
    request_info,
)
from native_targets import ALIVE, PROVIDERS, answer, everywhere, on, streamed

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = ToolSpec("get_weather", "The weather in a city.", CITY)
SERVER_NAMES = {"openai": "openai", "anthropic": "anthropic", "google": "gemini"}
LLMOCK_MODELS = {"openai": "gpt-4o", "anthropic": "claude-haiku-4-5-20251001", "google": "gemini-2.5-pro"}


def target(provider: str, name: str = "first", **options: Any) -> Target:
    """It finds the server through the SDKs' usual environment variables, which the fixture sets."""
    if provider == "google":  # google-genai 3 says v1, which llmock does not speak
        options["client_options"] = {"http_options": {"api_version": "v1beta"}}
    made = Target.native(f"{provider}:{LLMOCK_MODELS[provider]}", name=name, **options)
    ALIVE.append(made)
    return made


@everywhere
async def test_text_and_usage(llmock: Any, provider: str, style: str) -> None:
    llmock.reply("Hello from outside.")
    response = await answer(target(provider), "hi", style)
    assert response.text == "Hello from outside."
    assert response.finish_reason == "stop"
    assert response.usage.output_tokens > 0
    llmock.assert_resilient(strict=True)


@everywhere
async def test_a_tool_loop(llmock: Any, provider: str, style: str) -> None:
    history = [ChatMessage("user", "What is the weather in Paris?")]
    first = await answer(target(provider), as_chat_request(history, tools=[WEATHER]), style)
    assert [(call.name, dict(call.arguments)) for call in first.tool_calls] == [("get_weather", {"city": "mock-city"})]
    history += [first.message, ChatMessage("tool", [ToolResult(first.tool_calls[0].id, "21C")])]
    second = await answer(target(provider), as_chat_request(history, tools=[WEATHER]), style)
    assert second.text and not second.tool_calls
    forbidden = await answer(target(provider), as_chat_request("hi", tools=[WEATHER], tool_choice="none"), style)
    assert not forbidden.tool_calls
    forced = await answer(target(provider), as_chat_request(history, tools=[WEATHER], tool_choice="get_weather"), style)
    assert [call.name for call in forced.tool_calls] == ["get_weather"]
    llmock.assert_resilient(strict=True)


@on("openai", "google")  # llmock does not know Anthropic's output_config
async def test_json_schema(llmock: Any, provider: str, style: str) -> None:
    response = await answer(target(provider), as_chat_request("hi", response_format=CITY), style)
    assert json.loads(response.text) == {"city": "mock-city"}


@on("anthropic")
async def test_json_schema_of_older_claude_models_comes_by_a_tool(llmock: Any, provider: str, style: str) -> None:
    made = Target.native("anthropic:somebody-s-model")  # an unknown maker's, which gets the older way too
    ALIVE.append(made)
    response = await answer(made, as_chat_request("hi", response_format=CITY), style)
    assert json.loads(response.text) == {"city": "mock-city"}
    assert response.tool_calls == () and response.finish_reason == "stop"


@on("openai", "anthropic")  # Google sends none
async def test_rate_limits(llmock: Any, provider: str, style: str) -> None:
    llmock.limits(rpm=60, tpm=90_000)
    facts = (await answer(target(provider), "hi", style)).rate_limit
    assert facts.limit_requests == 60 and facts.remaining_requests == 59
    assert facts.limit_tokens == 90_000


async def failed_over(failover: Failover, style: str, prompt: str = "hi") -> str:
    """The text of an answer through `Failover`, in any style."""
    request = as_chat_request(prompt)
    info = request_info(request)
    if style == "call":
        return (await asyncio.to_thread(failover.call, request, info)).text
    if style == "acall":
        return (await failover.acall(request, info)).text
    if style == "stream":
        return accumulate(await asyncio.to_thread(lambda: list(failover.stream(request, info)))).text
    return accumulate([chunk async for chunk in failover.astream(request, info)]).text


@everywhere
async def test_retry_after_is_waited_for(llmock: Any, provider: str, style: str) -> None:
    llmock.rate_limit(times=1, retry_after=0.15).reply("In the end.")
    failover = Failover([target(provider)])
    assert await failed_over(failover, style) == "In the end."
    assert [request.status for request in llmock.requests] == [429, 200]
    llmock.assert_resilient(strict=True)


@everywhere
async def test_an_outage_is_survived_by_the_next_target(llmock: Any, provider: str, style: str) -> None:
    other = PROVIDERS[PROVIDERS.index(provider) - 1]
    llmock.fail(503, times=None, retry_after=0.01, provider=SERVER_NAMES[provider])
    llmock.reply("From the second.", provider=SERVER_NAMES[other])
    failover = Failover([target(provider), target(other, "second")])
    assert await failed_over(failover, style) == "From the second."
    llmock.assert_resilient()


@everywhere
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_what_cannot_work_is_asked_once(llmock: Any, provider: str, style: str, status: int) -> None:
    llmock.fail(status, times=None)
    with pytest.raises(AllTargetsFailed):
        await failed_over(Failover([target(provider)]), style)
    assert len(llmock.requests) == 1
    llmock.assert_resilient()


@streamed
@pytest.mark.parametrize("fault", ["truncate", "disconnect", "corrupt"])
async def test_a_broken_stream_is_never_taken_for_an_answer(llmock: Any, provider: str, style: str, fault: str) -> None:
    text = "A long answer, told in many words, so that it can break somewhere in the middle of them all."
    getattr(llmock, fault)(after_chunks=4).reply(text, times=None)
    failover = Failover([target(provider), target(provider, "second")])
    assert await failed_over(failover, style) == text
    assert len(llmock.requests) == 2
    llmock.assert_resilient()


@streamed
async def test_a_truncated_stream_of_the_only_target_is_an_error(llmock: Any, provider: str, style: str) -> None:
    llmock.truncate(after_chunks=2, times=None)
    with pytest.raises(AllTargetsFailed) as caught:
        await failed_over(Failover([target(provider)], Settings(hold_back_tokens=10_000, hold_back_s=60)), style)
    assert caught.value.failure.kind is FailureKind.STREAM_BROKEN


@everywhere
async def test_context_overflow_is_recognised(llmock: Any, provider: str, style: str) -> None:
    llmock.context_overflow(times=None)
    with pytest.raises(AllTargetsFailed) as caught:
        await failed_over(Failover([target(provider)]), style)
    assert caught.value.failure.kind is FailureKind.CONTEXT_OVERFLOW
