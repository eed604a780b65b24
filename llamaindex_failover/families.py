"""What is known of LLM classes, by family: the four official ones (OpenAI's two, Anthropic's, Google's) and our own.

The class names in an LLM's ancestry tell its family, so subclasses (AzureOpenAI, OpenAILike, ...) belong to it, and no
integration is ever imported. Everything else is `OTHER`: nothing is assumed of it, nothing in its messages is changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW
from llama_index.core.llms import LLM, LLMMetadata

from failover_core import ConfigError


@dataclass(frozen=True, slots=True)
class Family:
    """The habits of one family.

    Args:
        name: of its class.
        provider: as in `Target.provider`; None = unknown.
        official: its ways are known: what it accepts of a history, how it retries.
        marks_the_end: its answers carry a finish reason in `raw`, so that one without it was cut off.
        cannot_read: needs whose content blocks its message converter refuses with a ValueError.
        timeout_kwarg: the keyword by which one call can be given a timeout in seconds, if there is one.
    """

    name: str
    provider: str | None = None
    official: bool = True
    marks_the_end: bool = True
    cannot_read: frozenset[str] = frozenset()
    timeout_kwarg: str | None = None


OPENAI = Family("OpenAI", "openai", cannot_read=frozenset({"video"}), timeout_kwarg="timeout")
RESPONSES = Family("OpenAIResponses", "openai", cannot_read=frozenset({"audio", "video"}), timeout_kwarg="timeout")
ANTHROPIC = Family("Anthropic", "anthropic", cannot_read=frozenset({"audio", "video"}), timeout_kwarg="timeout")
GEMINI = Family("GoogleGenAI", "google", cannot_read=frozenset({"audio"}))
NATIVE = Family("NativeLLM", official=False)
FUNCTION = Family("FunctionLLM", official=False, marks_the_end=False)
OTHER = Family("LLM", official=False, marks_the_end=False)

_BY_CLASS_NAME = {family.name: family for family in (OPENAI, RESPONSES, ANTHROPIC, GEMINI, NATIVE, FUNCTION)}
_HOMES = ("llama_index.llms.", "llamaindex_failover.")

# Chat models that take text only; sources: the providers' model pages. Unknown models get the benefit of the doubt.
_TEXT_ONLY = re.compile(r"^(gpt-3\.5|gpt-4(-0613|-32k.*)?$|o1-mini|o1-preview|o3-mini|claude-2|claude-instant)")
# The OpenAI models that think before they answer; Anthropic and Gemini are told to by a setting.
_THINKS = re.compile(r"^(o\d|gpt-5)")


def family_of(llm: LLM) -> Family:
    """The family that an LLM belongs to."""
    for cls in type(llm).__mro__:
        family = _BY_CLASS_NAME.get(cls.__name__)
        if family is not None and cls.__module__.startswith(_HOMES):
            return family
    return OTHER


@dataclass(frozen=True, slots=True)
class Facts:
    """What an LLM says of itself, read once.

    Args:
        metadata: as the LLM gives it; None when it has none.
        model: the model's name, None when it tells none.
        context_window_tokens: None when unknown; LlamaIndex's own default (3,900) means unknown.
        lacks: what it is known not to take.
        thinks: it was set up to reason before it answers.
    """

    metadata: LLMMetadata | None
    model: str | None
    context_window_tokens: int | None
    lacks: frozenset[str]
    thinks: bool


def facts_of(llm: LLM, family: Family) -> Facts:
    """Read an LLM's facts.

    Raises:
        ConfigError: when the LLM refuses to describe itself, as OpenAI and Anthropic do for a model they do not know;
            every call would fail with the same error.
    """
    try:
        metadata: LLMMetadata | None = llm.metadata
    except NotImplementedError:
        metadata = None
    except ValueError as error:
        raise ConfigError(
            f"{type(llm).__name__}(model={getattr(llm, 'model', None)!r}) cannot be used: {error} "
            f"For a model that its class does not know, use the native target "
            f"'{family.provider or 'openai'}:MODEL' or a class that takes any model, such as OpenAILike."
        ) from error
    named = getattr(llm, "model", None) or (metadata.model_name if metadata is not None else None)
    model = named if isinstance(named, str) and named != "unknown" else None
    window = metadata.context_window if metadata is not None else None
    lacks = set(family.cannot_read)
    if metadata is None or not metadata.is_function_calling_model:
        lacks.add("tools")
    if model is not None and family.official and _TEXT_ONLY.match(model):
        lacks.update(("images", "files"))
    return Facts(
        metadata,
        model,
        None if window is None or window == DEFAULT_CONTEXT_WINDOW or window <= 0 else window,
        frozenset(lacks),
        _thinks(llm, family, model),
    )


def _thinks(llm: Any, family: Family, model: str | None) -> bool:
    if family is ANTHROPIC:
        return (getattr(llm, "thinking_dict", None) or {}).get("type") in ("enabled", "adaptive")
    if family is GEMINI:
        return bool((getattr(llm, "_generation_config", None) or {}).get("thinking_config"))
    return family in (OPENAI, RESPONSES) and model is not None and _THINKS.match(model) is not None
