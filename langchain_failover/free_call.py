"""The free call of a wrapped model, through the SDK client inside of it; see `failover_core.providers.free_calls`."""

from __future__ import annotations

from collections.abc import Callable

from langchain_core.language_models import BaseChatModel

from .dialects import Wire

_CLIENTS = {
    Wire.OPENAI_CHAT: ("openai", "root_client"),
    Wire.OPENAI_RESPONSES: ("openai", "root_client"),
    Wire.ANTHROPIC: ("anthropic", "_client"),
    Wire.GOOGLE: ("google", "client"),
}


def health_check_of(model: BaseChatModel, wire: Wire) -> Callable[[], None] | None:
    """A `Target.health_check`; None for classes whose client is not known."""
    if wire not in _CLIENTS:
        return None
    provider, attribute = _CLIENTS[wire]

    def health_check() -> None:
        from failover_core.providers.free_calls import check  # loaded only by those who use health checks

        check(provider, getattr(model, attribute, None))

    return health_check
