"""The chunks of several targets as one message: LangChain adds chunks up, and adding up names would garble them."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from failover_core import RouteTrace


class JoinedStream:
    """Passes chunks on, so that their sum is a legal message even where a second target went on with the first's."""

    __slots__ = ("_as_list", "_id", "_said")

    def __init__(self) -> None:
        self._said: dict[str, Any] = {}
        self._id: str | None = None
        self._as_list = False

    def take(self, chunk: ChatGenerationChunk, trace: RouteTrace | None) -> ChatGenerationChunk:
        message: Any = chunk.message
        if getattr(message, "chunk_position", None) is not None:
            message.chunk_position = None  # the last chunk is `ending`
        self._as_list = isinstance(message.content, list)
        if trace is not None and trace.seams:
            message.id = self._id
            message.response_metadata = self._news(message.response_metadata)
            chunk.generation_info = self._news(chunk.generation_info or {}) or None
        else:
            self._id = self._id or message.id
            self._said.update(message.response_metadata)
        return chunk

    def ending(self, trace: RouteTrace | None) -> ChatGenerationChunk:
        """The last chunk, which tells how the answer came about."""
        metadata = {} if trace is None else {"failover": trace.as_dict()}
        content: Any = [] if self._as_list else ""
        message = AIMessageChunk(content=content, response_metadata=metadata, id=self._id, chunk_position="last")
        return ChatGenerationChunk(message=message)

    def _news(self, metadata: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in metadata.items() if key not in self._said}
