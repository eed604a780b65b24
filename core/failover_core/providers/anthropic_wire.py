"""The neutral types in the words of Anthropic's Messages API, and back. Pure.

https://docs.anthropic.com/en/api/messages. One translation serves all SDK generations: parameters that an SDK does not
know by name travel in its `extra_body`.

Strict JSON: `output_config.format` where the model has it (Opus 4.1 and later); for older models a tool that must be
called, whose arguments are then read as the text of the answer.

Left out: `seed` and the penalties (unknown here), sampling parameters for models that refuse them, and thinking where a
tool is forced or a tool loop was begun by somebody else, which the API refuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..failure import ConfigError
from . import model_facts as facts
from .chat import CallTool, ChatMessage, ChatRequest, File, Image, Part, Reasoning, Text, ToolCall, ToolResult, ToolSpec
from .json_schema import anthropic_strict
from .portable import ANTHROPIC_RULES, made_legal, parsed_arguments

PROVIDER = "anthropic"


def payload(request: ChatRequest, model: str, *, stream: bool) -> dict[str, Any]:
    """The keyword arguments of `messages.create`."""
    messages = made_legal(request.messages, ANTHROPIC_RULES)
    system = [{"type": "text", "text": message.text} for message in messages if message.role == "system"]
    if request.response_format == "json":
        system.append({"type": "text", "text": "Answer with one JSON object and nothing else."})
    turns = [message for message in messages if message.role != "system"]
    max_tokens = request.max_output_tokens or facts.claude_output_tokens(model)
    sent: dict[str, Any] = {
        "model": model,
        "messages": [_message(turn) for turn in turns],
        "max_tokens": max_tokens,
        "system": system or None,
        "stop_sequences": [text for text in request.stop if text.strip()] or None,  # blank ones are refused
        **_tools(request, turns, model),
        **_thinking(request, turns, model, max_tokens),
    }
    if request.json_schema and facts.claude_has_json_schema(model):
        schema = {"type": "json_schema", "schema": anthropic_strict(request.json_schema.schema)}
        sent["output_config"] = {**(sent.get("output_config") or {}), "format": schema}
    thinks = (sent.get("thinking") or {}).get("type") in ("enabled", "adaptive")
    if facts.claude_takes_sampling(model) and not thinks:
        temperature = request.temperature
        sent["temperature"] = None if temperature is None else min(temperature, 1.0)
        # Both at once are refused since Claude 4.1; the temperature is the more usual wish.
        sent["top_p"] = request.top_p if temperature is None else None
        sent["top_k"] = request.top_k
    if stream:
        sent["stream"] = True
    sent |= request.options.get(PROVIDER, {})
    return {name: value for name, value in sent.items() if value is not None}


def answer_tool(request: ChatRequest, model: str) -> str | None:
    """The tool whose arguments are the answer, for models without structured outputs; None when there is none."""
    wanted = request.json_schema
    return None if wanted is None or facts.claude_has_json_schema(model) else wanted.name


def _message(message: ChatMessage) -> dict[str, Any]:
    return {"role": message.role, "content": [_block(part) for part in message.parts]}


def _block(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Image():
            return {"type": "image", "source": _source(part)}
        case File():
            return _document(part)
        case ToolCall():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": parsed_arguments(part)}
        case ToolResult():
            content = [_block(inner) for inner in part.parts if not isinstance(inner, Text) or inner.text.strip()]
            return {"type": "tool_result", "tool_use_id": part.id, "content": content, "is_error": part.is_error}
        case Reasoning(redacted=True):
            return {"type": "redacted_thinking", "data": part.signature}
        case Reasoning():
            return {"type": "thinking", "thinking": part.text, "signature": part.signature}
    raise ConfigError(f"{part!r:.80} is not a part of a message")


def _source(part: Image | File) -> dict[str, Any]:
    if part.url is not None:
        return {"type": "url", "url": part.url}
    return {"type": "base64", "media_type": part.media_type, "data": part.base64()}


def _document(part: File) -> dict[str, Any]:
    source = _source(part)
    if part.data is not None and part.media_type.startswith("text/"):
        source = {"type": "text", "media_type": "text/plain", "data": part.data.decode("utf-8", "replace")}
    return {"type": "document", "source": source, **({"title": part.name} if part.name else {})}


def _tools(request: ChatRequest, turns: Sequence[ChatMessage], model: str) -> dict[str, Any]:
    tools = [_tool(tool, model) for tool in request.tools]
    choice = _tool_choice(request)
    forced = answer_tool(request, model)
    if forced and request.json_schema:
        schema = dict(request.json_schema.schema)
        tools.append({"name": forced, "description": "Give your answer.", "input_schema": schema})
        choice = {"type": "any"} if request.tools else {"type": "tool", "name": forced}
    elif not tools:
        # A history with tool calls is refused unless their tools are on offer.
        names = dict.fromkeys(call.name for turn in turns for call in turn.tool_calls)
        tools = [{"name": name, "input_schema": {"type": "object"}} for name in names]
        choice = {"type": "none"}
    if not tools:
        return {}
    if request.parallel_tool_calls is False and (choice or {}).get("type") != "none":
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    return {"tools": tools, "tool_choice": choice}


def _tool(tool: ToolSpec, model: str) -> dict[str, Any]:
    strict = tool.strict and facts.claude_has_json_schema(model)
    schema = anthropic_strict(tool.parameters) if strict else dict(tool.parameters)
    sent = {"name": tool.name, "description": tool.description, "input_schema": {"type": "object", **schema}}
    return {**sent, "strict": True} if strict else sent


def _tool_choice(request: ChatRequest) -> dict[str, Any] | None:
    choice = request.tool_choice
    if choice is None:
        return None
    if isinstance(choice, CallTool):
        return {"type": "tool", "name": choice.name}
    return {"type": "any" if choice == "required" else choice}


def _thinking(request: ChatRequest, turns: Sequence[ChatMessage], model: str, max_tokens: int) -> dict[str, Any]:
    """`thinking`, and the effort in `output_config`."""
    wanted = request.thinking
    if wanted is None:
        return {}
    if wanted.effort == "none":
        return {"thinking": {"type": "disabled"}} if facts.claude_can_stop_thinking(model) else {}
    if _forces_a_tool(request, model) or _foreign_loop(turns):
        return {}
    display = {"display": "summarized"} if wanted.show else {}
    if facts.claude_thinks_adaptively(model):
        effort = facts.claude_effort(model, facts.effort_of(wanted))
        config = {"effort": effort} if effort else None
        return {"thinking": {"type": "adaptive", **display}, "output_config": config}
    budget = min(facts.budget_of(wanted) or facts.MIN_BUDGET_TOKENS, max_tokens - 1)
    if budget < facts.MIN_BUDGET_TOKENS:
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _forces_a_tool(request: ChatRequest, model: str) -> bool:
    choice = request.tool_choice
    return choice == "required" or isinstance(choice, CallTool) or answer_tool(request, model) is not None


def _foreign_loop(turns: Sequence[ChatMessage]) -> bool:
    """Is a tool loop under way whose calls were made without Claude's signed thoughts?"""
    for turn in reversed(turns):
        if turn.role == "user" and not any(isinstance(part, ToolResult) for part in turn.parts):
            return False
        if turn.tool_calls and not isinstance(turn.parts[0], Reasoning):
            return True
    return False
