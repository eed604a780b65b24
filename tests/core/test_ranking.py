"""In which order are targets asked?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import cycle
from math import sqrt
from random import Random
from typing import Any

import pytest

from failover_core import ConfigError, RequestInfo, Target
from failover_core.health.state import TargetState
from failover_core.policy.ranking import (
    Snapshot,
    cheapest,
    fastest,
    least_busy,
    named,
    priority,
    weighted,
)

INFO = RequestInfo()


def target(name: str, **facts: Any) -> Target:
    return Target(name, call=lambda request: None, **facts)


def names(targets: Any) -> list[str]:
    return [target.name for target in targets]


def never_drawn() -> float:
    raise AssertionError("this policy needs no randomness")


def looking_at(draw: Callable[[], float] = never_drawn, *, now_s: float = 100.0, **states: TargetState) -> Snapshot:
    return Snapshot(states, now_s, draw)


def test_priority_keeps_the_configured_order() -> None:
    assert names(priority([target("c"), target("a"), target("b")], looking_at(), INFO)) == ["c", "a", "b"]


def test_priority_puts_lower_tiers_first() -> None:
    mixed = [target("backup", tier=1), target("a"), target("last", tier=2), target("b"), target("free", tier=-1)]
    assert names(priority(mixed, looking_at(), INFO)) == ["free", "a", "b", "backup", "last"]


def test_weighted_shares_are_in_proportion_to_the_weights() -> None:
    weights = {"a": 6.0, "b": 3.0, "c": 1.0}
    targets = [target(name, weight=weight) for name, weight in weights.items()]
    snapshot, rounds = looking_at(Random(1).random), 6000
    first = Counter(names(weighted(targets, snapshot, INFO))[0] for _ in range(rounds))
    for name, weight in weights.items():
        share = weight / 10
        deviation = sqrt(share * (1 - share) / rounds)
        assert abs(first[name] / rounds - share) < 4 * deviation


def test_weighted_backups_are_in_proportion_too() -> None:
    """When `a` came first, `b` follows three times as often as `c`."""
    targets = [target("a", weight=6), target("b", weight=3), target("c", weight=1)]
    snapshot = looking_at(Random(2).random)
    orders = [names(weighted(targets, snapshot, INFO)) for _ in range(6000)]
    second = Counter(order[1] for order in orders if order[0] == "a")
    share, count = second["b"] / second.total(), second.total()
    assert abs(share - 0.75) < 4 * sqrt(0.75 * 0.25 / count)


def test_weighted_never_mixes_tiers() -> None:
    targets = [target("backup", weight=1000, tier=1), target("a"), target("b")]
    snapshot = looking_at(Random(3).random)
    assert all(names(weighted(targets, snapshot, INFO))[-1] == "backup" for _ in range(200))


@pytest.mark.parametrize("draw", [0.0, 0.999999999999999])
def test_weighted_bears_the_extreme_draws(draw: float) -> None:
    targets = [target("a", weight=1e-9), target("b", weight=1e9)]
    assert sorted(names(weighted(targets, looking_at(lambda: draw), INFO))) == ["a", "b"]


def test_fastest_weighs_pace_against_the_queue() -> None:
    """0.5 s with three in the queue is a longer wait than 1.5 s with nobody."""
    states = {
        "quick": TargetState(pace_s=0.5, paced_s=100.0, in_flight=3),
        "calm": TargetState(pace_s=1.5, paced_s=100.0),
    }
    assert names(fastest([target("quick"), target("calm")], looking_at(**states), INFO)) == ["calm", "quick"]
    states["quick"].in_flight = 1
    assert names(fastest([target("quick"), target("calm")], looking_at(**states), INFO)) == ["quick", "calm"]


def test_fastest_tries_what_it_has_not_measured_and_what_it_measured_long_ago() -> None:
    states = {
        "quick": TargetState(pace_s=0.5, paced_s=400.0),
        "once slow": TargetState(pace_s=5.0, paced_s=100.0),
        "new": TargetState(),
    }
    targets = [target(name) for name in states]
    assert names(fastest(targets, looking_at(now_s=400.0, **states), INFO)) == ["new", "once slow", "quick"]
    assert names(fastest(targets, looking_at(now_s=110.0, **states), INFO)) == ["new", "quick", "once slow"]


def test_fastest_respects_tiers_and_weights() -> None:
    states = {name: TargetState(pace_s=1.0, paced_s=100.0) for name in ("a", "heavy", "backup")}
    targets = [target("backup", tier=1, weight=100), target("a"), target("heavy", weight=2)]
    assert names(fastest(targets, looking_at(**states), INFO)) == ["heavy", "a", "backup"]


def test_least_busy_counts_attempts_for_each_unit_of_weight() -> None:
    states = {"a": TargetState(in_flight=2), "b": TargetState(in_flight=3), "idle": TargetState()}
    targets = [target("a"), target("b", weight=2), target("idle", tier=1)]
    assert names(least_busy(targets, looking_at(**states), INFO)) == ["b", "a", "idle"]


def test_cheapest_prices_prompt_and_output_and_puts_unknown_prices_last() -> None:
    reads_cheaply = target("reads", input_usd_per_million=0.1, output_usd_per_million=10.0)
    writes_cheaply = target("writes", input_usd_per_million=1.0, output_usd_per_million=1.0)
    unknown = target("unknown", input_usd_per_million=0.0)
    targets = [unknown, reads_cheaply, writes_cheaply]
    long_prompt = RequestInfo(prompt_tokens=100_000, max_output_tokens=100)
    long_answer = RequestInfo(prompt_tokens=100, max_output_tokens=10_000)
    assert names(cheapest(targets, looking_at(), long_prompt)) == ["reads", "writes", "unknown"]
    assert names(cheapest(targets, looking_at(), long_answer)) == ["writes", "reads", "unknown"]


@pytest.mark.parametrize("policy", [weighted, fastest, least_busy])
def test_a_session_stays_where_it_is_and_only_moves_when_its_target_goes(policy: Any) -> None:
    targets = [target("a"), target("b"), target("c", weight=2), target("backup", tier=1)]
    states = {one.name: TargetState() for one in targets}
    snapshot = looking_at(Random(4).random, **states)
    sessions = [RequestInfo(session=f"user {number}") for number in range(600)]
    before = {s.session: names(policy(targets, snapshot, s)) for s in sessions}
    assert before == {s.session: names(policy(targets, snapshot, s)) for s in sessions}
    shares = Counter(order[0] for order in before.values())
    assert abs(shares["c"] / 600 - 0.5) < 4 * sqrt(0.25 / 600)
    assert all(order[-1] == "backup" for order in before.values())
    without_b = [one for one in targets if one.name != "b"]
    after = {s.session: names(policy(without_b, snapshot, s)) for s in sessions}
    assert all(after[s][0] == before[s][0] for s in before if before[s][0] != "b")


def test_policies_by_name() -> None:
    for name, policy in {
        "priority": priority,
        "weighted": weighted,
        "fastest": fastest,
        "least_busy": least_busy,
        "cheapest": cheapest,
    }.items():
        assert named(name) is policy
    assert named(weighted) is weighted


def test_an_unknown_name_lists_those_that_exist() -> None:
    with pytest.raises(ConfigError) as caught:
        named("best")
    assert str(caught.value) == (
        "policy='best' does not exist: write one of 'priority', 'weighted', 'fastest', 'least_busy', 'cheapest', "
        "or pass a function of (candidates, snapshot, request)"
    )


# -- functions of users ---------------------------------------------------------------------------------------------


def reversed_(candidates: Any, snapshot: Snapshot, request: RequestInfo) -> Any:
    return reversed(candidates)


def endless(candidates: Any, snapshot: Snapshot, request: RequestInfo) -> Any:
    return cycle(candidates)


def in_place(candidates: Any, snapshot: Snapshot, request: RequestInfo) -> Any:
    candidates.sort(key=lambda target: target.name, reverse=True)
    return candidates


def pops(candidates: Any, snapshot: Snapshot, request: RequestInfo) -> Any:
    candidates.pop()
    return candidates


@pytest.mark.parametrize(
    ("policy", "order"),
    [
        (reversed_, ["c", "b", "a"]),
        (in_place, ["c", "b", "a"]),
        (endless, ["a", "b", "c"]),
        (lambda candidates, snapshot, request: cycle(candidates[:1]), ["a"]),
        (lambda candidates, *_: iter(candidates), ["a", "b", "c"]),
        (lambda candidates, *_: [candidates[2]] * 3 + list(candidates), ["c", "a", "b"]),
        (lambda candidates, *_: dict.fromkeys(candidates), ["a", "b", "c"]),
        (pops, ["a", "b"]),
        (lambda *_: [], []),
    ],
)
def test_whatever_a_function_returns_is_a_list_that_names_each_target_once(policy: Any, order: list[str]) -> None:
    targets = tuple(map(target, "abc"))
    for _ in range(2):
        chosen = named(policy)(targets, looking_at(), INFO)
        assert isinstance(chosen, list)
        assert names(chosen) == order
    assert names(targets) == ["a", "b", "c"]


def test_tiers_come_first_in_functions_too() -> None:
    targets = [target("a"), target("backup", tier=1), target("b")]
    assert names(named(reversed_)(targets, looking_at(), INFO)) == ["b", "a", "backup"]


def test_a_target_that_cannot_take_the_request_is_dropped() -> None:
    """A function may name its favourites whatever the request."""
    reads, sees = target("reads"), target("sees")
    snapshot = looking_at(reads=TargetState(), sees=TargetState())
    assert names(named(lambda *_: [reads, sees])([sees], snapshot, INFO)) == ["sees"]


def test_a_function_must_not_be_async() -> None:
    async def policy(candidates: Any, snapshot: Snapshot, request: RequestInfo) -> Any:
        return candidates

    with pytest.raises(ConfigError, match="is async, and nobody would await it: pass a plain function"):
        named(policy)  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", [least_busy, fastest])
def test_of_many_targets_a_few_are_drawn_and_the_best_of_them_comes_first(policy: Any) -> None:
    many = [target(f"t{number}", tier=number // 90) for number in range(100)]
    states = {one.name: TargetState(in_flight=number, pace_s=1.0) for number, one in enumerate(many)}
    rng = Random(4)
    first = []
    for _ in range(300):
        order = names(policy(many, looking_at(rng.random, **states), INFO))
        assert sorted(order) == sorted(states), "nobody is left out"
        assert set(order[-10:]) == {f"t{number}" for number in range(90, 100)}, "tiers come first"
        first.append(states[order[0]].in_flight)
    assert sum(first) / 300 < 20, "a random choice would be at 45"
    assert len(set(first)) > 10, "and not everybody runs to the same one"
