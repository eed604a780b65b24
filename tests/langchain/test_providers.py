"""Real sockets, real SDKs: any provider may die at any moment, and the answer is whole, in all call styles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.exceptions import ContextOverflowError, ModelError, ModelRateLimitError
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableParallel

from failover_core import DeadlineExceeded, FailureKind, RequestRejected, Settings, StreamInterrupted
from failover_core.testing import ProviderServer, faults
from fault_scenarios import Says
from langchain_failover import ChatFailover
from lc_targets import KINDS, MODELS, WRAPPED, make

QUICK = Settings(backoff_s=0.01, hold_back_s=0.05)
PATIENT = Settings(backoff_s=0.01, hold_back_tokens=1000, hold_back_s=5.0)
AT_ONCE = Settings(backoff_s=0.01, hold_back_tokens=0, hold_back_s=0.0)
STYLES = ("invoke", "ainvoke", "stream", "astream")
OTHER = {"openai": "anthropic", "anthropic": "google", "google": "openai"}
DEATHS: dict[str, tuple[Callable[[ProviderServer], None], str]] = {
    "refused": (lambda server: server.refuse(), "connection"),
    "500": (lambda server: server.always(faults.Status(500)), "server_error"),
    "429": (lambda server: server.always(faults.Status(429, retry_after_s=30)), "rate_limited"),
    "reset": (lambda server: server.always(faults.Reset()), "connection"),
    "html": (lambda server: server.always(faults.html(502)), "server_error"),
}
BREAKS = [faults.Cut(after_chunks=1), faults.NoFinishReason(), faults.ErrorEvent(after_chunks=1), faults.Malformed()]


@pytest.fixture(autouse=True)
def back(first: ProviderServer) -> Any:
    yield
    first.accept()


async def answer(llm: Any, style: str, question: Any = "What is up?", **kwargs: Any) -> tuple[str, dict[str, Any]]:
    """The text and the trace."""
    if style == "invoke":
        message = llm.invoke(question, **kwargs)
    elif style == "ainvoke":
        message = await llm.ainvoke(question, **kwargs)
    else:
        asked = llm.stream if style == "stream" else llm.astream
        pieces = asked(question, **kwargs)
        chunks = list(pieces) if style == "stream" else [chunk async for chunk in pieces]
        assert [chunk for chunk in chunks if chunk.response_metadata.get("failover")] == chunks[-1:]
        message = sum(chunks[1:], chunks[0])
    assert isinstance(message, AIMessage)
    return message.text, message.response_metadata["failover"]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_dead_provider_is_invisible(
    kind: str, death: str, style: str, first: ProviderServer, second: ProviderServer
) -> None:
    kill, failure = DEATHS[death]
    kill(first)
    backup = OTHER[kind.strip(":")]
    llm = ChatFailover(targets=[make(kind, first), make(backup, second)], settings=QUICK)

    text, trace = await answer(llm, style)

    assert text == make(backup, second).invoke("What is up?").text
    assert trace["switched"] and trace["provider"] == backup
    assert trace["attempts"][0]["kind"] == failure


@pytest.mark.parametrize("fault", BREAKS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("style", ["stream", "astream"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_that_breaks_early_is_invisible(
    kind: str, style: str, fault: Any, first: ProviderServer, second: ProviderServer
) -> None:
    first.always(fault)
    llm = ChatFailover(targets=[make(kind, first), make("openai", second)], settings=PATIENT)

    text, trace = await answer(llm, style)

    assert text == make("openai", second).invoke("What is up?").text
    assert trace["switched"] and not trace["seams"]


@pytest.mark.parametrize("style", ["stream", "astream"])
@pytest.mark.parametrize("backup", WRAPPED)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_that_breaks_late_is_joined(
    kind: str, backup: str, style: str, first: ProviderServer, second: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = " ".join(f"Sentence number {number} of the story." for number in range(30))
    monkeypatch.setattr(first.behaviour, "answer", story)
    monkeypatch.setattr(second.behaviour, "answer", story)
    first.always(faults.Cut(after_chunks=20))
    llm = ChatFailover(targets=[make(kind, first), make(backup, second)], settings=AT_ONCE)

    text, trace = await answer(llm, style)

    assert text == story
    assert len(trace["seams"]) == 1
    assert trace["attempts"][0]["verdict"] == "resumed"


def test_chains(first: ProviderServer, second: ProviderServer) -> None:
    first.refuse()
    llm = ChatFailover(targets=[make("openai", first), make("anthropic", second)], settings=QUICK)
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "{question}")])
    chain = prompt | llm | StrOutputParser()

    both = RunnableParallel(a=chain, b=chain).invoke({"question": "What is up?"})
    batch = chain.batch([{"question": str(number)} for number in range(5)])

    assert both["a"] and both["a"] == both["b"]
    assert len(batch) == 5 and all(batch)
    assert "".join(chain.stream({"question": "What is up?"})) == both["a"]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_context_overflow_is_raised_as_langchains_own(kind: str, style: str, first: ProviderServer) -> None:
    first.always(faults.ApiError(FailureKind.CONTEXT_OVERFLOW))
    llm = ChatFailover(targets=[make(kind, first)], settings=QUICK)

    with pytest.raises(ContextOverflowError) as caught:
        await answer(llm, style)

    assert isinstance(caught.value, RequestRejected) and isinstance(caught.value, ModelError)
    assert caught.value.__cause__ is not None
    assert [attempt.kind for attempt in caught.value.attempts] == ["context_overflow"]


async def test_everybody_is_rate_limited(first: ProviderServer) -> None:
    first.always(faults.Status(429, retry_after_s=60))
    llm = ChatFailover(targets=[make("openai", first), make("anthropic", first)], settings=QUICK)

    with pytest.raises(ModelRateLimitError) as caught:
        await llm.ainvoke("hi")

    assert caught.value.is_retryable
    assert str(caught.value).count("rate_limited") == 2


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", KINDS)
async def test_the_deadline_holds_for_a_silent_provider(kind: str, style: str, first: ProviderServer) -> None:
    first.always(faults.Silence())
    llm = ChatFailover(targets=[make(kind, first)], settings=Settings(deadline_s=0.3))

    began = asyncio.get_running_loop().time()
    with pytest.raises(DeadlineExceeded):
        await answer(llm, style)

    assert asyncio.get_running_loop().time() - began < 2.0
    assert first.wait_until_idle(2.0), "the connection is still open"


@pytest.mark.parametrize("kind", KINDS)
async def test_an_abandoned_stream_is_closed_and_nobody_is_blamed(
    kind: str, first: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first.behaviour, "chunk_delay_s", 0.02)
    llm = ChatFailover(targets=[make(kind, first)], settings=AT_ONCE)
    stream = llm.astream("Tell me a long story, please.")
    await anext(stream)
    await stream.aclose()

    assert first.wait_until_idle()
    (health,) = llm.failover.health().values()
    assert (health.state, health.failed, health.in_flight) == ("closed", 0, 0)


async def test_an_interrupted_stream_tells_its_partial_text(first: ProviderServer) -> None:
    first.always(faults.Cut(after_chunks=3))
    llm = ChatFailover(targets=[make("openai", first)], settings=AT_ONCE)
    shown = ""

    with pytest.raises(StreamInterrupted) as caught:
        async for chunk in llm.astream("Tell me a long story, please."):
            shown += chunk.text

    assert caught.value.partial == shown != ""
    assert isinstance(caught.value, ModelError)


@pytest.mark.parametrize("style", ["stream", "astream"])
@pytest.mark.parametrize("kind", ["anthropic", "google", "anthropic:", "google:"])
async def test_thoughts_that_were_shown_do_not_garble_the_answer_of_another_target(
    kind: str, style: str, first: ProviderServer, second: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They outlast the hold-back, and no answer follows them."""
    monkeypatch.setattr(first.behaviour, "chunk_delay_s", 0.1)
    monkeypatch.setattr(second.behaviour, "answer", "It is noon.")
    first.always(Says(thinking="Let me see what I know about it."))
    backup = make(OTHER[kind.rstrip(":")], second)
    llm = ChatFailover(targets=[make(kind, first), backup], settings=Settings(backoff_s=0.01, hold_back_s=0.02))
    asked = llm.stream("What is up?") if style == "stream" else None
    chunks = list(asked) if asked is not None else [chunk async for chunk in llm.astream("What is up?")]
    message = sum(chunks[1:], chunks[0])
    trace = message.response_metadata["failover"]
    assert message.text == "It is noon."
    assert [seam["offset_chars"] for seam in trace["seams"]] == [0]
    names = (MODELS[kind.rstrip(":")], MODELS[OTHER[kind.rstrip(":")]])
    assert message.response_metadata["model_name"].startswith(names)
    assert sum(name in message.response_metadata["model_name"] for name in names) == 1
    assert message.usage_metadata is not None and message.usage_metadata["output_tokens"] > 0
