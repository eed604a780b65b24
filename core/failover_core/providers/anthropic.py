"""Native targets of Anthropic through the `anthropic` SDK (0.75 to 2). See `openai.py`, which is built the same way."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from ..health.ratelimit_headers import parse_rate_limit
from . import anthropic_answers as answers
from . import anthropic_wire as wire
from . import model_facts as facts
from .answers import ChatChunk, ChatResponse
from .free_calls import anthropic_models
from .hanging_up import may_be_hung_up
from .native import CONNECT_S, DUMMY_KEY, NOT_AN_ANSWER, NativeChat, attempt_timeout_s, parsed, split_by_signature

try:
    import anthropic
except ImportError as error:
    raise ImportError("anthropic: targets need Anthropic's SDK: pip install 'failover-kit[anthropic]'") from error


class AnthropicChat(NativeChat):
    """`anthropic:MODEL`."""

    provider = wire.PROVIDER
    own_hosts = ("anthropic.com",)
    key_variables = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")

    def call(self, request: Any) -> ChatResponse:
        payload, answer_tool = self._payload(request, stream=False)
        create = self.clients.sync().messages.with_raw_response.create
        raw = create(**split_by_signature(create, payload))
        return _response(raw, raw.parse(), answer_tool)

    async def acall(self, request: Any) -> ChatResponse:
        payload, answer_tool = self._payload(request, stream=False)
        create = (await self.clients.running()).messages.with_raw_response.create
        raw = await create(**split_by_signature(create, payload))
        return _response(raw, await parsed(raw), answer_tool)

    def stream(self, request: Any) -> Iterator[ChatChunk]:
        return self._chunks(*self._payload(request, stream=True))

    def astream(self, request: Any) -> AsyncIterator[ChatChunk]:
        return self._achunks(*self._payload(request, stream=True))

    def list_models(self, timeout_s: float) -> list[str]:
        return anthropic_models(self.clients.sync(), timeout_s)

    def known_lacks(self) -> frozenset[str]:
        return frozenset() if facts.claude_takes_forced_tools(self.model) else frozenset({"forced_tool"})

    def _chunks(self, payload: dict[str, Any], answer_tool: str | None) -> Iterator[ChatChunk]:
        create = self.clients.sync().messages.create
        with create(**split_by_signature(create, payload)) as stream:
            if _is_no_stream(stream.response):
                raise _unexpected(stream.response, stream.response.read())
            reader = answers.StreamReader(_limits(stream.response.headers), answer_tool)
            with may_be_hung_up(stream.response):
                for event in stream:
                    yield _read(reader, event, stream.response)

    async def _achunks(self, payload: dict[str, Any], answer_tool: str | None) -> AsyncIterator[ChatChunk]:
        create = (await self.clients.running()).messages.create
        async with await create(**split_by_signature(create, payload)) as stream:
            if _is_no_stream(stream.response):
                raise _unexpected(stream.response, await stream.response.aread())
            reader = answers.StreamReader(_limits(stream.response.headers), answer_tool)
            async for event in stream:
                yield _read(reader, event, stream.response)

    def _payload(self, request: Any, *, stream: bool) -> tuple[dict[str, Any], str | None]:
        asked = self._request(request)
        silence_s = attempt_timeout_s(self.options.timeout_s)
        timeout = anthropic.Timeout(silence_s, connect=min(CONNECT_S, silence_s))
        payload = {"timeout": timeout, **wire.payload(asked, self.model, stream=stream)}
        return payload, wire.answer_tool(asked, self.model)

    def _open_sync(self) -> Any:
        return self._open(anthropic.Anthropic)

    def _open_async(self) -> Any:
        return self._open(anthropic.AsyncAnthropic)

    def _open(self, client: Any) -> Any:
        key, address = self.options.api_key, self._base_url("ANTHROPIC_BASE_URL", os.environ)
        arguments = {"api_key": key, "base_url": address, "max_retries": 0, **self.options.client_options}
        opened = client(**arguments)
        # Later SDKs find credentials in more places than variables, so the client is asked.
        if any(getattr(opened, name, None) for name in ("api_key", "auth_token", "credentials")):
            return opened
        if not self._elsewhere(address):
            raise self._no_key()
        return client(**{**arguments, "api_key": DUMMY_KEY})


def _response(raw: Any, message: Any, answer_tool: str | None) -> ChatResponse:
    try:
        return answers.response(message, _limits(raw.headers), answer_tool)
    except NOT_AN_ANSWER as error:
        raise _unexpected(raw.http_response, raw.http_response.content) from error


def _read(reader: answers.StreamReader, event: Any, response: Any) -> ChatChunk:
    try:
        return reader.read(event)
    except NOT_AN_ANSWER as error:
        raise anthropic.APIResponseValidationError(response, str(event), message=f"no event: {event!s:.200}") from error


def _limits(headers: Any) -> Any:
    return parse_rate_limit(headers, time.time())


def _is_no_stream(response: Any) -> bool:
    """A gateway's error page or a JSON error with status 200: the SDK would see an empty stream in it."""
    kind = response.headers.get("content-type", "").lower()
    return "json" in kind or "html" in kind


def _unexpected(response: Any, content: bytes) -> Exception:
    """The SDK's own exception for a successful status around something else than an answer."""
    text = content.decode("utf-8", "replace")
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and body.get("error"):
        error = body["error"]
        message = error.get("message") if isinstance(error, dict) else str(error)
        return anthropic.APIStatusError(message or "the answer is an error", response=response, body=body)
    return anthropic.APIResponseValidationError(response, text, message=f"the answer is not a message: {text:.200}")
