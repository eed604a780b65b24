"""A dead first target is invisible in all call styles, on real sockets and the real SDKs, wrapped and native."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage

from failover_core import DeadlineExceeded, FailureKind, Settings
from failover_core.testing import ProviderServer, faults
from llamaindex_failover import FailoverLLM
from llamaindex_targets import KINDS, Shop

SECOND = "The second provider says that the answer is forty-two, and that there is nothing to add."
MESSAGES = [ChatMessage("Be brief.", role="system"), ChatMessage("What is the answer?")]
ELSEWHERE = {"OpenAI": "Anthropic", "Anthropic": "GoogleGenAI", "GoogleGenAI": "openai:"}
ELSEWHERE |= {"openai:": "anthropic:", "anthropic:": "google:", "google:": "OpenAI"}
REFUSED = "refused"
DEATHS = {
    REFUSED: {FailureKind.CONNECTION},
    "500": {FailureKind.SERVER_ERROR, FailureKind.OVERLOADED},
    "429": {FailureKind.RATE_LIMITED},
    "reset": {FailureKind.CONNECTION},
    "401": {FailureKind.AUTH},
    "html": {FailureKind.INVALID_OUTPUT, FailureKind.STREAM_BROKEN},  # a page in a stream is a stream of nothing
}
QUICK = Settings(backoff_s=0.01)
FAULTS = {
    "500": faults.Status(500),
    "429": faults.Status(429, retry_after_s=30),
    "reset": faults.Reset(),
    "401": faults.Status(401),
    "html": faults.html(200),
}


def kill(server: ProviderServer, how: str) -> None:
    if how == REFUSED:
        server.refuse()
    else:
        server.always(FAULTS[how])


def told(response: Any) -> dict[str, Any]:
    return response.additional_kwargs["failover"]


def last(stream: Iterator[Any]) -> tuple[str, Any]:
    chunks = list(stream)
    return "".join(chunk.delta or "" for chunk in chunks), chunks[-1]


async def alast(stream: AsyncIterator[Any]) -> tuple[str, Any]:
    chunks = [chunk async for chunk in stream]
    return "".join(chunk.delta or "" for chunk in chunks), chunks[-1]


def chat(llm: FailoverLLM) -> tuple[str, Any]:
    response = llm.chat(MESSAGES)
    return response.message.content or "", response


def complete(llm: FailoverLLM) -> tuple[str, Any]:
    response = llm.complete("What is the answer?")
    return response.text, response


def stream_chat(llm: FailoverLLM) -> tuple[str, Any]:
    return last(llm.stream_chat(MESSAGES))


def stream_complete(llm: FailoverLLM) -> tuple[str, Any]:
    return last(llm.stream_complete("What is the answer?"))


async def achat(llm: FailoverLLM) -> tuple[str, Any]:
    response = await llm.achat(MESSAGES)
    return response.message.content or "", response


async def acomplete(llm: FailoverLLM) -> tuple[str, Any]:
    response = await llm.acomplete("What is the answer?")
    return response.text, response


async def astream_chat(llm: FailoverLLM) -> tuple[str, Any]:
    return await alast(await llm.astream_chat(MESSAGES))


async def astream_complete(llm: FailoverLLM) -> tuple[str, Any]:
    return await alast(await llm.astream_complete("What is the answer?"))


SYNC = (chat, complete, stream_chat, stream_complete)
ASYNC = (achat, acomplete, astream_chat, astream_complete)


@pytest.mark.parametrize("how", DEATHS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("style", SYNC)
def test_a_dead_first_target_is_invisible(
    style: Callable[..., Any], kind: str, how: str, first: ProviderServer, second: ProviderServer, llms: Shop
) -> None:
    llm = FailoverLLM([llms.make(kind, first), llms.make(ELSEWHERE[kind], second)], settings=QUICK)
    kill(first, how)
    text, response = style(llm)
    _the_second_answered(text, response, how)


@pytest.mark.parametrize("how", DEATHS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("style", ASYNC)
async def test_a_dead_first_target_is_invisible_to_asyncio(
    style: Callable[..., Any], kind: str, how: str, first: ProviderServer, second: ProviderServer, allms: Shop
) -> None:
    llm = FailoverLLM([allms.make(kind, first), allms.make(ELSEWHERE[kind], second)], settings=QUICK)
    kill(first, how)
    text, response = await style(llm)
    _the_second_answered(text, response, how)


def _the_second_answered(text: str, response: Any, how: str) -> None:
    trace = told(response)
    assert text == SECOND
    assert trace["switched"]
    assert trace["attempts"][-1]["verdict"] == "answered"
    kinds = {attempt["kind"] for attempt in trace["attempts"][:-1]}
    assert kinds
    assert kinds <= DEATHS[how]


IMPATIENT = Settings(answer_s=0.2, first_token_s=0.2)


@pytest.mark.parametrize("kind", ["OpenAI", "GoogleGenAI", "anthropic:"])
@pytest.mark.parametrize("style", [chat, stream_chat])
def test_a_silent_first_target_is_raced(
    style: Callable[..., Any], kind: str, first: ProviderServer, second: ProviderServer, llms: Shop
) -> None:
    first.always(faults.Silence())
    llm = FailoverLLM([llms.make(kind, first), llms.make(ELSEWHERE[kind], second)], settings=IMPATIENT)
    text, response = style(llm)
    assert text == SECOND
    assert [attempt["verdict"] for attempt in told(response)["attempts"]] == ["lost", "answered"]
    first.stop()


@pytest.mark.parametrize("kind", ["Anthropic", "GoogleGenAI", "openai:"])
@pytest.mark.parametrize("style", [achat, astream_chat])
async def test_a_silent_first_target_is_raced_on_asyncio(
    style: Callable[..., Any], kind: str, first: ProviderServer, second: ProviderServer, allms: Shop
) -> None:
    first.always(faults.Silence())
    llm = FailoverLLM([allms.make(kind, first), allms.make(ELSEWHERE[kind], second)], settings=IMPATIENT)
    text, response = await style(llm)
    assert text == SECOND
    assert [attempt["verdict"] for attempt in told(response)["attempts"]] == ["lost", "answered"]


def test_a_deadline_holds_and_reaches_the_sdk(first: ProviderServer, llms: Shop) -> None:
    first.always(faults.Silence())
    llm = FailoverLLM([llms.make("OpenAI", first)], settings=Settings(deadline_s=0.3))
    with pytest.raises(DeadlineExceeded):
        llm.chat(MESSAGES)
    assert first.wait_until_idle(2.0), "the SDK's own timeout has ended the request by now"


async def test_geminis_synchronous_calls_work_inside_a_running_loop(
    first: ProviderServer, second: ProviderServer, allms: Shop
) -> None:
    llm = FailoverLLM([allms.make("GoogleGenAI", first), allms.make("OpenAI", second)])
    assert told(llm.chat(MESSAGES))["target"] == "GoogleGenAI:gemini-2.5-flash"
