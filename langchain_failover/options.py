"""Call options (`llm.bind(seed=1)`, `llm.invoke(..., top_k=5)`) as each target can take them.

An option that only other providers know is left out; one that goes by another name is renamed; one that nobody here
has heard of is passed on as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .dialects import Wire

_O, _A, _G = "openai", "anthropic", "google"
_FAMILY = {Wire.OPENAI_CHAT: _O, Wire.OPENAI_RESPONSES: _O, Wire.ANTHROPIC: _A, Wire.GOOGLE: _G}

_KNOWN_TO: dict[tuple[str, ...], str] = {
    (_O,): "logit_bias logprobs top_logprobs n user store reasoning verbosity truncation stream_options include "
    "parallel_tool_calls prompt_cache_key prompt_cache_options safety_identifier previous_response_id modalities "
    "prediction web_search_options",
    (_A,): "thinking cache_control betas mcp_servers container output_config effort inference_geo user_profile_id "
    "stop_sequences",
    (_G,): "safety_settings tool_config generation_config cached_content candidate_count thinking_budget "
    "thinking_level thinking_config include_thoughts response_mime_type response_schema response_json_schema "
    "response_modalities labels image_config media_resolution speech_config http_options code_execution",
    (_O, _A): "service_tier metadata extra_headers extra_body extra_query stream_usage",
    (_O, _G): "seed frequency_penalty presence_penalty",
    (_A, _G): "top_k",
}
_TAKERS = {name: families for families, names in _KNOWN_TO.items() for name in names.split()}
_OUTPUT_LIMIT = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_MODEL_NAMES = {_O: re.compile(r"gpt-|chatgpt|o\d|ft:|codex"), _A: re.compile("claude"), _G: re.compile("gemini")}


def options_for(options: Mapping[str, Any], wire: Wire) -> dict[str, Any]:
    """The options of a call in the words of a target on `wire`. Tools are `tools.bind_late`'s business."""
    family = _FAMILY.get(wire)
    if family is None or not options:
        return dict(options)
    taken = {key: value for key, value in options.items() if family in _TAKERS.get(key, (family,))}
    for name in _OUTPUT_LIMIT:
        if name in taken:
            taken["max_output_tokens" if family == _G else "max_tokens"] = taken.pop(name)
    if family == _G and "timeout" in taken:
        taken["timeout"] = silence_s(taken["timeout"])  # its class takes a number only
    model = taken.get("model")
    if isinstance(model, str) and (family == _G or _owner(model) not in (None, family)):
        del taken["model"]  # it names another provider's model (Google's class takes none at all)
    return taken


def output_limit(options: Mapping[str, Any]) -> int | None:
    """The output limit that a call asks for, in tokens."""
    values = (options.get(name) for name in _OUTPUT_LIMIT)
    return next((value for value in values if isinstance(value, int)), None)


def silence_s(timeout: Any) -> float | None:
    """How long a `timeout` lets the network be silent, in seconds; None = for ever.

    Args:
        timeout: a number of seconds, an `httpx.Timeout`, or a tuple such as that is made of: (connect, read, ...).
    """
    if isinstance(timeout, tuple):
        timeout = timeout[1] if len(timeout) > 1 else None
    seconds = getattr(timeout, "read", timeout)
    return seconds if isinstance(seconds, int | float) else None


def asks_for_thinking(options: Mapping[str, Any]) -> bool:
    """Was reasoning asked for? Then first tokens come late, and that is no fault."""
    effort = options.get("reasoning_effort") or options.get("effort") or options.get("thinking_level")
    if effort is not None:
        return effort not in ("none", "minimal")
    thinking = options.get("thinking")
    if isinstance(thinking, Mapping):
        return thinking.get("type") != "disabled"
    return bool(options.get("reasoning") or options.get("thinking_budget"))


def _owner(model: str) -> str | None:
    return next((family for family, pattern in _MODEL_NAMES.items() if pattern.match(model)), None)
