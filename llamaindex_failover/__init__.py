"""Failover for LlamaIndex: `FailoverLLM` answers as long as one of several LLMs does.

    from llama_index.core import Settings
    from llamaindex_failover import FailoverLLM

    Settings.llm = FailoverLLM(
        targets=[OpenAI("gpt-4o-mini"), Anthropic("claude-sonnet-4-5"), "google:gemini-2.5-flash"]
    )

`wrap` gives a target a name, a region or other facts. The rules are `failover_core.Settings`.
"""

try:
    import llama_index.core.llms  # noqa: F401
except ImportError as error:
    raise ImportError('FailoverLLM needs llama-index-core: pip install "failover-kit[llamaindex]"') from error

from .llm import FailoverLLM
from .targets import wrap

__all__ = ["FailoverLLM", "wrap"]
