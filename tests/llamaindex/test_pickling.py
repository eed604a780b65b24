"""A component is pickled with its LLM, as ingestion pipelines do for their workers: the same LLM arrives."""

from __future__ import annotations

import pickle
from functools import partial
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.extractors import TitleExtractor
from llama_index.core.llms import LLM
from llama_index.llms.anthropic import Anthropic

from failover_core import AllTargetsFailed, Settings, Target
from failover_core.testing import ProviderServer, faults
from llamaindex_failover import FailoverLLM, wrap
from llamaindex_failover.targets import adapter_of
from llamaindex_targets import KINDS, MODELS, FakeLLM, Shop

HELLO = [ChatMessage("hello")]
ONCE = Settings(same_target_retries=0, backoff_s=0.0)


def loaded(llm: FailoverLLM) -> Any:
    """`llm` after a journey inside of a component, which drops what cannot be pickled without an error."""
    return pickle.loads(pickle.dumps(TitleExtractor(llm=llm))).llm


def make_fake() -> LLM:
    return FakeLLM(says="made")


def say(messages: list[ChatMessage]) -> str:
    return "said"


def check_nothing() -> None:
    pass


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_target_arrives_whole(
    kind: str, first: ProviderServer, second: ProviderServer, llms: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)  # a key that was given travels along
    options = {"region": "eu", "context_window_tokens": 9_000, "tier": 1, "health_check": check_nothing}
    if kind.endswith(":"):
        given = [llms.make(kind, first, name="one", **options), llms.make(kind, second, name="two")]
    else:
        given = [wrap(llms.make(kind, first), "one", **options), wrap(llms.make(kind, second), "two")]
    llm = FailoverLLM(given, settings=ONCE)
    for twin in (loaded(llm), loaded(FailoverLLM(failover=llm.failover))):
        assert isinstance(twin, FailoverLLM)
        assert twin.metadata == llm.metadata
        for ours, theirs in zip(twin.failover.targets, llm.failover.targets, strict=True):
            for fact in ("name", "provider", "model", "region", "context_window_tokens", "tier", "lacks"):
                assert getattr(ours, fact) == getattr(theirs, fact)
            assert ours.health_check is not None
            ours.health_check()
        first.always(faults.Status(503))
        assert twin.chat(HELLO).additional_kwargs["failover"]["target"] == "two"
        first.heal()


def test_factories_and_functions_travel_by_name() -> None:
    llm = FailoverLLM([make_fake, partial(make_fake), Target("mine", call=say)], settings=ONCE)
    twin = loaded(llm)
    names = [target.name for target in llm.failover.targets]
    assert names == [target.name for target in twin.failover.targets]
    assert twin.chat(HELLO).message.content == "made"
    llm.chat(HELLO)
    assert loaded(llm).chat(HELLO).message.content == "made", "also when they have been used"
    assert loaded(FailoverLLM([Target("mine", call=say)])).chat(HELLO).message.content == "said"
    assert loaded(twin).chat(HELLO).message.content == "made"


class MadeOfItsUrl(Anthropic):
    """Takes other arguments than the class it is derived from."""

    def __init__(self, url: str) -> None:
        super().__init__(MODELS["anthropic"], base_url=url, api_key="k")


class Reduced(MadeOfItsUrl):
    def __reduce__(self) -> Any:
        return type(self), (self.base_url,)


class ReducedEx(MadeOfItsUrl):
    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (self.base_url,)


class Stated(MadeOfItsUrl):
    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.base_url}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Stated.__init__(self, **state)


class PassingOn(Anthropic):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)


@pytest.mark.parametrize("cls", [Reduced, ReducedEx, Stated])
def test_a_class_that_knows_how_to_be_pickled_is_left_alone(cls: type[MadeOfItsUrl], first: ProviderServer) -> None:
    llm = cls(first.anthropic_url)
    twin = loaded(FailoverLLM([llm], settings=ONCE))
    assert isinstance(adapter_of(twin.failover.targets[0]).llm, cls)
    assert twin.chat(HELLO).message.content
    assert first.calls == 1


def test_a_class_that_passes_its_arguments_on_is_made_again(first: ProviderServer) -> None:
    llm = PassingOn(model=MODELS["anthropic"], base_url=first.anthropic_url, api_key="k")
    assert loaded(FailoverLLM([llm], settings=ONCE)).chat(HELLO).message.content


def test_a_class_that_takes_other_arguments_is_told_when_it_is_pickled(first: ProviderServer) -> None:
    llm = FailoverLLM([MadeOfItsUrl(first.anthropic_url)], settings=ONCE)
    with pytest.warns(RuntimeWarning, match="MadeOfItsUrl cannot be made again of its fields.*'url'"):
        pickle.dumps(llm)


@pytest.mark.parametrize("chosen", [None, "mine"])
def test_a_chosen_prompt_arrives_also_where_it_is_none(chosen: str | None) -> None:
    targets = [FakeLLM(system_prompt="the target's")]
    assert loaded(FailoverLLM(targets, system_prompt=chosen)).system_prompt == chosen
    changed = FailoverLLM(targets)
    changed.system_prompt = chosen
    assert loaded(changed).system_prompt == chosen
    assert loaded(FailoverLLM(targets)).system_prompt == "the target's"


@pytest.mark.parametrize(
    "llm",
    [
        FailoverLLM([lambda: FakeLLM(), FakeLLM()], settings=ONCE),
        FailoverLLM([Target("mine", call=lambda messages: "hi")], settings=ONCE),
        FailoverLLM([FakeLLM()], policy=lambda candidates, snapshot, request: candidates),
    ],
    ids=["factory", "function", "policy"],
)
def test_what_cannot_be_pickled_says_so_and_is_no_other_llm(llm: FailoverLLM) -> None:
    with pytest.warns(RuntimeWarning, match="cannot be pickled"):
        twin = loaded(llm)
    assert isinstance(twin, FailoverLLM)
    with pytest.raises(AllTargetsFailed, match="use functions at the top level of a module"):
        twin.chat(HELLO)
