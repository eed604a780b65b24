"""Any conversation becomes legal for each provider. The judge is the request check of the provider server."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failover_core.providers import (
    ChatMessage,
    ChatRequest,
    Image,
    Reasoning,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    anthropic_wire,
    google_wire,
    openai_wire,
)
from failover_core.providers.portable import (
    ANTHROPIC_RULES,
    GO_ON,
    GOOGLE_RULES,
    MISTRAL_RULES,
    NO_RESULT,
    OPENAI_RULES,
    OPENING,
    HistoryRules,
    made_legal,
)
from failover_core.testing.wires import anthropic_checks, gemini_checks, openai_checks
from native_targets import PROVIDERS

RULES = {"openai": OPENAI_RULES, "anthropic": ANTHROPIC_RULES, "google": GOOGLE_RULES}
everywhere = pytest.mark.parametrize("rules", RULES.values(), ids=RULES)


def user(text: str) -> ChatMessage:
    return ChatMessage("user", text)


def calling(*ids: str, provider: str | None = None) -> ChatMessage:
    return ChatMessage(
        "assistant", [ToolCall(id, f"tool_{n}", {"n": n}, provider=provider) for n, id in enumerate(ids)]
    )


def results(*ids: str) -> ChatMessage:
    return ChatMessage("tool", [ToolResult(id, f"result of {id}") for id in ids])


def shape(messages: list[ChatMessage]) -> list[str]:
    return [f"{m.role}: {' '.join(type(p).__name__ for p in m.parts)}" for m in messages]


@everywhere
def test_a_legal_history_is_left_alone(rules: HistoryRules) -> None:
    history = [ChatMessage("system", "s"), user("a"), ChatMessage("assistant", "b"), user("c")]
    assert made_legal(history, rules) == history


@everywhere
def test_ids_are_rewritten_the_same_way_every_time(rules: HistoryRules) -> None:
    history = [user("a"), calling("toolu.01|x" * 9, "ok_1"), results("ok_1", "toolu.01|x" * 9), user("b")]
    legal = made_legal(history, rules)
    first, second = legal[1].tool_calls
    assert rules.tool_ids.fullmatch(first.id) and len(first.id) <= rules.tool_id_chars
    assert second.id == "ok_1"
    answers = [part for part in legal[2].parts if isinstance(part, ToolResult)]
    assert [(answer.id, answer.text) for answer in answers] == [
        (first.id, "result of " + "toolu.01|x" * 9),
        ("ok_1", "result of ok_1"),
    ]
    assert made_legal(history, rules) == legal
    assert made_legal([*history, ChatMessage("assistant", "c"), user("d")], rules)[1] == legal[1]  # caches keep hitting


def test_mistral_gets_nine_characters() -> None:
    legal = made_legal([user("a"), calling("call_1", "call_2"), results("call_1", "call_2")], MISTRAL_RULES)
    assert all(re.fullmatch(r"[A-Za-z0-9]{9}", call.id) for call in legal[1].tool_calls)
    assert len({call.id for call in legal[1].tool_calls}) == 2


@everywhere
def test_ids_that_occur_twice_are_told_apart(rules: HistoryRules) -> None:
    history = [user("a"), calling("same"), results("same"), calling("same", "same"), results("same"), results("same")]
    legal = made_legal(history, rules)
    calls = [call.id for message in legal for call in message.tool_calls]
    answered = [p.id for message in legal for p in message.parts if isinstance(p, ToolResult)]
    assert calls == answered and len(set(calls)) == 3
    assert NO_RESULT not in str(legal)


@everywhere
def test_a_call_without_a_result_gets_one_that_says_so(rules: HistoryRules) -> None:
    legal = made_legal([user("a"), calling("1", "2"), results("2"), user("b")], rules)
    first, second = [part for message in legal for part in message.parts if isinstance(part, ToolResult)]
    assert (first.id, first.text, first.is_error) == ("1", NO_RESULT, True)
    assert (second.id, second.is_error) == ("2", False)


@everywhere
def test_a_result_without_a_call_becomes_text_of_the_user(rules: HistoryRules) -> None:
    legal = made_legal([user("a"), results("lost"), ChatMessage("assistant", "b"), user("c")], rules)
    assert all(not isinstance(part, ToolResult) for message in legal for part in message.parts)
    assert "result of lost" in "".join(message.text for message in legal if message.role == "user")


@everywhere
def test_results_that_come_late_are_put_where_they_belong(rules: HistoryRules) -> None:
    legal = made_legal(
        [user("a"), calling("1"), user("wait"), results("1"), ChatMessage("assistant", "b"), user("c")], rules
    )
    at = next(i for i, message in enumerate(legal) if message.tool_calls)
    assert isinstance(legal[at + 1].parts[0], ToolResult)
    assert NO_RESULT not in str(legal)


def test_only_the_author_gets_signed_thoughts_back() -> None:
    thoughts = [Reasoning("t", f"sig-{who}", who) for who in PROVIDERS] + [Reasoning("unsigned", None, "anthropic")]
    history = [user("a"), ChatMessage("assistant", [*thoughts, Text("b")]), user("c")]
    kept = {
        name: [p.signature for m in made_legal(history, rules) for p in m.parts if isinstance(p, Reasoning)]
        for name, rules in RULES.items()
    }
    assert kept == {"openai": [], "anthropic": ["sig-anthropic"], "google": ["sig-google"]}


def test_turns_are_merged_opened_and_closed_where_they_must_alternate() -> None:
    history = [
        ChatMessage("assistant", "hello"),
        user("a"),
        user("b"),
        ChatMessage("assistant", "  "),
        ChatMessage("system", "late"),
        ChatMessage("assistant", "c"),
    ]
    for rules in (ANTHROPIC_RULES, GOOGLE_RULES):
        legal = made_legal(history, rules)
        assert [message.role for message in legal] == ["user", "assistant", "user", "assistant", "user"]
        assert legal[0].text == OPENING and legal[-1].text == GO_ON
        assert legal[2].text == "ab[System message]\nlate"
    assert [message.role for message in made_legal(history, OPENAI_RULES)] == [message.role for message in history]


def test_pictures_of_results_follow_them_where_results_are_text() -> None:
    result = ToolResult("1", [Text("done"), Image(data=b"x")])
    history = [user("a"), calling("1"), ChatMessage("tool", [result])]
    assert shape(made_legal(history, OPENAI_RULES))[2:] == ["tool: ToolResult", "user: Text Image"]
    assert shape(made_legal(history, GOOGLE_RULES))[2:] == ["user: ToolResult Text Image"]
    assert shape(made_legal(history, ANTHROPIC_RULES))[2:] == ["user: ToolResult"]


names = st.sampled_from(["weather", "local_time"])
ids = st.sampled_from(["", "a", "b", "call_1", "x" * 50, "ü|1", "toolu_1.2"])
texts = st.sampled_from(["", " ", "hi", "\n", "what now?"])
said = st.builds(Text, texts)
thought = st.builds(
    Reasoning, texts, st.sampled_from([None, "c2ln"]), st.sampled_from([None, *PROVIDERS]), redacted=st.booleans()
)
called = st.builds(
    ToolCall,
    ids,
    names,
    st.just({"city": "Oslo"}),
    raw_arguments=st.sampled_from([None, "{oops"]),
    signature=st.sampled_from([None, "c2ln"]),
    provider=st.sampled_from([None, *PROVIDERS]),
)
pictured = st.just(Image(data=b"\x89PNG"))
returned = st.builds(ToolResult, ids, st.lists(st.one_of(said, pictured), max_size=2), is_error=st.booleans())
messages = st.one_of(
    st.builds(ChatMessage, st.just("system"), st.lists(said, min_size=1, max_size=2)),
    st.builds(ChatMessage, st.just("user"), st.lists(st.one_of(said, pictured, returned), min_size=1, max_size=3)),
    st.builds(ChatMessage, st.just("assistant"), st.lists(st.one_of(said, thought, called), min_size=1, max_size=4)),
    st.builds(ChatMessage, st.just("tool"), st.lists(returned, min_size=1, max_size=3)),
)
histories = st.lists(messages, min_size=1, max_size=8).filter(
    lambda history: any(
        isinstance(p, ToolCall | ToolResult | Image) or (isinstance(p, Text) and p.text.strip())
        for message in history
        for p in message.parts
    )
)


@settings(max_examples=400, deadline=None)
@given(histories, st.sampled_from([None, "high"]))
def test_whatever_was_said_the_providers_take_it(history: list[ChatMessage], effort: str | None) -> None:
    request = ChatRequest(history, thinking=Thinking(effort) if effort else None)
    openai_checks.check(json.loads(json.dumps(openai_wire.payload(request, "gpt-5", stream=False, own_service=True))))
    for model in ("claude-haiku-4-5", "claude-sonnet-4-6"):
        payload = anthropic_wire.payload(request, model, stream=True)
        anthropic_checks.check(json.loads(json.dumps(payload)), accepts_prefill=False)
    sent = google_wire.payload(request, "gemini-3-flash")
    gemini_checks.check({"contents": sent["contents"]}, "gemini-3-flash")
