"""The eight ways to ask a model, `invoke`, `ainvoke`, `stream`, `astream` and their LlamaIndex twins, each with what
the caller got as one value.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessageChunk
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool

from failover_core import Settings
from langchain_failover import ChatFailover
from llamaindex_failover import FailoverLLM


@dataclass
class Got:
    """What the caller got.

    Args:
        text: the answer; of a stream that broke, as far as it was shown.
        error: what was raised.
        route: the failover dict.
        model, usage: as the framework's own response tells them.
        tool_calls: the names of the tools called.
        first_s, elapsed_s: seconds to the first text of a stream, and to the end.
    """

    text: str = ""
    error: Exception | None = None
    route: dict[str, Any] = field(default_factory=dict)
    model: str | None = None
    usage: Mapping[str, Any] | None = None
    tool_calls: list[str] = field(default_factory=list)
    first_s: float | None = None
    elapsed_s: float = 0.0

    @property
    def failure_kind(self) -> str | None:
        failure = getattr(self.error, "failure", None)
        return str(failure.kind) if failure is not None else None


class Style:
    """One way to ask. `model` is whatever the framework's call needs: a failover or a bare model."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.framework, _, self.method = name.partition("-")
        self.streaming = "stream" in self.method
        self.asynchronous = self.method.startswith("a")

    def failover(self, targets: Sequence[Any], settings: Settings | None) -> Any:
        make = ChatFailover if self.framework == "langchain" else FailoverLLM
        return make(targets=targets, settings=settings)

    def _begun(self, model: Any, question: str, tools: Sequence[Callable[..., Any]]) -> Any:
        if self.framework == "langchain":
            return getattr(model.bind_tools(tools) if tools else model, self.method)(question)
        if tools:
            made = [FunctionTool.from_defaults(tool) for tool in tools]
            return getattr(model, f"{self.method}_with_tools")(made, user_msg=question)
        return getattr(model, self.method)([ChatMessage(question)])

    def ask(self, model: Any, question: str, tools: Sequence[Callable[..., Any]] = ()) -> Got:
        """For the synchronous ones."""
        got, reader = Got(), _READERS[self.framework]()
        began_s = time.monotonic()
        try:
            answer = self._begun(model, question, tools)
            for chunk in _pieces(answer, streaming=self.streaming):
                reader.take(chunk, got, began_s)
        except Exception as error:
            got.error = error
        got.elapsed_s = time.monotonic() - began_s
        return reader.whole(got)

    async def aask(self, model: Any, question: str, tools: Sequence[Callable[..., Any]] = ()) -> Got:
        """For the asynchronous ones."""
        got, reader = Got(), _READERS[self.framework]()
        began_s = time.monotonic()
        try:
            answer = self._begun(model, question, tools)
            async for chunk in _apieces(answer, streaming=self.streaming):
                reader.take(chunk, got, began_s)
        except Exception as error:
            got.error = error
        got.elapsed_s = time.monotonic() - began_s
        return reader.whole(got)


def _pieces(answer: Any, *, streaming: bool) -> Iterator[Any]:
    yield from answer if streaming else [answer]


async def _apieces(answer: Any, *, streaming: bool) -> AsyncIterator[Any]:
    if not streaming:
        yield await answer
        return
    async for chunk in answer if hasattr(answer, "__aiter__") else await answer:
        yield chunk


class _LangChain:
    """Chunks add up to the whole message, as users of LangChain add them."""

    def __init__(self) -> None:
        self._message: Any = None

    def take(self, message: Any, got: Got, began_s: float) -> None:
        if message.text and got.first_s is None:
            got.first_s = time.monotonic() - began_s
        got.text += message.text
        both = isinstance(message, AIMessageChunk) and self._message is not None
        self._message = self._message + message if both else message

    def whole(self, got: Got) -> Got:
        if self._message is not None:
            facts = self._message.response_metadata
            got.route = facts.get("failover", {})
            got.model = facts.get("model_name") or facts.get("model")
            got.usage = self._message.usage_metadata
            got.tool_calls = [call["name"] for call in self._message.tool_calls]
        return got


class _LlamaIndex:
    """The last chunk holds the whole message; what was shown is the sum of the deltas."""

    def __init__(self) -> None:
        self._last: Any = None

    def take(self, response: Any, got: Got, began_s: float) -> None:
        shown = response.delta if response.delta is not None else response.message.content
        if shown and got.first_s is None:
            got.first_s = time.monotonic() - began_s
        got.text += shown or ""
        self._last = response

    def whole(self, got: Got) -> Got:
        if self._last is not None:
            got.route = self._last.additional_kwargs.get("failover", {})
            attempts = got.route.get("attempts") or [{}]
            got.model, got.usage = got.route.get("model"), attempts[-1].get("usage")
            got.tool_calls = [block.tool_name for block in self._last.message.blocks if block.block_type == "tool_call"]
        return got


_READERS: dict[str, Any] = {"langchain": _LangChain, "llamaindex": _LlamaIndex}

STYLES = {
    name: Style(name)
    for name in (
        *("langchain-invoke", "langchain-ainvoke", "langchain-stream", "langchain-astream"),
        *("llamaindex-chat", "llamaindex-achat", "llamaindex-stream_chat", "llamaindex-astream_chat"),
    )
}
