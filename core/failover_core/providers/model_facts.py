"""What a model's name tells about what its API takes. Pure functions of the name; an unknown name gets the rules of
the newest models, since those are the ones that a list cannot know yet.

Sources: the providers' model pages, and the tables of langchain-openai 1.7, langchain-anthropic 1.7 and
llama-index-llms-anthropic 0.12, which are made from them.
"""

from __future__ import annotations

import re

from .chat import Effort, Thinking

_CLAUDE = re.compile(r"claude-(?:([a-z]+)-)?(\d)(?:[-.](\d{1,2})(?!\d))?")
_GEMINI = re.compile(r"gemini-(\d+)")
_NEWEST = (99, 0)

EFFORTS: tuple[Effort, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_BUDGET_TOKENS: dict[Effort, int] = {
    "none": 0, "minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 16_384, "xhigh": 24_576, "max": 32_768,
}  # fmt: skip
MIN_BUDGET_TOKENS = 1_024  # Anthropic's lower limit


def effort_of(thinking: Thinking) -> Effort | None:
    """The effort asked for, or the one that comes nearest to a budget."""
    if thinking.effort is not None or thinking.budget_tokens is None:
        return thinking.effort
    budget = thinking.budget_tokens
    return next((effort for effort in EFFORTS if _BUDGET_TOKENS[effort] >= budget), "max")


def budget_of(thinking: Thinking) -> int | None:
    """The budget asked for in tokens, or the one that stands for an effort."""
    if thinking.budget_tokens is not None or thinking.effort is None:
        return thinking.budget_tokens
    return _BUDGET_TOKENS[thinking.effort]


def openai_reasons(model: str) -> bool:
    """A reasoning model of OpenAI: takes `reasoning_effort`, and refuses `stop` and, unless the effort is "none",
    sampling parameters.
    """
    name = model.rsplit("/", 1)[-1]
    return bool(re.match(r"o\d|gpt-(?:[5-9]|\d\d)", name)) and "chat" not in name


def claude_version(model: str) -> tuple[int, int]:
    """(4, 5) for "claude-sonnet-4-5-20250929", (3, 7) for "claude-3-7-sonnet-latest"."""
    match = _CLAUDE.search(model)
    return (int(match[2]), int(match[3] or 0)) if match else _NEWEST


def claude_takes_sampling(model: str) -> bool:
    """Opus 4.7 and everything after it refuses temperature, top_p and top_k."""
    return claude_version(model) < (4, 7) or not _is_claude(model)


def claude_thinks_adaptively(model: str) -> bool:
    """Takes `thinking: adaptive` with an effort (4.6 and later) instead of `enabled` with a budget."""
    return claude_version(model) >= (4, 6)


def claude_effort(model: str, effort: Effort | None) -> str | None:
    """Claude's nearest level: nothing below "low", and "xhigh" and "max" since 4.7."""
    if effort == "minimal":
        return "low"
    return "high" if effort in ("xhigh", "max") and claude_version(model) < (4, 7) else effort


def claude_has_json_schema(model: str) -> bool:
    """Takes `output_config.format` (Opus 4.1 and everything after it)."""
    return claude_version(model) >= (4, 1) and _is_claude(model)


def claude_takes_forced_tools(model: str) -> bool:
    """Fable from 5.1 and Opus and Sonnet from 5.5 on only take `tool_choice: auto` and `none`."""
    first_without = {"fable": (5, 1), "mythos": (5, 1), "opus": (5, 5), "sonnet": (5, 5)}
    match = _CLAUDE.search(model)
    limit = first_without.get(match[1] or "") if match else None
    return limit is None or claude_version(model) < limit


def claude_can_stop_thinking(model: str) -> bool:
    """Fable 5, and Opus and Sonnet from 5.5 on, refuse `thinking: disabled`."""
    first_without = {"fable": (5, 0), "mythos": (5, 0), "opus": (5, 5), "sonnet": (5, 5)}
    match = _CLAUDE.search(model)
    limit = first_without.get(match[1] or "") if match else None
    return limit is None or claude_version(model) < limit


def claude_output_tokens(model: str) -> int:
    """A limit that the model surely allows, for requests without one: Anthropic demands `max_tokens`."""
    return 4_096 if claude_version(model) < (4, 0) or not _is_claude(model) else 32_000


def gemini_generation(model: str) -> int:
    """3 for "gemini-3.1-pro-preview"."""
    match = _GEMINI.search(model)
    return int(match[1]) if match else _NEWEST[0]


def gemini_level(model: str, effort: Effort) -> str:
    """Gemini 3's thinking levels: "minimal" (not for Pro models) to "high"."""
    if effort in ("none", "minimal"):
        return "low" if "pro" in model else "minimal"
    return effort if effort in ("low", "medium") else "high"


def gemini_budget(model: str, budget_tokens: int) -> int:
    """Gemini 2.5's thinking budgets: 128 to 32,768 for Pro, else 0 (no thinking) to 24,576."""
    low, high = (128, 32_768) if "pro" in model else (0, 24_576)
    return min(max(budget_tokens, low), high)


def _is_claude(model: str) -> bool:
    return "claude" in model  # other makers run servers that speak Anthropic's language
