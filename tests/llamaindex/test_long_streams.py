"""What a chunk of a long stream costs: nothing is reported that nobody hears, and no text is kept twice."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
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

from failover_core import Settings
from llamaindex_failover import FailoverLLM
from llamaindex_failover.instrumentation import KeptBack, install, without_reports
from llamaindex_failover.reader import ResponseReader
from llamaindex_targets import FakeLLM


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


@pytest.mark.parametrize(
    ("chunk", "text"),
    [
        (chat(), "a word"),
        (chat(blocks=[ThinkingBlock(content="hm"), TextBlock(text="a"), ToolCallBlock(tool_name="f")]), "a"),
        (chat(blocks=[TextBlock(text="a"), TextBlock(text="b")]), None),
        (chat(blocks=[ThinkingBlock(content="hm")]), None),
        (chat(blocks=[]), None),
        (CompletionResponse(text="a word", delta="word"), "a word"),
        (object(), None),
    ],
)
def test_the_text_so_far_is_that_of_the_only_block_of_text(chunk: Any, text: str | None) -> None:
    assert ResponseReader().text_so_far(chunk) == text


WORDS = [f"{number:199} " for number in range(3000)]


class Long(CustomLLM):
    """Its chunks hold the accumulated text, as those of every provider's class do."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(is_chat_model=True)

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
        text = ""
        for word in WORDS:
            text += word
            yield ChatResponse(message=ChatMessage(text, role="assistant"), delta=word)

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
        async def gen() -> Any:
            for chunk in self.stream_chat(messages):
                yield chunk

        return gen()

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        raise NotImplementedError

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        for chunk in self.stream_chat([]):
            yield CompletionResponse(text=chunk.message.content or "", delta=chunk.delta)


def read_chat(llm: Any) -> int:
    return sum(1 for _ in llm.stream_chat([ChatMessage("hi")]))


def read_completion(llm: Any) -> int:
    return sum(1 for _ in llm.stream_complete("hi"))


def read_chat_on_asyncio(llm: Any) -> int:
    async def read() -> int:
        return len([None async for _ in await llm.astream_chat([ChatMessage("hi")])])

    return asyncio.run(read())


def peak_bytes(read: Callable[[Any], int], llm: Any) -> int:
    assert read(llm) == len(WORDS)  # what is loaded at first use does not count
    gc.collect()
    tracemalloc.start()
    try:
        read(llm)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("settings", [Settings(), Settings(hedge="off")], ids=["defaults", "inline"])
@pytest.mark.parametrize("read", [read_chat, read_completion, read_chat_on_asyncio])
def test_a_long_stream_takes_hardly_more_memory_than_the_bare_one(read: Any, settings: Settings) -> None:
    bare = peak_bytes(read, Long())
    assert bare > sum(map(len, WORDS)), "at least one chunk with all the text"
    assert peak_bytes(read, FailoverLLM([Long(), Long()], settings)) < 1.15 * bare


ODD: list[Any] = [
    chat("a ", blocks=[TextBlock(text="a ")]),
    chat("b ", blocks=[TextBlock(text="a b ")]),
    chat("c ", blocks=[TextBlock(text="c ")]),
    chat("d ", blocks=[]),
    chat(None, blocks=[TextBlock(text="whatever")]),
    chat("e ", blocks=[ThinkingBlock(content="hm"), TextBlock(text="a b c d e ")]),
    chat("f ", raw={"x": 1}, blocks=[TextBlock(text="one"), TextBlock(text="two")]),
    chat("g ", blocks=[TextBlock(text="not the same g ")], more="told"),
]


class Odd(CustomLLM):
    """Its chunks hold whatever they like."""

    says: list[Any]

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(is_chat_model=True)

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
        for said in self.says:
            if isinstance(said, Exception):
                raise said
            yield said.model_copy(deep=True)

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        raise NotImplementedError

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError


AT_ONCE = Settings(hold_back_tokens=0, hold_back_s=0.0, same_target_retries=0)


@pytest.mark.parametrize("settings", [AT_ONCE, replace(AT_ONCE, hedge="off")], ids=["defaults", "inline"])
def test_chunks_that_do_not_accumulate_pass_as_they_are(settings: Settings) -> None:
    llm = FailoverLLM([Odd(says=ODD), Odd(says=ODD)], settings)
    told = list(llm.stream_chat([ChatMessage("hi")]))
    assert told.pop().additional_kwargs.keys() == {"failover", "more"}
    assert told == ODD[:-1]


def test_another_target_goes_on_from_the_pieces_where_chunks_do_not_accumulate() -> None:
    broken = Odd(says=[*ODD, ConnectionResetError()])
    text = "a b c d e f g "
    second = FakeLLM(says=[text, "h"])
    told = list(FailoverLLM([broken, second], AT_ONCE).stream_chat([ChatMessage("hi")]))
    assert "".join(chunk.delta or "" for chunk in told) == text + "h"
    assert told[-1].message.content == text + "h"


def test_the_text_of_three_targets_is_one() -> None:
    text = "One day in spring the quick brown fox jumps over the lazy dog and runs away from it all."
    halves = [
        [text[:50], text[50:60], ConnectionResetError()],
        [text[:60], text[60:70], ConnectionResetError()],
        [text],
    ]
    llm = FailoverLLM([FakeLLM(says=says, name=f"m{number}") for number, says in enumerate(halves)], AT_ONCE)
    shown = ""
    for chunk in llm.stream_chat([ChatMessage("hi")]):
        shown += chunk.delta or ""
        assert chunk.message.content == shown
    assert shown == text
    assert [seam["offset_chars"] for seam in chunk.additional_kwargs["failover"]["seams"]] == [60, 70]
