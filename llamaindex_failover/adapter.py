"""One LLM, or a factory of one, as the callables of a core `Target`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from threading import Lock
from typing import Any

from failover_core import OutputRejected
from failover_core.context import current_attempt
from llama_index.core.base.llms.types import ChatResponse, CompletionResponse
from llama_index.core.llms import LLM

from .errors import not_built, raise_reported, true_error
from .families import GEMINI, OTHER, Facts, Family, facts_of, family_of
from .gemini import mend
from .instrumentation import AttemptSpan, kept_back
from .native import NativeLLM
from .reader import ResponseReader
from .requests import Arguments, Request
from .retries import switch_off

_PRODUCER = "_failover_target"
_END = object()


class LLMAdapter:
    """Calls the endpoint that a `Request` names, with arguments of its own, and watches what comes back.

    Args:
        name: the target's name.
        llm: the LLM; None = built by `factory` at the first call.
        factory: makes the LLM. Its failure is the failure of the attempt, and it is tried again at the next one.

    Raises:
        ConfigError: when the LLM cannot describe itself.
    """

    def __init__(self, name: str, llm: LLM | None = None, factory: Callable[[], LLM] | None = None) -> None:
        self.name = name
        self.reader = ResponseReader()
        self.family: Family = OTHER
        self.facts: Facts | None = None
        self.llm: LLM | None = None
        self._factory = factory
        self._lock = Lock()
        if llm is not None:
            self._adopt(llm)

    def built(self) -> LLM:
        """The LLM, built now if need be.

        Raises:
            TargetNotBuilt: with the factory's error as its cause, where that does not speak of the provider.
        """
        with self._lock:
            if self.llm is None:
                assert self._factory is not None
                try:
                    self._adopt(self._factory())
                except Exception as error:
                    told = not_built(self.name, error)
                    if told is error:
                        raise
                    raise told from error
            assert self.llm is not None
            return self.llm

    def _adopt(self, llm: LLM) -> None:
        if not isinstance(llm, LLM):
            raise TypeError(f"it gave a {type(llm).__name__}, not a LlamaIndex LLM")
        self.family = family_of(llm)
        self.reader.expects_finish = self.family.marks_the_end or isinstance(llm, NativeLLM)
        self.facts = facts_of(llm, self.family)
        switch_off(llm, self.family)
        if self.family is GEMINI:
            mend(llm)
        self.llm = llm

    # -- the four callables -----------------------------------------------------------------------------------

    def call(self, request: Request) -> Any:
        attempt = _Attempt(self, self.built(), request, "")
        try:
            with kept_back(attempt.tape):
                answer = attempt.method(*attempt.args, **attempt.kwargs)
            return attempt.answered(answer)
        except Exception as error:
            told = attempt.failed(error)
            if told is error:
                raise
            raise told from error

    async def acall(self, request: Request) -> Any:
        attempt = _Attempt(self, await self._abuilt(), request, "a")
        try:
            with kept_back(attempt.tape):
                answer = await attempt.method(*attempt.args, **attempt.kwargs)
            return attempt.answered(answer)
        except Exception as error:
            told = attempt.failed(error)
            if told is error:
                raise
            raise told from error

    def stream(self, request: Request) -> Iterator[Any]:
        attempt = _Attempt(self, self.built(), request, "stream_")
        source: Any = None
        try:
            with kept_back(attempt.tape):
                source = iter(attempt.method(*attempt.args, **attempt.kwargs))
            while True:
                with kept_back(attempt.tape):
                    chunk = next(source, _END)
                if chunk is _END:
                    break
                yield attempt.passed(chunk)
            attempt.ended()
        except Exception as error:
            told = attempt.failed(error)
            if told is error:
                raise
            raise told from error
        finally:
            attempt.left()
            with kept_back(attempt.tape):
                _close(source)

    async def astream(self, request: Request) -> AsyncIterator[Any]:
        attempt = _Attempt(self, await self._abuilt(), request, "astream_")
        source: Any = None
        try:
            with kept_back(attempt.tape):
                source = aiter(await attempt.method(*attempt.args, **attempt.kwargs))
            while True:
                with kept_back(attempt.tape):
                    chunk = await anext(source, _END)
                if chunk is _END:
                    break
                yield attempt.passed(chunk)
            attempt.ended()
        except Exception as error:
            told = attempt.failed(error)
            if told is error:
                raise
            raise told from error
        finally:
            attempt.left()
            with kept_back(attempt.tape):
                await _aclose(source)

    async def _abuilt(self) -> LLM:
        """Some constructors ask the provider first (GoogleGenAI), which must not hold up the event loop."""
        return self.llm if self.llm is not None else await asyncio.to_thread(self.built)

    def resume(self, request: Request, shown: str) -> Request:
        return request.resumed(shown)


class _Attempt:
    """What one attempt needs: the method to call, its arguments, and where its reports go."""

    __slots__ = ("_adapter", "_last", "_output_cls", "_parsing", "_span", "args", "kwargs", "method", "tape")

    def __init__(self, adapter: LLMAdapter, llm: LLM, request: Request, style: str) -> None:
        if request.endpoint == "chat_with_tools" and not hasattr(llm, "chat_with_tools"):
            if request.args[0]:
                raise OutputRejected(f"{type(llm).__name__} cannot call tools")
            request = request.as_plain_chat()
        self._adapter = adapter
        self._parsing = request.endpoint == "structured_predict"
        self._output_cls = request.args[0] if self._parsing else None
        self._last: Any = None
        self.method = getattr(llm, style + request.endpoint)
        self.args, self.kwargs = self._arguments(request, adapter)
        self.tape: list[Any] = []
        attempt = current_attempt()
        if self._parsing and attempt is not None:
            request.tapes[attempt.number] = self.tape
        self._span = AttemptSpan(adapter.name, style + request.endpoint, llm) if request.spans else None

    @staticmethod
    def _arguments(request: Request, adapter: LLMAdapter) -> Arguments:
        facts = adapter.facts
        model, thinks = (facts.model, facts.thinks) if facts is not None else (None, False)
        args, kwargs = request.arguments_for(adapter.family, model, thinks=thinks)
        attempt = current_attempt()
        timeout = adapter.family.timeout_kwarg
        if (
            timeout
            and attempt is not None
            and attempt.remaining_s is not None
            and request.endpoint != "structured_predict"
        ):
            kwargs.setdefault(timeout, max(attempt.remaining_s, 0.001))
        return args, kwargs

    def answered(self, answer: Any) -> Any:
        raise_reported(getattr(answer, "raw", None))
        if self._span is not None:
            self._span.end(answer)
        return signed(answer, self._adapter.name)

    def passed(self, chunk: Any) -> Any:
        raise_reported(getattr(chunk, "raw", None))
        self._last = chunk
        return signed(chunk, self._adapter.name)

    def ended(self) -> None:
        """A stream of objects ends with a whole one; a part of one means that it was cut off."""
        if self._parsing and self._last is not None and not isinstance(self._last, self._output_cls or object):
            raise OutputRejected("the stream ended before the object was whole", output=self._last)
        if self._span is not None:
            self._span.end(self._last)

    def failed(self, error: Exception) -> Exception:
        told = true_error(error)
        if self._span is not None:
            self._span.fail(told)
        return told

    def left(self) -> None:
        """The stream was given up before its end: neither a success nor a failure."""
        if self._span is not None:
            self._span.end(self._last)


def signed(response: Any, target: str) -> Any:
    """Notes on a response which target made it: beside its fields, so that no dump or comparison shows it."""
    if isinstance(response, ChatResponse | CompletionResponse):
        response.__dict__[_PRODUCER] = target
    return response


def producer_of(response: ChatResponse | CompletionResponse) -> str | None:
    """The name of the target that made a response, None when it was not made by one."""
    told: str | None = response.__dict__.get(_PRODUCER)
    if told is None:
        told = (response.additional_kwargs.get("failover") or {}).get("target")
    return told


def _close(source: Any) -> None:
    close = getattr(source, "close", None)
    if close is not None:
        close()


async def _aclose(source: Any) -> None:
    aclose = getattr(source, "aclose", None)
    if aclose is not None:
        await aclose()
