"""The neutral types in the words of OpenAI's Chat Completions API. Pure. `openai_answers.py` is the way back.

https://platform.openai.com/docs/api-reference/chat. The same words are spoken by vLLM, Ollama, LM Studio, llama.cpp and
many hosted services; where these differ from OpenAI, `own_service` is False.

Left out: `top_k` (unknown here; local servers take it through `options`), reasoning of earlier turns (the API has no
place for it), and, for reasoning models, sampling parameters that they refuse.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..failure import ConfigError
from .chat import CallTool, ChatMessage, ChatRequest, File, Image, Part, Text, ToolResult, ToolSpec
from .json_schema import openai_strict
from .model_facts import effort_of, openai_reasons
from .portable import MISTRAL_RULES, OPENAI_RULES, made_legal, parsed_arguments

PROVIDER = "openai"


def payload(
    request: ChatRequest, model: str, *, stream: bool, own_service: bool, mistral: bool = False
) -> dict[str, Any]:
    """The keyword arguments of `chat.completions.create`."""
    messages = made_legal(request.messages, MISTRAL_RULES if mistral else OPENAI_RULES)
    sent: dict[str, Any] = {"model": model, "messages": _messages(messages)}
    if request.tools:
        sent["tools"] = [_tool(tool) for tool in request.tools]
        sent["tool_choice"] = _tool_choice(request.tool_choice)
        sent["parallel_tool_calls"] = request.parallel_tool_calls
    if request.response_format is not None:
        sent["response_format"] = _response_format(request, sent["messages"])
    # Reasoning models count their thoughts, hence the newer name; servers that imitate OpenAI know the older one.
    sent["max_completion_tokens" if own_service else "max_tokens"] = request.max_output_tokens
    sent["stop"] = list(request.stop) or None
    sent["seed"] = request.seed
    sent |= _sampling(request, model, own_service)
    if stream:
        sent |= {"stream": True, "stream_options": {"include_usage": True}}
    sent |= request.options.get(PROVIDER, {})
    return {name: value for name, value in sent.items() if value is not None}


def _messages(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    for message in messages:
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        parts = [part for part in message.parts if not isinstance(part, ToolResult)]
        sent += [{"role": "tool", "tool_call_id": part.id, "content": _result_text(part)} for part in results]
        if parts or not message.parts:
            sent.append(_assistant(message) if message.role == "assistant" else _other(message, parts))
    return sent


def _assistant(message: ChatMessage) -> dict[str, Any]:
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(parsed_arguments(call), ensure_ascii=False)},
        }
        for call in message.tool_calls
    ]
    if not calls:
        return {"role": "assistant", "content": message.text}
    return {"role": "assistant", "content": message.text or None, "tool_calls": calls}


def _other(message: ChatMessage, parts: Sequence[Part]) -> dict[str, Any]:
    role = "system" if message.role == "system" else "user"
    if all(isinstance(part, Text) for part in parts):
        return {"role": role, "content": message.text}
    return {"role": role, "content": [_block(part) for part in parts]}


def _block(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, Image):
        url = part.url or f"data:{part.media_type};base64,{part.base64()}"
        return {"type": "image_url", "image_url": {"url": url, **({"detail": part.detail} if part.detail else {})}}
    if isinstance(part, File):
        if part.data is None:
            raise ConfigError("OpenAI's chat API takes files by content only: write File(data=...) instead of a URL")
        if part.media_type.startswith("text/"):
            return {"type": "text", "text": part.data.decode("utf-8", "replace")}
        data = f"data:{part.media_type};base64,{part.base64()}"
        return {"type": "file", "file": {"filename": part.name or "document.pdf", "file_data": data}}
    raise ConfigError(f"a {type(part).__name__} cannot stand in a user or system message")


def _result_text(result: ToolResult) -> str:
    return f"Error: {result.text}" if result.is_error else result.text


def _tool(tool: ToolSpec) -> dict[str, Any]:
    schema = openai_strict(tool.parameters) if tool.strict else dict(tool.parameters)
    function = {"name": tool.name, "description": tool.description, "parameters": schema}
    return {"type": "function", "function": {**function, "strict": True} if tool.strict else function}


def _tool_choice(choice: Any) -> Any:
    return {"type": "function", "function": {"name": choice.name}} if isinstance(choice, CallTool) else choice


def _response_format(request: ChatRequest, messages: list[dict[str, Any]]) -> dict[str, Any]:
    wanted = request.json_schema
    if wanted is None:
        if "json" not in json.dumps(messages, ensure_ascii=False, default=str).lower():
            messages.insert(
                0, {"role": "system", "content": "Answer with a JSON object."}
            )  # the API insists on the word
        return {"type": "json_object"}
    schema = openai_strict(wanted.schema) if wanted.strict else dict(wanted.schema)
    return {"type": "json_schema", "json_schema": {"name": wanted.name, "schema": schema, "strict": wanted.strict}}


def _sampling(request: ChatRequest, model: str, own_service: bool) -> dict[str, Any]:
    effort = effort_of(request.thinking) if request.thinking else None
    reasons = openai_reasons(model)
    sent: dict[str, Any] = {}
    if not (reasons and own_service) or effort == "none":
        sent["temperature"] = request.temperature
        sent["top_p"] = request.top_p
        sent["presence_penalty"] = request.presence_penalty
        sent["frequency_penalty"] = request.frequency_penalty
    if reasons or not own_service:
        sent["reasoning_effort"] = effort
    return sent
