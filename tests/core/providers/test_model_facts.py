from __future__ import annotations

import pytest

from failover_core.providers import model_facts as facts
from failover_core.providers.chat import Thinking


@pytest.mark.parametrize(
    ("model", "version"),
    [
        ("claude-3-5-haiku-latest", (3, 5)),
        ("claude-3-opus-20240229", (3, 0)),
        ("claude-opus-4-20250514", (4, 0)),
        ("claude-sonnet-4-0", (4, 0)),
        ("claude-sonnet-4-5-20250929", (4, 5)),
        ("claude-opus-4-5@20251101", (4, 5)),
        ("anthropic.claude-haiku-4-5-20251001-v1:0", (4, 5)),
        ("anthropic/claude-opus-4.6", (4, 6)),
        ("claude-fable-5-1", (5, 1)),
        ("claude-sonnet-5", (5, 0)),
        ("claude-of-tomorrow", (99, 0)),
    ],
)
def test_versions_of_claude(model: str, version: tuple[int, int]) -> None:
    assert facts.claude_version(model) == version


def test_what_claude_models_take() -> None:
    models = (
        "claude-3-7-sonnet-latest",
        "claude-sonnet-4-0",
        "claude-haiku-4-5",
        "claude-opus-4-7",
        "claude-sonnet-5-5",
    )
    table = {
        model: (
            facts.claude_takes_sampling(model),
            facts.claude_thinks_adaptively(model),
            facts.claude_has_json_schema(model),
            facts.claude_takes_forced_tools(model),
            facts.claude_can_stop_thinking(model),
            facts.claude_output_tokens(model),
        )
        for model in models
    }
    assert table == {
        "claude-3-7-sonnet-latest": (True, False, False, True, True, 4_096),
        "claude-sonnet-4-0": (True, False, False, True, True, 32_000),
        "claude-haiku-4-5": (True, False, True, True, True, 32_000),
        "claude-opus-4-7": (False, True, True, True, True, 32_000),
        "claude-sonnet-5-5": (False, True, True, False, False, 32_000),
    }


def test_other_makers_models_on_anthropic_s_wire_are_plain() -> None:
    assert facts.claude_takes_sampling("deepseek-chat")
    assert not facts.claude_has_json_schema("deepseek-chat")
    assert facts.claude_output_tokens("deepseek-chat") == 4_096


@pytest.mark.parametrize(
    "model", ["o1", "o3-mini", "o4-mini", "gpt-5", "gpt-5.2-pro", "gpt-6-sol", "openai/gpt-5-nano"]
)
def test_openai_models_that_reason(model: str) -> None:
    assert facts.openai_reasons(model)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-mini", "gpt-5-chat-latest", "llama3:8b", "omni", "gpt-oss-20b"])
def test_openai_models_that_do_not(model: str) -> None:
    assert not facts.openai_reasons(model)


def test_efforts_and_budgets_stand_for_each_other() -> None:
    for effort in facts.EFFORTS:
        assert facts.effort_of(Thinking(budget_tokens=facts.budget_of(Thinking(effort)))) == effort
    assert facts.effort_of(Thinking(budget_tokens=10**9)) == "max"
    assert facts.effort_of(Thinking()) is None and facts.budget_of(Thinking()) is None
    assert facts.effort_of(Thinking("low", budget_tokens=9)) == "low"
    assert facts.budget_of(Thinking("low", budget_tokens=9)) == 9
