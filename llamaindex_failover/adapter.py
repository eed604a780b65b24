"""One LLM, or a factory of one, as the callables of a core `Target`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from threading import Lock
from typing import Any

from llama_index.core.llms import LLM

from failover_core.stale import PastStale, past_stale

from .attempt import Attempt
from .errors import not_built
from .families import GEMINI, OTHER, Facts, Family, facts_of, family_of
from .gemini import mend
from .pickling import packed
from .reader import ResponseReader
from .requests import Request
from .retries import switch_off

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

    def __getstate__(self) -> dict[str, Any]:
        """As it was given: a factory makes its LLM again where it is loaded."""
        llm = packed(self.llm, self.family) if self.llm is not None and self._factory is None else None
        return {"name": self.name, "reader": self.reader, "factory": self._factory, "llm": llm}

    def __setstate__(self, state: dict[str, Any]) -> None:
        LLMAdapter.__init__(self, state["name"], factory=state["factory"])
        self.reader = state["reader"]
        llm = state["llm"]
        if isinstance(llm, LLM):
            self._adopt(llm)
        elif llm is not None:
            try:
                self._adopt(llm())
            except Exception:  # no key there: that is the target's failure, at its first call
                self._factory = llm

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
        self.reader.expects_finish = self.family.marks_the_end
        self.facts = facts_of(llm, self.family)
        switch_off(llm, self.family)
        if self.family is GEMINI:
            mend(llm)
        self.llm = llm

    # -- the four callables -----------------------------------------------------------------------------------

    def call(self, request: Request) -> Any:
        with self._attempt(self.built(), request, "") as attempt:
            with attempt.kept_back:
                answer = attempt.method(*attempt.args, **attempt.kwargs)
            return attempt.answered(answer)

    def stream(self, request: Request) -> Iterator[Any]:
        with self._attempt(self.built(), request, "stream_") as attempt:
            source: Any = None
            try:
                with attempt.kept_back:
                    source = iter(attempt.method(*attempt.args, **attempt.kwargs))
                while True:
                    with attempt.kept_back:
                        chunk = next(source, _END)
                    if chunk is _END:
                        break
                    yield attempt.answered(chunk)
                yield from attempt.ended()
            finally:
                with attempt.kept_back:
                    _close(source)

    async def acall(self, request: Request) -> Any:
        llm = await self._abuilt()
        return await past_stale(self._acall, llm, request)

    async def astream(self, request: Request) -> AsyncIterator[Any]:
        llm = await self._abuilt()
        chunks = PastStale(self._astream, llm, request)
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            await chunks.aclose()

    async def _acall(self, llm: LLM, request: Request) -> Any:
        with self._attempt(llm, request, "a") as attempt:
            with attempt.kept_back:
                answer = await attempt.method(*attempt.args, **attempt.kwargs)
            return attempt.answered(answer)

    async def _astream(self, llm: LLM, request: Request) -> AsyncGenerator[Any, None]:
        with self._attempt(llm, request, "astream_") as attempt:
            source: Any = None
            try:
                with attempt.kept_back:
                    source = aiter(await attempt.method(*attempt.args, **attempt.kwargs))
                while True:
                    with attempt.kept_back:
                        chunk = await anext(source, _END)
                    if chunk is _END:
                        break
                    yield attempt.answered(chunk)
                for last in attempt.ended():
                    yield last
            finally:
                with attempt.kept_back:
                    await _aclose(source)

    def _attempt(self, llm: LLM, request: Request, style: str) -> Attempt:
        assert self.facts is not None
        return Attempt(self.name, llm, self.family, self.facts, request, style)

    async def _abuilt(self) -> LLM:
        """Some constructors ask the provider first (GoogleGenAI), which must not hold up the event loop."""
        return self.llm if self.llm is not None else await asyncio.to_thread(self.built)

    def resume(self, request: Request, shown: str) -> Request:
        return request.resumed(shown)


def _close(source: Any) -> None:
    close = getattr(source, "close", None)
    if close is not None:
        close()


async def _aclose(source: Any) -> None:
    aclose = getattr(source, "aclose", None)
    if aclose is not None:
        await aclose()
