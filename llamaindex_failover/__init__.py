"""Failover for LlamaIndex: `FailoverLLM` answers as long as one of several LLMs does.

    from llama_index.core import Settings
    from llamaindex_failover import FailoverLLM

    Settings.llm = FailoverLLM(targets=[OpenAI("gpt-4o-mini"), Anthropic("claude-haiku-4-5"), "google:gemini-2.5-pro"])

`wrap` gives a target a name, a region or other facts. The rules are `failover_core.Settings`. What is exported loads
when it is first used, so that the import costs a program nothing before that.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    import llama_index.core.llms  # noqa: F401
except ImportError as error:
    raise ImportError('FailoverLLM needs llama-index-core: pip install "failover-kit[llamaindex]"') from error

if TYPE_CHECKING:
    from .llm import FailoverLLM
    from .targets import wrap

__all__ = ["FailoverLLM", "wrap"]

_HOMES = {"FailoverLLM": ".llm", "wrap": ".targets"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name], __name__), name)
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
