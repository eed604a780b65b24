"""Streams that break after text was shown: one answer, told once, and a chat engine's memory left whole."""

from __future__ import annotations

import asyncio
from itertools import product
from typing import Any

import pytest
from llama_index.core import Document, MockEmbedding, VectorStoreIndex
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.chat_engine import CondensePlusContextChatEngine, SimpleChatEngine

from failover_core import Settings, StreamInterrupted
from failover_core.testing import ProviderServer, faults
from llamaindex_failover import FailoverLLM, wrap
from llamaindex_targets import KINDS, FakeLLM, Shop, chunks

TEXT = (
    "The lighthouse of Alexandria stood on the island of Pharos. It was about one hundred metres tall, and its fire "
    "could be seen far out at sea. Earthquakes brought it down, and its stones were used to build a fort."
)
MESSAGES = [ChatMessage("Tell me about the lighthouse.")]
ONCE = Settings(same_target_retries=0, hold_back_tokens=4, hold_back_s=0.0)
BREAKS = [faults.Cut(after_chunks=8), faults.Reset(after_chunks=8), faults.ErrorEvent(after_chunks=8)]
OTHERS = {"OpenAI": "Anthropic", "Anthropic": "GoogleGenAI", "GoogleGenAI": "openai:"}
OTHERS |= {"openai:": "anthropic:", "anthropic:": "google:", "google:": "OpenAI"}


def told(response: Any) -> dict[str, Any]:
    return response.additional_kwargs["failover"]


@pytest.mark.parametrize(("one", "fault"), list(product(KINDS, BREAKS)), ids=str)
def test_another_target_goes_on_where_the_first_broke_off(one: str, fault: Any, llms: Shop) -> None:
    with ProviderServer(TEXT) as first, ProviderServer(TEXT) as second:
        first.always(fault)
        llm = FailoverLLM([llms.make(one, first), llms.make(OTHERS[one], second)], settings=ONCE)
        got = list(llm.stream_chat(MESSAGES))
        assert "".join(chunk.delta or "" for chunk in got) == TEXT
        assert got[-1].message.content == TEXT
        trace = told(got[-1])
        assert [attempt["verdict"] for attempt in trace["attempts"]] == ["resumed", "answered"]
        (seam,) = trace["seams"]
        assert 0 < seam["offset_chars"] < len(TEXT)
        assert all("failover" not in chunk.additional_kwargs for chunk in got[:-1])


@pytest.mark.parametrize("one", KINDS)
async def test_another_target_goes_on_on_asyncio(one: str, allms: Shop) -> None:
    with ProviderServer(TEXT) as first, ProviderServer(TEXT) as second:
        first.always(faults.Cut(after_chunks=8))
        llm = FailoverLLM([allms.make(one, first), allms.make(OTHERS[one], second)], settings=ONCE)
        got = [chunk async for chunk in await llm.astream_chat(MESSAGES)]
        assert "".join(chunk.delta or "" for chunk in got) == TEXT
        assert got[-1].message.content == TEXT
        got = [chunk async for chunk in await llm.astream_complete("Tell me about the lighthouse.")]
        assert got[-1].text == TEXT


def test_the_accumulated_text_is_right_in_every_chunk_around_a_join() -> None:
    first = FakeLLM(says=["One day in spring the quick brown fox ", "jumps over ", "the lazy ", ConnectionResetError()])
    second = FakeLLM(says=["spring the quick brown fox jumps over ", "the lazy dog and ", "runs ", "away."])
    for style in ("stream_chat", "stream_complete"):
        llm = FailoverLLM([first, second], settings=ONCE)
        stream = llm.stream_chat(MESSAGES) if style == "stream_chat" else llm.stream_complete("Tell me.")
        text = ""
        for chunk in stream:
            text += chunk.delta or ""
            assert text == _content(chunk)
        assert text == "One day in spring the quick brown fox jumps over the lazy dog and runs away."


def _content(chunk: Any) -> str | None:
    return chunk.message.content if isinstance(chunk, ChatResponse) else chunk.text


def test_the_second_target_is_asked_to_go_on_in_words() -> None:
    first = FakeLLM(says=["The quick brown fox ", "jumps over ", ConnectionResetError("reset")])
    second = FakeLLM(says=["The quick brown fox jumps over ", "the dog."])
    list(FailoverLLM([first, second], settings=ONCE).stream_chat(MESSAGES))
    ((_, asked, _),) = second.seen
    assert [message.role.value for message in asked] == ["user", "assistant", "user"]
    assert asked[1].content == "The quick brown fox jumps over "
    assert "cut off" in asked[2].content
    assert len(MESSAGES) == 1


