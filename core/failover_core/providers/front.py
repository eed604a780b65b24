"""From what people write to a `ChatRequest`: `as_chat_request("hi", temperature=0.2, tools=[...])`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, cast

from ..failure import ConfigError
from .chat import (
    ROLES,
    CallTool,
    ChatMessage,
    ChatRequest,
    File,
    Image,
    Reasoning,
    ResponseFormat,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
)

FIELDS = tuple(f.name for f in fields(ChatRequest) if f.name != "messages")
PART_TYPES = (Text, Image, File, ToolCall, ToolResult, Reasoning)


def as_chat_request(prompt: Any, /, **options: Any) -> ChatRequest:
    """A `ChatRequest` out of a prompt and keyword arguments.

    Args:
        prompt: a str; a `ChatMessage`; a list of messages (each a `ChatMessage`, a pair like `("user", "hi")` or a dict
            with "role" and "content"); a list of parts, which make one user message; or a `ChatRequest`.
        options: fields of `ChatRequest`. Also taken: tools as dicts (OpenAI's or Anthropic's form), `tool_choice` as
            the name of a tool, `response_format` as a JSON schema or a pydantic class, `thinking` as an effort or a
            number of tokens, and `system`, a text that goes first.

    Raises:
        ConfigError: saying what to write instead.
    """
    system = options.pop("system", None)
    unknown = sorted(set(options) - set(FIELDS))
    if unknown:
        raise ConfigError(f"a chat request has no {unknown[0]}=; it takes system, {', '.join(FIELDS)}")
    if isinstance(prompt, ChatRequest):
        request = replace(prompt, **coerced(options)) if options else prompt
    else:
        request = ChatRequest(_messages(prompt), **coerced(options))
    if system is not None:
        request = replace(request, messages=(ChatMessage("system", system), *request.messages))
    return request


def _messages(prompt: Any) -> list[ChatMessage]:
    if isinstance(prompt, str):
        return [ChatMessage("user", prompt)]
    if isinstance(prompt, ChatMessage):
        return [prompt]
    if isinstance(prompt, Sequence) and prompt:
        if any(isinstance(part, PART_TYPES) for part in prompt):
            return [ChatMessage("user", [Text(part) if isinstance(part, str) else part for part in prompt])]
        return [_message(message) for message in prompt]
    raise ConfigError(f"a prompt is a str or a list of messages that is not empty, not {prompt!r:.80}")


def _message(message: Any) -> ChatMessage:
    if isinstance(message, ChatMessage):
        return message
    role, content = None, None
    if isinstance(message, Mapping):
        role, content = message.get("role"), message.get("content")
    elif isinstance(message, tuple) and len(message) == 2:
        role, content = message
    if role in ROLES and (isinstance(content, str) or _is_parts(content)):
        return ChatMessage(cast(Role, role), cast(Any, content))
    raise ConfigError(
        f"{message!r:.80} is not a message; write ChatMessage('user', 'hi'), ('user', 'hi') or "
        "{'role': 'user', 'content': 'hi'}, with text or with parts such as Image and ToolResult"
    )


def _is_parts(content: Any) -> bool:
    return isinstance(content, Sequence) and all(isinstance(part, PART_TYPES) for part in content)


def coerced(options: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a `ChatRequest` in their proper types."""
    return {name: _COERCIONS[name](value) if name in _COERCIONS else value for name, value in options.items()}


def _tools(tools: Any) -> tuple[ToolSpec, ...]:
    return tuple(tool if isinstance(tool, ToolSpec) else _tool(tool) for tool in tools or ())


def _tool(tool: Any) -> ToolSpec:
    inner = tool.get("function", tool) if isinstance(tool, Mapping) else {}
    if not inner.get("name"):
        raise ConfigError(f"{tool!r:.80} is not a tool; write ToolSpec('name', 'what it does', parameters=json_schema)")
    schema = inner.get("parameters") or inner.get("input_schema") or {"type": "object", "properties": {}}
    return ToolSpec(inner["name"], inner.get("description") or "", schema, bool(inner.get("strict")))


def _tool_choice(choice: Any) -> Any:
    return CallTool(choice) if isinstance(choice, str) and choice not in ("auto", "none", "required") else choice


def _response_format(wanted: Any) -> Any:
    if isinstance(wanted, Mapping):
        return ResponseFormat(wanted, name=str(wanted.get("title") or "answer"))
    if hasattr(wanted, "model_json_schema"):
        return ResponseFormat(wanted.model_json_schema(), name=wanted.__name__)
    return wanted


def _thinking(wanted: Any) -> Any:
    if isinstance(wanted, str):
        return Thinking(effort=cast(Any, wanted))
    return Thinking(budget_tokens=wanted) if isinstance(wanted, int) else wanted


_COERCIONS: dict[str, Callable[[Any], Any]] = {
    "tools": _tools,
    "tool_choice": _tool_choice,
    "response_format": _response_format,
    "thinking": _thinking,
}
