"""Built-in retries are off, for LLMs that have made their clients already and for those that make them later."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage, MockLLM

from failover_core import AllTargetsFailed, FailoverError, Settings
from failover_core.testing import ProviderServer, faults
from llamaindex_failover import FailoverLLM
from llamaindex_targets import WRAPPED, FakeLLM, Shop

ONCE = Settings(same_target_retries=0)
MESSAGES = [ChatMessage("What is the answer?")]


@pytest.mark.parametrize("fault", [faults.Status(429, retry_after_s=7), faults.Status(500)], ids=["429", "500"])
@pytest.mark.parametrize("used_before", [True, False])
@pytest.mark.parametrize("kind", WRAPPED)
def test_a_failing_provider_is_asked_once(
    kind: str, used_before: bool, fault: Any, first: ProviderServer, llms: Shop
) -> None:
    llm = llms.make(kind, first)
    if used_before:
        llm.chat(MESSAGES)
    whole = FailoverLLM([llm], settings=ONCE)
    first.always(fault)
    for style in ("chat", "stream_chat", "complete"):
        first.clear()
        with pytest.raises(FailoverError):
            whole = FailoverLLM([llm], settings=ONCE)
            _drain(getattr(whole, style)(MESSAGES if "chat" in style else "hello"))
        assert first.calls == 1


@pytest.mark.parametrize("used_before", [True, False])
@pytest.mark.parametrize("kind", WRAPPED)
async def test_a_failing_provider_is_asked_once_on_asyncio(
    kind: str, used_before: bool, first: ProviderServer, allms: Shop
) -> None:
    llm = allms.make(kind, first)
    if used_before:
        await llm.achat(MESSAGES)
    first.clear()
    first.always(faults.Status(500))
    with pytest.raises(AllTargetsFailed):
        await FailoverLLM([llm], settings=ONCE).achat(MESSAGES)
    assert first.calls == 1


async def test_gemini_does_not_sleep_over_a_refused_connection(first: ProviderServer, allms: Shop) -> None:
    pytest.importorskip("google.genai", minversion="2.33")  # with older ones there is only the warning
    llm = FailoverLLM([allms.make("GoogleGenAI", first)], settings=ONCE)
    first.refuse()
    with pytest.raises(AllTargetsFailed) as caught:
        await llm.achat(MESSAGES)
    assert caught.value.trace.elapsed_s < 0.9, "its SDK sleeps 1 to 10 seconds and tries again"


def test_an_llm_from_a_factory_is_asked_once(first: ProviderServer, llms: Shop) -> None:
    llm = FailoverLLM([lambda: llms.make("OpenAI", first)], settings=ONCE)
    first.always(faults.Status(500))
    with pytest.raises(AllTargetsFailed):
        llm.chat(MESSAGES)
    assert first.calls == 1


def test_clients_that_were_brought_along_keep_everything_but_their_retries(first: ProviderServer) -> None:
    import openai
    from llama_index.llms.openai import OpenAI

    with openai.OpenAI(api_key="mine", base_url=first.openai_url, max_retries=5, timeout=9) as client:
        FailoverLLM([llm := OpenAI("gpt-4o-mini", api_key="x", openai_client=client)])
        assert (llm._client.max_retries, llm._client.api_key, llm._client.timeout) == (0, "mine", 9)
        assert client.max_retries == 5


class Stubborn(FakeLLM):
    max_retries: int = 4


class Patient(FakeLLM):
    max_retries: int = 0


def test_unknown_llms_that_retry_are_reported_once_with_the_remedy() -> None:
    with pytest.warns(RuntimeWarning, match=r"Build it with Stubborn\(\.\.\., max_retries=0\)"):
        FailoverLLM([Stubborn()])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FailoverLLM([Stubborn(), Patient(), MockLLM()])


def _drain(response: Any) -> None:
    if hasattr(response, "__next__"):
        list(response)


async def test_connections_of_a_closed_event_loop_do_not_count(first: ProviderServer, allms: Shop) -> None:
    """With their retries, the SDKs get over them; so must we without. (The property graph test has the real thing.)"""
    calls: list[int] = []

    class Stale(FakeLLM):
        async def achat(self, messages: Any, **kwargs: Any) -> Any:
            calls.append(1)
            if len(calls) < 3:
                raise ConnectionError("Connection error.") from RuntimeError("Event loop is closed")
            return await super().achat(messages, **kwargs)

    response = await FailoverLLM([Stale()], settings=ONCE).achat(MESSAGES)
    assert len(response.additional_kwargs["failover"]["attempts"]) == 1
    assert len(calls) == 3
