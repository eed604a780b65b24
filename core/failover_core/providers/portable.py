"""A conversation made legal for the provider that is about to get it, whoever wrote its parts.

Each step is a pure function from messages to messages and repairs one thing; `HistoryRules` says what a provider
wants. A history that is legal already comes out unchanged, so that prompt caches keep hitting.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from .chat import ChatMessage, Part, Reasoning, Text, ToolCall, ToolResult

NO_RESULT = "There is no result: the call was not carried out."
OPENING = "(The conversation starts with your own message.)"
GO_ON = "Go on."


@dataclass(frozen=True, slots=True)
class HistoryRules:
    """What one provider demands of a conversation.

    Args:
        provider: whose signed reasoning may go back.
        tool_ids: what ids of tool calls must look like.
        tool_id_chars: how long a rewritten id may be.
        keeps_reasoning: takes its own reasoning back.
        takes_turns: user and assistant alternate, the user first and last; system messages stand at the top only
            (later ones become user messages, in their place), and no text is blank.
        media_in_results: tool results may hold pictures and files; otherwise these follow in a user message.
    """

    provider: str
    tool_ids: re.Pattern[str]
    tool_id_chars: int
    keeps_reasoning: bool
    takes_turns: bool
    media_in_results: bool


OPENAI_RULES = HistoryRules("openai", re.compile(r"[\w-]{1,40}", re.ASCII), 40, False, False, False)
MISTRAL_RULES = replace(OPENAI_RULES, tool_ids=re.compile(r"[A-Za-z0-9]{9}"), tool_id_chars=9)
ANTHROPIC_RULES = HistoryRules("anthropic", re.compile(r"[\w-]{1,64}", re.ASCII), 40, True, True, True)
GOOGLE_RULES = HistoryRules("google", re.compile(r"[\w-]{1,64}", re.ASCII), 40, True, True, False)


def made_legal(messages: Sequence[ChatMessage], rules: HistoryRules) -> list[ChatMessage]:
    """The conversation as `rules` want it: leading system messages first, then the turns."""
    legal = _without_foreign_reasoning(messages, rules)
    legal = _with_paired_tools(legal, rules)
    if not rules.media_in_results:
        legal = _with_media_after_results(legal)
    if rules.takes_turns:
        legal = _taking_turns(_with_systems_at_the_top(_without_blanks(legal)))
    return legal


def parsed_arguments(call: ToolCall) -> dict[str, Any]:
    """The arguments as an object, also when the model wrote none: the providers refuse anything else."""
    return dict(call.arguments) if call.raw_arguments is None else {"unparsable_arguments": call.raw_arguments}


def _without_foreign_reasoning(messages: Sequence[ChatMessage], rules: HistoryRules) -> list[ChatMessage]:
    """Signatures are worthless to anybody but their author, and unsigned thoughts are refused."""

    def keep(part: Part) -> bool:
        if not isinstance(part, Reasoning):
            return True
        return rules.keeps_reasoning and part.provider == rules.provider and bool(part.signature)

    return [_with_parts(message, filter(keep, message.parts)) for message in messages]


def _with_paired_tools(messages: Sequence[ChatMessage], rules: HistoryRules) -> list[ChatMessage]:
    """Every call is followed at once by its one result, under a legal id; results without a call become text."""
    result_of, matched = _pairs(messages)
    taken: set[str] = set()
    legal: list[ChatMessage] = []
    for at, message in enumerate(messages):
        answers: list[ToolResult] = []
        parts: list[Part] = []
        for place, part in enumerate(message.parts):
            if isinstance(part, ToolCall):
                call = replace(part, id=_legal_id(part.id, taken, rules))
                taken.add(call.id)
                result = result_of.get((at, place)) or ToolResult("", NO_RESULT, is_error=True)
                answers.append(replace(result, id=call.id, name=call.name))
                parts.append(call)
            elif not isinstance(part, ToolResult):
                parts.append(part)
            elif (at, place) not in matched:
                parts += [Text(f"Result of the tool {part.name or part.id!r}:\n"), *part.parts]
        if parts:
            stray = message.role == "tool"  # what is left of it is text, which only a user may bring
            legal.append(replace(message, role="user", parts=tuple(parts)) if stray else _with_parts(message, parts))
        if answers:
            legal.append(ChatMessage("tool", answers))
    return legal


_Place = tuple[int, int]  # of a message, and of a part in it


def _pairs(messages: Sequence[ChatMessage]) -> tuple[dict[_Place, ToolResult], set[_Place]]:
    """The result of each call, and the places of the results that have a call. An id may occur more than once in a
    history; the latest open call of that id is meant.
    """
    turns: list[dict[_Place, str]] = []  # the open calls of each turn
    result_of: dict[_Place, ToolResult] = {}
    matched: set[_Place] = set()
    for at, message in enumerate(messages):
        calls = {(at, place): part.id for place, part in enumerate(message.parts) if isinstance(part, ToolCall)}
        if calls:
            turns.append(calls)
        for place, part in enumerate(message.parts):
            if not isinstance(part, ToolResult):
                continue
            candidates = (call for turn in reversed(turns) for call, name in turn.items() if name == part.id)
            call = next(candidates, None)
            if call is not None:
                result_of[call] = part
                matched.add((at, place))
                next(turn for turn in turns if call in turn).pop(call)
    return result_of, matched


def _legal_id(original: str, taken: set[str], rules: HistoryRules) -> str:
    """The same id every time for the same place in the same history, so that prompt caches keep hitting."""
    if rules.tool_ids.fullmatch(original) and original not in taken:
        return original
    for attempt in range(len(taken) + 1):
        digest = hashlib.sha256(f"{original}#{attempt}".encode()).hexdigest()
        name = digest[: rules.tool_id_chars] if rules.tool_id_chars < 30 else f"call_{digest[:24]}"
        if name not in taken:
            return name
    raise AssertionError("unreachable: more candidates than ids taken")


def _with_media_after_results(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    legal: list[ChatMessage] = []
    for message in messages:
        media: list[Part] = []
        parts: list[Part] = []
        for part in message.parts:
            if isinstance(part, ToolResult) and any(not isinstance(inner, Text) for inner in part.parts):
                media += [Text(f"Attached to the result of the tool {part.name!r}:"), *_media(part)]
                part = replace(part, parts=tuple(p for p in part.parts if isinstance(p, Text)) or (Text("(attached)"),))
            parts.append(part)
        legal.append(_with_parts(message, parts))
        if media:
            legal.append(ChatMessage("user", tuple(media)))
    return legal


def _media(result: ToolResult) -> list[Part]:
    return [part for part in result.parts if not isinstance(part, Text)]


def _with_systems_at_the_top(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """A later system message keeps its place in the conversation, since its place may be its meaning."""
    legal: list[ChatMessage] = []
    for message in messages:
        leading = all(before.role == "system" for before in legal)
        if message.role == "system" and not leading:
            message = ChatMessage("user", (Text(f"[System message]\n{message.text}"),))
        legal.append(message)
    if legal and all(message.role == "system" for message in legal):
        legal[-1] = replace(legal[-1], role="user")  # there must be something to answer
    return legal


def _without_blanks(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    def filled(part: Part) -> bool:
        return not isinstance(part, Text) or bool(part.text.strip())

    kept = [_with_parts(message, filter(filled, message.parts)) for message in messages]
    return [message for message in kept if message.parts] or list(messages)


def _taking_turns(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Neighbours of one side are merged ("tool" speaks for the user); the user opens and closes."""
    systems = [message for message in messages if message.role == "system"]
    turns: list[ChatMessage] = []
    for message in messages[len(systems) :]:
        role: Literal["user", "assistant"] = "assistant" if message.role == "assistant" else "user"
        if not turns and role == "assistant":
            turns.append(ChatMessage("user", OPENING))
        if turns and turns[-1].role == role:
            turns[-1] = replace(turns[-1], parts=turns[-1].parts + message.parts)
        else:
            turns.append(replace(message, role=role))
    if turns and turns[-1].role == "assistant":
        turns.append(ChatMessage("user", GO_ON))
    return systems + turns


def _with_parts(message: ChatMessage, parts: Iterable[Part]) -> ChatMessage:
    parts = tuple(parts)
    return message if parts == message.parts else replace(message, parts=parts)
