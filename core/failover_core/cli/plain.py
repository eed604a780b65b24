"""What people have without Failover Kit: a thin LangChain model around one official SDK, for the demo's other lanes.

Timeouts and retries are those that the SDKs come with: 600 s and two retries for OpenAI and Anthropic.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult

KEY = "demo"


class PlainModel(BaseChatModel):
    """A chat model that streams what `answer` says.

    Args:
        provider: for `_llm_type`.
        answer: `(system, question) -> the pieces of the answer`.
        close: closes the SDK's connections.
    """

    provider: str
    answer: Callable[[str, str], AsyncGenerator[str]]
    close: Callable[[], Awaitable[None]]

    @property
    def _llm_type(self) -> str:
        return f"plain-{self.provider}"

    async def _astream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        system, question = (str(message.content) for message in messages)
        async with aclosing(self.answer(system, question)) as pieces:
            async for text in pieces:
                yield ChatGenerationChunk(message=AIMessageChunk(content=text))

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        raise NotImplementedError("The demo's plain models only stream, in async code")


def plain_openai(base_url: str, model: str) -> PlainModel:
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=base_url, api_key=KEY)

    async def answer(system: str, question: str) -> AsyncGenerator[str]:
        messages: Any = [{"role": "system", "content": system}, {"role": "user", "content": question}]
        async with await client.chat.completions.create(model=model, messages=messages, stream=True) as stream:
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    yield chunk.choices[0].delta.content

    return PlainModel(provider="openai", answer=answer, close=client.close)


def plain_anthropic(base_url: str, model: str) -> PlainModel:
    from anthropic import AsyncAnthropic

    client = AsyncAnthropic(base_url=base_url, api_key=KEY)

    async def answer(system: str, question: str) -> AsyncGenerator[str]:
        messages: Any = [{"role": "user", "content": question}]
        async with client.messages.stream(model=model, system=system, messages=messages, max_tokens=4096) as stream:
            async for text in stream.text_stream:
                yield text

    return PlainModel(provider="anthropic", answer=answer, close=client.close)


def plain_google(base_url: str, model: str) -> PlainModel:
    from google import genai

    client = genai.Client(api_key=KEY, http_options={"base_url": base_url})

    async def answer(system: str, question: str) -> AsyncGenerator[str]:
        config: Any = {"system_instruction": system}
        stream = await client.aio.models.generate_content_stream(model=model, contents=question, config=config)
        async for chunk in stream:
            if chunk.text:
                yield chunk.text

    return PlainModel(provider="google", answer=answer, close=client.aio.aclose)
