"""What Anthropic's messages API answers with a 400, as far as it decides whether a history is portable."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NoReturn

from .base import JSON, reject

_USER_BLOCKS = frozenset({"text", "image", "document", "search_result", "tool_result", "container_upload"})
_ASSISTANT_BLOCKS = frozenset(
    {"text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "web_search_tool_result"}
)
_TOOL_ID = re.compile(r"^[a-zA-Z0-9_-]+$")
_TOOL_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,128}$")


def check(body: JSON, *, accepts_prefill: bool) -> None:
    """Raise `Rejected` with Anthropic's own words."""
    for name in ("model", "max_tokens", "messages"):
        if body.get(name) is None:
            _refuse(f"{name}: Field required")
    messages = body["messages"]
    if not isinstance(messages, list) or not messages:
        _refuse("messages: at least one message is required")
    for index, message in enumerate(messages):
        _check_message(message, index, last=index == len(messages) - 1)
    if messages[-1]["role"] == "assistant" and not accepts_prefill:
        _refuse("This model does not support assistant message prefill. The conversation must end with a user message.")
    _check_tool_turns(messages)
    _check_tools(body)
    _check_thinking(body)


def _check_message(message: Any, index: int, *, last: bool) -> None:
    at = f"messages.{index}"
    role = message.get("role") if isinstance(message, dict) else None
    if role == "system":
        _refuse(
            'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not "system" '
            "as an input message role."
        )
    if role not in ("user", "assistant"):
        _refuse(f'messages: Unexpected role "{role}". Allowed roles are "user" or "assistant".')
    content = message.get("content")
    if not isinstance(content, str | list):
        _refuse(f"{at}.content: Input should be a valid string or a valid list")
    if not content and not (last and role == "assistant"):
        _refuse(f"{at}: all messages must have non-empty content except for the optional final assistant message")
    if isinstance(content, str) and content and not content.strip():
        _refuse("messages: text content blocks must contain non-whitespace text")
    if isinstance(content, list):
        for number, block in enumerate(content):
            _check_block(block, f"{at}.content.{number}", _USER_BLOCKS if role == "user" else _ASSISTANT_BLOCKS)
    text = content if isinstance(content, str) else content[-1].get("text", "") if content else ""
    if last and role == "assistant" and text != text.rstrip():
        _refuse("messages: final assistant content cannot end with trailing whitespace")


def _check_block(block: Any, at: str, allowed: frozenset[str]) -> None:
    kind = block.get("type") if isinstance(block, dict) else None
    if kind not in allowed:
        known = ", ".join(f"'{name}'" for name in sorted(allowed))
        _refuse(f"{at}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {known}")
    if kind == "text" and not str(block.get("text") or "").strip():
        empty = "must be non-empty" if not block.get("text") else "must contain non-whitespace text"
        _refuse(f"messages: text content blocks {empty}")
    if kind == "thinking":
        if "signature" not in block:
            _refuse(f"{at}.thinking.signature: Field required")
        if not block["signature"]:
            _refuse(f"{at}: Invalid `signature` in `thinking` block")
    if kind == "tool_use":
        _check_id(block.get("id"), f"{at}.tool_use.id")
        if not _TOOL_NAME.match(str(block.get("name"))):
            _refuse(f"{at}.tool_use.name: String should match pattern '{_TOOL_NAME.pattern}'")
        if not isinstance(block.get("input"), dict):
            _refuse(f"{at}.tool_use.input: Input should be a valid dictionary")
    if kind == "tool_result":
        _check_id(block.get("tool_use_id"), f"{at}.tool_result.tool_use_id")


def _check_id(value: Any, at: str) -> None:
    if not _TOOL_ID.match(str(value or "")):
        _refuse(f"{at}: String should match pattern '{_TOOL_ID.pattern}'")


