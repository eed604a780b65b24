"""An LLM on its way to another process.

LlamaIndex pickles an LLM without its SDK client and makes it again of its fields. Anthropic's and Google's classes do
not take all of their own fields, and come back without a client; here they are pickled by what they were made of.
"""

from __future__ import annotations

from functools import partial
from inspect import signature
from typing import Any

from llama_index.core.llms import LLM

from .families import ANTHROPIC, GEMINI, Family

_WAYS_OF_PICKLING = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__")


def packed(llm: LLM, family: Family) -> Any:
    """What to pickle of an LLM: itself, or a function that makes it again.

    Raises:
        TypeError: for a client whose making leaves no traces (Vertex, Bedrock), and for a class that takes other
            arguments than the one it is derived from.
    """
    if (family is not ANTHROPIC and family is not GEMINI) or _packs_itself(llm):
        return llm
    arguments = _of_anthropic(llm) if family is ANTHROPIC else _of_google(llm)
    known = signature(type(llm)).parameters
    every = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    for name in type(llm).model_fields:
        value = getattr(llm, name)
        if value is not None and name not in ("callback_manager", "rate_limiter") and (every or name in known):
            arguments.setdefault(name, value)
    try:
        signature(type(llm).__init__).bind(llm, **arguments)
    except TypeError as error:
        told = f"{type(llm).__name__} cannot be made again of its fields, {error}; give it a __reduce__"
        raise TypeError(told) from error
    return partial(type(llm), **arguments)


def _packs_itself(llm: LLM) -> bool:
    """Has its class, or one that a user derived, its own way to be pickled?"""
    return any(getattr(type(llm), name) is not getattr(LLM, name) for name in _WAYS_OF_PICKLING)


def _of_anthropic(llm: Any) -> dict[str, Any]:
    client = llm._client
    if type(client).__name__ != "Anthropic":
        raise _untraceable(llm)
    return {"api_key": client.api_key, "default_headers": dict(client._custom_headers)}


def _of_google(llm: Any) -> dict[str, Any]:
    from google.genai.types import GenerateContentConfig

    api = llm._client._api_client
    if api.vertexai:
        raise _untraceable(llm)
    return {
        "api_key": api.api_key,
        "http_options": api._http_options.to_json_dict(),
        "generation_config": GenerateContentConfig(**llm._generation_config),
        "max_tokens": llm.metadata.num_output,  # without these two it would ask the provider
        "context_window": llm.metadata.context_window,
    }


def _untraceable(llm: LLM) -> TypeError:
    return TypeError(f"the client of {type(llm).__name__} cannot be made again elsewhere")
