"""The chunks of a stream on their last step to the caller: one answer, told whole, even when two targets gave it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse, MessageRole

from failover_core import RouteTrace, StreamRestarted

from .attempt import shown_before
from .reader import marks_the_end, with_content

RESTART = "failover_restart"
"""In `additional_kwargs`: the answer starts over, what came before is void (`Settings(midstream="replace")`)."""

_END: Any = object()


class Delivery:
    """Keeps the accumulated text right across a join, and puts the trace on the last chunk."""

    __slots__ = ("_ended", "_held", "_last", "_shown", "_text")

    def __init__(self) -> None:
        self._shown = ""  # what the answer goes on from since the last join
        self._text = ""  # and with what has come since then
        self._ended = False  # a chunk has marked the end: little can follow, such as the usage
        self._held: Any = None
        self._last: Any = None

    def passing(self, chunk: Any) -> Sequence[Any]:
        """What may go out now. From the chunk that marks the end on, each waits for the next: the last carries the
        trace.
        """
        if chunk.__class__ is StreamRestarted:
            return (self._restarted(chunk),)
        before, self._held = self._held, None
        self._last = chunk = self._whole(chunk)
        if self._ended or marks_the_end(chunk.raw):
            self._ended, self._held = True, chunk
            return () if before is None else (before,)
        return (chunk,) if before is None else (before, chunk)

    def ending(self, trace: RouteTrace | None) -> Iterator[Any]:
        """The stream is over. A last chunk without an end mark is out already, so it is completed in place."""
        if self._last is None or trace is None:
            return
        if self._held is not None:
            yield with_trace(self._held, trace)
        else:
            self._last.additional_kwargs["failover"] = trace.as_dict()

    def _restarted(self, restarted: StreamRestarted) -> Any:
        """The announcement of a new beginning, in the form of the chunks before it; what is accumulated starts anew."""
        told = {RESTART: restarted.as_dict()}
        completing = isinstance(self._last, CompletionResponse)
        self._ended, self._held = False, None
        if completing:
            return CompletionResponse(text="", delta="", additional_kwargs=told)
        message = ChatMessage(role=MessageRole.ASSISTANT, content="")
        return ChatResponse(message=message, delta="", additional_kwargs=told)

    def _whole(self, chunk: Any) -> Any:
        """A target that goes on from shown text accumulates only its own."""
        shown = shown_before(chunk)
        if not shown:
            return chunk
        if shown is not self._shown:
            self._shown = self._text = shown
        if chunk.delta:
            self._text += chunk.delta
        return with_content(chunk, self._text)


def with_trace(response: Any, trace: RouteTrace) -> Any:
    """A copy of a response that tells which way it came."""
    told = {**response.additional_kwargs, "failover": trace.as_dict()}
    return response.model_copy(update={"additional_kwargs": told})


def begun(chunks: Generator[Any, None, None]) -> Generator[Any, None, None]:
    """The same stream, its first chunk already there: what fails before it is raised now, inside the caller's span."""
    first = next(chunks, _END)

    def gen() -> Generator[Any, None, None]:
        if first is not _END:
            yield first
            yield from chunks

    return gen()


async def abegun(chunks: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    """`begun` for asyncio. Whoever gives the stream up closes `chunks` too: `async for` does not."""
    first = await anext(chunks, _END)

    async def gen() -> AsyncGenerator[Any, None]:
        if first is not _END:
            yield first
            async for chunk in chunks:
                yield chunk

    return gen()
