"""What the core reads in LlamaIndex's responses: text, tool calls, and above all how an answer ended.

LlamaIndex hands on a filtered, failed or truncated answer without a word. The provider's terminal marker is still
there, in `raw`, in the shape of each SDK; `ending_of` knows these shapes, whoever's class has wrapped them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llama_index.core.base.llms.types import (
    ChatResponse,
    CompletionResponse,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from failover_core.output import BREAKDOWNS, Reading

FINISHED_OBJECT = "parsed"
OBJECT_END: Any = object()
"""Comes after the last of a stream's objects when it was whole: what has come before may always have been a part."""
WRITTEN_ARGUMENTS = "_failover_written_arguments"
"""Where a chunk keeps the JSON texts of its tool calls, if its class shows only what it has made of them."""
NATIVE = "failover.native"
"""`raw["object"]` in the responses of native targets, whose `raw` is a dict with the fields of `Ending`."""

_REFUSALS = frozenset({"content_filter", "refusal", "safety"})
_OUTPUT_LIMITS = frozenset({"length", "max_tokens", "max_output_tokens", "model_context_window_exceeded"})
_USAGE_NAMES = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "total_tokens": "total_tokens",
    "prompt_token_count": "input_tokens",
    "candidates_token_count": "output_tokens",
    "total_token_count": "total_tokens",
}


class ResponseReader:
    """Reads `ChatResponse`, `CompletionResponse` and parsed objects.

    Args:
        expects_finish: the LLM's answers carry a finish marker, so that one without it was cut off.
    """

    usage_adds_up = False  # the raw chunks of the providers tell the sum so far

    def __init__(self, *, expects_finish: bool = False) -> None:
        self.expects_finish = expects_finish

    def read(self, output: Any) -> Reading:
        reading = self.read_chunk(output)
        if isinstance(output, ChatResponse):
            reading.text = output.message.content or ""
            reading.has_content = bool(reading.text.strip()) or reading.has_tool_call or _holds_more(output)
        elif isinstance(output, CompletionResponse):
            reading.text = output.text
            reading.has_content = bool(reading.text.strip())
        else:
            reading.finish_reason = FINISHED_OBJECT
        return reading

    def read_chunk(self, chunk: Any) -> Reading:
        if isinstance(chunk, ChatResponse):
            return _read_chat(chunk)
        if isinstance(chunk, CompletionResponse):
            ending = ending_of(chunk.raw)
            text = chunk.delta or ""
            shown = bool(text) or (chunk.delta is None and bool(chunk.text))
            return Reading(text, shown, False, ending.finish, ending.refusal, ending.flaw, ending.usage, ending.model)
        return Reading(finish_reason=FINISHED_OBJECT) if chunk is OBJECT_END else Reading(has_content=True)

    def plain_text(self, chunk: Any) -> str | None:
        """All of a chunk, where it is nothing but text; see `OutputReader`."""
        text: str | None = getattr(chunk, "delta", None)
        if not text or not is_midway(chunk.raw) or chunk.additional_kwargs:
            return None
        if chunk.__class__ is not CompletionResponse and isinstance(chunk, ChatResponse):
            message = chunk.message
            blocks = message.blocks
            if message.additional_kwargs or len(blocks) > 1 or (blocks and blocks[0].__class__ is not TextBlock):
                return None
        return text

    def text_so_far(self, chunk: Any) -> str | None:
        """LlamaIndex's chunks hold the accumulated text; see `OutputReader`."""
        text: str | None = None
        if chunk.__class__ is CompletionResponse:
            text = chunk.text
        elif chunk.__class__ is ChatResponse:
            for block in chunk.message.blocks:
                if block.__class__ is TextBlock:
                    if text is not None:
                        return None
                    text = block.text
        return text

    def with_text(self, chunk: Any, text: str) -> Any:
        return chunk.model_copy(update={"delta": text})


