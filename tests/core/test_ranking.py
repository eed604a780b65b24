"""In which order are targets asked?"""

from __future__ import annotations

from collections import Counter
from math import sqrt
from random import Random
from typing import Any

import pytest
from failover_core import ConfigError, RequestInfo, Target
from failover_core.policy.ranking import named, priority, weighted

INFO = RequestInfo()


def target(name: str, *, weight: float = 1.0, tier: int = 0) -> Target:
    return Target(name, call=lambda request: None, weight=weight, tier=tier)


def names(targets: Any) -> list[str]:
    return [target.name for target in targets]


def never_drawn() -> float:
    raise AssertionError("priority needs no randomness")


def test_priority_keeps_the_configured_order() -> None:
    assert names(priority([target("c"), target("a"), target("b")], {}, INFO, never_drawn)) == ["c", "a", "b"]


def test_priority_puts_lower_tiers_first() -> None:
    mixed = [target("backup", tier=1), target("a"), target("last", tier=2), target("b"), target("free", tier=-1)]
    assert names(priority(mixed, {}, INFO, never_drawn)) == ["free", "a", "b", "backup", "last"]


def test_weighted_shares_are_in_proportion_to_the_weights() -> None:
    weights = {"a": 6.0, "b": 3.0, "c": 1.0}
    targets = [target(name, weight=weight) for name, weight in weights.items()]
    rng, rounds = Random(1), 6000
    first = Counter(names(weighted(targets, {}, INFO, rng.random))[0] for _ in range(rounds))
    for name, weight in weights.items():
        share = weight / 10
        deviation = sqrt(share * (1 - share) / rounds)
        assert abs(first[name] / rounds - share) < 4 * deviation


def test_weighted_backups_are_in_proportion_too() -> None:
    """When `a` came first, `b` follows three times as often as `c`."""
    targets = [target("a", weight=6), target("b", weight=3), target("c", weight=1)]
    rng = Random(2)
    orders = [names(weighted(targets, {}, INFO, rng.random)) for _ in range(6000)]
    second = Counter(order[1] for order in orders if order[0] == "a")
    share, count = second["b"] / second.total(), second.total()
    assert abs(share - 0.75) < 4 * sqrt(0.75 * 0.25 / count)


def test_weighted_never_mixes_tiers() -> None:
    targets = [target("backup", weight=1000, tier=1), target("a"), target("b")]
    rng = Random(3)
    assert all(names(weighted(targets, {}, INFO, rng.random))[-1] == "backup" for _ in range(200))


@pytest.mark.parametrize("draw", [0.0, 0.999999999999999])
def test_weighted_bears_the_extreme_draws(draw: float) -> None:
    targets = [target("a", weight=1e-9), target("b", weight=1e9)]
    assert sorted(names(weighted(targets, {}, INFO, lambda: draw))) == ["a", "b"]


def test_policies_by_name() -> None:
    assert named("priority") is priority
    assert named("weighted") is weighted
    assert named(weighted) is weighted


def test_an_unknown_name_lists_those_that_exist() -> None:
    with pytest.raises(ConfigError) as caught:
        named("cheapest")
    assert str(caught.value) == (
        "policy='cheapest' does not exist: write one of 'priority', 'weighted', or pass a function "
        "of (candidates, snapshot, request, draw)"
    )
