"""Each SDK's cheapest free call, the list of models: it proves address, key and permission, and costs nothing.

It takes the SDK's synchronous client, a native target's or the one inside a framework's model; no SDK is imported. The
list is asked for rather than one model, because gateways and local servers offer it more often and know their models
by names of their own.
"""

from __future__ import annotations

from typing import Any

from ..health.checkups import TIMEOUT_S


def openai_models(client: Any, timeout_s: float) -> list[str]:
    return [model.id for model in client.models.list(timeout=timeout_s).data]


def anthropic_models(client: Any, timeout_s: float) -> list[str]:
    return [model.id for model in client.models.list(limit=1000, timeout=timeout_s).data]


def google_models(client: Any, timeout_s: float) -> list[str]:
    config = {"page_size": 1000, "http_options": {"timeout": max(1, round(timeout_s * 1000))}}
    return [(model.name or "").removeprefix("models/") for model in client.models.list(config=config).page]


MODELS = {"openai": openai_models, "anthropic": anthropic_models, "google": google_models}


def check(provider: str, client: Any) -> None:
    """A health check: raises when the provider does not answer.

    Args:
        provider: whose SDK it is: "openai", "anthropic" or "google".
        client: its synchronous client. One for another platform may have no list of models: then nothing is asked.
    """
    if hasattr(client, "models"):
        MODELS[provider](client, TIMEOUT_S)
