"""Health checks of wrapped LLMs: the free call goes through the SDK client inside of them."""

from __future__ import annotations

import pytest

from failover_core import FailureKind, classify
from failover_core.testing import ProviderServer
from llamaindex_failover import wrap
from llamaindex_failover.targets import as_target
from llamaindex_targets import KINDS, FakeLLM, Shop


@pytest.mark.parametrize("kind", KINDS)
def test_the_free_call_asks_for_no_answer_and_fails_as_a_request_does(
    kind: str, first: ProviderServer, llms: Shop
) -> None:
    target = as_target(llms.make(kind, first))
    assert target.health_check is not None
    target.health_check()
    assert first.calls == 0
    first.refuse()
    with pytest.raises(Exception) as failed:
        target.health_check()
    assert classify(failed.value).kind is FailureKind.CONNECTION


def test_the_responses_api_is_checked_as_well(first: ProviderServer) -> None:
    from llama_index.llms.openai import OpenAIResponses

    llm = OpenAIResponses("gpt-4o-mini", api_base=first.openai_url, api_key="test")
    target = as_target(llm)
    assert target.health_check is not None
    first.refuse()
    with pytest.raises(Exception) as failed:
        target.health_check()
    assert classify(failed.value).kind is FailureKind.CONNECTION
    llm._client.close()


def test_what_a_factory_makes_is_checked_once_it_is_there(first: ProviderServer, llms: Shop) -> None:
    built = []

    def make_it() -> object:
        built.append(llms.make("OpenAI", first))
        return built[0]

    target = wrap(make_it)
    assert target.health_check is not None
    first.refuse()
    target.health_check()
    assert built == [], "a check builds nothing"
    target.source.built()
    with pytest.raises(Exception) as failed:
        target.health_check()
    assert classify(failed.value).kind is FailureKind.CONNECTION


def test_other_llms_are_not_checked_unless_the_user_says_how() -> None:
    assert as_target(FakeLLM()).health_check is None
    assert wrap(FakeLLM(), health_check=list).health_check is list
