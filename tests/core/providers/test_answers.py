"""Reading what providers, and servers that imitate them, send: the shapes that the provider server does not make."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from anthropic.types import Message
from google.genai.types import GenerateContentResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from failover_core.providers import (
    ChatResponse,
    Reasoning,
    Text,
    ToolCall,
    Usage,
    accumulate,
    anthropic_answers,
    google_answers,
    openai_answers,
)


def openai_stream(*deltas: dict[str, Any], finish: str | None = "tool_calls", **last: Any) -> ChatResponse:
    reader = openai_answers.StreamReader(None)
    events = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}], **last})
    head = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m", "usage": None}
    # The SDK builds what a server sends without checking it, and so does `construct`.
    return accumulate([reader.read(ChatCompletionChunk.construct(**{**head, **event})) for event in events])


def part(index: int | None, id: str | None = None, name: str | None = None, arguments: str = "") -> dict[str, Any]:
    return {"index": index, "id": id, "function": {"name": name, "arguments": arguments}}


def calls(response: ChatResponse) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, dict(call.arguments)) for call in response.tool_calls]


# --- OpenAI and its imitators ----------------------------------------------------------------------------------------


def test_calls_by_index() -> None:
    got = openai_stream(
        {"tool_calls": [part(0, "a", "f", '{"x"'), part(1, "b", "g", "{")]},
        {"tool_calls": [part(1, arguments="}"), part(0, arguments=":1}")]},
    )
    assert calls(got) == [("f", {"x": 1}), ("g", {})]
    assert [call.id for call in got.tool_calls] == ["a", "b"]


def test_servers_that_give_every_call_the_index_0() -> None:
    got = openai_stream(
        {"tool_calls": [part(0, "a", "f", '{"x":1}')]},
        {"tool_calls": [part(0, "b", "f", '{"x"')]},
        {"tool_calls": [part(0, "b", None, ":2}")]},
    )
    assert calls(got) == [("f", {"x": 1}), ("f", {"x": 2})]


def test_servers_that_give_no_index() -> None:
    got = openai_stream(
        {"tool_calls": [part(None, "a", "f", '{"x"')]},
        {"tool_calls": [part(None, None, None, ":1}")]},
        {"tool_calls": [part(None, "b", "g", "{}")]},
    )
    assert calls(got) == [("f", {"x": 1}), ("g", {})]


def test_servers_that_give_no_ids() -> None:
    got = openai_stream({"tool_calls": [part(0, None, "f", "{}"), part(1, "", "g", "{}")]})
    assert calls(got) == [("f", {}), ("g", {})]
    assert len({call.id for call in got.tool_calls}) == 2
    assert all(call.id.startswith("call_") for call in got.tool_calls)


def test_readable_reasoning_of_other_servers() -> None:
    for name in ("reasoning_content", "reasoning"):
        got = openai_stream({name: "Hm, "}, {name: "yes."}, {"content": "Yes."}, finish="stop")
        assert got.message.parts == (Reasoning("Hm, yes.", provider="openai"), Text("Yes."))
    message = {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    head = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
    whole = openai_answers.response(ChatCompletion.model_validate({**head, "choices": [choice]}), None)
    assert whole.message.parts == (Reasoning("Hm.", provider="openai"), Text("Yes."))
    assert whole.usage is None


def test_usage_with_its_parts() -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 7,
        "total_tokens": 17,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    got = openai_stream({"content": "x"}, finish="length", usage=usage)
    assert got.usage == Usage(10, 7, cached_input_tokens=4, reasoning_tokens=5)
    assert got.usage.as_dict()["total_tokens"] == 17
    assert got.finish_reason == "length"


@pytest.mark.parametrize("reason", ["error", "Error", "insufficient_system_resource", "abort"])
def test_providers_that_say_they_broke_off(reason: str) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "half"}, "finish_reason": reason}
    answer = ChatCompletion.construct(id="1", created=0, model="m", usage=None, choices=[choice])

    whole, streamed = openai_answers.response(answer, None), openai_stream({"content": "half"}, finish=reason)

    for got in (whole, streamed, anthropic_message({"type": "text", "text": "half"}, stop=reason)):
        assert (got.text, got.finish_reason, got.raw_finish_reason) == ("half", "error", reason)
        assert reason in str(got.flaw)


# --- Anthropic -------------------------------------------------------------------------------------------------------


def anthropic_message(*content: dict[str, Any], stop: str = "end_turn", **usage: int) -> ChatResponse:
    message = Message.construct(
        id="1",
        type="message",
        role="assistant",
        model="m",
        content=list(content),
        stop_reason=stop,
        stop_sequence=None,
        usage={"input_tokens": 3, "output_tokens": 2, **usage},
    )
    return anthropic_answers.response(message, None, None)


def test_claude_s_parts_of_the_input_are_added_up() -> None:
    got = anthropic_message({"type": "text", "text": "x"}, cache_read_input_tokens=10, cache_creation_input_tokens=5)
    assert got.usage == Usage(18, 2, cached_input_tokens=10, cache_write_tokens=5)


def test_claude_s_redacted_thoughts_are_kept_for_claude() -> None:
    got = anthropic_message({"type": "redacted_thinking", "data": "secret"}, {"type": "text", "text": "x"})
    assert got.message.parts == (Reasoning("", "secret", "anthropic", redacted=True), Text("x"))


def test_claude_s_endings() -> None:
    reasons = ("end_turn", "stop_sequence", "max_tokens", "model_context_window_exceeded", "refusal", "pause_turn")
    endings = [anthropic_message(stop=reason).finish_reason for reason in reasons]
    assert endings == ["stop", "stop", "length", "length", "content_filter", "other"]


def test_blocks_of_claude_s_own_tools_are_left_in_raw() -> None:
    got = anthropic_message({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}})
    assert got.message.parts == ()
    assert got.raw.content


# --- Google ----------------------------------------------------------------------------------------------------------


def gemini(*parts: dict[str, Any], finish: str | None = "STOP", **more: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finish_reason": finish}
    return {"candidates": [candidate], "model_version": "m", "response_id": "1", **more}


def read(response: dict[str, Any]) -> ChatResponse:
    return google_answers.response(GenerateContentResponse.model_validate(response), None)


def test_gemini_s_signatures_stay_with_their_parts() -> None:
    got = read(
        gemini(
            {"text": "Hm.", "thought": True},
            {"text": "Yes.", "thought_signature": b"\xff\x01"},
            {"function_call": {"name": "f", "args": {"x": 1}}, "thought_signature": b"\xfe"},
            {"function_call": {"name": "g"}},
        )
    )
    first, second = got.tool_calls
    assert got.message.parts == (
        Reasoning("Hm.", provider="google"),
        Text("Yes."),
        Reasoning("", base64.b64encode(b"\xff\x01").decode(), "google"),
        ToolCall(first.id, "f", {"x": 1}, signature=base64.b64encode(b"\xfe").decode(), provider="google"),
        ToolCall(second.id, "g", provider="google"),
    )
    assert first.id != second.id
    assert got.finish_reason == "tool_calls"


def test_gemini_s_tokens_are_added_up() -> None:
    usage = {
        "prompt_token_count": 10,
        "tool_use_prompt_token_count": 2,
        "candidates_token_count": 5,
        "thoughts_token_count": 7,
        "cached_content_token_count": 4,
    }
    got = read(gemini({"text": "x"}, usage_metadata=usage))
    assert got.usage == Usage(12, 12, cached_input_tokens=4, reasoning_tokens=7)


def test_gemini_s_endings() -> None:
    endings = {reason: read(gemini(finish=reason)) for reason in ("STOP", "MAX_TOKENS", "RECITATION", "OTHER", None)}
    assert [got.finish_reason for got in endings.values()] == ["stop", "length", "content_filter", "other", None]
    assert endings["RECITATION"].refusal == "RECITATION"
    broken = read(gemini(finish="MALFORMED_FUNCTION_CALL"))
    assert broken.finish_reason == "error" and "MALFORMED_FUNCTION_CALL" in broken.flaw


def test_gemini_s_stream_numbers_its_calls() -> None:
    reader = google_answers.StreamReader()
    events = (
        gemini({"function_call": {"name": "f", "args": {"x": 1}}}, finish=None),
        gemini({"function_call": {"name": "g", "args": {}}}, finish=None),
        gemini({"text": ""}),
    )
    chunks = [reader.read(GenerateContentResponse.model_validate(event)) for event in events]
    assert calls(accumulate(chunks)) == [("f", {"x": 1}), ("g", {})]
    assert accumulate(chunks).finish_reason == "tool_calls"
