"""The free call of a wrapped LLM, through the SDK client inside of it; see `failover_core.providers.free_calls`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .adapter import LLMAdapter
from .families import OPENAI


def health_check_of(adapter: LLMAdapter) -> Callable[[], None] | None:
    """A `Target.health_check`; None for classes whose client is not known. What a factory makes is checked once it is
    there.
    """
    if adapter.llm is not None and not adapter.family.official:
        return None

    return partial(_check, adapter)  # which can be pickled


def _check(adapter: LLMAdapter) -> None:
    llm: Any = adapter.llm
    family = adapter.family
    if llm is None or family.provider is None or not family.official:
        return
    from failover_core.providers.free_calls import check  # loaded only by those who use health checks

    check(family.provider, llm._get_client() if family is OPENAI else getattr(llm, "_client", None))
