"""What a chunk of a long stream costs: nothing is reported that nobody hears, and nothing is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index.core.llms.custom import CustomLLM

from llamaindex_failover.instrumentation import KeptBack, install, without_reports
from llamaindex_failover.reader import ResponseReader


class Decorated(CustomLLM):
    """As LlamaIndex's own classes are."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(is_chat_model=True)

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
        def gen() -> Iterator[ChatResponse]:
            yield ChatResponse(message=ChatMessage("word", role="assistant"), delta="word")

        return gen()

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        raise NotImplementedError

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError


class Limiter:
    def __init__(self) -> None:
        self.asked = 0

    def acquire(self) -> None:
        self.asked += 1


def reporting(source: Iterator[Any]) -> bool:
    return source.__name__ == "wrapped_gen"  # type: ignore[attr-defined]


def test_the_decorators_of_an_attempt_are_left_out() -> None:
    llm = Decorated()
    assert reporting(llm.stream_chat([]))
    bare = without_reports(llm.stream_chat)([])
    assert not reporting(bare)
    assert [chunk.delta for chunk in bare] == ["word"]


def test_a_rate_limiter_is_still_asked() -> None:
    llm, limiter = Decorated(), Limiter()
    if "rate_limiter" not in Decorated.model_fields:
        pytest.skip("this version of LlamaIndex has no rate limiters")
    object.__setattr__(llm, "rate_limiter", limiter)
    list(without_reports(llm.stream_chat)([]))
    assert limiter.asked == 1


def test_reports_that_nobody_will_play_are_not_kept() -> None:
    install()
    llm, unheard, taped = Decorated(), KeptBack(), KeptBack(taped=True)
    for context in (unheard, taped):
        with context:
            list(llm.stream_chat([]))
    assert unheard.tape == []
    assert taped.tape


def chat(delta: str | None = "word", raw: Any = None, blocks: list[Any] | None = None, **extra: Any) -> ChatResponse:
    message = ChatMessage(role="assistant", blocks=[TextBlock(text="a word")] if blocks is None else blocks)
    return ChatResponse(message=message, delta=delta, raw=raw, additional_kwargs=extra)


def openai_raw(finish: str | None = None, usage: Any = None, refusal: str | None = None) -> dict[str, Any]:
    choice = {"finish_reason": finish, "delta": {"content": "word", "refusal": refusal}}
    return {"object": "chat.completion.chunk", "model": "m", "choices": [choice], "usage": usage}


@pytest.mark.parametrize(
    ("chunk", "is_plain"),
    [
        (chat(), True),
        (chat(raw=openai_raw()), True),
        (chat(raw=openai_raw(finish="stop")), False),
        (chat(raw=openai_raw(usage={"prompt_tokens": 1})), False),
        (chat(raw=openai_raw(refusal="no")), False),
        (chat(raw={"type": "message_delta", "delta": {"stop_reason": "end_turn"}}), False),
        (chat(delta=""), False),
        (chat(delta=None), False),
        (chat(blocks=[ThinkingBlock(content="hm"), TextBlock(text="a")]), False),
        (chat(blocks=[ToolCallBlock(tool_name="f", tool_kwargs={})]), False),
        (chat(thinking_delta="hm"), False),
        (CompletionResponse(text="a word", delta="word"), True),
    ],
)
def test_what_is_read_quickly_is_nothing_but_text(chunk: Any, is_plain: bool) -> None:
    reader = ResponseReader()
    text, reading = reader.plain_text(chunk), reader.read_chunk(chunk)
    assert (text is not None) is is_plain
    if is_plain:
        assert (reading.text, reading.has_content) == (text, True)
        assert not reading.has_tool_call
        assert reading.finish_reason is reading.refusal is reading.usage is reading.flaw is None
