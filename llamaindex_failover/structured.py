"""Structured output of a `FailoverLLM`: each target's own way to it, from native JSON schemas to parsed text."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

from llama_index.core.prompts import BasePromptTemplate, ChatPromptTemplate
from llama_index.core.types import PydanticProgramMode

from failover_core import RouteTrace

from .delivery import abegun, begun
from .endpoints import Endpoints
from .errors import OwnErrors
from .instrumentation import play
from .reader import OBJECT_END
from .requests import Request


class StructuredEndpoints(Endpoints):
    """`structured_predict` and its twins. A program mode other than the default asks for LlamaIndex's general way
    instead, which then runs over this LLM's chat.
    """

    @property
    def _is_prompted(self) -> bool:
        """The system prompt of this LLM is the one that counts, so that no target may add its own."""
        raise NotImplementedError

    def structured_predict(
        self, output_cls: Any, prompt: Any, llm_kwargs: dict[str, Any] | None = None, **prompt_args: Any
    ) -> Any:
        if self.pydantic_program_mode is not PydanticProgramMode.DEFAULT:
            return super().structured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
        request = self._structured(output_cls, prompt, llm_kwargs, prompt_args)
        if (limiter := getattr(self, "rate_limiter", None)) is not None:
            limiter.acquire()
        with OwnErrors(self.failover):
            outcome = self.failover.run(request, self._info(request))
        self._tell(request, outcome.trace)
        return outcome.value

    async def astructured_predict(
        self, output_cls: Any, prompt: Any, llm_kwargs: dict[str, Any] | None = None, **prompt_args: Any
    ) -> Any:
        if self.pydantic_program_mode is not PydanticProgramMode.DEFAULT:
            return await super().astructured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
        request = self._structured(output_cls, prompt, llm_kwargs, prompt_args)
        if (limiter := getattr(self, "rate_limiter", None)) is not None:
            await limiter.async_acquire()
        with OwnErrors(self.failover):
            outcome = await self.failover.arun(request, self._info(request))
        self._tell(request, outcome.trace)
        return outcome.value

    def stream_structured_predict(
        self, output_cls: Any, prompt: Any, llm_kwargs: dict[str, Any] | None = None, **prompt_args: Any
    ) -> Generator[Any, None, None]:
        if self.pydantic_program_mode is not PydanticProgramMode.DEFAULT:
            return super().stream_structured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
        request = self._structured(output_cls, prompt, llm_kwargs, prompt_args)
        if (limiter := getattr(self, "rate_limiter", None)) is not None:
            limiter.acquire()
        return begun(self._objects(request))

    async def astream_structured_predict(
        self, output_cls: Any, prompt: Any, llm_kwargs: dict[str, Any] | None = None, **prompt_args: Any
    ) -> AsyncGenerator[Any, None]:
        if self.pydantic_program_mode is not PydanticProgramMode.DEFAULT:
            return await super().astream_structured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
        request = self._structured(output_cls, prompt, llm_kwargs, prompt_args)
        if (limiter := getattr(self, "rate_limiter", None)) is not None:
            await limiter.async_acquire()
        objects = self._aobjects(request)
        started = await abegun(objects)

        async def gen() -> AsyncGenerator[Any, None]:
            try:
                async for item in started:
                    yield item
            finally:
                await objects.aclose()

        return gen()

    def _structured(
        self,
        output_cls: Any,
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None,
        prompt_args: dict[str, Any],
    ) -> Request:
        if self.query_wrapper_prompt is not None or self._is_prompted:
            prompt = ChatPromptTemplate(self._extend_messages(prompt.format_messages(llm=self, **prompt_args)))
            prompt_args = {}
        told = {"llm_kwargs": llm_kwargs} if llm_kwargs else {}
        request = self._request("structured_predict", (output_cls, prompt), {**told, **prompt_args})
        request.prompted = self._is_prompted
        return request

    def _objects(self, request: Request) -> Generator[Any, None, None]:
        source = self.failover.stream(request, self._info(request))
        try:
            with OwnErrors(self.failover):
                for item in source:
                    if item is not OBJECT_END:
                        yield item
            self._tell(request, source.trace)
        finally:
            source.close()

    async def _aobjects(self, request: Request) -> AsyncGenerator[Any, None]:
        source = self.failover.astream(request, self._info(request))
        try:
            with OwnErrors(self.failover):
                async for item in source:
                    if item is not OBJECT_END:
                        yield item
            self._tell(request, source.trace)
        finally:
            await source.aclose()

    def _tell(self, request: Request, trace: RouteTrace | None) -> None:
        """Report the call as the target that answered has reported it: only that one saw its tokens."""
        answer = trace.answer if trace is not None else None
        if answer is not None:
            play(request.tapes.get(answer.number, []), self.callback_manager)