def _read_chat(chunk: ChatResponse) -> Reading:
    ending = ending_of(chunk.raw)
    text = chunk.delta or ""
    calls = [block for block in chunk.message.blocks if isinstance(block, ToolCallBlock)]
    has_calls = bool(calls) or bool(chunk.message.additional_kwargs.get("tool_calls"))
    refusal = ending.refusal or chunk.additional_kwargs.get("refusal")
    answers = bool(text) or has_calls or _holds_more(chunk) or (chunk.delta is None and bool(chunk.message.content))
    thinks = not answers and _thinks(chunk)
    return Reading(
        text=text,
        has_content=answers or thinks,
        only_thoughts=thinks,
        has_tool_call=has_calls,
        finish_reason=ending.finish,
        refusal=refusal,
        flaw=ending.flaw or (_flaw_in(calls, chunk, ending.finish) if calls and ending.finish is not None else None),
        usage=ending.usage,
        model=ending.model,
    )


def _holds_more(chunk: ChatResponse) -> bool:
    """Something other than text and thoughts, such as an image."""
    return any(not isinstance(block, TextBlock | ThinkingBlock) for block in chunk.message.blocks)


def _thinks(chunk: ChatResponse) -> bool:
    if chunk.additional_kwargs.get("thinking_delta") or chunk.message.additional_kwargs.get("thinking_delta"):
        return True
    thoughts = any(isinstance(block, ThinkingBlock) and block.content for block in chunk.message.blocks)
    return thoughts and not chunk.message.content


def _flaw_in(calls: list[ToolCallBlock], chunk: ChatResponse, finish: str) -> str | None:
    written: list[str] | None = chunk.__dict__.get(WRITTEN_ARGUMENTS)
    if written is None:
        written = [call.tool_kwargs for call in calls if isinstance(call.tool_kwargs, str)]
    if not all(_is_an_object(text) for text in written if text.strip()):
        names = ", ".join(dict.fromkeys(repr(call.tool_name) for call in calls))
        return f"the arguments of the call to {names} are not a JSON object"
    told = sum(1 for text in written if text.strip())
    if told < len(calls) and stopped_at_its_limit(finish) and _get(chunk.raw, "object") != NATIVE:
        return "the output limit was reached in the middle of a tool call"
    return None


def stopped_at_its_limit(finish: str | None) -> bool:
    """Is that a finish reason of an answer that was too long? Then a tool call in it is whole only if its arguments
    came as text that parses: SDKs and LlamaIndex's classes make `{}`, or an object of less, of half a text.
    """
    return finish is not None and finish.lower() in _OUTPUT_LIMITS


def _is_an_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


@dataclass(slots=True)
class Ending:
    """What `raw` tells about an answer as a whole.

    Args:
        finish: the provider's terminal marker, None while there is none.
        refusal: why the provider refused or filtered the answer.
        usage: token counts.
        model: the model that says it answered.
        flaw: a defect of the answer that its provider, or the native target, has seen.
    """

    finish: str | None = None
    refusal: str | None = None
    usage: Mapping[str, int] | None = None
    model: str | None = None
    flaw: str | None = None


NO_ENDING = Ending()


def ending_of(raw: Any) -> Ending:
    """Read `raw` in any of the shapes of the openai, anthropic and google-genai SDKs, object or dict."""
    if raw is None:
        return NO_ENDING
    if _get(raw, "object") == NATIVE:
        return Ending(raw["finish_reason"], raw["refusal"], raw["usage"], raw["model"], raw["flaw"])
    choices = _get(raw, "choices")
    if isinstance(choices, list):
        return _of_chat_completion(raw, choices)
    kind = _get(raw, "type")
    if isinstance(kind, str) and (kind.startswith("response.") or kind == "error"):
        return _of_response_event(kind, raw)
    if _get(raw, "object") == "response":
        return _of_response(raw)
    if kind == "message_delta":
        return _of_anthropic(_get(raw, "delta"), raw)
    if kind == "message" or _get(raw, "stop_reason") is not None:
        return _of_anthropic(raw, raw)
    if _get(raw, "finish_reason") is not None or _get(raw, "usage_metadata") is not None:
        return _of_gemini(raw)
    return Ending(model=_text(_get(raw, "model")))


