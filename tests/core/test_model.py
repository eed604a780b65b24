"""What a request is made of: targets are checked when they are made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import FrozenInstanceError
from functools import partial
from math import inf, nan
from typing import Any

import pytest

from failover_core import ConfigError, RequestInfo, Target
from failover_core.output import PLAIN, PlainReader, Reading


def answer(request: Any) -> str:
    return "hello"


async def answer_async(request: Any) -> str:
    return "hello"


def test_a_target_needs_only_a_name_and_a_callable() -> None:
    target = Target("primary", call=answer)
    assert (target.name, target.call, target.acall, target.stream, target.astream) == (
        "primary",
        answer,
        None,
        None,
        None,
    )
    assert (target.weight, target.tier, target.context_window_tokens) == (1.0, 0, None)
    assert (target.lacks, target.tags) == (frozenset(), frozenset())
    assert target.reader is PLAIN


def test_targets_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Target("primary", call=answer).name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("name", ["", "   ", None, 3])
def test_a_target_needs_a_name(name: Any) -> None:
    with pytest.raises(ConfigError, match=r"give it a name, such as Target\('primary', call=...\)"):
        Target(name, call=answer)


def test_a_target_needs_something_to_call() -> None:
    with pytest.raises(ConfigError) as caught:
        Target("primary")
    assert str(caught.value) == (
        "Target('primary') has nothing to call: pass call=, acall=, stream= or astream=, "
        "or write Target.native('openai:MODEL')"
    )


@pytest.mark.parametrize("style", ["call", "acall", "stream", "astream"])
def test_what_is_called_must_be_callable(style: str) -> None:
    with pytest.raises(ConfigError, match=rf"{style}= must be a callable that takes the request, not str"):
        Target("primary", **{style: "gpt-4o-mini"})


def test_resume_must_be_callable() -> None:
    with pytest.raises(ConfigError, match=r"resume= must be a callable .*, not bool"):
        Target("primary", call=answer, resume=True)  # type: ignore[arg-type]


class AsyncObject:
    async def __call__(self, request: Any) -> str:
        return "hello"


async def chunks_async(request: Any) -> AsyncIterator[str]:
    yield "hello"


@pytest.mark.parametrize(
    ("style", "wrong", "instead"),
    [
        ("call", answer_async, "acall="),
        ("call", partial(answer_async), "acall="),
        ("call", AsyncObject(), "acall="),
        ("stream", chunks_async, "astream="),
        ("resume", answer_async, "a plain function"),
    ],
)
def test_what_nobody_would_await_must_not_be_async(style: str, wrong: Any, instead: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Target("primary", **{"acall": answer_async, style: wrong})
    assert str(caught.value) == (
        f"Target('primary'): {style}= must not be async, since nobody would await it; pass {instead}"
    )


class OnlyReads:
    def read(self, output: Any) -> Reading:
        return Reading(text=output, has_content=True)


@pytest.mark.parametrize(
    ("reader", "why"),
    [
        (None, "reader= must be an OutputReader, not None"),
        (PlainReader, "reader= must be an OutputReader, not <class"),
        (OnlyReads(), "lacks expects_finish and usage_adds_up: say True or False, or inherit what"),
    ],
)
def test_a_reader_must_say_all_that_is_asked_of_it(reader: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=rf"Target\('primary'\): reader=.*{why.removeprefix('reader=')}"):
        Target("primary", call=answer, reader=reader)


@pytest.mark.parametrize("cap", [0, -1, 2.0, True, "2"])
def test_caps_are_whole_numbers_above_zero(cap: Any) -> None:
    assert Target("primary", call=answer, max_concurrent=3).max_concurrent == 3
    with pytest.raises(
        ConfigError, match=r"Target\('primary'\): max_concurrent must be a whole number above 0, or None"
    ):
        Target("primary", call=answer, max_concurrent=cap)


@pytest.mark.parametrize("weight", [0, -1, inf, nan, "2", None])
def test_weights_are_positive_numbers(weight: Any) -> None:
    with pytest.raises(ConfigError, match=r"Target\('primary'\): weight must be a number above 0, not "):
        Target("primary", call=answer, weight=weight)


@pytest.mark.parametrize("window", [0, -1, "128k", 1.5, True])
def test_windows_are_whole_numbers_above_zero_or_unknown(window: Any) -> None:
    with pytest.raises(ConfigError, match="context_window_tokens must be a whole number above 0, or None for unknown"):
        Target("primary", call=answer, context_window_tokens=window)


@pytest.mark.parametrize("tier", ["first", None, 1.5])
def test_tiers_are_whole_numbers(tier: Any) -> None:
    with pytest.raises(ConfigError, match="tier must be a whole number, lower is asked first, not "):
        Target("primary", call=answer, tier=tier)


@pytest.mark.parametrize("name", ["lacks", "tags"])
def test_labels_may_come_in_any_collection_but_not_as_one_text(name: str) -> None:
    made = Target("primary", call=answer, **{name: ["tools", "images"]})
    assert getattr(made, name) == frozenset({"tools", "images"})
    with pytest.raises(ConfigError, match=rf"{name} must be a set of labels, such as {{'tools'}}, not 'tools'"):
        Target("primary", call=answer, **{name: "tools"})
    with pytest.raises(ConfigError, match=rf"{name} must be a set of labels"):
        Target("primary", call=answer, **{name: None})


def test_the_request_facts_are_all_optional() -> None:
    info = RequestInfo()
    assert (info.prompt_tokens, info.max_output_tokens, info.deadline_s) == (None, None, None)
    assert not (info.thinking or info.structured or info.side_effects)
    assert (info.needs, info.tags, info.task, dict(info.metadata)) == (frozenset(), frozenset(), "", {})
