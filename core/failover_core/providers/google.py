"""Native targets of Google through the `google-genai` SDK (1.52 to 3). See `openai.py`, which is built the same way.

The SDK gets HTTP clients of ours, for three reasons. With aiohttp installed its async client sleeps 1 to 10 s and tries
again behind our back when a connection is refused. It has one time limit for connecting and for reading. And a stream
that is left early is not closed by it: the HTTP response is, as soon as our hook has seen it.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from ..health.ratelimit_headers import RateLimitFacts, parse_rate_limit
from . import google_answers as answers
from . import google_wire as wire
from . import model_facts as facts
from .answers import ChatChunk, ChatResponse
from .free_calls import google_models
from .hanging_up import may_be_hung_up
from .native import CONNECT_S, DUMMY_KEY, NOT_AN_ANSWER, NativeChat, attempt_timeout_s

try:
    from google import genai
    from google.genai import errors
except ImportError as error:
    raise ImportError("google: targets need Google's Gen AI SDK: pip install 'failover-kit[google]'") from error


class GoogleChat(NativeChat):
    """`google:MODEL`."""

    provider = wire.PROVIDER
    own_hosts = ("googleapis.com",)
    key_variables = ("GOOGLE_API_KEY", "GEMINI_API_KEY")

    def call(self, request: Any) -> ChatResponse:
        payload = self._payload(request)
        return _response(self.clients.sync().api.models.generate_content(**payload))

    async def acall(self, request: Any) -> ChatResponse:
        payload = self._payload(request)
        api = (await self.clients.running()).api
        return _response(await api.aio.models.generate_content(**payload))

    def stream(self, request: Any) -> Iterator[ChatChunk]:
        return self._chunks(self._payload(request))

    def astream(self, request: Any) -> AsyncIterator[ChatChunk]:
        return self._achunks(self._payload(request))

    def list_models(self, timeout_s: float) -> list[str]:
        return google_models(self.clients.sync().api, timeout_s)

    def known_lacks(self) -> frozenset[str]:
        return frozenset({"tools_with_json_schema"}) if facts.gemini_generation(self.model) < 3 else frozenset()

    def _chunks(self, payload: dict[str, Any]) -> Iterator[ChatChunk]:
        reader, responses = answers.StreamReader(), _Responses()
        models = self.clients.sync().api.models
        try:
            with responses:
                stream = iter(models.generate_content_stream(**payload))
                chunk = next(stream, None)
            with may_be_hung_up(responses.seen[-1] if responses.seen else None):
                while chunk is not None:
                    yield _read(reader, chunk)
                    chunk = next(stream, None)
        finally:
            for response in responses.seen:
                response.close()

    async def _achunks(self, payload: dict[str, Any]) -> AsyncIterator[ChatChunk]:
        reader, responses = answers.StreamReader(), _Responses()
        models = (await self.clients.running()).api.aio.models
        try:
            with responses:
                stream = aiter(await models.generate_content_stream(**payload))
                chunk = await anext(stream, None)
            while chunk is not None:
                yield _read(reader, chunk)
                chunk = await anext(stream, None)
        finally:
            for response in responses.seen:
                await response.aclose()

    def _payload(self, request: Any) -> dict[str, Any]:
        payload = wire.payload(self._request(request), self.model)
        timeout = {"timeout": _milliseconds(attempt_timeout_s(self.options.timeout_s))}
        given = payload["config"].get("http_options") or {}
        if isinstance(given, dict):
            payload["config"]["http_options"] = {**timeout, **given}
        return payload

    def _open_sync(self) -> Any:
        hooks = {"request": [_bound_connect], "response": [_Responses.see]}
        return self._open("httpx_client", _http_module().Client(event_hooks=hooks, follow_redirects=True, timeout=None))

    def _open_async(self) -> Any:
        hooks = {"request": [_abound_connect], "response": [_Responses.asee]}
        http = _http_module().AsyncClient(event_hooks=hooks, follow_redirects=True, timeout=None)
        return self._open("httpx_async_client", http)

    def _open(self, kind: str, http: Any) -> _Client:
        key, address = self.options.api_key, self._base_url("GOOGLE_GEMINI_BASE_URL", os.environ)
        keyless = key is None and not any(os.environ.get(name) for name in self.key_variables)
        if keyless and self._elsewhere(address):
            key = DUMMY_KEY
        given = dict(self.options.client_options)
        asked = given.pop("http_options", None) or {}
        http_options = asked if isinstance(asked, dict) else asked.model_dump(exclude_none=True)
        defaults = {"base_url": address, "retry_options": {"attempts": 1}, kind: http}
        try:
            api = genai.Client(**{"api_key": key, **given, "http_options": {**defaults, **http_options}})
        except ValueError as error:
            if keyless and "vertexai" not in given:
                raise self._no_key() from error
            raise
        return _Client(api, http)

    @staticmethod
    def _close_sync(client: _Client) -> None:
        client.http.close()

    @staticmethod
    async def _close_async(client: _Client) -> None:
        await client.http.aclose()


@dataclass(frozen=True, slots=True)
class _Client:
    """An SDK client and the HTTP client under it, which the SDK leaves for us to close."""

    api: genai.Client
    http: Any


class _Responses:
    """The HTTP responses that are opened while it is entered."""

    _current: ContextVar[_Responses | None] = ContextVar("google_responses", default=None)

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __enter__(self) -> None:
        self._token = self._current.set(self)

    def __exit__(self, *exc_info: object) -> None:
        self._current.reset(self._token)

    @classmethod
    def see(cls, response: Any) -> None:
        current = cls._current.get()
        if current is not None:
            current.seen.append(response)

    @classmethod
    async def asee(cls, response: Any) -> None:
        cls.see(response)


def _response(answer: Any) -> ChatResponse:
    try:
        return answers.response(answer, _limits(answer))
    except NOT_AN_ANSWER as error:
        raise errors.UnknownApiResponseError(f"the answer is not a response: {answer!s:.200}") from error


def _read(reader: answers.StreamReader, chunk: Any) -> ChatChunk:
    try:
        return reader.read(chunk, _limits(chunk))
    except NOT_AN_ANSWER as error:
        raise errors.UnknownApiResponseError(f"no chunk: {chunk!s:.200}") from error


def _limits(answer: Any) -> RateLimitFacts | None:
    """Google sends none, but proxies in front of it may."""
    response = getattr(answer, "sdk_http_response", None)
    return parse_rate_limit(response.headers, time.time()) if response is not None and response.headers else None


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _bound_connect(request: Any) -> None:
    timeout = request.extensions["timeout"]
    timeout["connect"] = min(timeout.get("connect") or CONNECT_S, CONNECT_S)


async def _abound_connect(request: Any) -> None:
    _bound_connect(request)


def _http_module() -> Any:
    """httpx2 for google-genai 3, httpx for the older ones: each wants its own clients."""
    if int(genai.__version__.split(".", 1)[0]) >= 3:
        try:
            return importlib.import_module("httpx2")
        except ImportError:
            pass
    return importlib.import_module("httpx")