def is_midway(raw: Any) -> bool:
    """Does `raw` certainly tell nothing about the answer as a whole, other than the model? Quicker than `ending_of`."""
    if raw is None:
        return True
    if raw.__class__ is dict and raw.get("object") == NATIVE:
        return all(raw[name] is None for name in ("finish_reason", "refusal", "usage", "flaw"))
    choices = _get(raw, "choices")
    if isinstance(choices, list) and len(choices) == 1 and _get(raw, "usage") is None:
        choice = choices[0]
        return _get(choice, "finish_reason") is None and _get(_get(choice, "delta"), "refusal") is None
    return False


def marks_the_end(raw: Any) -> bool:
    return not is_midway(raw) and ending_of(raw).finish is not None


def _of_chat_completion(raw: Any, choices: list[Any]) -> Ending:
    finish = refusal = None
    if choices:
        finish = _text(_get(choices[0], "finish_reason"))
        said = _get(choices[0], "message") or _get(choices[0], "delta")
        refusal = _text(_get(said, "refusal"))
        if finish in _REFUSALS:
            refusal = refusal or finish
    flaw = None
    if finish is not None and finish.lower() in BREAKDOWNS:
        flaw, finish = f"the provider ended the answer with {finish!r}", None  # that is no end: another may go on
    return Ending(finish, refusal, _usage(_get(raw, "usage")), _text(_get(raw, "model")), flaw)


def _of_response_event(kind: str, event: Any) -> Ending:
    if kind == "response.refusal.delta":
        return Ending(refusal=_text(_get(event, "delta")))
    response = _get(event, "response")
    if kind in ("response.completed", "response.incomplete") and response is not None:
        return _of_response(response)
    return NO_ENDING


def _of_response(response: Any) -> Ending:
    status = _text(_get(response, "status"))
    reason = _text(_get(_get(response, "incomplete_details"), "reason"))
    finish = reason or (status if status in ("completed", "incomplete") else None)
    refusal = reason if reason in _REFUSALS else None
    for item in _get(response, "output") or ():
        for part in _get(item, "content") or ():
            refusal = refusal or _text(_get(part, "refusal"))
    return Ending(finish, refusal, _usage(_get(response, "usage")), _text(_get(response, "model")))


def _of_anthropic(said: Any, raw: Any) -> Ending:
    finish = _text(_get(said, "stop_reason"))
    refusal = finish if finish in _REFUSALS else None
    return Ending(finish, refusal, _usage(_get(raw, "usage")), _text(_get(raw, "model")))


def _of_gemini(raw: Any) -> Ending:
    reason = _get(raw, "finish_reason")
    finish = _get(reason, "name") or _text(reason)
    # gemini.py lets an answer at its token limit pass as finished, and keeps the true reason here.
    finish = finish and (_text(_get(raw, "finish_message")) or finish)
    return Ending(finish, None, _usage(_get(raw, "usage_metadata")), _text(_get(raw, "model_version")))


def _usage(counts: Any) -> Mapping[str, int] | None:
    if counts is None:
        return None
    usage: dict[str, int] = {}
    for theirs, ours in _USAGE_NAMES.items():
        count = _get(counts, theirs)
        if isinstance(count, int):
            usage.setdefault(ours, count)
    return usage or None


def _get(source: Any, name: str) -> Any:
    return source.get(name) if isinstance(source, dict) else getattr(source, name, None)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def with_content(response: Any, text: str) -> Any:
    """A copy of a streamed chunk whose accumulated text is `text`, other blocks kept."""
    if isinstance(response, CompletionResponse):
        return response.model_copy(update={"text": text})
    message = response.message.model_copy()
    others = [block for block in message.blocks if not isinstance(block, TextBlock)]
    thoughts = [block for block in others if isinstance(block, ThinkingBlock)]
    rest = [block for block in others if not isinstance(block, ThinkingBlock)]
    message.blocks = [*thoughts, TextBlock(text=text), *rest]
    return response.model_copy(update={"message": message})
