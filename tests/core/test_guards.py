"""May this target take this request at all?"""

from __future__ import annotations

from typing import Any

import pytest

from failover_core import RequestInfo, Target
from failover_core.policy.guards import Style, cannot, does_not_fit, lacks, no_callable, roomier


def answer(request: Any) -> Any:
    return None


def target(name: str = "t", **options: Any) -> Target:
    return Target(name, **{"call": answer, **options})


@pytest.mark.parametrize("style", ["call", "acall", "stream", "astream"])
def test_a_callable_of_the_style_is_enough(style: Style) -> None:
    assert no_callable(Target("t", **{style: answer}), style) is None


@pytest.mark.parametrize(
    ("has", "style", "reason"),
    [
        ("call", "acall", None),  # a sync callable runs in a thread
        ("stream", "astream", None),
        ("acall", "call", "it has no call= callable"),
        ("astream", "stream", "it has no stream= callable"),
        ("call", "stream", "it has no stream= callable"),
        ("call", "astream", "it has no astream= callable"),
        ("stream", "call", "it has no call= callable"),
        ("stream", "acall", "it has no acall= callable"),
    ],
)
def test_sync_serves_async_but_never_the_other_way_round(has: str, style: Style, reason: str | None) -> None:
    assert no_callable(Target("t", **{has: answer}), style) == reason


@pytest.mark.parametrize(
    ("window", "prompt", "output", "fits"),
    [
        (None, 10**9, 10**6, True),
        (8192, None, 10**6, True),
        (8192, 8192, None, True),
        (8192, 8000, 192, True),
        (8192, 8000, 193, False),
        (8192, 8193, None, False),
    ],
)
def test_the_window_holds_input_and_output_together(
    window: int | None, prompt: int | None, output: int | None, fits: bool
) -> None:
    info = RequestInfo(prompt_tokens=prompt, max_output_tokens=output)
    assert (does_not_fit(target(context_window_tokens=window), info) is None) == fits


def test_the_reason_is_readable() -> None:
    info = RequestInfo(prompt_tokens=130_000, max_output_tokens=4_000)
    small = target(context_window_tokens=128_000)
    assert cannot(small, info, "call") == "about 134,000 tokens do not fit its window of 128,000"


def test_capabilities() -> None:
    blind = target(lacks={"images", "files"})
    assert lacks(blind, RequestInfo(needs=frozenset({"tools"}))) is None
    assert lacks(blind, RequestInfo(needs=frozenset({"tools", "images", "files"}))) == "it cannot do files, images"


def test_needs_may_come_in_any_collection() -> None:
    assert lacks(target(lacks={"images"}), RequestInfo(needs=["images"])) == "it cannot do images"  # type: ignore[arg-type]


def test_the_first_reason_is_the_one_told() -> None:
    info = RequestInfo(prompt_tokens=10, needs=frozenset({"tools"}))
    hopeless = Target("t", acall=answer, context_window_tokens=5, lacks=frozenset({"tools"}))
    assert cannot(hopeless, info, "call") == "it has no call= callable"
    assert cannot(hopeless, info, "acall") == "about 10 tokens do not fit its window of 5"
    assert cannot(target(), info, "call") is None


@pytest.mark.parametrize(
    ("window", "overflowed", "is_roomier"),
    [(200, 100, True), (100, 100, False), (50, 100, False), (None, 100, True), (100, None, True), (None, None, True)],
)
def test_an_unknown_window_gets_the_benefit_of_the_doubt(
    window: int | None, overflowed: int | None, is_roomier: bool
) -> None:
    other, than = target("other", context_window_tokens=window), target("than", context_window_tokens=overflowed)
    assert roomier(other, than) == is_roomier


def test_nobody_is_roomier_than_itself() -> None:
    same = target(context_window_tokens=None)
    assert not roomier(same, same)
