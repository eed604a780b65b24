"""Native targets of OpenAI and of everything that speaks its Chat Completions API, through the `openai` SDK (2 and 3).

Response headers are read through `with_raw_response`; a stream has them on its response. SDK retries are off, since the
engine decides about them. A 200 that holds an error or no JSON at all raises the SDK's own exception for it.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

from ..health.ratelimit_headers import parse_rate_limit
from . import openai_answers as answers
from . import openai_wire as wire
from .answers import ChatChunk, ChatResponse
from .free_calls import openai_models
from .hanging_up import may_be_hung_up
from .model_facts import openai_reasons
from .native import CONNECT_S, DUMMY_KEY, NOT_AN_ANSWER, NativeChat, attempt_timeout_s, parsed, split_by_signature

try:
    import openai
except ImportError as error:
    raise ImportError("openai: targets need OpenAI's SDK: pip install 'failover-kit[openai]'") from error


class OpenAIChat(NativeChat):
    """`openai:MODEL`."""

    provider = wire.PROVIDER
    own_hosts = ("openai.com", "openai.azure.com")
    key_variables = ("OPENAI_API_KEY",)

    def call(self, request: Any) -> ChatResponse:
        arguments = self._payload(request, stream=False)
        create = self.clients.sync().chat.completions.with_raw_response.create
        raw = create(**split_by_signature(create, arguments))
        return _response(raw, raw.parse())

    async def acall(self, request: Any) -> ChatResponse:
        arguments = self._payload(request, stream=False)
        create = (await self.clients.running()).chat.completions.with_raw_response.create
        raw = await create(**split_by_signature(create, arguments))
        return _response(raw, await parsed(raw))

    def stream(self, request: Any) -> Iterator[ChatChunk]:
        return self._chunks(self._payload(request, stream=True))

    def astream(self, request: Any) -> AsyncIterator[ChatChunk]:
        return self._achunks(self._payload(request, stream=True))

    def list_models(self, timeout_s: float) -> list[str]:
        return openai_models(self.clients.sync(), timeout_s)

    def known_lacks(self) -> frozenset[str]:
        if openai_reasons(self.model) and not self._elsewhere(self._address()):
            return frozenset({"stop", "file_urls"})
        return frozenset({"file_urls"})

    def _chunks(self, arguments: dict[str, Any]) -> Iterator[ChatChunk]:
        create = self.clients.sync().chat.completions.create
        with create(**split_by_signature(create, arguments)) as stream:
            if _is_no_stream(stream.response):
                raise _unexpected(stream.response, stream.response.read())
            reader = answers.StreamReader(_limits(stream.response.headers))
            with may_be_hung_up(stream.response):
                for chunk in stream:
                    yield _read(reader, chunk, stream.response)

    async def _achunks(self, arguments: dict[str, Any]) -> AsyncIterator[ChatChunk]:
        create = (await self.clients.running()).chat.completions.create
        async with await create(**split_by_signature(create, arguments)) as stream:
            if _is_no_stream(stream.response):
                raise _unexpected(stream.response, await stream.response.aread())
            reader = answers.StreamReader(_limits(stream.response.headers))
            async for chunk in stream:
                yield _read(reader, chunk, stream.response)

    def _payload(self, request: Any, *, stream: bool) -> dict[str, Any]:
        address = self._address()
        silence_s = attempt_timeout_s(self.options.timeout_s)
        payload = wire.payload(
            self._request(request),
            self.model,
            stream=stream,
            own_service=not self._elsewhere(address),
            mistral="mistral" in (urlsplit(address or "").hostname or ""),
        )
        return {"timeout": openai.Timeout(silence_s, connect=min(CONNECT_S, silence_s)), **payload}

    def _open_sync(self) -> Any:
        return self._open(openai.OpenAI)

    def _open_async(self) -> Any:
        return self._open(openai.AsyncOpenAI)

    def _open(self, client: Any) -> Any:
        key, address = self.options.api_key, self._address()
        if key is None and self._elsewhere(address) and not os.environ.get("OPENAI_API_KEY"):
            key = DUMMY_KEY
        arguments = {"api_key": key, "base_url": address, "max_retries": 0, **self.options.client_options}
        try:
            return client(**arguments)
        except openai.OpenAIError as error:
            if key is None and not os.environ.get("OPENAI_API_KEY"):
                raise self._no_key() from error
            raise

    def _address(self) -> str | None:
        return self._base_url("OPENAI_BASE_URL", os.environ)


def _response(raw: Any, completion: Any) -> ChatResponse:
    try:
        if not completion.choices and getattr(completion, "error", None):
            raise _unexpected(raw.http_response, raw.http_response.content)
        return answers.response(completion, _limits(raw.headers))
    except NOT_AN_ANSWER as error:
        raise _unexpected(raw.http_response, raw.http_response.content) from error


def _read(reader: answers.StreamReader, chunk: Any, response: Any) -> ChatChunk:
    try:
        return reader.read(chunk)
    except NOT_AN_ANSWER as error:
        raise openai.APIResponseValidationError(response, str(chunk), message=f"no chunk: {chunk!s:.200}") from error


def _limits(headers: Any) -> Any:
    return parse_rate_limit(headers, time.time())


def _is_no_stream(response: Any) -> bool:
    """A gateway's error page or a JSON error with status 200: the SDK would see an empty stream in it."""
    kind = response.headers.get("content-type", "").lower()
    return "json" in kind or "html" in kind


def _unexpected(response: Any, content: bytes) -> Exception:
    """The SDK's own exception for a successful status around something else than an answer."""
    body: Any = content.decode("utf-8", "replace")
    try:
        parsed = response.json()
        error = parsed.get("error") if isinstance(parsed, dict) else None
    except ValueError:
        error = None
    if error:
        message = error.get("message") if isinstance(error, dict) else str(error)
        return openai.APIError(message or "the answer is an error", response.request, body=error)
    return openai.APIResponseValidationError(
        response, body, message=f"the answer is not a chat completion: {body:.200}"
    )
