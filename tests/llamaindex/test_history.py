"""Portable history: what each official class gets of turns that another provider wrote."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from llamaindex_failover.families import ANTHROPIC, GEMINI, OPENAI, OTHER, RESPONSES, Family
from llamaindex_failover.history import arguments_of, portable

FAMILIES = (OPENAI, RESPONSES, ANTHROPIC, GEMINI)


def assistant(*blocks: Any, **extra: Any) -> ChatMessage:
    return ChatMessage(role="assistant", blocks=list(blocks), additional_kwargs=extra)


def result(call_id: str, text: str = "42") -> ChatMessage:
    return ChatMessage(text, role="tool", additional_kwargs={"tool_call_id": call_id})


def call(call_id: str | None, arguments: Any = None, name: str = "add") -> ToolCallBlock:
    return ToolCallBlock(tool_call_id=call_id, tool_name=name, tool_kwargs={} if arguments is None else arguments)


def kinds(message: ChatMessage) -> list[str]:
    return [block.block_type for block in message.blocks]


def test_anthropic_gets_no_empty_turns_and_no_empty_texts() -> None:
    messages = [
        ChatMessage("hi"),
        assistant(TextBlock(text="")),
        assistant(TextBlock(text=" \n"), call("c1")),
        result("c1", ""),
        ChatMessage("bye"),
    ]
    asked, calling, answered, last = portable(messages, ANTHROPIC)
    assert (asked.content, last.content) == ("hi", "bye")
    assert kinds(calling) == ["tool_call"]
    assert (answered.role, answered.blocks) == (MessageRole.TOOL, [])
    assert len(portable(messages, OPENAI)) == len(messages)


@pytest.mark.parametrize("family", (*FAMILIES, OTHER), ids=lambda family: family.name)
def test_the_callers_messages_stay_as_they_are(family: Family) -> None:
    messages = [
        ChatMessage("hello", role="developer"),
        assistant(TextBlock(text=""), call("a b", '{"a": 1}'), tool_calls=[{"id": "x", "name": "y", "input": {}}]),
        result("a b"),
        assistant(ThinkingBlock(content="hm"), CitableBlock(title="t", source="s", content="cited")),
    ]
    before = copy.deepcopy(messages)
    made = portable(messages, family, "gemini-3-pro")
    for message in made:
        message.blocks.append(TextBlock(text="changed"))
        message.additional_kwargs["changed"] = True
    made[1].blocks[0] = TextBlock(text="changed")
    assert before == messages


def test_nothing_is_changed_for_an_llm_that_nothing_is_known_of() -> None:
    messages = [ChatMessage("hello", role="developer"), assistant(call("a b", '{"a": 1}'), tool_calls=["odd"])]
    assert messages == portable(messages, OTHER)


@pytest.mark.parametrize(
    ("family", "arguments"),
    [(OPENAI, '{"a": 1}'), (RESPONSES, '{"a": 1}'), (ANTHROPIC, {"a": 1}), (GEMINI, {"a": 1})],
    ids=lambda value: getattr(value, "name", ""),
)
def test_arguments_are_text_or_objects_as_the_family_takes_them(family: Family, arguments: Any) -> None:
    (message,) = portable([assistant(call("1", '{"a": 1}'))], family)
    assert arguments == message.blocks[0].tool_kwargs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1}', {"a": 1}),
        ('{"a": 1', {"a": 1}),
        ("", {}),
        ("nonsense", {}),
        ("[1]", {}),
        (None, {}),
        ({"a": 1}, {"a": 1}),
    ],
)
def test_arguments_can_be_read_from_anything(text: Any, expected: dict[str, Any]) -> None:
    assert expected == arguments_of(text)


STORED = {
    "OpenAI": {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}},
    "Anthropic": {"id": "1", "name": "add", "input": {"a": 1}},
    "Gemini": {"id": "1", "name": "add", "args": {"a": 1}},
    "Responses": {"type": "function_call", "call_id": "1", "name": "add", "arguments": '{"a": 1}'},
}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("author", STORED)
def test_calls_kept_beside_the_blocks_become_blocks_once(author: str, family: Family) -> None:
    (alone,) = portable([assistant(TextBlock(text="so"), tool_calls=[STORED[author]])], family)
    assert kinds(alone) == ["text", "tool_call"]
    assert (
        alone.blocks[1].tool_call_id, alone.blocks[1].tool_name, arguments_of(alone.blocks[1].tool_kwargs)
    ) == ("1", "add", {"a": 1})  # fmt: skip
    (both,) = portable([assistant(call("1", {"a": 1}), tool_calls=[STORED[author]])], family)
    assert kinds(both) == ["tool_call"]
    assert "tool_calls" not in both.additional_kwargs


THOUGHTS = {
    "unsigned": ThinkingBlock(content="hm"),
    "Anthropic": ThinkingBlock(content="hm", additional_information={"signature": "abc"}),
    "Anthropic, broken off": ThinkingBlock(content="hm", additional_information={"signature": ""}),
    "Gemini": ThinkingBlock(content="hm", additional_information={"thought": True, "thought_signature": b"x"}),
    "Responses": ThinkingBlock(content="hm", additional_information={"id": "rs_1"}),
}
KEPT = {ANTHROPIC.name: {"Anthropic"}, GEMINI.name: {"Gemini"}, RESPONSES.name: {"Responses"}, OPENAI.name: set()}


@pytest.mark.parametrize("author", THOUGHTS)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_thoughts_go_back_to_their_author_only(family: Family, author: str) -> None:
    (message,) = portable([assistant(THOUGHTS[author], TextBlock(text="so"))], family)
    assert (author in KEPT[family.name]) == ("thinking" in kinds(message))
    assert message.content == "so"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_citations_and_cache_marks_are_for_anthropic(family: Family) -> None:
    cited = CitationBlock(cited_content="quoted", source="s", title="t", additional_location_info={})
    point = CachePoint(cache_control=CacheControl(type="ephemeral"))
    user = ChatMessage(role="user", blocks=[CitableBlock(title="t", source="s", content="read this"), point])
    made = portable([user, assistant(TextBlock(text="so"), cited)], family)
    if family is ANTHROPIC:
        assert [kinds(message) for message in made] == [["citable", "cache"], ["text", "citation"]]
    else:
        assert [kinds(message) for message in made] == [["text"], ["text"]]
        assert made[0].content == "read this"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_roles(family: Family) -> None:
    roles = ["developer", "chatbot", "model", "user", "assistant", "system"]
    made = [message.role.value for message in portable([ChatMessage("x", role=role) for role in roles], family)]
    developer = "system" if family in (ANTHROPIC, GEMINI) else "developer"
    assert [developer, "assistant", "assistant", "user", "assistant", "system"] == made
    function = ChatMessage("x", role="function", additional_kwargs={"call_id": "1"})
    (tool,) = portable([function], family)
    assert (tool.role, tool.additional_kwargs["tool_call_id"]) == (MessageRole.TOOL, "1")


@pytest.mark.parametrize("family", [OPENAI, RESPONSES, ANTHROPIC], ids=lambda family: family.name)
def test_ids_are_unique_and_legal_and_still_pair_calls_with_results(family: Family) -> None:
    history = [
        assistant(call("add"), call("add")),  # Vertex: the name for an id
        result("add", "first"),
        result("add", "second"),
        assistant(call(None), call("has spaces"), call("x" * 60)),
        result("add", "third"),
        result("has spaces", "fourth"),
        result("x" * 60, "fifth"),
        assistant(call("toolu_1")),
        result("toolu_1", "sixth"),
    ]
    made = portable(history, family)
    calls = [block.tool_call_id for message in made for block in message.blocks if isinstance(block, ToolCallBlock)]
    results = [message.additional_kwargs["tool_call_id"] for message in made if message.role is MessageRole.TOOL]
    assert calls == results
    assert len(set(calls)) == len(calls)
    assert all(len(name) <= 40 and " " not in name for name in calls)
    assert calls[-1] == "toolu_1", "an id that is fine stays what it was"
    assert made == portable(history, family), "the same history makes the same ids, so that prompt caches keep hitting"


def test_gemini_keeps_ids_and_never_sees_empty_texts() -> None:
    history = [assistant(call("add"), TextBlock(text="")), result("add"), assistant(call("add"), TextBlock(text="so"))]
    made = portable(history, GEMINI)
    assert [kinds(message) for message in made] == [["tool_call"], ["text"], ["tool_call", "text"]]
    assert made[0].blocks[0].tool_call_id == "add"


def test_gemini_3_gets_a_signature_for_calls_that_it_did_not_make() -> None:
    (foreign,) = portable([assistant(TextBlock(text="so"), call("1"))], GEMINI, "gemini-3-pro-preview")
    assert foreign.additional_kwargs["thought_signatures"] == [None, b"skip_thought_signature_validator"]
    (own,) = portable(
        [assistant(TextBlock(text=""), call("1"), thought_signatures=[None, b"own"])], GEMINI, "gemini-3-pro"
    )
    assert own.additional_kwargs["thought_signatures"] == [b"own"], "matched to the blocks that are left"
    (older,) = portable([assistant(call("1"))], GEMINI, "gemini-2.5-flash")
    assert "thought_signatures" not in older.additional_kwargs
