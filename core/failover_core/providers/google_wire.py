"""The neutral types in the words of Google's `generateContent`. Pure. `google_answers.py` is the way back.

https://ai.google.dev/api/generate-content. Contents and config are plain dicts with the field names of google-genai.

Pictures and files with an address go as `file_data`: Gemini itself fetches public and signed https addresses, `gs://`
and Files API addresses (all models but the 2.0 family, since January 2026); nothing is downloaded here.

Left out: `parallel_tool_calls` (unknown here) and picture `detail`.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from ..failure import ConfigError
from . import model_facts as facts
from .chat import CallTool, ChatMessage, ChatRequest, File, Image, Part, Reasoning, Text, ToolCall, ToolResult
from .portable import GOOGLE_RULES, made_legal, parsed_arguments

PROVIDER = "google"

# Gemini 3 wants each step's first call signed, and takes this documented word for calls that it did not make:
# https://ai.google.dev/gemini-api/docs/thought-signatures. The SDK sends bytes in URL-safe base64, and these are the
# bytes that it spells like that word.
FOREIGN_SIGNATURE = base64.urlsafe_b64decode("skip_thought_signature_validator")


def payload(request: ChatRequest, model: str) -> dict[str, Any]:
    """The keyword arguments of `models.generate_content` and `generate_content_stream`."""
    messages = made_legal(request.messages, GOOGLE_RULES)
    config: dict[str, Any] = {
        "system_instruction": "\n\n".join(message.text for message in messages if message.role == "system") or None,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "max_output_tokens": request.max_output_tokens,
        "stop_sequences": list(request.stop) or None,
        "seed": request.seed,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
        "thinking_config": _thinking(request, model),
        "automatic_function_calling": {"disable": True},  # the tools are the caller's to run
        **_tools(request),
    }
    if request.response_format is not None:
        config["response_mime_type"] = "application/json"
    if request.json_schema is not None:
        config["response_json_schema"] = dict(request.json_schema.schema)
    config |= request.options.get(PROVIDER, {})
    return {
        "model": model,
        "contents": [_content(message) for message in messages if message.role != "system"],
        "config": {name: value for name, value in config.items() if value is not None},
    }


def _content(message: ChatMessage) -> dict[str, Any]:
    role = "model" if message.role == "assistant" else "user"
    parts: list[dict[str, Any]] = []
    signed = False
    for part in message.parts:
        sent = _part(part)
        if isinstance(part, ToolCall):
            own = part.signature if part.provider == PROVIDER else None
            if own:
                sent["thought_signature"] = base64.b64decode(own)
            elif not signed:
                sent["thought_signature"] = FOREIGN_SIGNATURE
            signed = True  # of parallel calls only the first is signed
        parts.append(sent)
    return {"role": role, "parts": parts}


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            return {"text": part.text}
        case Image() | File():
            if part.url is not None:
                return {"file_data": {"file_uri": part.url, "mime_type": part.media_type}}
            return {"inline_data": {"data": part.data, "mime_type": part.media_type}}
        case ToolCall():
            return {"function_call": {"id": part.id, "name": part.name, "args": parsed_arguments(part)}}
        case ToolResult():
            answer = {"error" if part.is_error else "output": part.text}
            return {"function_response": {"id": part.id, "name": part.name, "response": answer}}
        case Reasoning():
            signature = base64.b64decode(part.signature or "")
            thought = {"thought": True} if part.text else {}
            return {"text": part.text, "thought_signature": signature, **thought}
    raise ConfigError(f"{part!r:.80} is not a part of a message")


def _tools(request: ChatRequest) -> dict[str, Any]:
    if not request.tools:
        return {}
    declared = [
        {"name": tool.name, "description": tool.description, "parameters_json_schema": dict(tool.parameters)}
        for tool in request.tools
    ]
    sent: dict[str, Any] = {"tools": [{"function_declarations": declared}]}
    choice = request.tool_choice
    if isinstance(choice, CallTool):
        calling = {"mode": "ANY", "allowed_function_names": [choice.name]}
    elif choice is not None:
        calling = {"mode": {"auto": "AUTO", "none": "NONE", "required": "ANY"}[choice]}
    else:
        return sent
    return {**sent, "tool_config": {"function_calling_config": calling}}


def _thinking(request: ChatRequest, model: str) -> dict[str, Any] | None:
    """Gemini 3 and later know levels, 2.5 knows budgets, and older models do not think."""
    wanted = request.thinking
    if wanted is None or re.search(r"gemini-(1|2\.0)", model):
        return None
    sent: dict[str, Any] = {"include_thoughts": True} if wanted.show else {}
    if facts.gemini_generation(model) >= 3:
        effort = facts.effort_of(wanted)
        return {**sent, "thinking_level": facts.gemini_level(model, effort)} if effort else sent
    budget = facts.budget_of(wanted)
    return sent if budget is None else {**sent, "thinking_budget": facts.gemini_budget(model, budget)}
