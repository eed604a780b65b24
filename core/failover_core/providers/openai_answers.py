"""Chat completions and their chunks as neutral answers. Pure but for ids of calls that came without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

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
    finish_of,
    tool_call,
)
from .chat import ChatMessage, Part, Reasoning, Text, ToolCall
from .openai_wire import PROVIDER

FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


def response(completion: Any, rate_limit: RateLimitFacts | None) -> ChatResponse:
    """Read a `ChatCompletion`."""
    choice = completion.choices[0] if completion.choices else None
    parts: list[Part] = []
    refusal, finish = None, None
    if choice is not None:
        message, finish = choice.message, choice.finish_reason
        refusal = _refusal(finish, message.refusal)
        thoughts = _thoughts(message)
        if thoughts:
            parts.append(Reasoning(thoughts, provider=PROVIDER))
        if message.content:
            parts.append(Text(message.content))
        for call in message.tool_calls or ():
            if call.type == "custom":
                continue  # only made for tools that ChatRequest cannot describe
            name, arguments = call.function.name, call.function.arguments or ""
            parts.append(tool_call(call.id or _new_id(), name, arguments, provider=PROVIDER))
    return ChatResponse(
        ChatMessage("assistant", parts),
        finish_reason=_finish(finish, refusal is not None, any(isinstance(part, ToolCall) for part in parts)),
        raw_finish_reason=finish,
        refusal=refusal,
        usage=_usage(completion.usage),
        model=completion.model,
        id=completion.id,
        provider=PROVIDER,
        rate_limit=rate_limit,
        raw=completion,
    )


class StreamReader:
    """Reads the chunks of one stream, in order."""

    def __init__(self, rate_limit: RateLimitFacts | None) -> None:
        self._rate_limit = rate_limit
        self._calls: dict[tuple[int | None, str], int] = {}  # index and id on the wire -> index in the answer
        self._open: dict[int | None, int] = {}  # index on the wire -> the call that it means now
        self._arguments: list[str] = []
        self._refused = False

    def read(self, chunk: Any) -> ChatChunk:
        choice = chunk.choices[0] if chunk.choices else None
        deltas: list[Delta] = []
        refusal, finish, flaw = None, None, None
        if choice is not None:
            delta, finish = choice.delta, choice.finish_reason
            refusal = _refusal(finish, getattr(delta, "refusal", None))
            self._refused = self._refused or refusal is not None
            if delta is not None:
                deltas = self._deltas(delta)
            if finish and any(arguments_of(text) is None for text in self._arguments):
                flaw = "the arguments of a tool call are not a JSON object"
        ended = _finish(finish, self._refused, bool(self._arguments))
        facts, self._rate_limit = self._rate_limit, None
        return ChatChunk(
            tuple(deltas),
            finish_reason=ended,
            raw_finish_reason=finish,
            refusal=refusal,
            flaw=flaw or broken_off(ended, finish),
            usage=_usage(chunk.usage),
            model=chunk.model or None,
            id=chunk.id or None,
            provider=PROVIDER,
            rate_limit=facts,
            raw=chunk,
        )

    def _deltas(self, delta: Any) -> list[Delta]:
        deltas: list[Delta] = []
        thoughts = _thoughts(delta)
        if thoughts:
            deltas.append(Reasoning(thoughts, provider=PROVIDER))
        if delta.content:
            deltas.append(Text(delta.content))
        for call in delta.tool_calls or ():
            name = call.function.name if call.function else None
            arguments = (call.function.arguments if call.function else None) or ""
            index, new = self._index(call.index, call.id, bool(name))
            self._arguments[index] += arguments
            identity = call.id or (_new_id() if new else None)
            deltas.append(ToolCallDelta(index, identity if new else None, name or None, arguments))
        return deltas

    def _index(self, wire_index: int | None, id: str | None, named: bool) -> tuple[int, bool]:
        """Which call is meant, and whether it is a new one. Some servers give every call the index 0, or none."""
        known = self._open.get(wire_index)
        if known is not None and (not id or (wire_index, id) in self._calls) and (wire_index is not None or not named):
            return known, False
        index = len(self._arguments)
        self._arguments.append("")
        self._open[wire_index] = index
        self._calls[wire_index, id or ""] = index
        return index, True


def _usage(usage: Any) -> Usage | None:
    if usage is None:
        return None
    inputs, outputs = getattr(usage, "prompt_tokens_details", None), getattr(usage, "completion_tokens_details", None)
    return Usage(
        input_tokens=usage.prompt_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
        cached_input_tokens=getattr(inputs, "cached_tokens", None) or 0,
        cache_write_tokens=getattr(inputs, "cache_write_tokens", None) or 0,
        reasoning_tokens=getattr(outputs, "reasoning_tokens", None) or 0,
    )


def _refusal(finish: str | None, refusal: str | None) -> str | None:
    return refusal or ("content_filter" if finish == "content_filter" else None)


def _finish(raw: str | None, refused: bool, called: bool) -> FinishReason | None:
    """A call of a tool that was forced by name ends with "stop" on the wire. Some servers write "" for "not yet"."""
    if not raw:
        return None
    if refused:
        return "content_filter"
    return "tool_calls" if raw == "stop" and called else finish_of(raw, FINISH)


def _thoughts(message: Any) -> str | None:
    """Where DeepSeek (and vLLM before 0.12), and where OpenRouter and newer vLLM put readable reasoning."""
    extra: Mapping[str, Any] = getattr(message, "model_extra", None) or {}
    thoughts = extra.get("reasoning_content") or extra.get("reasoning")
    return thoughts if isinstance(thoughts, str) else None


def _new_id() -> str:
    return f"call_{uuid4().hex[:24]}"