def test_an_answer_that_does_not_go_on_is_never_glued_on() -> None:
    first = FakeLLM(says=["The quick brown fox ", "jumps over ", "the lazy ", ConnectionResetError("reset")])
    second = FakeLLM(says=["Something ", "altogether ", "different, and long enough to be sure of it. " * 20])
    llm = FailoverLLM([first, second], settings=ONCE)
    shown = ""
    with pytest.raises(StreamInterrupted) as caught:
        for chunk in llm.stream_chat(MESSAGES):
            shown += chunk.delta or ""
    assert "The quick brown fox jumps over the lazy " == shown == caught.value.partial


def engines(llm: FailoverLLM) -> Any:
    index = VectorStoreIndex.from_documents([Document(text=TEXT)], embed_model=MockEmbedding(embed_dim=8))
    yield SimpleChatEngine.from_defaults(llm=llm)
    yield CondensePlusContextChatEngine.from_defaults(index.as_retriever(), llm=llm)


@pytest.mark.parametrize("one", KINDS)
def test_the_memory_of_a_chat_engine_holds_one_answer_once(one: str, llms: Shop) -> None:
    with ProviderServer(TEXT) as first, ProviderServer(TEXT) as second:
        llm = FailoverLLM([llms.make(one, first), llms.make(OTHERS[one], second)], settings=ONCE)
        for engine in engines(llm):
            first.script([faults.Cut(after_chunks=8)])
            response = engine.stream_chat("Tell me about the lighthouse.")
            assert "".join(response.response_gen) == TEXT
            assert [(message.role.value, message.content) for message in engine.chat_history] == [
                ("user", "Tell me about the lighthouse."),
                ("assistant", TEXT),
            ]


async def test_the_memory_of_a_chat_engine_on_asyncio(allms: Shop) -> None:
    with ProviderServer(TEXT) as first, ProviderServer(TEXT) as second:
        llm = FailoverLLM([allms.make("Anthropic", first), allms.make("OpenAI", second)], settings=ONCE)
        for engine in engines(llm):
            first.script([faults.Reset(after_chunks=8)])
            response = await engine.astream_chat("Tell me about the lighthouse.")
            assert "".join([token async for token in response.async_response_gen()]) == TEXT
            assert engine.chat_history[-1].content == TEXT
            assert len(engine.chat_history) == 2


# -- giving a stream up -------------------------------------------------------------------------------------------


class Watched(FakeLLM):
    """Tells when its stream was closed."""

    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        try:
            yield from chunks(["one ", "two ", "three"])
        finally:
            self.seen.append("closed")

    async def astream_chat(self, messages: Any, **kwargs: Any) -> Any:
        async def gen() -> Any:
            try:
                for chunk in chunks(["one ", "two ", "three"]):
                    yield chunk
                    await asyncio.sleep(0)
            finally:
                self.seen.append("closed")

        return gen()


def test_an_abandoned_stream_is_closed_and_blames_nobody() -> None:
    llm = Watched()
    whole = FailoverLLM([wrap(llm, name="a")], settings=ONCE)
    stream = whole.stream_chat(MESSAGES)
    assert next(stream).delta == "one "
    stream.close()
    assert llm.seen == ["closed"]
    health = whole.failover.health()["a"]
    assert (health.in_flight, health.failed, health.suspicion) == (0, 0, 0.0)


async def test_an_abandoned_stream_is_closed_at_once_on_asyncio() -> None:
    llm = Watched()
    whole = FailoverLLM([wrap(llm, name="a")], settings=ONCE)
    stream = await whole.astream_chat(MESSAGES)
    assert (await anext(stream)).delta == "one "
    await stream.aclose()
    assert llm.seen == ["closed"]
    health = whole.failover.health()["a"]
    assert (health.in_flight, health.failed, health.suspicion) == (0, 0, 0.0)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_last_chunk_carries_the_trace_when_it_is_received(kind: str, allms: Shop) -> None:
    """Also where the usage comes in a chunk after the one with the finish mark."""
    counting: dict[str, Any] = {"additional_kwargs": {"stream_options": {"include_usage": True}}}
    with ProviderServer(TEXT) as server:
        llm = FailoverLLM([allms.make(kind, server, **(counting if kind == "OpenAI" else {})), FakeLLM()])
        at_receipt = ["failover" in chunk.additional_kwargs for chunk in llm.stream_chat(MESSAGES)]
        assert at_receipt == [False] * (len(at_receipt) - 1) + [True]
        stream = await llm.astream_chat(MESSAGES)
        at_receipt = ["failover" in chunk.additional_kwargs async for chunk in stream]
        assert at_receipt == [False] * (len(at_receipt) - 1) + [True]
        assert "".join(chunk.delta or "" for chunk in llm.stream_chat(MESSAGES)) == TEXT


def test_completion_chunks_carry_the_trace_on_the_last_one() -> None:
    *rest, last = FailoverLLM([FakeLLM(says=["a", "b"])]).stream_complete("hello")
    assert isinstance(last, CompletionResponse)
    assert told(last)["target"] == "FakeLLM"
    assert all("failover" not in chunk.additional_kwargs for chunk in rest)
