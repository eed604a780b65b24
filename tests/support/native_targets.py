"""Native targets pointed at a server on loopback, asked in each of the four call styles."""

from __future__ import annotations

from typing import Any

from failover_core import Target
from failover_core.providers import ChatChunk, ChatResponse, accumulate

PROVIDERS = ("openai", "anthropic", "google")
STYLES = ("call", "acall", "stream", "astream")
MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-sonnet-4-6", "google": "gemini-3-flash"}

ALIVE: list[Target] = []
"""The targets of the running test: one that is collected just when its event loop ends is not closed in time."""


def native(provider: str, server: Any, model: str | None = None, **options: Any) -> Target:
    """A target of `provider` that talks to a `ProviderServer`."""
    urls = {"openai": server.openai_url, "anthropic": server.anthropic_url, "google": server.gemini_url}
    target = Target.native(f"{provider}:{model or MODELS[provider]}", **{"base_url": urls[provider], **options})
    ALIVE.append(target)
    return target


async def chunks(target: Target, request: Any, style: str) -> list[ChatChunk]:
    if style == "stream":
        return list(target.stream(request))
    return [chunk async for chunk in target.astream(request)]


async def answer(target: Target, request: Any, style: str) -> ChatResponse:
    """The whole answer, in one of the four styles."""
    if style == "call":
        return target.call(request)
    if style == "acall":
        return await target.acall(request)
    return accumulate(await chunks(target, request, style))
