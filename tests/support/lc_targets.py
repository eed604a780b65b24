"""Chat models and targets for the LangChain tests: the official classes pointed at loopback servers, and fakes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

from failover_core import Target
from failover_core.testing import ProviderServer

WRAPPED = ("openai", "anthropic", "google")
NATIVE = ("openai:", "anthropic:", "google:")
KINDS = (*WRAPPED, *NATIVE)
MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-sonnet-4-6", "google": "gemini-2.5-flash"}
KEY = "sk-loopback-0123456789abcdef"


_made: list[Any] = []


def make(kind: str, server: Any, **options: Any) -> Any:
    """A target of one kind: "openai" is a `ChatOpenAI`, "openai:" a native target. Closed at the end of the session."""
    _made.append(build(kind, server, **options))
    return _made[-1]


def build(kind: str, server: Any, **options: Any) -> Any:
    """As `make`, but to be closed by the caller."""
    if kind.endswith(":"):
        return native(kind[:-1], server, **options)
    return {"openai": openai, "anthropic": anthropic, "google": google}[kind](server, **options)


async def close_all() -> None:
    """Close the connections of all that was made, on the event loop that opened them."""
    for made in _made:
        await close(made)
    _made.clear()


async def close(made: Any) -> None:
    for name in ("root_async_client", "_async_client"):
        if hasattr(made, name):
            await getattr(made, name).close()
    for name in ("root_client", "_client"):
        if hasattr(made, name):
            getattr(made, name).close()
    if isinstance(made, Target):
        made.source.close()
        await made.source.aclose()
    elif hasattr(made, "aclose"):
        await made.aclose()


def openai(server: ProviderServer, **options: Any) -> BaseChatModel:
    from langchain_openai import ChatOpenAI

    defaults = {"model": MODELS["openai"], "base_url": server.openai_url, "api_key": KEY, "stream_usage": True}
    return ChatOpenAI(**{**defaults, **options})


def anthropic(server: ProviderServer, **options: Any) -> BaseChatModel:
    from langchain_anthropic import ChatAnthropic

    return ChatAnthropic(**{"model": MODELS["anthropic"], "base_url": server.anthropic_url, "api_key": KEY, **options})


def google(server: ProviderServer, **options: Any) -> BaseChatModel:
    from langchain_google_genai import ChatGoogleGenerativeAI

    return ChatGoogleGenerativeAI(
        **{"model": MODELS["google"], "base_url": server.gemini_url, "api_key": KEY, **options}
    )


def native(provider: str, server: ProviderServer, **options: Any) -> Target:
    urls = {"openai": server.openai_url, "anthropic": server.anthropic_url, "google": server.gemini_url}
    model = options.pop("model", MODELS[provider])
    return Target.native(f"{provider}:{model}", **{"base_url": urls[provider], "api_key": KEY, **options})


class FakeModel(BaseChatModel):
    """A chat model in process that does as it is told.

    Args:
        says: what it answers, call by call; the last one for ever. A str, a message, an exception, or a list of
            pieces of a stream (str, chunk or exception).
        provider: written into its messages as `model_provider`, None for nothing.
        finishes: names a finish reason.
    """

    says: list[Any] = Field(default_factory=lambda: ["fake answer"])
    provider: str | None = None
    finishes: bool = False
    calls: list[tuple[str, list[BaseMessage], dict[str, Any]]] = Field(default_factory=list)

    def __init__(self, *says: Any, **fields: Any) -> None:
        super().__init__(**({"says": list(says)} if says else {}), **fields)

    @property
    def _llm_type(self) -> str:
        return "fake"

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any) -> Any:
        from langchain_core.utils.function_calling import convert_to_openai_tool

        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], tool_choice=tool_choice, **kwargs)

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        said = self._next("generate", messages, {**kwargs, "stop": stop})
        if isinstance(said, list):
            for piece in said:
                if isinstance(piece, BaseException):
                    raise piece
            said = "".join(str(piece) for piece in said)
        message = said.model_copy() if isinstance(said, AIMessage) else AIMessage(content=said)
        message.response_metadata = {**message.response_metadata, **self._metadata(last=True)}
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        said = self._next("stream", messages, {**kwargs, "stop": stop})
        pieces = said if isinstance(said, list) else _pieces(said)
        for number, piece in enumerate(pieces, 1):
            if isinstance(piece, BaseException):
                raise piece
            message = piece if isinstance(piece, AIMessageChunk) else AIMessageChunk(content=piece)
            message.response_metadata = {**message.response_metadata, **self._metadata(last=number == len(pieces))}
            yield ChatGenerationChunk(message=message)

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        return self._generate(*args, **kwargs)

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(*args, **kwargs):
            await asyncio.sleep(0)
            yield chunk

    def _next(self, style: str, messages: Any, kwargs: Any) -> Any:
        said = self.says[min(len(self.calls), len(self.says) - 1)]
        self.calls.append((style, messages, kwargs))
        if isinstance(said, BaseException):
            raise said
        return said() if callable(said) else said

    def _metadata(self, *, last: bool) -> dict[str, Any]:
        metadata: dict[str, Any] = {} if self.provider is None else {"model_provider": self.provider}
        return {**metadata, "finish_reason": "stop"} if last and self.finishes else metadata


def _pieces(said: Any) -> list[Any]:
    """Word by word; what a message has besides its text comes at the end."""
    text = said.text if isinstance(said, AIMessage) else str(said)
    pieces: list[Any] = [word if number == 0 else f" {word}" for number, word in enumerate(text.split(" "))]
    if isinstance(said, AIMessage):
        rest = {"tool_calls": said.tool_calls, "usage_metadata": said.usage_metadata}
        pieces.append(AIMessageChunk(content="", response_metadata=said.response_metadata, **rest))
    return pieces


def down(message: str = "connection refused") -> ConnectionError:
    return ConnectionError(message)


def calling(name: str, /, **arguments: Any) -> AIMessage:
    """An answer that calls a tool."""
    return AIMessage(content="", tool_calls=[{"name": name, "args": arguments, "id": f"call_{name}"}])


Maker = Callable[..., Any]