def _check_tool_turns(messages: Sequence[JSON]) -> None:
    """Each call has its result at the head of the next turn, each result its call in the turn before."""
    turns = _merged(messages)
    seen: set[str] = set()
    for index, (role, blocks) in enumerate(turns):
        if role == "user":
            previous = turns[index - 1][1] if index else []
            called = {block["id"] for block in previous if block["type"] == "tool_use"}
            for number, block in enumerate(blocks):
                if block["type"] == "tool_result" and block["tool_use_id"] not in called:
                    _refuse(
                        f"messages.{index}.content.{number}: unexpected `tool_use_id` found in `tool_result` blocks: "
                        f"{block['tool_use_id']}. Each `tool_result` block must have a corresponding `tool_use` block "
                        "in the previous message."
                    )
            continue
        ids = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if len(set(ids)) < len(ids) or seen & set(ids):
            _refuse(f"messages.{index}.content: `tool_use` ids must be unique")
        seen |= set(ids)
        missing = [each for each in ids if each not in _leading_results(turns, index + 1)]
        if missing:
            _refuse(
                f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the "
                "next message."
            )


def _merged(messages: Sequence[JSON]) -> list[tuple[str, list[JSON]]]:
    """The API joins neighbours of one role before it looks at them."""
    turns: list[tuple[str, list[JSON]]] = []
    for message in messages:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
        if turns and turns[-1][0] == message["role"]:
            turns[-1][1].extend(blocks)
        else:
            turns.append((message["role"], blocks))
    return turns


def _leading_results(turns: Sequence[tuple[str, list[JSON]]], index: int) -> set[str]:
    ids: set[str] = set()
    for block in turns[index][1] if index < len(turns) else ():
        if block["type"] != "tool_result":
            break
        ids.add(block["tool_use_id"])
    return ids


def _check_tools(body: JSON) -> None:
    tools = body.get("tools") or []
    names = [str(tool.get("name") or "") for tool in tools]
    for index, tool in enumerate(tools):
        if tool.get("type") == "function":
            _refuse(f"tools.{index}: Input tag 'function' found using 'type' does not match any of the expected tags")
        if tool.get("type") in (None, "custom"):
            if not _TOOL_NAME.match(names[index]):
                _refuse(f"tools.{index}.custom.name: String should match pattern '{_TOOL_NAME.pattern}'")
            if (tool.get("input_schema") or {}).get("type") != "object":
                _refuse(f"tools.{index}.custom.input_schema.type: Field required")
    if len(set(names)) < len(names):
        _refuse("tools: Tool names must be unique.")
    choice = body.get("tool_choice")
    if choice is None:
        return
    if not isinstance(choice, dict) or choice.get("type") not in ("auto", "any", "tool", "none"):
        _refuse("tool_choice: Input should be an object with a type of 'auto', 'any', 'tool' or 'none'")
    if not tools:
        _refuse("tool_choice: tool_choice may only be specified while providing tools")
    if choice["type"] == "tool" and choice.get("name") not in names:
        _refuse(f"tool_choice: Tool '{choice.get('name')}' not found in provided tools")


def _check_thinking(body: JSON) -> None:
    thinking = body.get("thinking") or {}
    if thinking.get("type") not in ("enabled", "adaptive"):
        return
    if thinking.get("budget_tokens", 0) >= body["max_tokens"]:
        _refuse("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        _refuse("Thinking may not be enabled when tool_choice forces tool use.")
    if thinking["type"] == "adaptive":
        return
    turns = _merged(body["messages"])
    for index in range(len(turns) - 1, -1, -1):
        role, blocks = turns[index]
        if role == "user":
            if not any(block["type"] == "tool_result" for block in blocks):
                return  # the turn under way starts here
        elif blocks and blocks[0]["type"] not in ("thinking", "redacted_thinking"):
            _refuse(
                f"messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
                f"`{blocks[0]['type']}`. When `thinking` is enabled, a final `assistant` message must start with a "
                "thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks). To avoid this "
                "requirement, disable `thinking`."
            )
        else:
            return


def _refuse(message: str) -> NoReturn:
    reject(400, message, type="invalid_request_error")
