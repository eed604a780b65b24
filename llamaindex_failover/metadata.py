"""One `LLMMetadata` for several LLMs: what every one of them can do, and never what one can at the moment.

LlamaIndex reads metadata once, when an engine, an agent or a memory is built, so it must not change with the target
in use.
"""

from __future__ import annotations

from collections.abc import Sequence

from llama_index.core.base.llms.types import LLMMetadata, MessageRole
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW, DEFAULT_NUM_OUTPUTS

from failover_core import Target

from .families import FUNCTION
from .targets import adapter_of

UNSAID = -1
"""LlamaIndex's `num_output` of an LLM that sets no limit."""


def common_metadata(targets: Sequence[Target]) -> LLMMetadata:
    """What holds for all targets.

    The smallest context window, the largest output, tools only where all have them. Functions of the user's own and
    LLMs that are not built yet count only where there is nothing else to go by.
    """
    said = [(target, _metadata_of(target)) for target in targets]
    llms = [(target, metadata) for target, metadata in said if adapter_of(target).family is not FUNCTION]
    known = [metadata for _, metadata in llms if metadata is not None]
    known = known or [metadata for _, metadata in said if metadata is not None]
    declared = [target.context_window_tokens for target in targets if target.context_window_tokens]
    if not known:
        return LLMMetadata(
            is_chat_model=True,
            is_function_calling_model=all("tools" not in target.lacks for target in targets),
            num_output=UNSAID,
            model_name=_names(targets),
            context_window=min(declared, default=DEFAULT_CONTEXT_WINDOW),
        )
    roles = {metadata.system_role for metadata in known}
    return LLMMetadata(
        context_window=min([*(metadata.context_window for metadata in known), *declared]),
        num_output=max((m.num_output for m in known), key=lambda n: DEFAULT_NUM_OUTPUTS if n == UNSAID else n),
        is_chat_model=any(metadata.is_chat_model for metadata in known),
        is_function_calling_model=all(metadata.is_function_calling_model for metadata in known),
        model_name=known[0].model_name if len(targets) == 1 else _names(targets),
        system_role=roles.pop() if len(roles) == 1 else MessageRole.SYSTEM,
    )


def _metadata_of(target: Target) -> LLMMetadata | None:
    facts = adapter_of(target).facts
    return facts.metadata if facts is not None else None


def _names(targets: Sequence[Target]) -> str:
    return " | ".join(dict.fromkeys(target.model or target.name for target in targets))
