"""What the native targets of all providers share: their options, their time limits, and missing keys."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, ClassVar
from urllib.parse import urlsplit

from ..context import current_attempt
from ..failure import ConfigError, FailoverError, Failure, FailureKind
from ..health.checkups import TIMEOUT_S
from .answers import ChatChunk, ChatResponse
from .chat import ChatRequest
from .clients import ClientPool
from .front import as_chat_request, coerced

CONNECT_S = 10.0
READ_S = 600.0  # the default of the openai and anthropic SDKs; silence is the engine's business, see Settings
DUMMY_KEY = "not-needed"
NOT_AN_ANSWER = (AttributeError, TypeError, LookupError)  # what reading an answer of another shape runs into


@dataclass(frozen=True, slots=True)
class NativeOptions:
    """How one native target reaches its provider.

    Args:
        model: the model's name at the provider.
        api_key: None = from the SDK's usual environment variable, read at the first call.
        base_url: None = from the SDK's environment variable, else the provider's own.
        timeout_s: longest silence of the network in seconds; a nearer deadline of the caller goes first.
        client_options: further keyword arguments of the SDK's client.
        defaults: `ChatRequest` fields for requests that leave them open.
    """

    model: str
    api_key: str | None = None
    base_url: str | None = None
    timeout_s: float = READ_S
    client_options: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.defaults) - DEFAULTABLE)
        if unknown:
            raise ConfigError(
                f"defaults={{{unknown[0]!r}: ...}} is not a field of ChatRequest; use {', '.join(sorted(DEFAULTABLE))}"
            )
        if "timeout" in self.client_options:
            raise ConfigError("client_options={'timeout': ...} would be overruled at every call; write timeout_s=")
        if not self.timeout_s > 0:
            raise ConfigError(f"timeout_s must be a number of seconds above 0, not {self.timeout_s!r}")


DEFAULTABLE = frozenset(f.name for f in fields(ChatRequest)) - {"messages"}
OPTION_NAMES = frozenset(f.name for f in fields(NativeOptions)) - {"model"}


class NativeChat:
    """One model at one provider, called through the provider's own SDK. Takes what `as_chat_request` takes.

    Subclasses open clients and translate. Nothing is opened, and no key is looked for, before the first call, so that a
    target without a key fails alone and the others answer.
    """

    provider: ClassVar[str]
    own_hosts: ClassVar[tuple[str, ...]]
    key_variables: ClassVar[tuple[str, ...]]

    def __init__(self, options: NativeOptions) -> None:
        self.options = options
        self.model = options.model
        self.clients = ClientPool(self._open_sync, self._open_async, self._close_sync, self._close_async)

    def call(self, request: Any) -> ChatResponse:
        raise NotImplementedError

    async def acall(self, request: Any) -> ChatResponse:
        raise NotImplementedError

    def stream(self, request: Any) -> Iterator[ChatChunk]:
        raise NotImplementedError

    def astream(self, request: Any) -> AsyncIterator[ChatChunk]:
        raise NotImplementedError

    def list_models(self, timeout_s: float) -> list[str]:
        """The names of the models on offer: the cheapest call that proves address, key and permission."""
        raise NotImplementedError

    def health_check(self) -> None:
        """See `Target.health_check`."""
        self.list_models(TIMEOUT_S)

    def known_lacks(self) -> frozenset[str]:
        """Out of `RequestInfo.needs`: what this model is known not to do."""
        return frozenset()

    def close(self) -> None:
        """Close the connections of sync code; they open again when they are needed."""
        self.clients.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop. Its end does that by itself under `asyncio.run`."""
        await self.clients.aclose()

    def _open_sync(self) -> Any:
        raise NotImplementedError

    def _open_async(self) -> Any:
        raise NotImplementedError

    @staticmethod
    def _close_sync(client: Any) -> Any:
        client.close()

    @staticmethod
    async def _close_async(client: Any) -> Any:
        await client.close()

    def _request(self, request: Any) -> ChatRequest:
        """The request with this target's defaults where it leaves something open."""
        asked = as_chat_request(request)
        defaults = self.options.defaults
        if not defaults:
            return asked
        gaps = {name: value for name, value in coerced(defaults).items() if getattr(asked, name) in (None, (), {})}
        return replace(asked, **gaps)

    def _base_url(self, variable: str, environment: Mapping[str, str]) -> str | None:
        return self.options.base_url or environment.get(variable) or None

    def _elsewhere(self, base_url: str | None) -> bool:
        """Is it another server than the provider's own? Local servers want no key."""
        host = urlsplit(base_url).hostname or "" if base_url else ""
        return bool(base_url) and not host.endswith(self.own_hosts)

    def _no_key(self) -> FailoverError:
        """An `auth` failure of this target, like a key that is refused; no `ConfigError`, which ends the call."""
        where = " or ".join(self.key_variables)
        message = f"no API key for {self.provider}:{self.model}: set {where}, or pass api_key= to Target.native"
        return FailoverError(message, failure=Failure(FailureKind.AUTH, message, provider=self.provider))


def attempt_timeout_s(limit_s: float) -> float:
    """How long the network may be silent in the attempt under way, in seconds."""
    attempt = current_attempt()
    if attempt is None or attempt.remaining_s is None:
        return limit_s
    return min(limit_s, max(attempt.remaining_s, 0.001))


def split_by_signature(method: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments for an SDK method, those that it has no name for in `extra_body`.

    SDK generations differ in the parameters that they know (anthropic 1.0 dropped `temperature`) and local servers take
    more than any SDK knows; the wire takes them all.
    """
    known = _parameters(getattr(method, "__func__", method))
    named = {name: value for name, value in arguments.items() if name in known}
    unnamed = {name: value for name, value in arguments.items() if name not in known}
    if unnamed:
        named["extra_body"] = {**unnamed, **(named.get("extra_body") or {})}
    return named


async def parsed(raw: Any) -> Any:
    """What a raw response of an async SDK client holds; newer SDK generations parse it in a coroutine."""
    value = raw.parse()
    return await value if inspect.isawaitable(value) else value


@lru_cache(maxsize=16)
def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)
