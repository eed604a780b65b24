"""One visible call: the events, callbacks and rate limits of one request, whatever becomes of its attempts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Any

from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import LLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.tools import BaseTool
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.dispatcher import Dispatcher
from llama_index_instrumentation.event_handlers import NullEventHandler

from failover_core import Failover, RequestInfo

from .delivery import Delivery, abegun, begun, with_trace
from .errors import OwnErrors
from .requests import Request

_reports = get_dispatcher(llm_chat_callback.__module__)


class Call:
    """A request of a `FailoverLLM` under way, in whatever style. The arguments of its methods are only for reports.

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

    def answer(self, subject: Any, /, **shown: Any) -> Any:
        with OwnErrors(self._failover):
            outcome = self._failover.run(self._request, self._info)
        return with_trace(outcome.value, outcome.trace)

    async def aanswer(self, subject: Any, /, **shown: Any) -> Any:
        with OwnErrors(self._failover):
            outcome = await self._failover.arun(self._request, self._info)
        return with_trace(outcome.value, outcome.trace)

    def stream(self, subject: Any, /, **shown: Any) -> Any:
        return begun(self._chunks())

    async def astream(self, subject: Any, /, **shown: Any) -> Any:
        self._under_way = self._achunks()
        return await abegun(self._under_way)

    def shown(self, tools: Sequence[BaseTool], kwargs: dict[str, Any]) -> dict[str, Any]:
        """What a report tells of the arguments of a call with tools."""
        return {}

    async def closing(self, reported: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
        """`reported`, and when it is given up, the attempt as well: LlamaIndex's decorator leaves its source open."""
        try:
            async for chunk in reported:
                yield chunk
        finally:
            await reported.aclose()
            if self._under_way is not None:
                await self._under_way.aclose()

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


class ChatCall(Call):
    """Reported as a chat. LlamaIndex's own decorators do it; their `_self` is this call."""

    def shown(self, tools: Sequence[BaseTool], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Tools are shown in OpenAI's form, which displays know."""
        return {"tools": [tool.metadata.to_openai_tool(skip_length_check=True) for tool in tools], **kwargs}

    @llm_chat_callback()
    def answer(self, subject: Any, /, **shown: Any) -> Any:
        return super().answer(subject)

    @llm_chat_callback()
    async def aanswer(self, subject: Any, /, **shown: Any) -> Any:
        return await super().aanswer(subject)

    @llm_chat_callback()
    def stream(self, subject: Any, /, **shown: Any) -> Any:
        return super().stream(subject)

    @llm_chat_callback()
    async def astream(self, subject: Any, /, **shown: Any) -> Any:
        return await super().astream(subject)


class CompletionCall(Call):
    """Reported as a completion."""

    @llm_completion_callback()
    def answer(self, subject: Any, /, **shown: Any) -> Any:
        return super().answer(subject)

    @llm_completion_callback()
    async def aanswer(self, subject: Any, /, **shown: Any) -> Any:
        return await super().aanswer(subject)

    @llm_completion_callback()
    def stream(self, subject: Any, /, **shown: Any) -> Any:
        return super().stream(subject)

    @llm_completion_callback()
    async def astream(self, subject: Any, /, **shown: Any) -> Any:
        return await super().astream(subject)


def is_heard(llm: LLM) -> bool:
    """Does anybody listen to the events of `llm`, or limit its rate? If not, a `Call` need not be reported at all."""
    if llm.callback_manager.handlers or getattr(llm, "rate_limiter", None) is not None:
        return True
    dispatcher: Dispatcher | None = _reports
    while dispatcher is not None:
        if any(type(handler) is not NullEventHandler for handler in dispatcher.event_handlers):
            return True
        dispatcher = dispatcher.parent if dispatcher.propagate else None
    return False
