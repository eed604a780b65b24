"""Gemini's responses and chunks as neutral answers. Pure but for ids of calls that came without one."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from ..health.ratelimit_headers import RateLimitFacts
from .answers import (
    CUT_IN_CALL,
    ChatChunk,
    ChatResponse,
    Delta,
    FinishReason,
    ToolCallDelta,
    Usage,
    broken_off,
    doubted,
    finish_of,
)
from .chat import ChatMessage, Part, Reasoning, Text, ToolCall
from .google_wire import PROVIDER

FINISH: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        (
            "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "MODEL_ARMOR",
            "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
        ),
        "content_filter",
    ),
    **dict.fromkeys(
        (
            "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE",
            "MISSING_THOUGHT_SIGNATURE",
        ),
        "error",
    ),
}  # fmt: skip


def response(answer: Any, rate_limit: RateLimitFacts | None) -> ChatResponse:
    """Read a `GenerateContentResponse`."""
    candidate = answer.candidates[0] if answer.candidates else None
    parts: list[Part] = [part for found in _raw_parts(candidate) for part in _parts(found)]
    finish, raw, refusal = _ending(answer, candidate, any(isinstance(part, ToolCall) for part in parts))
    return ChatResponse(
        ChatMessage("assistant", doubted(parts, finish)),
        finish_reason=finish,
        raw_finish_reason=raw,
        refusal=refusal,
        usage=_usage(answer.usage_metadata),
        model=answer.model_version,
        id=answer.response_id,
        provider=PROVIDER,
        rate_limit=rate_limit,
        raw=answer,
    )


class StreamReader:
    """Reads the chunks of one stream, in order. Gemini sends every call whole."""

    def __init__(self) -> None:
        self._calls = 0
        self._ends_in_call = False

    def read(self, chunk: Any, rate_limit: RateLimitFacts | None = None) -> ChatChunk:
        candidate = chunk.candidates[0] if chunk.candidates else None
        deltas = [self._delta(part) for found in _raw_parts(candidate) for part in _parts(found)]
        if deltas:
            self._ends_in_call = isinstance(deltas[-1], ToolCallDelta)
        finish, raw, refusal = _ending(chunk, candidate, self._calls > 0)
        cut = CUT_IN_CALL if finish == "length" and self._ends_in_call else None
        return ChatChunk(
            tuple(deltas),
            finish_reason=finish,
            raw_finish_reason=raw,
            refusal=refusal,
            flaw=cut or broken_off(finish, raw),
            usage=_usage(chunk.usage_metadata),
            model=chunk.model_version,
            id=chunk.response_id,
            provider=PROVIDER,
            rate_limit=rate_limit,
            raw=chunk,
        )

    def _delta(self, part: Text | Reasoning | ToolCall) -> Delta:
        if not isinstance(part, ToolCall):
            return part
        index, self._calls = self._calls, self._calls + 1
        return ToolCallDelta(index, part.id, part.name, json.dumps(part.arguments, ensure_ascii=False), part.signature)


def _raw_parts(candidate: Any) -> Iterable[Any]:
    content = candidate.content if candidate is not None else None
    return (content.parts or ()) if content is not None else ()


def _parts(raw: Any) -> Iterable[Text | Reasoning | ToolCall]:
    signature = base64.b64encode(raw.thought_signature).decode("ascii") if raw.thought_signature else None
    if raw.function_call is not None:
        call = raw.function_call
        yield ToolCall(
            call.id or f"call_{uuid4().hex[:24]}",
            call.name or "",
            dict(call.args or {}),
            signature=signature,
            provider=PROVIDER,
        )
    elif raw.thought:
        yield Reasoning(raw.text or "", signature, PROVIDER)
    else:
        if raw.text:
            yield Text(raw.text)
        if signature:  # it belongs to the text, and goes back after it
            yield Reasoning("", signature, PROVIDER)


def _ending(answer: Any, candidate: Any, called: bool) -> tuple[FinishReason | None, str | None, str | None]:
    """Why it ended, the same in Google's words, and the reason if it is a refusal.

    A blocked prompt has no candidate, and its block ends the answer. After tool calls Gemini says STOP too.
    """
    if candidate is None:
        feedback = answer.prompt_feedback
        raw = _name(feedback.block_reason) if feedback is not None else None
        return ("content_filter", raw, f"the prompt was blocked: {raw}") if raw else (None, None, None)
    raw = _name(candidate.finish_reason)
    if raw is None:
        return None, None, None
    finish = finish_of(raw, FINISH)
    if finish == "content_filter":
        return finish, raw, f"{raw}: {candidate.finish_message}" if candidate.finish_message else raw
    return "tool_calls" if finish == "stop" and called else finish, raw, None


def _name(value: Any) -> str | None:
    """Of an enum, or of a value that this SDK's enum does not have yet."""
    if value is None:
        return None
    name = str(getattr(value, "value", value))
    return None if name.endswith("_UNSPECIFIED") else name


def _usage(usage: Any) -> Usage | None:
    """Thoughts are counted apart from the candidates, and tool prompts apart from the prompt."""
    if usage is None:
        return None
    thoughts = usage.thoughts_token_count or 0
    return Usage(
        input_tokens=(usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0),
        output_tokens=(usage.candidates_token_count or 0) + thoughts,
        cached_input_tokens=usage.cached_content_token_count or 0,
        reasoning_tokens=thoughts,
    )
