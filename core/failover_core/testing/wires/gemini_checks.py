"""What Gemini answers with a 400, as far as it decides whether a history is portable."""

from __future__ import annotations

import re
from typing import Any, NoReturn

from .base import JSON, reject

_PART_DATA = (
    *("text", "inlineData", "functionCall", "functionResponse", "fileData", "executableCode"),
    *("codeExecutionResult", "toolCall", "toolResponse"),
)
_FUNCTION_NAME = re.compile(r"^[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}$")


def field(message: JSON, name: str) -> Any:
    """A field by its camelCase name, however it is spelled in the request."""
    value = message.get(name)
    return value if value is not None else message.get(re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower())


def thinks_in_signatures(model: str) -> bool:
    """Gemini 3 gives calls a thought signature and wants it back."""
    return model.startswith("gemini-3")


def check(body: JSON, model: str) -> None:
    """Raise `Rejected` with Gemini's own words."""
    contents = body.get("contents")
    if not contents or not isinstance(contents, list):
        _refuse("* GenerateContentRequest.contents: contents is not specified\n")
    for index, content in enumerate(contents):
        _check_content(content, f"contents[{index}]")
    _check_function_turns(contents)
    _check_functions(body)
    if thinks_in_signatures(model):
        _check_signatures(contents)


def _check_content(content: JSON, at: str) -> None:
    if content.get("role", "user") not in ("user", "model", "function"):
        _refuse("Please use a valid role: user, model.")
    parts = content.get("parts")
    if not parts:
        _refuse(f"* GenerateContentRequest.{at}.parts: contents.parts must not be empty.\n")
    for number, part in enumerate(parts):
        if not any(field(part, name) is not None for name in _PART_DATA):
            _refuse(
                f"* GenerateContentRequest.{at}.parts[{number}].data: required oneof field 'data' must have one "
                "initialized field\n"
            )
        call = field(part, "functionCall")
        if call is not None and not isinstance(call.get("args", {}), dict):
            where = f"{at}.parts[{number}].function_call.args"
            _refuse(f"Invalid value at '{where}' (type.googleapis.com/google.protobuf.Struct)")


def _check_function_turns(contents: list[JSON]) -> None:
    """As many responses as calls, right after them; calls right after a user turn or after responses."""
    waiting = 0
    previous = ""
    for content in contents:
        calls = sum(field(part, "functionCall") is not None for part in content["parts"])
        responses = sum(field(part, "functionResponse") is not None for part in content["parts"])
        if waiting and responses != waiting:
            _refuse(
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn."
            )
        if responses and not waiting:
            _refuse("Please ensure that function response turn comes immediately after a function call turn.")
        if calls and previous not in ("user", "function"):
            _refuse(
                "Please ensure that function call turn comes immediately after a user turn or after a function "
                "response turn."
            )
        waiting = calls
        previous = "function" if responses else str(content.get("role", "user"))
    if waiting:
        _refuse(
            "Please ensure that the number of function response parts is equal to the number of function call parts of "
            "the function call turn."
        )


def _check_functions(body: JSON) -> None:
    declared = [f for tool in body.get("tools") or () for f in field(tool, "functionDeclarations") or ()]
    names = [str(function.get("name")) for function in declared]
    for index, name in enumerate(names):
        if not _FUNCTION_NAME.match(name):
            _refuse(
                f"* GenerateContentRequest.tools[0].function_declarations[{index}].name: Invalid function name. Must "
                "start with a letter or an underscore. Must be alphameric (a-z, A-Z, 0-9), underscores (_), dots (.), "
                "colons (:), or dashes (-), with a maximum length of 128.\n"
            )
    if len(set(names)) < len(names):
        _refuse(f"Duplicate function declaration found: {max(names, key=names.count)}")
    config = field(field(body, "toolConfig") or {}, "functionCallingConfig") or {}
    allowed = field(config, "allowedFunctionNames") or []
    if allowed and str(config.get("mode", "")).upper() not in ("ANY", "VALIDATED"):
        _refuse("Allowed function names can only be set when the function calling mode is ANY or VALIDATED.")
    if str(config.get("mode", "")).upper() == "ANY" and not names:
        _refuse("Function calling config is set without function_declarations.")
    unknown = [name for name in allowed if name not in names]
    if unknown:
        _refuse(f"Allowed function name {unknown[0]} is not a declared function.")


def _check_signatures(contents: list[JSON]) -> None:
    """The first call of each step of the turn under way carries its signature."""
    for index in range(len(contents) - 1, -1, -1):
        parts = contents[index]["parts"]
        if contents[index].get("role") != "model":
            if any(part.get("text") for part in parts):
                return  # the turn under way starts here
            continue
        calls = [part for part in parts if field(part, "functionCall") is not None]
        if calls and not field(calls[0], "thoughtSignature"):
            name = field(calls[0], "functionCall").get("name")
            _refuse(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to "
                "work correctly, and missing thought_signature may lead to degraded model performance. Additional "
                f"data, function call `default_api:{name}`, position {index}."
            )


def _refuse(message: str) -> NoReturn:
    reject(400, message, type="INVALID_ARGUMENT")
