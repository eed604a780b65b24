"""SDK-level retries of wrapped models are switched off: they hide failures and double every wait.

On a copy: the model that the user holds keeps its own. Where a class is not known well enough for that, a warning says
once what to write.
"""

from __future__ import annotations

import warnings
from typing import Any

from langchain_core.language_models import BaseChatModel

_CLIENT_FIELDS = ("root_client", "root_async_client", "_client", "_async_client")
_warned: set[str] = set()


def without_retries(model: BaseChatModel) -> BaseChatModel:
    """`model`, or a copy of it, whose SDK tries once."""
    families = {cls.__name__ for cls in type(model).__mro__}
    if "BaseChatOpenAI" in families:
        return _openai(model)
    if "ChatAnthropic" in families:
        return _anthropic(model)
    if "ChatGoogleGenerativeAI" in families:
        return model.model_copy(update={"max_retries": 1})  # it counts attempts, and takes 0 for its default of 5
    _warn_once(model)
    return model


def _openai(model: BaseChatModel) -> BaseChatModel:
    """The clients are built by then, so that the field alone has no effect."""
    changes: dict[str, Any] = {"max_retries": 0}
    for root, resource in (("root_client", "client"), ("root_async_client", "async_client")):
        client = getattr(model, root, None)
        if client is not None:
            patient = client.with_options(max_retries=0)
            changes[root] = patient
            if getattr(model, resource, None) is not None:
                changes[resource] = patient.chat.completions
    return model.model_copy(update=changes)


def _anthropic(model: BaseChatModel) -> BaseChatModel:
    """Its clients are cached properties: one that exists is replaced, one that does not is built from the field."""
    copy = model.model_copy(update={"max_retries": 0})
    copy.__dict__.pop("_client_params", None)
    for name in ("_client", "_async_client"):
        client = copy.__dict__.get(name)
        if client is not None:
            copy.__dict__[name] = client.with_options(max_retries=0)
    return copy


def _warn_once(model: BaseChatModel) -> None:
    name = type(model).__name__
    retries = getattr(model, "max_retries", None)
    if not isinstance(retries, int) or retries <= 0 or name in _warned:
        return
    _warned.add(name)
    warnings.warn(
        f"{name} retries by itself (max_retries={retries}), which delays every failover. "
        f"Write {name}(..., max_retries=0).",
        stacklevel=2,
    )
