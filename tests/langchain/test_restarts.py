"""`midstream="replace"`: the answer starts over, and every sum of its chunks holds the new one alone."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, LLMResult
from langchain_core.runnables import RunnableLambda

from failover_core import Settings, StreamInterrupted
from failover_core.testing import ProviderServer, faults
from langchain_failover import ChatFailover
from langchain_failover.restarts import RestartableChunk, RestartMessage
from lc_targets import KINDS, WRAPPED, make

OLD = " ".join(f"old{number}" for number in range(60))
NEW = " ".join(f"new{number}" for number in range(60))
REPLACE = Settings(backoff_s=0.01, hold_back_tokens=0, hold_back_s=0.0, midstream="replace")


@pytest.fixture(autouse=True)
def stories(first: ProviderServer, second: ProviderServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first provider is cut after 40 of its 60 words."""
    monkeypatch.setattr(first.behaviour, "answer", OLD)
    monkeypatch.setattr(second.behaviour, "answer", NEW)
    first.always(faults.Cut(after_chunks=40))


def model(kind: str, backup: str, first: ProviderServer, second: ProviderServer, **options: Any) -> ChatFailover:
    return ChatFailover(targets=[make(kind, first), make(backup, second)], settings=REPLACE, **options)


async def chunks_of(llm: Any, style: str, config: Any = None) -> list[Any]:
    if style == "stream":
        return list(llm.stream("Tell a story.", config))
    return [chunk async for chunk in llm.astream("Tell a story.", config)]


def restart_in(chunk: Any) -> dict[str, Any] | None:
    restart: dict[str, Any] | None = chunk.response_metadata.get("failover_restart")
    return restart


class Heard(BaseCallbackHandler):
    """What callbacks are told."""

    def __init__(self) -> None:
        self.results: list[LLMResult] = []
        self.events: list[tuple[str, Any]] = []

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        self.results.append(response)

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        self.events.append((name, data))


class AsyncHeard(AsyncCallbackHandler):
    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    async def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        self.events.append((name, data))


@pytest.mark.parametrize("style", ["stream", "astream"])
@pytest.mark.parametrize("backup", WRAPPED)
@pytest.mark.parametrize("kind", KINDS)
async def test_who_follows_the_marker_gets_the_whole_answer_once(
    kind: str, backup: str, style: str, first: ProviderServer, second: ProviderServer
) -> None:
    text, restarts = "", []
    for chunk in await chunks_of(model(kind, backup, first, second), style):
        restart = restart_in(chunk)
        if restart is not None:
            assert (chunk.text, restart["void_chars"]) == ("", len(text))
            assert OLD.startswith(text) and len(text) > 100
            restarts.append(restart)
            text = ""
        text += chunk.text
    assert text == NEW
    assert [(restart["kind"], set(restart)) for restart in restarts] == [
        ("stream_broken", {"broken", "target", "void_chars", "kind"})
    ]


@pytest.mark.parametrize("style", ["stream", "astream"])
@pytest.mark.parametrize("backup", WRAPPED)
@pytest.mark.parametrize("kind", KINDS)
async def test_the_sum_of_the_chunks_is_the_new_answer_alone(
    kind: str, backup: str, style: str, first: ProviderServer, second: ProviderServer
) -> None:
    chunks = await chunks_of(model(kind, backup, first, second), style)
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    alone = await chunks_of(ChatFailover(targets=[make(backup, second)], settings=REPLACE), style)
    expected = sum(alone[1:], alone[0])
    assert type(whole) is AIMessageChunk
    assert (whole.text, whole.content, whole.usage_metadata) == (NEW, expected.content, expected.usage_metadata)
    assert whole.response_metadata["failover"]["seams"][0]["kind"] == "replace"
    assert whole.response_metadata["failover"]["attempts"][0]["verdict"] == "replaced"
    facts = set(whole.response_metadata) - {"failover", "failover_restart"}
    assert {name: whole.response_metadata[name] for name in facts - {"id"}} == {
        name: value for name, value in expected.response_metadata.items() if name not in ("failover", "id")
    }


@pytest.mark.parametrize("style", ["invoke", "ainvoke"])
async def test_invoke_while_streaming(style: str, first: ProviderServer, second: ProviderServer) -> None:
    """A model with `streaming=True` streams inside of `invoke`, and LangChain adds the chunks up itself."""
    llm = model("openai", "anthropic", first, second, streaming=True)
    heard = Heard()
    config: Any = {"callbacks": [heard]}
    message = llm.invoke("Tell a story.", config) if style == "invoke" else await llm.ainvoke("Tell a story.", config)
    assert isinstance(message, AIMessage)
    assert message.text == NEW
    assert heard.results[0].generations[0][0].text == NEW


