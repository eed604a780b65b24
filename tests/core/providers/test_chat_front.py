"""`Failover.chat` and its kin: the whole way with no framework."""

from __future__ import annotations

import json
from typing import Any

import pytest

from failover_core import Failover, NoTargetAvailable
from failover_core.providers import ToolSpec, accumulate
from failover_core.testing import ProviderServer, faults
from native_targets import PROVIDERS, native

CITY = {"type": "object", "properties": {"city": {"type": "string"}}}


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_the_four_styles(server: ProviderServer, provider: str) -> None:
    failover = Failover([native(provider, server)])
    options = {"system": "Be brief.", "temperature": 0.5}
    said = {
        failover.chat("Hello?", **options).text,
        (await failover.achat("Hello?", **options)).text,
        accumulate(failover.stream_chat("Hello?", **options)).text,
        accumulate([chunk async for chunk in failover.astream_chat("Hello?", **options)]).text,
    }
    assert len(said) == 1 and said.pop().startswith("You asked: Hello?")
    assert {"Be brief." in str(call.body) for call in server.log} == {True}


def test_another_provider_answers_when_one_is_down() -> None:
    with ProviderServer() as down, ProviderServer() as up:
        down.always(faults.Status(503))
        failover = Failover([native("openai", down), native("anthropic", up)])
        assert failover.chat("weather?", tools=[ToolSpec("weather", "", CITY)]).tool_calls[0].name == "weather"
        assert failover.chat("hi", response_format=CITY).provider == "anthropic"


@pytest.mark.parametrize("style", ["chat", "achat", "stream_chat", "astream_chat"])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_prose_where_json_was_asked_for_is_no_answer(server: ProviderServer, provider: str, style: str) -> None:
    with ProviderServer(lambda ask: "I would say that it is Paris.") as chatty:
        other = "google" if provider == "openai" else "openai"
        failover = Failover([native(provider, chatty), native(other, server)])
        asked: Any = getattr(failover, style)("Where?", response_format=CITY)
        if style == "astream_chat":
            answer = accumulate([chunk async for chunk in asked])
        else:
            answer = await asked if style == "achat" else asked if style == "chat" else accumulate(asked)
        assert answer.provider == other
        assert set(json.loads(answer.text)) == {"city"}
        assert len(chatty.log) == 1
        assert failover.health()[failover.targets[0].name].failed == 1


def test_a_target_that_cannot_do_it_is_not_asked(server: ProviderServer) -> None:
    failover = Failover([native("anthropic", server, "claude-opus-5-5"), native("google", server, "gemini-2.5-pro")])
    forced = failover.chat("hi", tools=[ToolSpec("weather", "", CITY)], tool_choice="weather")
    assert forced.provider == "google"  # this Claude model takes no forced tools
    both = failover.chat("hi", tools=[ToolSpec("weather", "", CITY)], response_format=CITY)
    assert both.provider == "anthropic"  # this Gemini model takes tools or a schema
    with pytest.raises(NoTargetAvailable, match="forced_tool"):
        failover.chat("hi", tools=[ToolSpec("w", "", CITY)], tool_choice="w", response_format=CITY)
