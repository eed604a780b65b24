"""A conversation that other targets took part in, made legal for the target that is asked now.

Always on copies, and only where something has to change: a message that the same provider and account produced is
passed on as the very same object. Anything else an assistant said becomes its plain text and its tool calls:
reasoning, signatures, server-tool blocks and item ids mean nothing outside of the account that issued them, and
providers refuse them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from .dialects import Dialect, Wire
from .media import standard_content

LEGAL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # OpenAI chat completions, the narrowest
LEGAL_TOOL_ID = re.compile(r"[a-zA-Z0-9_-]{1,40}")  # the characters of Anthropic, the length of OpenAI chat
_PLACEHOLDERS = {"image": "[image]", "image_url": "[image]", "audio": "[audio]", "video": "[video]", "file": "[file]"}


@dataclass(slots=True)
class Portable:
    """What `portable` made of a conversation.

    Args:
        messages: for the target; the given list itself where nothing had to change.
        unsigned_tool_loop: a tool loop is under way whose last calls were made without Anthropic's signed thoughts, by
            whomever. With a thinking budget it refuses these.
    """

    messages: list[BaseMessage]
    unsigned_tool_loop: bool = False


def portable(messages: list[BaseMessage], dialect: Dialect, accounts: Mapping[str, str | None]) -> Portable:
    """The conversation as the target that talks `dialect` can take it.

    Args:
        messages: as the caller gave them; never changed.
        dialect: of the target.
        accounts: target name -> its account, to recognise what the targets of this failover have produced.
    """
    if _is_simple(messages):
        return Portable(messages)
    own = [isinstance(m, AIMessage) and _is_own(m, dialect, accounts) for m in messages]
    foreign = [m for m, is_own in zip(messages, own, strict=True) if isinstance(m, AIMessage) and not is_own]
    renamed = _illegal_tool_ids(foreign)
    answered = _answered_ids(messages) if foreign else frozenset()
    result: list[BaseMessage] = []
    leading = True
    for message, is_own in zip(messages, own, strict=True):
        new: BaseMessage | None = message
        if isinstance(message, AIMessage):
            if not is_own:
                new = _rebuilt(message, answered, renamed)
        elif isinstance(message, ToolMessage):
            new = _tool_result(message, dialect, renamed)
        else:
            new = _instruction_or_question(message, dialect, leading=leading)
        leading = leading and isinstance(message, SystemMessage)
        if new is not None:
            result.append(new)
    if dialect.wire is Wire.OPENAI_CHAT:
        result = _with_media_after_results(result)
    elif dialect.wire in (Wire.ANTHROPIC, Wire.GOOGLE):
        result = _not_only_system(result)
    same = len(result) == len(messages) and all(new is old for new, old in zip(result, messages, strict=True))
    return Portable(messages if same else result, _in_unsigned_tool_loop(result))


def _is_simple(messages: Sequence[BaseMessage]) -> bool:
    """One question in plain text, perhaps after a system message: legal everywhere, and most of all calls."""
    if not messages or len(messages) > 2 or not isinstance(messages[-1], HumanMessage):
        return not messages
    if len(messages) == 2 and not isinstance(messages[0], SystemMessage):
        return False
    return all(isinstance(message.content, str) and message.name is None for message in messages)


# -- assistant messages ---------------------------------------------------------------------------------------------


def _is_own(message: AIMessage, dialect: Dialect, accounts: Mapping[str, str | None]) -> bool:
    """Did the target's own provider and account produce it, on the same wire? (Or is it plain, and nobody can tell.)"""
    metadata = message.response_metadata
    if not metadata and _is_plain(message):
        return True
    provider = metadata.get("model_provider")
    if provider is not None and provider != dialect.provider:
        return False
    if dialect.wire.is_openai and _is_from_responses(message) is not (dialect.wire is Wire.OPENAI_RESPONSES):
        return False
    by = metadata.get("failover")
    if isinstance(by, Mapping):
        account = accounts.get(by.get("target") or "")
        joined = any(seam.get("kind") != "replace" for seam in by.get("seams") or ())
        return account is not None and account == dialect.account and not joined
    return provider is not None or _origin(message) is dialect.wire


def _is_plain(message: AIMessage) -> bool:
    """Text and tool calls only, as everybody understands them."""
    return (
        isinstance(message.content, str)
        and not message.additional_kwargs
        and not message.invalid_tool_calls
        and (message.name is None or LEGAL_NAME.fullmatch(message.name) is not None)
        and all(call["id"] is None or LEGAL_TOOL_ID.fullmatch(call["id"]) for call in message.tool_calls)
    )


def _is_from_responses(message: AIMessage) -> bool:
    """Did OpenAI's Responses API produce it, rather than chat completions?"""
    metadata = message.response_metadata
    if metadata.get("model_provider", "openai") != "openai" or "finish_reason" in metadata:
        return False
    ids = (message.id, metadata.get("id"))
    return isinstance(message.content, list) or any(str(value).startswith(("resp_", "msg_")) for value in ids)


def _origin(message: AIMessage) -> Wire | None:
    """Who speaks like this? For messages that have lost their metadata, in a database for example."""
    blocks = [block for block in message.content if isinstance(block, dict)]
    kinds = {block.get("type") for block in blocks}
    signed = any(block.get("type") == "thinking" and "signature" in block for block in blocks)
    if signed or kinds & {"tool_use", "server_tool_use", "redacted_thinking"}:
        return Wire.ANTHROPIC
    if kinds & {"function_call", "output_text", "web_search_call", "reasoning"}:
        return Wire.OPENAI_RESPONSES
    if kinds & {"thinking", "executable_code", "code_execution_result"}:
        return Wire.GOOGLE
    return None


