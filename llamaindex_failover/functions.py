"""A core `Target` made of the user's own functions, as a LlamaIndex LLM: messages in, a str or a `ChatResponse` out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW
from llama_index.core.llms.callbacks import llm_chat_callback

from failover_core import Target

from .chat_only import ChatOnly


class FunctionLLM(ChatOnly):
    """Calls a target's functions with the list of messages. Where it has no streaming one, its answer is one chunk."""

    _target: Target = PrivateAttr()

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return FunctionLLM, (self._target,)

    @property
    def target(self) -> Target:
        """The target behind it, as it was given."""
        return self._target

    @classmethod
    def class_name(cls) -> str:
        return "failover_function_llm"

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(
            context_window=self._target.context_window_tokens or DEFAULT_CONTEXT_WINDOW,
            num_output=-1,
            is_chat_model=True,
            model_name=self._target.model or self._target.name,
        )

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        assert self._target.call is not None
        return _response(self._target.call(list(messages)))

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        assert self._target.acall is not None
        return _response(await self._target.acall(list(messages)))

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Generator[ChatResponse, None, None]:
        if self._target.stream is None:
            yield _whole(self.chat(messages))
            return
        text = ""
        for chunk in self._target.stream(list(messages)):
            response = _chunk(chunk, text)
            text += response.delta or ""
            yield response

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> AsyncGenerator[ChatResponse, None]:
        async def gen() -> AsyncGenerator[ChatResponse, None]:
            if self._target.astream is None:
                yield _whole(await self.achat(messages))
                return
            text = ""
            async for chunk in self._target.astream(list(messages)):
                response = _chunk(chunk, text)
                text += response.delta or ""
                yield response

        return gen()


def serves(target: Target, style: str) -> bool:
    """Can a `FunctionLLM` serve a call style? A function that answers at once can stand in for a stream."""
    instead = {"stream": "call", "astream": "acall"}.get(style, style)
    return getattr(target, style) is not None or getattr(target, instead) is not None


def _response(answer: Any) -> ChatResponse:
    if isinstance(answer, ChatResponse):
        return answer
    if isinstance(answer, CompletionResponse):
        answer = answer.text
    message = answer if isinstance(answer, ChatMessage) else _said(str(answer))
    return ChatResponse(message=message)


def _chunk(chunk: Any, text: str) -> ChatResponse:
    if isinstance(chunk, ChatResponse):
        return chunk
    delta = str(chunk)
    return ChatResponse(message=_said(text + delta), delta=delta)


def _whole(response: ChatResponse) -> ChatResponse:
    return response.model_copy(update={"delta": response.message.content or ""})


def _said(text: str) -> ChatMessage:
    return ChatMessage(text, role=MessageRole.ASSISTANT)
