"""One system prompt for a request, whoever answers, and the same in structured output as elsewhere."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core import PromptTemplate
from pydantic import BaseModel

from failover_core import Settings
from failover_core.testing import ProviderServer, faults
from llamaindex_failover import FailoverLLM
from llamaindex_targets import Shop

ONCE = Settings(same_target_retries=0, backoff_s=0.01)
PROMPT = PromptTemplate("Tell of a city near {place}.")


class City(BaseModel):
    """A city."""

    name: str


@pytest.fixture
def first() -> Iterator[ProviderServer]:
    with ProviderServer() as server:  # which gives objects where they are asked for
        yield server


def told(server: ProviderServer) -> list[str]:
    """The system prompts of the last request."""
    body = server.log[-1].body
    return [m["content"] for m in body["messages"] if m["role"] in ("system", "developer")]


async def check(llm: Any, server: ProviderServer, expected: list[str]) -> None:
    llm.predict(PROMPT, place="Rome")
    assert expected == told(server)
    llm.structured_predict(City, PROMPT, place="Rome")
    assert expected == told(server)
    list(llm.stream_structured_predict(City, PROMPT, place="Rome"))
    assert expected == told(server)


@pytest.mark.parametrize("others_own", [None, "Be long."])
async def test_a_prompt_of_one_target_reaches_the_other(
    others_own: str | None, first: ProviderServer, allms: Shop
) -> None:
    with ProviderServer() as second:
        targets = [
            allms.make("OpenAI", first, system_prompt="Be brief."),
            allms.make("OpenAI", second, system_prompt=others_own),
        ]
        llm = FailoverLLM(targets, settings=ONCE)
        await check(llm, first, ["Be brief."])
        first.always(faults.Status(503))
        await check(llm, second, ["Be brief."])
        await llm.astructured_predict(City, PROMPT, place="Rome")
        assert told(second) == ["Be brief."]
        [item async for item in await llm.astream_structured_predict(City, PROMPT, place="Rome")]
        assert told(second) == ["Be brief."]
        assert targets[1].system_prompt == others_own
        targets[1].structured_predict(City, PROMPT, place="Rome")
        assert told(second) == ([others_own] if others_own else []), "outside of an attempt it is what it was"


async def test_a_prompt_that_is_set_later_counts_alone(first: ProviderServer, allms: Shop) -> None:
    llm = FailoverLLM([allms.make("OpenAI", first, system_prompt="Be brief.")], settings=ONCE)
    llm.system_prompt = "Be exact."
    await check(llm, first, ["Be exact."])
    await check(pickle.loads(pickle.dumps(llm)), first, ["Be exact."])
    llm.system_prompt = None
    await check(llm, first, [])


async def test_a_prompt_is_not_doubled_on_the_way(
    first: ProviderServer, allms: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    llm = FailoverLLM([allms.make("OpenAI", first, system_prompt="Be brief.")], settings=ONCE)
    assert "system_prompt" not in llm.to_dict(), "its target tells it"
    for twin in (pickle.loads(pickle.dumps(llm)), FailoverLLM.from_dict(llm.to_dict()), llm.model_copy()):
        assert twin.system_prompt == "Be brief."
        await check(twin, first, ["Be brief."])


async def test_the_prompt_of_a_target_that_is_not_built_yet_is_its_own(first: ProviderServer, allms: Shop) -> None:
    llm = FailoverLLM([lambda: allms.make("OpenAI", first, system_prompt="Be brief.")], settings=ONCE)
    llm.structured_predict(City, PROMPT, place="Rome")
    assert told(first) == ["Be brief."]
