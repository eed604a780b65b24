"""What OpenAI's chat completions answer with a 400, as far as it decides whether a history is portable."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from .base import JSON, reject

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_BLOCKS: Mapping[str, Sequence[str]] = {
    "user": ("text", "image_url", "input_audio", "file"),
    "assistant": ("text", "refusal"),
}
_PARAMETERS = frozenset(
    {
        *("messages", "model", "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs"),
        *("max_completion_tokens", "max_tokens", "metadata", "modalities", "moderation", "n", "parallel_tool_calls"),
        *("prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
        *("reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier", "stop", "store"),
        *("stream", "stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user"),
        *("verbosity", "web_search_options"),
    }
)
_LONGEST_ID = 40
_NAME = re.compile(r"^[^\s<|\\/>]+$")
_FUNCTION_NAME = re.compile(r"^[a-zA-Z0-9_-]+$")


def check(body: JSON) -> None:
    """Raise `Rejected` with OpenAI's own words."""
    for name in body:
        if name not in _PARAMETERS:
            _refuse(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    if not body.get("model"):
        _refuse("you must provide a model parameter")
    messages = body.get("messages")
    if messages is None:
        _refuse("Missing required parameter: 'messages'.", "messages", "missing_required_parameter")
    if not isinstance(messages, list):
        _refuse("Invalid type for 'messages': expected an array of objects.", "messages", "invalid_type")
    if not messages:
        text = (
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead."
        )
        _refuse(text, "messages", "empty_array")
    for index, message in enumerate(messages):
        _check_message(message, f"messages[{index}]")
    _check_tool_turns(messages)
    _check_tools(body)
    _check_format(body)


def _check_message(message: Any, at: str) -> None:
    if not isinstance(message, dict):
        _refuse(f"Invalid type for '{at}': expected an object.", at, "invalid_type")
    role = message.get("role")
    if role not in _ROLES:
        known = ", ".join(f"'{name}'" for name in _ROLES)
        _refuse(f"Invalid value: '{role}'. Supported values are: {known}.", f"{at}.role", "invalid_value")
    if "name" in message and not _NAME.match(str(message["name"])):
        _refuse_pattern(f"{at}.name", _NAME)
    _check_content(message, at)
    calls = message.get("tool_calls")
    if calls is not None and not calls:
        text = (
            f"Invalid '{at}.tool_calls': empty array. Expected an array with minimum length 1, but got an empty array."
        )
        _refuse(text, f"{at}.tool_calls", "empty_array")
    for index, call in enumerate(calls or ()):
        _check_call(call, f"{at}.tool_calls[{index}]")
    if role == "tool":
        _check_id(message.get("tool_call_id"), f"{at}.tool_call_id")


def _check_content(message: JSON, at: str) -> None:
    role, content = message["role"], message.get("content")
    if content is None:
        if role == "assistant" and (
            message.get("tool_calls") or message.get("refusal") or message.get("function_call")
        ):
            return
        _refuse("Invalid value for 'content': expected a string, got null.", f"{at}.content")
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        text = (
            f"Invalid type for '{at}.content': expected one of a string or array of objects, but got an object instead."
        )
        _refuse(text, f"{at}.content", "invalid_type")
    supported = _BLOCKS.get(role, ("text",))
    for index, block in enumerate(content):
        kind = block.get("type") if isinstance(block, dict) else None
        if kind not in supported:
            known = ", ".join(f"'{name}'" for name in supported)
            where = f"{at}.content[{index}].type"
            _refuse(f"Invalid value: '{kind}'. Supported values are: {known}.", where, "invalid_value")


def _check_call(call: Any, at: str) -> None:
    if not isinstance(call, dict) or not isinstance(call.get("function"), dict):
        _refuse(f"Missing required parameter: '{at}.function'.", f"{at}.function", "missing_required_parameter")
    _check_id(call.get("id"), f"{at}.id")
    arguments = call["function"].get("arguments")
    if not isinstance(arguments, str):
        text = f"Invalid type for '{at}.function.arguments': expected a string, but got an object instead."
        _refuse(text, f"{at}.function.arguments", "invalid_type")


def _check_id(value: Any, at: str) -> None:
    if not isinstance(value, str):
        _refuse(f"Missing required parameter: '{at}'.", at, "missing_required_parameter")
    if len(value) > _LONGEST_ID:
        text = (
            f"Invalid '{at}': string too long. Expected a string with maximum length {_LONGEST_ID}, but got a string "
            f"with length {len(value)} instead."
        )
        _refuse(text, at, "string_above_max_length")


def _check_tool_turns(messages: Sequence[JSON]) -> None:
    """Calls are followed by their results, and results follow their calls."""
    open_ids: set[str] = set()
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_ids:
                text = (
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                    "'tool_calls'."
                )
                _refuse(text, f"messages.[{index}].role")
            open_ids.discard(message["tool_call_id"])
            continue
        _refuse_open(open_ids, index)
        open_ids = {call["id"] for call in message.get("tool_calls") or ()}
    _refuse_open(open_ids, len(messages))


def _refuse_open(ids: set[str], index: int) -> None:
    if ids:
        text = (
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            "'tool_call_id'. The following tool_call_ids did not have response messages: " + ", ".join(sorted(ids))
        )
        _refuse(text, f"messages.[{index}].role")


def _check_tools(body: JSON) -> None:
    tools = body.get("tools")
    if tools is not None and not tools:
        _refuse_empty("tools")
    names = set()
    for index, tool in enumerate(tools or ()):
        at = f"tools[{index}]"
        if tool.get("type") not in ("function", "custom"):
            text = f"Invalid value: '{tool.get('type')}'. Supported values are: 'function' and 'custom'."
            _refuse(text, f"{at}.type", "invalid_value")
        function = tool.get(tool["type"]) or {}
        name = str(function.get("name", ""))
        if not _FUNCTION_NAME.match(name):
            _refuse_pattern(f"{at}.{tool['type']}.name", _FUNCTION_NAME)
        if function.get("strict"):
            _check_strict(function.get("parameters") or {}, f"function '{name}'", f"{at}.function.parameters")
        names.add(name)
    choice = body.get("tool_choice")
    if choice is not None and not tools:
        _refuse(
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.", "tool_choice"
        )
    if isinstance(choice, str) and choice not in ("none", "auto", "required"):
        text = f"Invalid value: '{choice}'. Supported values are: 'none', 'auto', and 'required'."
        _refuse(text, "tool_choice", "invalid_value")
    if isinstance(choice, dict):
        wanted = (choice.get("function") or {}).get("name")
        if choice.get("type") != "function" or wanted not in names:
            _refuse(f"Tool choice '{wanted}' not found in 'tools' parameter.", "tool_choice", "invalid_value")


def _check_format(body: JSON) -> None:
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_object" and "json" not in str(body["messages"]).lower():
        text = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        _refuse(text, "messages")
    spec = wanted.get("json_schema")
    if wanted.get("type") == "json_schema" and not (isinstance(spec, dict) and spec.get("name")):
        at = "response_format.json_schema.name"
        _refuse(f"Missing required parameter: '{at}'.", at, "missing_required_parameter")
    if isinstance(spec, dict) and spec.get("strict"):
        _check_strict(spec.get("schema") or {}, f"response_format '{spec['name']}'", "response_format")


def _check_strict(schema: Any, owner: str, param: str) -> None:
    """Strict schemas close every object and require every property."""
    if isinstance(schema, list):
        for each in schema:
            _check_strict(each, owner, param)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            reason = "'additionalProperties' is required to be supplied and to be false."
            _refuse(f"Invalid schema for {owner}: In context=(), {reason}", param, "invalid_json_schema")
        if set(schema.get("required", ())) != set(schema.get("properties", {})):
            reason = "'required' is required to be supplied and to be an array including every key in properties."
            _refuse(f"Invalid schema for {owner}: In context=(), {reason}", param, "invalid_json_schema")
    for key, each in schema.items():
        if key in ("properties", "$defs", "definitions"):
            each = list(each.values())
        if key not in ("enum", "const", "default", "required"):
            _check_strict(each, owner, param)


def _refuse_empty(param: str) -> NoReturn:
    text = f"Invalid '{param}': empty array. Expected an array with minimum length 1, but got an empty array instead."
    _refuse(text, param, "empty_array")


def _refuse_pattern(param: str, pattern: re.Pattern[str]) -> NoReturn:
    text = f"Invalid '{param}': string does not match pattern. Expected a string that matches the pattern "
    _refuse(f"{text}'{pattern.pattern}'.", param, "invalid_value")


def _refuse(message: str, param: str | None = None, code: str | None = None) -> NoReturn:
    reject(400, message, type="invalid_request_error", param=param, code=code)
