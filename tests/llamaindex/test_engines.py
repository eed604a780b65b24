"""A dead first target in query engines, chat engines, extractors and `Settings.llm`, on real sockets."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core import Document, MockEmbedding, PropertyGraphIndex, SummaryIndex, VectorStoreIndex
from llama_index.core import Settings as LlamaSettings
from llama_index.core.chat_engine import CondensePlusContextChatEngine, ContextChatEngine, SimpleChatEngine
from llama_index.core.evaluation import FaithfulnessEvaluator
from llama_index.core.indices.property_graph import SchemaLLMPathExtractor, SimpleLLMPathExtractor
from llama_index.core.response_synthesizers import ResponseMode

from failover_core import AllTargetsFailed, Settings
from failover_core.testing import Ask, ProviderServer, faults
from llamaindex_failover import FailoverLLM
from llamaindex_targets import Shop

QUICK = Settings(backoff_s=0.01)
PAIRS = [("OpenAI", "Anthropic"), ("Anthropic", "google:"), ("GoogleGenAI", "openai:"), ("openai:", "OpenAI")]
TEXT = "The lighthouse of Alexandria was about 100 metres tall. It stood on the island of Pharos."
SECOND = "The second provider says that the answer is forty-two, and that there is nothing to add."


@pytest.fixture(params=PAIRS, ids="-".join)
def llm(request: pytest.FixtureRequest, first: ProviderServer, second: ProviderServer, llms: Shop) -> FailoverLLM:
    first.always(faults.Status(503))
    one, other = request.param
    return FailoverLLM([llms.make(one, first), llms.make(other, second)], settings=QUICK)


@pytest.fixture
def index() -> VectorStoreIndex:
    return VectorStoreIndex.from_documents([Document(text=TEXT)], embed_model=MockEmbedding(embed_dim=8))


@pytest.mark.parametrize("mode", [ResponseMode.COMPACT, ResponseMode.TREE_SUMMARIZE, ResponseMode.REFINE])
def test_query_engines(llm: FailoverLLM, index: VectorStoreIndex, mode: ResponseMode) -> None:
    assert str(index.as_query_engine(llm=llm, response_mode=mode).query("How tall was it?")) == SECOND
    streamed = index.as_query_engine(llm=llm, response_mode=mode, streaming=True).query("How tall was it?")
    assert "".join(streamed.response_gen) == SECOND


async def test_query_engines_on_asyncio(
    index: VectorStoreIndex, first: ProviderServer, second: ProviderServer, allms: Shop
) -> None:
    first.always(faults.Status(503))
    llm = FailoverLLM([allms.make("OpenAI", first), allms.make("anthropic:", second)], settings=QUICK)
    for mode in (ResponseMode.COMPACT, ResponseMode.TREE_SUMMARIZE):
        assert str(await index.as_query_engine(llm=llm, response_mode=mode).aquery("How tall was it?")) == SECOND
    streamed = await index.as_query_engine(llm=llm, streaming=True).aquery("How tall was it?")
    assert "".join([token async for token in streamed.async_response_gen()]) == SECOND


def chat_engines(llm: FailoverLLM, index: VectorStoreIndex) -> Iterator[Any]:
    yield SimpleChatEngine.from_defaults(llm=llm)
    yield CondensePlusContextChatEngine.from_defaults(index.as_retriever(), llm=llm)
    yield ContextChatEngine.from_defaults(index.as_retriever(), llm=llm)


def test_chat_engines(llm: FailoverLLM, index: VectorStoreIndex) -> None:
    for engine in chat_engines(llm, index):
        assert str(engine.chat("How tall was it?")) == SECOND
        streamed = engine.stream_chat("And where?")
        assert "".join(streamed.response_gen) == SECOND
        roles = [message.role.value for message in engine.chat_history]
        assert roles == ["user", "assistant"] * 2
        assert engine.chat_history[-1].content == SECOND


async def test_chat_engines_on_asyncio(
    index: VectorStoreIndex, first: ProviderServer, second: ProviderServer, allms: Shop
) -> None:
    first.always(faults.Status(503))
    llm = FailoverLLM([allms.make("Anthropic", first), allms.make("OpenAI", second)], settings=QUICK)
    for engine in chat_engines(llm, index):
        assert str(await engine.achat("How tall was it?")) == SECOND
        streamed = await engine.astream_chat("And where?")
        assert "".join([token async for token in streamed.async_response_gen()]) == SECOND
        assert engine.chat_history[-1].content == SECOND


def test_settings_llm(llm: FailoverLLM, index: VectorStoreIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LlamaSettings, "_llm", None)
    LlamaSettings.llm = llm
    assert LlamaSettings.llm is llm
    assert str(index.as_query_engine().query("How tall was it?")) == SECOND
    assert str(SummaryIndex.from_documents([Document(text=TEXT)]).as_query_engine().query("How tall?")) == SECOND


def test_an_evaluator_reads_the_answer_of_the_second(second: ProviderServer, llm: FailoverLLM) -> None:
    second.behaviour.answer = "YES"
    result = FaithfulnessEvaluator(llm=llm).evaluate(response=TEXT, contexts=[TEXT])
    assert result.passing


def triplets(ask: Ask) -> str:
    return "(Lighthouse, stood on, Pharos)"


# The index calls `asyncio.run` again and again, so connections of closed loops are left over, for the next document
# to stumble over. With retries switched off that must not count as a failure; nobody can close them, and Python
# complains.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_property_graph_extractors(first: ProviderServer) -> None:
    with ProviderServer(triplets) as second, ProviderServer() as filling:
        first.always(faults.Status(503))
        names = _extracted(first, second, filling)
        assert {"Lighthouse", "Pharos"} <= {name.capitalize() for name in names}
        assert second.calls >= 2
        assert filling.calls >= 2
        gc.collect()


def _extracted(dead: ProviderServer, simple: ProviderServer, schema: ProviderServer) -> set[str]:
    shop = Shop()
    in_text = FailoverLLM([shop.make("OpenAI", dead), shop.make("Anthropic", simple)], settings=QUICK)
    by_schema = FailoverLLM([shop.make("openai:", dead), shop.make("OpenAI", schema)], settings=QUICK)
    index = PropertyGraphIndex.from_documents(
        [Document(text=TEXT)],
        kg_extractors=[SimpleLLMPathExtractor(llm=in_text), SchemaLLMPathExtractor(llm=by_schema, strict=False)],
        embed_model=MockEmbedding(embed_dim=8),
    )
    index.insert(Document(text="It was one of the seven wonders of the world."))
    asyncio.run(shop.aclose())
    return {node.id for node in index.property_graph_store.get()}


def test_when_all_fail_llamaindex_does_not_answer_with_an_empty_response(
    index: VectorStoreIndex, first: ProviderServer, second: ProviderServer, llms: Shop
) -> None:
    first.always(faults.Status(503))
    second.always(faults.html(200))
    llm = FailoverLLM([llms.make("OpenAI", first), llms.make("GoogleGenAI", second)], settings=QUICK)
    with pytest.raises(AllTargetsFailed, match="No target answered"):
        index.as_query_engine(llm=llm).query("How tall was it?")
