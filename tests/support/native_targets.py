"""Native targets pointed at a server on loopback, asked in each of the four call styles."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import Any

import pytest

from failover_core import Target
from failover_core.providers import ChatChunk, ChatResponse, accumulate

PROVIDERS = ("openai", "anthropic", "google")
STYLES = ("call", "acall", "stream", "astream")
MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-sonnet-4-6", "google": "gemini-3-flash"}


def on(*providers: str, styles: tuple[str, ...] = STYLES) -> pytest.MarkDecorator:
    """Run a test for each of these providers in each of these styles."""
    return pytest.mark.parametrize(("provider", "style"), list(product(providers, styles)))


everywhere = on(*PROVIDERS)
streamed = on(*PROVIDERS, styles=("stream", "astream"))

ALIVE: list[Target] = []
"""The targets of the running test: one that is collected just when its event loop ends is not closed in time."""


def native(provider: str, server: Any, model: str | None = None, **options: Any) -> Target:
    """A target of `provider` that talks to a `ProviderServer`."""
    urls = {"openai": server.openai_url, "anthropic": server.anthropic_url, "google": server.gemini_url}
    spec = f"{provider}:{model or MODELS[provider]}"
    if not options:
        return _shared(spec, urls[provider])
    ALIVE.append(Target.native(spec, **{"base_url": urls[provider], **options}))
    return ALIVE[-1]


@lru_cache(maxsize=32)
def _shared(spec: str, url: str) -> Target:
    """The same target for many tests, since opening an SDK's client takes some 50 ms."""
    return Target.native(spec, base_url=url)


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
