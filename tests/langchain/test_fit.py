"""A target that cannot take a request is skipped with a reason, or gets as much of the conversation as fits."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from failover_core import NoTargetAvailable
from failover_core.model import NO_INFO
from failover_core.testing import ProviderServer
from langchain_failover import ChatFailover, wrap
from langchain_failover.fit import info_of
from lc_targets import FakeModel, make

LONG: list[BaseMessage] = [
    SystemMessage("Be brief."),
    *(message for n in range(20) for message in (HumanMessage(f"{n} " + "word " * 50), AIMessage("yes " * 50))),
    HumanMessage("And now?"),
]
PICTURE = HumanMessage([{"type": "image", "base64": "aGk=", "mime_type": "image/png"}])
PICTURE_BY_URL = HumanMessage([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}])
PDF = HumanMessage([{"type": "file", "base64": "aGk=", "mime_type": "application/pdf"}])
AUDIO = HumanMessage([{"type": "audio", "base64": "aGk=", "mime_type": "audio/wav"}])
SCHEMA = {"type": "json_schema", "json_schema": {"name": "A", "schema": {"type": "object"}}}


def route(message: Any) -> dict[str, Any]:
    return message.response_metadata["failover"]


def lookup(word: str) -> str:
    """Look a word up."""
    return word


def test_a_window_that_is_too_small() -> None:
    small = FakeModel("small", profile={"max_input_tokens": 300})
    llm = ChatFailover(targets=[small, FakeModel("unknown")])

    answer = llm.invoke(LONG)

    assert answer.text == "unknown" and not small.calls
    assert "do not fit its window of 300" in route(answer)["skipped"]["FakeModel"]
    assert llm.invoke("short").text == "small"


def test_the_output_limit_counts_too() -> None:
    llm = ChatFailover(targets=[FakeModel("small", profile={"max_input_tokens": 300}), FakeModel("unknown")])

    assert llm.invoke("short", max_tokens=299).text == "unknown"


def test_nobody_can_take_it() -> None:
    llm = ChatFailover(targets=[wrap(FakeModel(), context_window_tokens=100)])

    with pytest.raises(ContextOverflowError) as caught:
        llm.invoke(LONG)

    assert isinstance(caught.value, NoTargetAvailable)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (None, [SystemMessage("Be brief."), HumanMessage("And now?")]),
        ({"strategy": "last", "include_system": False}, [HumanMessage("And now?")]),
        (lambda messages, max_tokens: messages[-1:], [HumanMessage("And now?")]),
    ],
    ids=["default", "options", "function"],
)
async def test_trimming_by_the_users_rule(rule: Any, expected: list[BaseMessage]) -> None:
    small = FakeModel("small")
    llm = ChatFailover(targets=[wrap(small, context_window_tokens=60)], fit="trim", trim=rule)

    llm.invoke(LONG)
    await llm.ainvoke(LONG)
    list(llm.stream(LONG))
    [chunk async for chunk in llm.astream(LONG)]
    llm.invoke("short")

    assert [messages for _, messages, _ in small.calls] == [expected] * 4 + [[HumanMessage("short")]]


@pytest.mark.parametrize(
    ("denied", "question", "options"),
    [
        ("tool_calling", "hi", {"tools": [lookup]}),
        ("structured_output", "hi", {"response_format": SCHEMA}),
        ("image_inputs", [PICTURE], {}),
        ("image_url_inputs", [PICTURE_BY_URL], {}),
        ("pdf_inputs", [PDF], {}),
        ("audio_inputs", [AUDIO], {}),
    ],
)
def test_what_a_profile_denies_makes_ineligible(denied: str, question: Any, options: dict[str, Any]) -> None:
    unable = FakeModel("unable", profile={denied: False})
    llm = ChatFailover(targets=[unable, FakeModel('{"a": 1}')])

    answer = llm.bind(**options).invoke(question)

    assert not unable.calls
    assert "it cannot do" in route(answer)["skipped"]["FakeModel"]
    assert llm.invoke("hi").text == "unable"


@pytest.mark.parametrize(
    ("tool", "owner"),
    [
        ({"type": "web_search_preview"}, "openai"),
        ({"type": "web_search_20250305", "name": "web_search"}, "anthropic"),
        ({"google_search": {}}, "google"),
    ],
)
def test_tools_on_a_providers_servers_stay_with_it(tool: dict[str, Any], owner: str, first: ProviderServer) -> None:
    llm = ChatFailover(targets=[make(kind, first) for kind in ("openai", "anthropic", "google", f"{owner}:")])
    info = info_of([HumanMessage("hi")], {"tools": [tool]})

    able = [target.provider for target in llm.failover.targets if not (info.needs & target.lacks)]

    assert able == [owner]


def test_what_the_core_is_told() -> None:
    human = [HumanMessage("word " * 100)]

    assert info_of(human, {}) is NO_INFO
    assert info_of(human, {}, window_tokens=100_000) is NO_INFO
    assert 100 < (info_of(human, {}, window_tokens=500).prompt_tokens or 0) < 200
    told = info_of(human, {"tools": [lookup], "reasoning_effort": "high", "max_tokens": 9})
    assert (told.structured, told.thinking, told.max_output_tokens, told.needs) == (
        True, True, 9, frozenset({"tools"}))  # fmt: skip
    assert not info_of(human, {"temperature": 0}).structured
    assert info_of(human, {}, thinks=True).thinking


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("openai", {}, False),
        ("openai", {"model": "gpt-5"}, True),
        ("openai", {"model": "gpt-5", "reasoning_effort": "minimal"}, False),
        ("anthropic", {}, False),
        ("anthropic", {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4000}, True),
        ("google", {}, True),
        ("google", {"thinking_budget": 0}, False),
    ],
)
def test_models_that_think_without_being_asked(
    kind: str, options: dict[str, Any], expected: bool, first: ProviderServer
) -> None:
    llm = ChatFailover(targets=[make(kind, first, **options)])

    assert llm._request([HumanMessage("hi")], None, {}, streaming=True)[1].thinking is expected


def test_gemini_thinks_by_default_but_not_so_long_that_a_whole_answer_may_take_a_minute(first: ProviderServer) -> None:
    llm = ChatFailover(targets=[make("google", first)])
    assert not llm._request([HumanMessage("hi")], None, {})[1].thinking
    assert llm._request([HumanMessage("hi")], None, {"thinking_budget": 9000})[1].thinking


def test_gemini_2_cannot_do_tools_together_with_a_schema(first: ProviderServer) -> None:
    (old, new) = ChatFailover(
        targets=[make("google", first), make("google", first, model="gemini-3-flash-preview")]
    ).failover.targets

    assert "tools_with_json_schema" in old.lacks
    assert "tools_with_json_schema" not in new.lacks
