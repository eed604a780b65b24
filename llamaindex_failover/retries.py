"""Retries of the wrapped LLMs, switched off: LlamaIndex's own times the SDK's make up to 12 requests and 77 s of one 429.

While they last, nobody else is asked; with them off, the core retries once where that helps and goes on where it does not. An
LLM of a class that is not known, and retries by itself, is reported once with the way to stop it.
"""

from __future__ import annotations

import warnings
from typing import Any

from llama_index.core.llms import LLM

from .families import GEMINI, Family

_reported: set[type] = set()


def switch_off(llm: LLM, family: Family) -> None:
    """Let `llm` try once. It is changed in place, since the SDK clients that it may have built are its own.

    Warns:
        RuntimeWarning: once for each class whose retries cannot be switched off from outside.
    """
    retries = getattr(llm, "max_retries", None)
    if not family.official:
        if isinstance(retries, int) and retries > 0:
            _report(type(llm), retries)
        return
    if isinstance(retries, int):
        llm.max_retries = 0  # type: ignore[attr-defined]
    if family is GEMINI:
        _switch_off_google(getattr(llm, "_client", None))
        return
    for name in ("_client", "_aclient"):
        client = getattr(llm, name, None)
        if getattr(client, "max_retries", 0):
            setattr(llm, name, client.with_options(max_retries=0))  # type: ignore[union-attr]


def _switch_off_google(client: Any) -> None:
    """google-genai retries on its own account only where it was told to, except that its asyncio transport sleeps 1 to 10 s
    and tries again after a refused connection, unless any retry options are set.
    """
    api = getattr(client, "_api_client", None)
    options = getattr(api, "_http_options", None)
    if options is None or "retry_options" not in type(options).model_fields:
        return
    from google.genai.types import HttpRetryOptions
    from tenacity import stop_after_attempt

    options.retry_options = HttpRetryOptions(attempts=1)
    for name in ("_retry", "_async_retry"):
        retrying = getattr(api, name, None)
        if retrying is not None:
            setattr(api, name, retrying.copy(stop=stop_after_attempt(1)))


def _report(cls: type, retries: int) -> None:
    if cls in _reported:
        return
    _reported.add(cls)
    warnings.warn(
        f"{cls.__name__} retries up to {retries} times by itself before failover hears of a failure. "
        f"Build it with {cls.__name__}(..., max_retries=0) to fail over at once.",
        RuntimeWarning,
        stacklevel=4,
    )
