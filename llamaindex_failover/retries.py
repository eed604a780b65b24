"""The wrapped LLMs' own retries, switched off: LlamaIndex's times the SDK's make 12 requests and 77 s of one 429.

While they last, nobody else is asked; with them off, the core retries once where that helps and goes on where it does
not. An LLM of a class that is not known, and retries by itself, is reported once with the way to stop it.
"""

from __future__ import annotations

import warnings
from inspect import signature

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
            name = type(llm).__name__
            _report(
                type(llm),
                f"{name} retries up to {retries} times by itself before failover hears of a failure. "
                f"Build it with {name}(..., max_retries=0) to fail over at once.",
            )
        return
    if isinstance(retries, int):
        llm.max_retries = 0  # type: ignore[attr-defined]
    if family is GEMINI:
        _switch_off_google(llm)
        return
    for name in ("_client", "_aclient"):
        client = getattr(llm, name, None)
        if getattr(client, "max_retries", 0):
            setattr(llm, name, client.with_options(max_retries=0))  # type: ignore[union-attr]


def _switch_off_google(llm: LLM) -> None:
    """google-genai retries on its own account only where it was told to; but on asyncio it sleeps 1 to 10 s over a
    refused connection and tries again, which newer versions leave to whoever sets retry options.
    """
    from google.genai.types import HttpRetryOptions
    from tenacity import stop_after_attempt

    api = getattr(getattr(llm, "_client", None), "_api_client", None)
    options = getattr(api, "_http_options", None)
    if api is None or options is None:
        return
    options.retry_options = HttpRetryOptions(attempts=1)
    for name in ("_retry", "_async_retry"):
        retrying = getattr(api, name, None)
        if retrying is not None:
            setattr(api, name, retrying.copy(stop=stop_after_attempt(1)))
    request = getattr(api, "_async_request_once", None)
    if request is not None and "implicit_retry" not in signature(request).parameters and api._use_aiohttp():
        _report(
            type(llm),
            "google-genai before 2.33 sleeps 1 to 10 s over a refused connection on asyncio. Upgrade it, or build "
            "GoogleGenAI(..., http_options={'async_client_args': {'transport': httpx.AsyncHTTPTransport()}}).",
        )


def _report(cls: type, message: str) -> None:
    if cls not in _reported:
        _reported.add(cls)
        warnings.warn(message, RuntimeWarning, stacklevel=5)
