"""How the engine sees chat requests and answers: their size and needs, their content, and how to resume one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..checks import json_demand
from ..model import RequestInfo
from ..output import BREAKDOWNS, CHARS_PER_TOKEN, Reading
from ..stream.resume import resume_instruction
from .answers import ChatChunk, ChatResponse, ToolCallDelta
from .chat import CallTool, ChatMessage, ChatRequest, File, Image, Part, Reasoning, Text, ToolCall, ToolResult

MEDIA_TOKENS = 1_000  # a picture: 85 to 1,105 on OpenAI, about 1,600 on Anthropic, 258 a tile on Google


class ChatReader:
    """Reads `ChatResponse` and `ChatChunk`. An answer without a finish reason was cut off."""

    expects_finish = True
    usage_adds_up = False

    def read(self, output: ChatResponse) -> Reading:
        return Reading(
            text=output.text,
            has_content=any(_is_answer(part) for part in output.message.parts),
            has_tool_call=bool(output.tool_calls),
            finish_reason=output.raw_finish_reason or output.finish_reason,
            refusal=output.refusal,
            flaw=output.flaw,
            usage=output.usage.as_dict() if output.usage else None,
            model=output.model,
            rate_limit=output.rate_limit,
        )

    def read_chunk(self, chunk: ChatChunk) -> Reading:
        progress = [delta for delta in chunk.deltas if _is_progress(delta)]
        return Reading(
            text=chunk.text,
            has_content=bool(progress),
            only_thoughts=bool(progress) and all(isinstance(delta, Reasoning) for delta in progress),
            has_tool_call=any(isinstance(delta, ToolCallDelta) for delta in chunk.deltas),
            finish_reason=_end_of(chunk),
            refusal=chunk.refusal,
            flaw=chunk.flaw,
            usage=chunk.usage.as_dict() if chunk.usage else None,
            model=chunk.model,
            rate_limit=chunk.rate_limit,
        )

    def plain_text(self, chunk: ChatChunk) -> str | None:
        deltas = chunk.deltas
        if len(deltas) != 1 or deltas[0].__class__ is not Text or chunk.finish_reason or chunk.raw_finish_reason:
            return None
        if chunk.refusal is not None or chunk.flaw is not None or chunk.usage is not None or chunk.rate_limit:
            return None
        return chunk.text

    def with_text(self, chunk: ChatChunk, text: str) -> ChatChunk:
        others = tuple(delta for delta in chunk.deltas if not isinstance(delta, Text))
        return replace(chunk, deltas=((Text(text), *others) if text else others))


def request_info(request: ChatRequest) -> RequestInfo:
    """What guards and latency limits want to know of a request. `needs` may hold the labels

    "tools", "forced_tool", "json_schema", "tools_with_json_schema", "images", "image_urls", "files", "file_urls" and
    "stop". The prompt's size is estimated at 4 characters a token, and 1,000 tokens a picture or document.
    """
    return RequestInfo(
        prompt_tokens=_estimated_tokens(request),
        max_output_tokens=request.max_output_tokens,
        thinking=request.thinking is not None and request.thinking.effort != "none",
        needs=frozenset(_needs(request)),
        structured=bool(request.tools) or request.response_format is not None,
        json=json_demand(request.response_format),
    )


def resume_chat(request: ChatRequest, shown_text: str) -> ChatRequest:
    """A request that asks to go on after `shown_text`, by instruction: newer models refuse a prefilled answer."""
    more = (ChatMessage("assistant", shown_text), ChatMessage("user", resume_instruction(shown_text)))
    return replace(request, messages=(*request.messages, *more))


def _end_of(chunk: ChatChunk) -> str | None:
    """A stream that breaks off has no end: another target may go on with it."""
    raw = chunk.raw_finish_reason or chunk.finish_reason
    return None if raw is not None and raw.lower() in BREAKDOWNS else raw


def _is_progress(part: Part | ToolCallDelta) -> bool:
    if isinstance(part, Text | Reasoning):
        return bool(part.text)
    return True


def _is_answer(part: Part) -> bool:
    """Thoughts alone and white space alone are none."""
    return (
        not isinstance(part, Reasoning)
        and (not isinstance(part, Text) or not part.text.isspace())
        and _is_progress(part)
    )


def _needs(request: ChatRequest) -> Iterable[str]:
    if request.tools:
        yield "tools"
        if request.tool_choice == "required" or isinstance(request.tool_choice, CallTool):
            yield "forced_tool"
    if request.json_schema:
        yield "json_schema"
        if request.tools:
            yield "tools_with_json_schema"
    if request.stop:
        yield "stop"
    for part in _all_parts(request):
        if isinstance(part, Image):
            yield "images"
            if part.url is not None:
                yield "image_urls"
        elif isinstance(part, File):
            yield "files"
            if part.url is not None:
                yield "file_urls"


def _all_parts(request: ChatRequest) -> Iterable[Part]:
    for message in request.messages:
        for part in message.parts:
            yield part
            if isinstance(part, ToolResult):
                yield from part.parts


def _estimated_tokens(request: ChatRequest) -> int:
    chars = sum(_chars(part) for part in _all_parts(request))
    chars += sum(len(tool.name) + len(tool.description) + len(str(tool.parameters)) for tool in request.tools)
    if request.json_schema:
        chars += len(str(request.json_schema.schema))
    return -(-chars // CHARS_PER_TOKEN)


def _chars(part: Any) -> int:
    if isinstance(part, Text | Reasoning):
        return len(part.text)
    if isinstance(part, ToolCall):
        return len(part.name) + len(str(part.arguments))
    if isinstance(part, Image | File):
        if part.data is not None and part.media_type.startswith("text/"):
            return len(part.data)
        return MEDIA_TOKENS * CHARS_PER_TOKEN
    return 0