@pytest.mark.parametrize("style", ["stream", "astream"])
async def test_traces_hold_the_new_answer(style: str, first: ProviderServer, second: ProviderServer) -> None:
    heard = Heard()
    await chunks_of(model("openai", "anthropic", first, second), style, {"callbacks": [heard]})
    generation = heard.results[0].generations[0][0]
    assert generation.text == NEW
    assert dumpd(generation)["id"] == ChatGenerationChunk.lc_id()


async def test_astream_events(first: ProviderServer, second: ProviderServer) -> None:
    llm = model("openai", "anthropic", first, second)
    events = [event async for event in llm.astream_events("Tell a story.", version="v2")]
    assert sum(restart_in(e["data"]["chunk"]) is not None for e in events if e["event"] == "on_chat_model_stream") == 1
    (end,) = [event for event in events if event["event"] == "on_chat_model_end"]
    assert end["data"]["output"].text == NEW


async def test_chains_that_add_chunks_up(first: ProviderServer, second: ProviderServer) -> None:
    chain = model("openai", "anthropic", first, second) | RunnableLambda(lambda message: message.text)
    assert "".join(chain.stream("Tell a story.")) == NEW


@pytest.mark.parametrize("style", ["invoke", "ainvoke"])
async def test_a_custom_event_under_the_model_s_run(style: str, first: ProviderServer, second: ProviderServer) -> None:
    llm = model("openai", "anthropic", first, second, streaming=True)
    heard: Any = Heard() if style == "invoke" else AsyncHeard()
    config: Any = {"callbacks": [heard]}

    def ask(_: Any) -> Any:
        return llm.invoke("Tell a story.", config)

    async def aask(_: Any) -> Any:
        return await llm.ainvoke("Tell a story.", config)

    if style == "invoke":
        RunnableLambda(ask).invoke("x", config)
    else:
        await RunnableLambda(aask).ainvoke("x", config)
    names = {name for name, _ in heard.events}
    assert names == {"failover_restart"}
    assert heard.events[0][1]["kind"] == "stream_broken"


async def test_a_custom_event_in_the_events_of_a_chain(first: ProviderServer, second: ProviderServer) -> None:
    chain = RunnableLambda(lambda question: question) | model("openai", "anthropic", first, second)
    events = [event async for event in chain.astream_events("Tell a story.", version="v2")]
    (restarted,) = [event for event in events if event["event"] == "on_custom_event"]
    assert (restarted["name"], restarted["data"]["kind"]) == ("failover_restart", "stream_broken")


@pytest.mark.parametrize("style", ["stream", "astream"])
async def test_two_restarts(style: str, first: ProviderServer, second: ProviderServer) -> None:
    targets = [make("openai", first), make("anthropic", first), make("google", second)]
    chunks = await chunks_of(ChatFailover(targets=targets, settings=REPLACE), style)
    assert len([chunk for chunk in chunks if restart_in(chunk)]) == 2
    assert sum(chunks[1:], chunks[0]).text == NEW


@pytest.mark.parametrize("style", ["stream", "astream"])
async def test_never_where_a_form_was_asked_for(style: str, first: ProviderServer, second: ProviderServer) -> None:
    llm = model("openai", "anthropic", first, second).bind_tools([lookup])
    with pytest.raises(StreamInterrupted):
        await chunks_of(llm, style)


def lookup(word: str) -> str:
    """Looks a word up."""
    return word


def test_sums_in_any_form() -> None:
    old, new = AIMessageChunk(content="old"), AIMessageChunk(content="new", id="n")
    blocks = AIMessageChunk(content=[{"type": "text", "text": "new", "index": 0}])
    restart = RestartMessage(content="", response_metadata={"failover_restart": {"void_chars": 3}})
    assert (old + restart + new).content == "new"
    assert (old + restart + blocks).content == blocks.content
    assert (old + restart + old + restart + new + new).content == "newnew"
    plain = [ChatGenerationChunk(message=message) for message in (restart, new, new)]
    begun = RestartableChunk.of(ChatGenerationChunk(message=old))
    assert (begun + plain).message.content == "newnew"
    one_by_one = begun
    for chunk in plain:
        one_by_one = one_by_one + chunk
    assert one_by_one.message.content == "newnew"
    assert (begun + plain[:1]).message.content == ""
    assert dumpd(restart)["id"] == AIMessageChunk.lc_id()
