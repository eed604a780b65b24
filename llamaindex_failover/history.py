"""A conversation as each LLM class takes it: copied for every attempt, and freed of what only its author understands.

A chat that fails over carries turns that another provider wrote, with tool arguments as JSON text, reasoning with or
without a signature, citations, cache marks, ids that are tool names. Each official class refuses or misreads some of
these, mostly before anything is sent. The copies made here are what one family accepts; the caller's own messages are
never touched.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

from llama_index.core.base.llms.types import (
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    ContentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.llms.utils import parse_partial_json

from .families import ANTHROPIC, GEMINI, RESPONSES, Family

# Accepted wherever ids are checked: Anthropic allows these characters only, OpenAI at most 40 of them.
_PORTABLE_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")
# Google's documented stand-in for calls that Gemini 3 did not make itself (ai.google.dev, "Thought signatures").
_FOREIGN_CALL_SIGNATURE = b"skip_thought_signature_validator"
_SIGNS_CALLS = re.compile(r"gemini-([3-9]|\d\d)")

_ROLES: dict[MessageRole, MessageRole] = {
    MessageRole.CHATBOT: MessageRole.ASSISTANT,
    MessageRole.MODEL: MessageRole.ASSISTANT,
    MessageRole.FUNCTION: MessageRole.TOOL,
}
_ROLES_WITHOUT_DEVELOPER = {**_ROLES, MessageRole.DEVELOPER: MessageRole.SYSTEM}


def portable(messages: Sequence[ChatMessage], family: Family, model: str | None = None) -> list[ChatMessage]:
    """Copies of `messages` that an LLM of `family` accepts; plain copies for a family that nothing is known of."""
    copies = [copied(message) for message in messages]
    if not family.official:
        return copies
    for message in copies:
        _adapt(message, family)
        if family is GEMINI:
            _sign_foreign_calls(message, model)
    if family is ANTHROPIC:  # which refuses a request with an empty turn
        copies = [message for message in copies if message.blocks or message.role is not MessageRole.ASSISTANT]
    if family is not GEMINI:  # Gemini pairs calls and results by name as well, and Vertex wants the name for an id
        _make_ids_unique(copies)
    return copies


def copied(message: ChatMessage) -> ChatMessage:
    """A message that shares nothing changeable with the original. Bytes are shared: nobody can change them."""
    blocks = [
        block.__copy__() if isinstance(block, TextBlock | ImageBlock) else block.model_copy(deep=True)
        for block in message.blocks
    ]
    extra = _deep(message.additional_kwargs) if message.additional_kwargs else {}
    return message.model_copy(update={"blocks": blocks, "additional_kwargs": extra})


def _deep(value: Any) -> Any:
    try:
        return deepcopy(value)
    except Exception:  # a file handle, a lock: keep it, but no container around it
        return dict(value) if isinstance(value, dict) else value


def _adapt(message: ChatMessage, family: Family) -> None:
    roles = _ROLES_WITHOUT_DEVELOPER if family in (ANTHROPIC, GEMINI) else _ROLES
    message.role = roles.get(message.role, message.role)
    if message.additional_kwargs:
        lift_tool_calls(message)
        if message.role is MessageRole.TOOL and "call_id" in message.additional_kwargs:
            message.additional_kwargs.setdefault("tool_call_id", message.additional_kwargs["call_id"])
    signatures = message.additional_kwargs.get("thought_signatures") if family is GEMINI else None
    blocks: list[ContentBlock] = []
    kept: list[Any] = []
    for position, block in enumerate(message.blocks):
        for part in _accepted(block, family):
            blocks.append(part)
            kept.append(signatures[position] if signatures and position < len(signatures) else None)
    message.blocks = blocks
    if signatures:
        message.additional_kwargs["thought_signatures"] = kept  # Gemini's class matches them to blocks by position


def _accepted(block: ContentBlock, family: Family) -> Iterator[ContentBlock]:
    """What of a block a family takes: the block itself, its content, or nothing."""
    match block:
        case TextBlock(text=text) if not text.strip() and (family is ANTHROPIC or (family is GEMINI and not text)):
            return  # Anthropic refuses it, and Gemini's class repeats the block before it
        case ThinkingBlock():
            if _is_own_thinking(block, family):
                yield block
        case ToolCallBlock():
            if family in (ANTHROPIC, GEMINI):
                block.tool_kwargs = arguments_of(block.tool_kwargs)
            yield block
        case CachePoint() | CitationBlock():
            if family is ANTHROPIC:
                yield block
        case CitableBlock():
            if family is ANTHROPIC:
                yield block
            else:
                yield from block.content
        case _:
            yield block


def _is_own_thinking(block: ThinkingBlock, family: Family) -> bool:
    """Reasoning goes back only to who can verify it: providers reject thoughts without their own signature."""
    facts = block.additional_information
    if not block.content:
        return False
    if family is ANTHROPIC:
        return bool(facts.get("signature"))
    if family is GEMINI:
        return bool(facts.get("thought"))
    return family is RESPONSES and "id" in facts


def arguments_of(tool_kwargs: dict[str, Any] | str | None) -> dict[str, Any]:
    """A tool call's arguments as a dict, also from text that is not complete yet; {} where they cannot be read."""
    if not isinstance(tool_kwargs, str):
        return tool_kwargs or {}
    try:
        parsed = parse_partial_json(tool_kwargs)
    except (ValueError, TypeError, IndexError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def with_tool_blocks(message: ChatMessage) -> ChatMessage:
    """The message itself, or a copy whose tool calls are all blocks."""
    if not message.additional_kwargs.get("tool_calls"):
        return message
    message = copied(message)
    lift_tool_calls(message)
    return message


def lift_tool_calls(message: ChatMessage) -> None:
    """Tool calls kept beside the blocks (OpenAI's objects, older histories) become blocks, once."""
    calls = message.additional_kwargs.pop("tool_calls", None)
    if not calls or any(isinstance(block, ToolCallBlock) for block in message.blocks):
        return
    message.blocks = [*message.blocks, *(block for call in calls if (block := _as_block(call)) is not None)]


def _as_block(call: Any) -> ToolCallBlock | None:
    """A tool call in any of the shapes that LlamaIndex integrations have stored: OpenAI's, Anthropic's, Gemini's."""

    def get(source: Any, *names: str) -> Any:
        values = (source.get(name) if isinstance(source, dict) else getattr(source, name, None) for name in names)
        return next((value for value in values if value is not None), None)

    function = get(call, "function") or call
    name = get(function, "name", "tool_name")
    if not name:
        return None
    arguments = get(function, "arguments", "input", "args", "tool_kwargs")
    return ToolCallBlock(
        tool_call_id=get(call, "id", "call_id", "tool_id"), tool_name=name, tool_kwargs=arguments or {}
    )


def _sign_foreign_calls(message: ChatMessage, model: str | None) -> None:
    if model is None or not _SIGNS_CALLS.search(model) or message.additional_kwargs.get("thought_signatures"):
        return
    if any(isinstance(block, ToolCallBlock) for block in message.blocks):
        message.additional_kwargs["thought_signatures"] = [
            _FOREIGN_CALL_SIGNATURE if isinstance(block, ToolCallBlock) else None for block in message.blocks
        ]


def _make_ids_unique(messages: list[ChatMessage]) -> None:
    """Every call gets an id of its own, and every result the id of its call: results come in the order of the calls."""
    used: set[str] = set()
    waiting: dict[str, deque[str]] = defaultdict(deque)
    for message in messages:
        if message.role is MessageRole.TOOL:
            answered = message.additional_kwargs.get("tool_call_id", "")
            if waiting.get(answered):
                message.additional_kwargs["tool_call_id"] = waiting[answered].popleft()
            continue
        for block in message.blocks:
            if isinstance(block, ToolCallBlock):
                old = block.tool_call_id or block.tool_name
                new = old
                while new in used or not _PORTABLE_ID.fullmatch(new):
                    new = f"call_{len(used)}" if new == old else f"{new}_"
                used.add(new)
                waiting[old].append(new)
                block.tool_call_id = new
