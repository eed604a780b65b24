"""LlamaIndex LLMs on the official SDKs, and native targets, all pointed at loopback servers; and fakes in process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse, LLMMetadata, MessageRole
from llama_index.core.llms import LLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from pydantic import PrivateAttr

from failover_core import Target
from failover_core.testing import ProviderServer

MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-sonnet-4-5", "google": "gemini-2.5-flash"}
WRAPPED = ("OpenAI", "Anthropic", "GoogleGenAI")
NATIVE = ("openai:", "anthropic:", "google:")
KINDS = (*WRAPPED, *NATIVE)
SECRET = "sk-secret-0123456789abcdef"


class Shop:
    """Makes LLMs and targets for a test and closes their connections at its end."""

    def __init__(self) -> None:
        self._made: list[Any] = []

    def make(self, kind: str, server: ProviderServer, **options: Any) -> Any:
        """An LLM for "OpenAI", "Anthropic" and "GoogleGenAI", a native target for "openai:" and its like."""
        if kind in NATIVE:
            options.setdefault("name", f"{kind}{len(self._made)}")
        made = _MAKERS[kind](server, **options)
        self._made.append(made)
        return made

    async def aclose(self) -> None:
        for made in self._made:
            if isinstance(made, Target):
                await made.source.aclose()
                made.source.close()
                continue
            client, aclient = getattr(made, "_client", None), getattr(made, "_aclient", None)
            if aclient is not None:
                with suppress(RuntimeError):  # LlamaIndex's sync code uses loops of its own, which are closed by now
                    await aclient.close()
            if hasattr(client, "aio"):
                await client.aio.aclose()
            if client is not None:
                client.close()


def _openai(server: ProviderServer, **options: Any) -> LLM:
    from llama_index.llms.openai import OpenAI

    return OpenAI(MODELS["openai"], api_base=server.openai_url, api_key=SECRET, **options)


def _anthropic(server: ProviderServer, **options: Any) -> LLM:
    from llama_index.llms.anthropic import Anthropic

    return Anthropic(MODELS["anthropic"], base_url=server.anthropic_url, api_key=SECRET, **options)


def _google(server: ProviderServer, **options: Any) -> LLM:
    from llama_index.llms.google_genai import GoogleGenAI

    return GoogleGenAI(
        MODELS["google"],
        api_key=SECRET,
        **{"max_tokens": 1000, "context_window": 200_000, "http_options": {"base_url": server.gemini_url}, **options},
    )


def _native(provider: str, url: str) -> Callable[..., Target]:
    def make(server: ProviderServer, **options: Any) -> Target:
        return Target.native(f"{provider}:{MODELS[provider]}", base_url=getattr(server, url), api_key=SECRET, **options)

    return make


_MAKERS: dict[str, Callable[..., Any]] = {
    "OpenAI": _openai,
    "Anthropic": _anthropic,
    "GoogleGenAI": _google,
    "openai:": _native("openai", "openai_url"),
    "anthropic:": _native("anthropic", "anthropic_url"),
    "google:": _native("google", "gemini_url"),
}


class FakeLLM(FunctionCallingLLM):
    """An LLM in process that does as it is told.

    Args:
        says: its answer; a list for a stream in these pieces; an exception is raised.
        name: its model's name.
        function_calling: what its metadata say.
        window: its context window in tokens.
    """

    says: Any = "fake"
    name: str = "fake"
    function_calling: bool = True
    window: int = 100_000
    outputs: int = 256
    _seen: list[Any] = PrivateAttr(default_factory=list)

    @property
    def seen(self) -> list[Any]:
        """(endpoint, arguments) of each call."""
        return self._seen

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(
            context_window=self.window,
            num_output=self.outputs,
            is_chat_model=True,
            is_function_calling_model=self.function_calling,
            model_name=self.name,
        )

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        self._seen.append(("chat", messages, kwargs))
        return answer(self._said())

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        self._seen.append(("achat", messages, kwargs))
        return answer(self._said())

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
        self._seen.append(("stream_chat", messages, kwargs))
        return (yield from chunks(self._pieces()))

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
        self._seen.append(("astream_chat", messages, kwargs))

        async def gen() -> Any:
            for chunk in chunks(self._pieces()):
                yield chunk

        return gen()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        self._seen.append(("complete", prompt, kwargs))
        return CompletionResponse(text=self._said())

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        self._seen.append(("acomplete", prompt, kwargs))
        return CompletionResponse(text=self._said())

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        self._seen.append(("stream_complete", prompt, kwargs))
        for chunk in chunks(self._pieces()):
            yield CompletionResponse(text=chunk.message.content, delta=chunk.delta)

    @llm_completion_callback()
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        self._seen.append(("astream_complete", prompt, kwargs))

        async def gen() -> Any:
            for chunk in chunks(self._pieces()):
                yield CompletionResponse(text=chunk.message.content, delta=chunk.delta)

        return gen()

    def _prepare_chat_with_tools(
        self, tools: Any, user_msg: Any = None, chat_history: Any = None, **kwargs: Any
    ) -> Any:
        messages = chat_history or []
        if user_msg:
            messages.append(ChatMessage(user_msg) if isinstance(user_msg, str) else user_msg)
        return {"messages": messages, "tools": tools, **kwargs}

    def _said(self) -> str:
        if isinstance(self.says, BaseException):
            raise self.says
        return "".join(self.says)

    def _pieces(self) -> Any:
        return [self.says] if isinstance(self.says, str | BaseException) else self.says


def answer(text: str) -> ChatResponse:
    return ChatResponse(message=ChatMessage(text, role=MessageRole.ASSISTANT))


def chunks(pieces: Sequence[Any]) -> Iterator[ChatResponse]:
    """A stream in these pieces; an exception among them is raised in its place."""
    text = ""
    for piece in pieces:
        if isinstance(piece, BaseException):
            raise piece
        text += piece
        yield ChatResponse(message=ChatMessage(text, role=MessageRole.ASSISTANT), delta=piece)


class Down(Exception):
    """What an SDK would raise for a 503."""

    status_code = 503
