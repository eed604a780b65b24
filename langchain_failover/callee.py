"""What all kinds of targets have in common: around the call itself, answers are checked and attempts may be traced."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from typing import Any

from langchain_core.outputs import ChatGenerationChunk, ChatResult

from failover_core.model import CALL_STYLES

from .dialects import PLAIN, Dialect
from .reader import MessageReader
from .request import ModelRequest


class Callee:
    """The four callables of a target. Subclasses know how to make the call; `request` is in nobody's words yet.

    Attributes:
        reader: how the core reads the answers.
        dialect: how the target talks, and as whom.
        styles: the call styles that it serves.
        lacks: what this kind of target cannot do, in addition to what the model cannot.
    """

    reader: MessageReader
    dialect: Dialect = PLAIN
    styles: frozenset[str] = frozenset(CALL_STYLES)
    lacks: frozenset[str] = frozenset()

    def identifying_params(self) -> dict[str, Any]:
        """What sets its answers apart, for traces and cache keys; no secrets."""
        return {}

    def call(self, request: ModelRequest) -> ChatResult:
        if request.runs is None and request.check is None:
            return self._call(request)
        with _traced(request):
            result = self._call(request)
            if request.check is not None:
                request.check.result(result, self.reader)
            return result

    async def acall(self, request: ModelRequest) -> ChatResult:
        if request.runs is None and request.check is None:
            return await self._acall(request)
        async with _atraced(request):
            result = await self._acall(request)
            if request.check is not None:
                request.check.result(result, self.reader)
            return result

    def stream(self, request: ModelRequest) -> Iterator[ChatGenerationChunk]:
        chunks = self._stream(request)
        return chunks if request.runs is None and request.check is None else self._watched(chunks, request)

    def astream(self, request: ModelRequest) -> AsyncIterator[ChatGenerationChunk]:
        chunks = self._astream(request)
        return chunks if request.runs is None and request.check is None else self._awatched(chunks, request)

    def _call(self, request: ModelRequest) -> ChatResult:
        raise NotImplementedError

    async def _acall(self, request: ModelRequest) -> ChatResult:
        raise NotImplementedError

    def _stream(self, request: ModelRequest) -> Iterator[ChatGenerationChunk]:
        raise NotImplementedError

    def _astream(self, request: ModelRequest) -> AsyncIterator[ChatGenerationChunk]:
        raise NotImplementedError

    def _watched(self, chunks: Any, request: ModelRequest) -> Iterator[ChatGenerationChunk]:
        seen: list[ChatGenerationChunk] = []
        with _traced(request):
            try:
                for chunk in chunks:
                    seen.append(chunk)
                    yield chunk
            finally:
                close = getattr(chunks, "close", None)
                if close is not None:
                    close()
            if request.check is not None:
                request.check.stream(seen, self.reader)

    async def _awatched(self, chunks: Any, request: ModelRequest) -> AsyncIterator[ChatGenerationChunk]:
        seen: list[ChatGenerationChunk] = []
        async with _atraced(request):
            try:
                async for chunk in chunks:
                    seen.append(chunk)
                    yield chunk
            finally:
                close = getattr(chunks, "aclose", None)
                if close is not None:
                    await close()
            if request.check is not None:
                request.check.stream(seen, self.reader)


def _traced(request: ModelRequest) -> AbstractContextManager[None]:
    return nullcontext() if request.runs is None else request.runs.attempt(request.messages)


def _atraced(request: ModelRequest) -> AbstractAsyncContextManager[None]:
    return nullcontext() if request.runs is None else request.runs.aattempt(request.messages)
