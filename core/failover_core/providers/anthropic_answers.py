"""Anthropic's messages and stream events as neutral answers. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..health.ratelimit_headers import RateLimitFacts
from .answers import (
    ChatChunk,
    ChatResponse,
    Delta,
    FinishReason,
    ToolCallDelta,
    Usage,
    arguments_of,
    broken_off,
    doubted,
    finish_of,
)
from .anthropic_wire import PROVIDER
from .chat import ChatMessage, Part, Reasoning, Text, ToolCall

FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def response(message: Any, rate_limit: RateLimitFacts | None, answer_tool: str | None) -> ChatResponse:
    """Read a `Message`; the arguments of `answer_tool` are text."""
    parts = [part for block in message.content if (part := _part(block, answer_tool)) is not None]
    raw = message.stop_reason
    finish = _finish(raw, parts)
    return ChatResponse(
        ChatMessage("assistant", doubted(parts, finish)),
        finish_reason=finish,
        raw_finish_reason=raw,
        refusal=_refusal(message),
        usage=_usage(message.usage),
        model=message.model,
        id=message.id,
        provider=PROVIDER,
        rate_limit=rate_limit,
        raw=message,
    )


class StreamReader:
    """Reads the events of one stream, in order. Usage is summed up and told at the end."""

    def __init__(self, rate_limit: RateLimitFacts | None, answer_tool: str | None) -> None:
        self._rate_limit = rate_limit
        self._answer_tool = answer_tool
        self._usage: dict[str, Any] = {}
        self._arguments: dict[int, str] = {}  # index of a tool_use block -> the JSON text of its arguments
        self._as_text: set[int] = set()  # indexes of blocks whose arguments are the answer
        self._called = False

    def read(self, event: Any) -> ChatChunk:
        facts, self._rate_limit = self._rate_limit, None
        return replace(self._read(event), provider=PROVIDER, rate_limit=facts, raw=event)

    def _read(self, event: Any) -> ChatChunk:
        match event.type:
            case "message_start":
                self._count(event.message.usage)
                return ChatChunk(model=event.message.model, id=event.message.id)
            case "content_block_start":
                return ChatChunk(self._started(event.index, event.content_block))
            case "content_block_delta":
                return ChatChunk(self._continued(event.index, event.delta))
            case "message_delta":
                return self._ended(event)
        return ChatChunk()  # pings, ends of blocks, and events to come

    def _started(self, index: int, block: Any) -> tuple[Delta, ...]:
        if block.type == "tool_use":
            self._arguments[index] = ""
            if block.name == self._answer_tool:
                self._as_text.add(index)
                return ()
            self._called = True
            return (ToolCallDelta(self._place(index), block.id, block.name),)
        match _part(block, self._answer_tool):
            case Text(text=text) as part if text:
                return (part,)
            case Reasoning() as part if part.text or part.signature:
                return (part,)
        return ()

    def _continued(self, index: int, delta: Any) -> tuple[Delta, ...]:
        match delta.type:
            case "text_delta":
                return (Text(delta.text),)
            case "thinking_delta":
                return (Reasoning(delta.thinking, provider=PROVIDER),)
            case "signature_delta":
                return (Reasoning("", delta.signature, PROVIDER),)
            case "input_json_delta":
                self._arguments[index] = self._arguments.get(index, "") + delta.partial_json
                if index in self._as_text:
                    return (Text(delta.partial_json),)
                return (ToolCallDelta(self._place(index), arguments=delta.partial_json),)
        return ()

    def _ended(self, event: Any) -> ChatChunk:
        self._count(event.usage)
        raw = event.delta.stop_reason
        finish = finish_of(raw, FINISH) if raw else None
        texts = self._arguments.values()
        flawed = raw is not None and any(arguments_of(text) is None for text in texts)
        flawed = flawed or (finish == "length" and any(not text for text in texts))  # cut before its first letter
        return ChatChunk(
            finish_reason="stop" if finish == "tool_calls" and not self._called else finish,
            raw_finish_reason=raw,
            refusal=_refusal(event.delta),
            flaw="the arguments of a tool call are not a JSON object" if flawed else broken_off(finish, raw),
            usage=_usage(self._usage),
        )

    def _place(self, index: int) -> int:
        """Which call of the answer the tool_use block with that index is."""
        return sum(1 for other in self._arguments if other < index and other not in self._as_text)

    def _count(self, usage: Any) -> None:
        for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
            value = getattr(usage, name, None)
            if value is not None:
                self._usage[name] = value
        details = getattr(usage, "output_tokens_details", None)
        if details is not None:
            self._usage["output_tokens_details"] = details


def _part(block: Any, answer_tool: str | None) -> Part | None:
    match block.type:
        case "text":
            return Text(block.text)
        case "thinking":
            return Reasoning(block.thinking or "", getattr(block, "signature", None) or None, PROVIDER)
        case "redacted_thinking":
            return Reasoning("", block.data, PROVIDER, redacted=True)
        case "tool_use" if block.name == answer_tool:
            return Text(json.dumps(block.input, ensure_ascii=False))
        case "tool_use" if isinstance(block.input, Mapping):
            return ToolCall(block.id, block.name, dict(block.input), provider=PROVIDER)
        case "tool_use":
            return ToolCall(block.id, block.name, raw_arguments=str(block.input), provider=PROVIDER)
    return None  # blocks of Anthropic's own server tools are in `raw`


def _finish(raw: str | None, parts: list[Part]) -> FinishReason | None:
    if raw is None:
        return None
    if raw == "tool_use" and not any(isinstance(part, ToolCall) for part in parts):
        return "stop"  # the answer tool was called
    return finish_of(raw, FINISH)


def _refusal(ended: Any) -> str | None:
    """Newer models say which policy was touched."""
    if ended.stop_reason != "refusal":
        return None
    details = getattr(ended, "stop_details", None)
    said = (_field(details, "category"), _field(details, "explanation"))
    return ": ".join(text for text in said if text) or "refusal"


def _usage(usage: Any) -> Usage | None:
    if not usage:
        return None

    def count(name: str, of: Any = usage) -> int:
        value = _field(of, name)
        return value if isinstance(value, int) else 0

    cached, written = count("cache_read_input_tokens"), count("cache_creation_input_tokens")
    return Usage(
        input_tokens=count("input_tokens") + cached + written,
        output_tokens=count("output_tokens"),
        cached_input_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=count("thinking_tokens", _field(usage, "output_tokens_details")),
    )


def _field(of: Any, name: str) -> Any:
    """Of an object, or of a dict: that is how an SDK gives fields that are newer than itself."""
    return of.get(name) if isinstance(of, Mapping) else getattr(of, name, None)
