"""One visible call: the events, callbacks and rate limits of one request, whatever becomes of its attempts.

LlamaIndex's own decorators report it; their `_self` is a `VisibleCall`, so that they need not know how it is answered.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import LLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback

from failover_core import Failover, RequestInfo

from .delivery import Delivery, abegun, begun, with_trace
from .errors import OwnErrors
from .requests import Request


class VisibleCall:
    """A request of a `FailoverLLM` and how it is reported.

    Args:
        llm: whose callback manager and rate limiter count.
        failover: who answers.
        request: what is asked.
        info: what the core may know of it.
    """

    def __init__(self, llm: LLM, failover: Failover, request: Request, info: RequestInfo) -> None:
        self.callback_manager: CallbackManager = llm.callback_manager
        self.rate_limiter = getattr(llm, "rate_limiter", None)  # older versions of LlamaIndex have none
        self.to_payload = llm.to_payload
        self.to_dict = llm.to_payload  # what the decorators of older versions ask for
        self._failover = failover
        self._request = request
        self._info = info
        self._under_way: AsyncGenerator[Any, None] | None = None

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **shown: Any) -> Any:
        return self._answer()

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **shown: Any) -> Any:
        return await self._aanswer()

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **shown: Any) -> Any:
        return begun(self._chunks())

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **shown: Any) -> Any:
        self._under_way = self._achunks()
        return await abegun(self._under_way)

    @llm_completion_callback()
    def complete(self, prompt: str, **shown: Any) -> Any:
        return self._answer()

    @llm_completion_callback()
    async def acomplete(self, prompt: str, **shown: Any) -> Any:
        return await self._aanswer()

    @llm_completion_callback()
    def stream_complete(self, prompt: str, **shown: Any) -> Any:
        return begun(self._chunks())

    @llm_completion_callback()
    async def astream_complete(self, prompt: str, **shown: Any) -> Any:
        self._under_way = self._achunks()
        return await abegun(self._under_way)

    async def closing(self, reported: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
        """`reported`, and when it is given up, the attempt as well: LlamaIndex's decorator leaves its source open."""
        try:
            async for chunk in reported:
                yield chunk
        finally:
            await reported.aclose()
            if self._under_way is not None:
                await self._under_way.aclose()

    def _answer(self) -> Any:
        with OwnErrors(self._failover):
            outcome = self._failover.run(self._request, self._info)
        return with_trace(outcome.value, outcome.trace)

    async def _aanswer(self) -> Any:
        with OwnErrors(self._failover):
            outcome = await self._failover.arun(self._request, self._info)
        return with_trace(outcome.value, outcome.trace)

    def _chunks(self) -> Generator[Any, None, None]:
        source = self._failover.stream(self._request, self._info)
        delivery = Delivery()
        try:
            with OwnErrors(self._failover):
                for chunk in source:
                    yield from delivery.passing(chunk)
            yield from delivery.ending(source.trace)
        finally:
            source.close()

    async def _achunks(self) -> AsyncGenerator[Any, None]:
        source = self._failover.astream(self._request, self._info)
        delivery = Delivery()
        try:
            with OwnErrors(self._failover):
                async for chunk in source:
                    for ready in delivery.passing(chunk):
                        yield ready
            for ready in delivery.ending(source.trace):
                yield ready
        finally:
            await source.aclose()
