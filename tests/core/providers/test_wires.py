"""What the requests look like on each wire, where the server cannot see the difference or the model's name decides."""

from __future__ import annotations

from typing import Any

import pytest

from failover_core.failure import ConfigError
from failover_core.providers import (
    CallTool,
    ChatMessage,
    ChatRequest,
    File,
    ResponseFormat,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    anthropic_wire,
    as_chat_request,
    google_wire,
    openai_wire,
)

CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = ToolSpec("weather", "", CITY, strict=True)


def openai(model: str = "gpt-4o", *, stream: bool = False, own: bool = True, **options: Any) -> dict[str, Any]:
    return openai_wire.payload(as_chat_request("hi", **options), model, stream=stream, own_service=own)


def anthropic(model: str = "claude-sonnet-4-6", **options: Any) -> dict[str, Any]:
    return anthropic_wire.payload(as_chat_request("hi", **options), model, stream=False)


def google(model: str = "gemini-3-flash", **options: Any) -> dict[str, Any]:
    return google_wire.payload(as_chat_request("hi", **options), model)["config"]


def test_a_bare_request_sends_nothing_but_itself() -> None:
    assert openai() == {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
    assert anthropic() == {
        "model": "claude-sonnet-4-6",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "max_tokens": 32_000,
    }
    assert google() == {"automatic_function_calling": {"disable": True}}


def test_openai_limits_output_by_the_newer_name_and_imitators_by_the_older() -> None:
    assert openai(max_output_tokens=9)["max_completion_tokens"] == 9
    assert openai("llama3", own=False, max_output_tokens=9)["max_tokens"] == 9


def test_openai_reasoning_models_get_an_effort_and_no_sampling() -> None:
    asked = {"temperature": 0.1, "top_p": 0.9, "presence_penalty": 1.0}
    assert openai("gpt-5-mini", thinking="low", **asked).keys() == {"model", "messages", "reasoning_effort"}
    assert openai("gpt-5.2", thinking="none", **asked)["temperature"] == 0.1
    assert openai("gpt-5", thinking=Thinking(budget_tokens=4_000))["reasoning_effort"] == "medium"
    assert openai("gpt-4o", thinking="low", **asked).keys() == {"model", "messages", *asked}
    assert openai("gpt-5-chat-latest", **asked)["temperature"] == 0.1
    assert (
        openai("qwen3", own=False, thinking="low", temperature=0.1).items()
        >= {
            "temperature": 0.1,
            "reasoning_effort": "low",
        }.items()
    )


def test_openai_streams_tell_their_usage_unless_that_is_taken_out() -> None:
    assert openai(stream=True)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in openai(stream=True, options={"openai": {"stream_options": None}})


def test_openai_tools() -> None:
    sent = openai(tools=[TOOL], tool_choice="weather", parallel_tool_calls=False)
    assert sent["tools"][0]["function"]["parameters"] == {**CITY, "additionalProperties": False, "required": ["city"]}
    assert sent["tools"][0]["function"]["strict"] is True
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert sent["parallel_tool_calls"] is False
    assert openai(parallel_tool_calls=False, tool_choice="auto").keys() == {
        "model",
        "messages",
    }  # refused without tools


def test_openai_takes_no_file_by_address() -> None:
    with pytest.raises(ConfigError, match="by content only"):
        openai_wire.payload(
            as_chat_request([File("https://example.com/a.pdf")]), "gpt-4o", stream=False, own_service=True
        )


def test_claude_thinks_by_budget_before_4_6_and_by_effort_since() -> None:
    assert anthropic("claude-haiku-4-5", thinking="low")["thinking"] == {"type": "enabled", "budget_tokens": 2_048}
    assert anthropic("claude-haiku-4-5", thinking=9_000, max_output_tokens=5_000)["thinking"]["budget_tokens"] == 4_999
    assert "thinking" not in anthropic("claude-haiku-4-5", thinking="low", max_output_tokens=500)
    newer = anthropic("claude-opus-5", thinking=Thinking("minimal", show=True))
    assert newer["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert newer["output_config"] == {"effort": "low"}
    assert anthropic("claude-opus-5", thinking="none")["thinking"] == {"type": "disabled"}
    assert "thinking" not in anthropic("claude-opus-5-5", thinking="none")


def test_claude_does_not_think_where_the_api_refuses_it() -> None:
    for model in ("claude-haiku-4-5", "claude-sonnet-4-6"):
        assert "thinking" not in anthropic(model, thinking="high", tools=[TOOL], tool_choice="required")
        foreign = [
            ChatMessage("user", "hi"),
            ChatMessage("assistant", [ToolCall("c1", "weather", provider="openai")]),
            ChatMessage("tool", [ToolResult("c1", "sun")]),
        ]
        request = as_chat_request(foreign, thinking="high", tools=[TOOL])
        assert "thinking" not in anthropic_wire.payload(request, model, stream=False)
        later = as_chat_request([*foreign, ("assistant", "sun"), ("user", "more")], thinking="high", tools=[TOOL])
        assert "thinking" in anthropic_wire.payload(later, model, stream=False)


def test_claude_sampling() -> None:
    both = anthropic("claude-sonnet-4-6", temperature=1.7, top_p=0.5, top_k=3)
    assert (both["temperature"], both["top_k"]) == (1.0, 3) and "top_p" not in both
    assert anthropic("claude-sonnet-4-6", top_p=0.5)["top_p"] == 0.5
    for model in ("claude-opus-4-7", "claude-opus-5", "claude-haiku-5-5", "claude-fable-9"):
        assert not anthropic(model, temperature=0.1, top_p=0.5, top_k=3).keys() & {"temperature", "top_p", "top_k"}
    assert "temperature" not in anthropic("claude-haiku-4-5", temperature=0.1, thinking="low")


def test_claude_answers_by_schema_or_by_a_tool_that_must_be_called() -> None:
    newer = anthropic("claude-opus-4-1", response_format=CITY)
    assert newer["output_config"] == {
        "format": {"type": "json_schema", "schema": {**CITY, "additionalProperties": False}}
    }
    older = anthropic("claude-sonnet-4-20250514", response_format=ResponseFormat(CITY, name="trip"))
    assert older["tools"] == [{"name": "trip", "description": "Give your answer.", "input_schema": CITY}]
    assert older["tool_choice"] == {"type": "tool", "name": "trip"}
    mixed = anthropic("claude-sonnet-4-20250514", response_format=ResponseFormat(CITY, name="trip"), tools=[TOOL])
    assert [tool["name"] for tool in mixed["tools"]] == ["weather", "trip"]
    assert mixed["tool_choice"] == {"type": "any"}
    assert "strict" not in mixed["tools"][0]
    assert anthropic(tools=[TOOL])["tools"][0]["strict"] is True


def test_claude_makes_one_call_at_a_time_when_told_so() -> None:
    sent = anthropic(tools=[TOOL], parallel_tool_calls=False)
    assert sent["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    forced = anthropic(tools=[TOOL], parallel_tool_calls=False, tool_choice=CallTool("weather"))
    assert forced["tool_choice"] == {"type": "tool", "name": "weather", "disable_parallel_tool_use": True}


def test_gemini_thinks_by_level_since_3_by_budget_in_2_5_and_not_before() -> None:
    assert google(thinking=Thinking("xhigh", show=True))["thinking_config"] == {
        "include_thoughts": True,
        "thinking_level": "high",
    }
    assert google("gemini-3.1-pro-preview", thinking="none")["thinking_config"] == {"thinking_level": "low"}
    assert google("gemini-2.5-flash", thinking="none")["thinking_config"] == {"thinking_budget": 0}
    assert google("gemini-2.5-pro", thinking=99_999)["thinking_config"] == {"thinking_budget": 32_768}
    assert "thinking_config" not in google("gemini-2.0-flash", thinking="high")


def test_gemini_tools_and_schemas_go_as_json_schema() -> None:
    sent = google(tools=[TOOL], tool_choice="weather", response_format=CITY)
    declared = sent["tools"][0]["function_declarations"][0]
    assert declared == {"name": "weather", "description": "", "parameters_json_schema": CITY}
    assert sent["tool_config"]["function_calling_config"] == {"mode": "ANY", "allowed_function_names": ["weather"]}
    assert (sent["response_mime_type"], sent["response_json_schema"]) == ("application/json", CITY)
    modes = [
        google(tools=[TOOL], tool_choice=c)["tool_config"]["function_calling_config"]["mode"]
        for c in ("auto", "none", "required")
    ]
    assert modes == ["AUTO", "NONE", "ANY"]


def test_gemini_takes_media_by_address() -> None:
    request = as_chat_request([File("https://example.com/a.pdf"), File("gs://bucket/talk.mp3")])
    parts = google_wire.payload(request, "gemini-3-flash")["contents"][0]["parts"]
    assert parts == [
        {"file_data": {"file_uri": "https://example.com/a.pdf", "mime_type": "application/pdf"}},
        {"file_data": {"file_uri": "gs://bucket/talk.mp3", "mime_type": "audio/mpeg"}},
    ]


def test_a_request_is_not_changed_by_being_translated() -> None:
    request = ChatRequest([ChatMessage("user", "hi")], tools=[TOOL], response_format=ResponseFormat(CITY))
    before = repr(request)
    openai_wire.payload(request, "gpt-4o", stream=True, own_service=True)
    anthropic_wire.payload(request, "claude-sonnet-4-6", stream=True)
    google_wire.payload(request, "gemini-3-flash")
    assert repr(request) == before
    assert "additionalProperties" not in CITY