def _in_unsigned_tool_loop(messages: Sequence[BaseMessage]) -> bool:
    """A question after the results is still in the loop: it is sent as a part of the same turn."""
    last = next((message for message in reversed(messages) if isinstance(message, AIMessage)), None)
    return last is not None and bool(last.tool_calls) and not _begins_with_thought(last)


def _begins_with_thought(message: AIMessage) -> bool:
    first: Any = message.content[0] if message.content else None
    if not isinstance(first, dict):
        return False
    inner = first.get("value") if first.get("type") == "non_standard" else first  # redacted, as "v1" stores it
    return isinstance(inner, dict) and inner.get("type") in ("thinking", "redacted_thinking", "reasoning")


def _rebuilt(message: AIMessage, answered: frozenset[str], renamed: Mapping[str, str]) -> AIMessage | None:
    """Its text and its tool calls, or None when neither is left."""
    text = str(message.text) or " ".join(_placeholders(message.content))
    calls = [{**call, "id": renamed.get(call["id"] or "", call["id"])} for call in message.tool_calls]
    for invalid in message.invalid_tool_calls:
        id_ = invalid.get("id") or ""
        if id_ in answered:  # its result is in the history, and no result may stand alone
            arguments = {"invalid_arguments": invalid.get("args") or ""}
            calls.append({"name": invalid.get("name") or "unknown", "args": arguments, "id": renamed.get(id_, id_)})
    if not text and not calls:
        return None
    return AIMessage(content=text, tool_calls=calls, name=_legal_name(message.name))


def _placeholders(content: Any) -> list[str]:
    if isinstance(content, str):
        return []
    return [_PLACEHOLDERS[b["type"]] for b in content if isinstance(b, dict) and b.get("type") in _PLACEHOLDERS]


def _answered_ids(messages: Sequence[BaseMessage]) -> frozenset[str]:
    return frozenset(message.tool_call_id for message in messages if isinstance(message, ToolMessage))


# -- everybody else's messages --------------------------------------------------------------------------------------


def _tool_result(message: ToolMessage, dialect: Dialect, renamed: Mapping[str, str]) -> ToolMessage:
    content = standard_content(message.content, dialect.wire)
    id_ = renamed.get(message.tool_call_id, message.tool_call_id)
    if content is message.content and id_ == message.tool_call_id:
        return message
    return message.model_copy(update={"content": content, "tool_call_id": id_})


def _with_media_after_results(messages: list[BaseMessage]) -> list[BaseMessage]:
    """Chat completions take only text in a tool's result: pictures and files follow in a message of the user."""
    if not any(isinstance(message, ToolMessage) and _media(message) for message in messages):
        return messages
    result: list[BaseMessage] = []
    waiting: list[Any] = []
    for message in messages:
        if not isinstance(message, ToolMessage):
            if waiting:
                result.append(HumanMessage(content=waiting))
                waiting = []
            result.append(message)
            continue
        media = _media(message)
        if media:
            waiting += [{"type": "text", "text": f"From the result of {message.name or 'the tool'}:"}, *media]
            rest = [block for block in message.content if block not in media] or "(see below)"
            message = message.model_copy(update={"content": rest})
        result.append(message)
    return [*result, HumanMessage(content=waiting)] if waiting else result


def _media(message: ToolMessage) -> list[Any]:
    if isinstance(message.content, str):
        return []
    return [block for block in message.content if isinstance(block, dict) and block.get("type") in _PLACEHOLDERS]


def _instruction_or_question(message: BaseMessage, dialect: Dialect, *, leading: bool) -> BaseMessage:
    content = standard_content(message.content, dialect.wire)
    if isinstance(message, SystemMessage) and not leading and not dialect.has_system_anywhere:
        return HumanMessage(content=_as_instructions(content))
    name = _legal_name(message.name)
    if content is message.content and name == message.name:
        return message
    return message.model_copy(update={"content": content, "name": name})


def _as_instructions(content: Any) -> Any:
    """Instructions in the middle of a conversation, for a model that takes them only at its beginning."""
    if isinstance(content, str):
        return f"<system>\n{content}\n</system>"
    return [{"type": "text", "text": "<system>"}, *content, {"type": "text", "text": "</system>"}]


def _not_only_system(messages: list[BaseMessage]) -> list[BaseMessage]:
    """Anthropic and Google need at least one message of a user."""
    if messages and all(isinstance(message, SystemMessage) for message in messages):
        return [*messages[:-1], HumanMessage(content=messages[-1].content)]
    return messages


# -- names and ids --------------------------------------------------------------------------------------------------


def _legal_name(name: str | None) -> str | None:
    if name is None or LEGAL_NAME.fullmatch(name):
        return name
    return re.sub(r"[^a-zA-Z0-9_-]+", "_", name)[:64]


def _illegal_tool_ids(messages: Sequence[AIMessage]) -> dict[str, str]:
    """Tool ids that some provider would refuse -> the ids to use instead, the same for a call and its result."""
    ids = (call["id"] for m in messages for call in (*m.tool_calls, *m.invalid_tool_calls))
    return {
        id_: "call_" + blake2b(id_.encode(), digest_size=12).hexdigest()
        for id_ in ids
        if id_ and not LEGAL_TOOL_ID.fullmatch(id_)
    }
