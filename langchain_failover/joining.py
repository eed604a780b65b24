"""The chunks of several targets as one message: LangChain adds chunks up, and adding up names would garble them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk

from failover_core import RouteTrace
from failover_core.stream.inlet import added
from failover_core.trace import Verdict

from .reader import without_breakdown


class SummableTrace(dict[str, Any]):
    """`RouteTrace.as_dict()` of a stream. Where several streams are added up, the last one's stays.

    LangChain adds dicts up key by key: it would join names, add counts and refuse times. It begins with a copy of the
    left one, and puts into it what it does not have yet. So a copy says that it does not have the first key, and
    starts anew when that is put into it.
    """

    _is_copy = False

    @classmethod
    def of(cls, trace: RouteTrace) -> SummableTrace:
        return cls({_FIRST: trace.request_id, **trace.as_dict()})

    def copy(self) -> SummableTrace:
        copied = type(self)(self)
        copied._is_copy = True
        return copied

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) and not (self._is_copy and key == _FIRST)

    def __setitem__(self, key: str, value: Any) -> None:
        if self._is_copy and key == _FIRST:
            self._is_copy = False
            self.clear()
        super().__setitem__(key, value)


_FIRST = "request_id"


class JoinedStream:
    """Passes chunks on, so that their sum is a legal message even where a second target went on with the first's.

    Attributes:
        last: the last of them.
    """

    __slots__ = ("_as_list", "_id", "_said", "last")

    def __init__(self) -> None:
        self.last: ChatGenerationChunk | None = None
        self._said: dict[str, Any] = {}
        self._id: str | None = None
        self._as_list = False

    def take(self, chunk: ChatGenerationChunk, trace: RouteTrace | None) -> ChatGenerationChunk:
        self.last = chunk
        message: Any = chunk.message
        if getattr(message, "chunk_position", None) is not None:
            message.chunk_position = None  # the last chunk is `ending`
        self._as_list = message.content.__class__ is list
        if trace is not None and trace.seams:
            message.id = self._id
            message.usage_metadata = None  # a part of it was in chunks that were not passed on: see `ending`
            message.response_metadata = self._news(message.response_metadata)
            chunk.generation_info = self._news(chunk.generation_info or {}) or None
        else:
            if self._id is None:
                self._id = message.id
            if chunk.generation_info:
                chunk.generation_info = without_breakdown(chunk.generation_info) or None
            facts = message.response_metadata
            if facts and facts.keys() != self._said.keys():
                message.response_metadata = facts = without_breakdown(facts)
                self._said.update(facts)
        return chunk

    def ending(self, trace: RouteTrace | None) -> ChatGenerationChunk:
        """The last chunk, which tells how the answer came about."""
        metadata: dict[str, Any] = {} if trace is None else {"failover": SummableTrace.of(trace)}
        content: Any = [] if self._as_list else ""
        usage = None
        if trace is not None and trace.seams and trace.seams[-1].kind == "resume":
            if trace.answer is not None and trace.answer.model is not None and "model_name" not in self._said:
                metadata["model_name"] = trace.answer.model
            usage = _usage_after_the_break(trace)
        message = AIMessageChunk(
            content=content, response_metadata=metadata, usage_metadata=usage, id=self._id, chunk_position="last"
        )
        return ChatGenerationChunk(message=message)

    def _news(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """What has not been said yet, other than the name of a second model."""
        return {key: value for key, value in metadata.items() if key not in self._said and key != "model_name"}


def _usage_after_the_break(trace: RouteTrace) -> UsageMetadata | None:
    """The tokens of the attempts that went on with the answer; those of the first one came with its chunks."""
    total: Mapping[str, int] | None = None
    for attempt in trace.attempts:
        if attempt.why == "resume" and attempt.usage and attempt.verdict in (Verdict.RESUMED, Verdict.ANSWERED):
            total = added(total, attempt.usage)
    if total is None:
        return None
    input_tokens, output_tokens = total.get("input_tokens", 0), total.get("output_tokens", 0)
    return UsageMetadata(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=total.get("total_tokens", input_tokens + output_tokens),
    )
