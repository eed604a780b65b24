"""Runs in simulated time: the same for the same seed, fair to all policies, and no request is lost track of."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from failover_core import ConfigError, Failover, Settings
from failover_core.simulate import KIT, POLICIES, Incident, Profile, Record, Run, Scenario, Traffic, compare, named, run
from failover_core.simulate import run as run_function
from failover_core.simulate.world import Provider

MIXED = Scenario(
    "mixed",
    incidents=(
        Incident(30, 90, errors=0.3, silent=0.2, stalls=0.2, cuts=0.1, slowdown=2.0),
        Incident(50, 70, target="second", limit_per_s=1.0),
    ),
    traffic=Traffic(rate=4.0, thinking_share=0.05),
    seconds=150,
)
QUICK = replace(named("hard down"), seconds=60, incidents=(Incident(20, 40, errors=1.0),))


def outcomes(one: Run) -> list[tuple[Any, ...]]:
    return [
        (record.ask, record.attempts, record.good, record.first_s, record.total_s, record.error)
        for record in one.records
    ]


@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_seed_gives_the_same_records(policy: str) -> None:
    assert outcomes(run(MIXED, policy, 7)) == outcomes(run(MIXED, policy, 7))


def test_another_seed_gives_another_day() -> None:
    one, other = ([record.ask for record in run(MIXED, seed=seed).records] for seed in (1, 2))
    assert one != other


def test_every_policy_gets_the_same_requests() -> None:
    asked = [[record.ask for record in run(MIXED, policy, 3).records] for policy in POLICIES]
    assert len(asked[0]) > 400
    assert all(one == asked[0] for one in asked)


def test_every_policy_has_the_same_luck() -> None:
    """What the first attempt of a request is like does not depend on who asks."""
    calm = replace(MIXED, incidents=())
    one, other = run(calm, "one model", 3), run(calm, "LiteLLM Router, 30 s", 3)
    pairs = [
        (mine.total_s, theirs.total_s)
        for mine, theirs in zip(one.records, other.records, strict=True)
        if len(mine.attempts) == len(theirs.attempts) == 1
    ]
    assert len(pairs) > 400
    assert all(mine == theirs for mine, theirs in pairs)


@pytest.mark.parametrize("policy", POLICIES)
def test_every_request_ends_exactly_once_and_nothing_stays_in_flight(
    policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: Counter[int] = Counter()
    made: list[Failover] = []
    module = sys.modules[run_function.__module__]

    class Counting(module.Simulation):  # type: ignore[name-defined,misc]
        def submit(self, at_s: float, open_flow: Any, finished: Any) -> None:
            def counted(value: Any, error: BaseException | None) -> None:
                ends[id(finished)] += 1
                finished(value, error)

            super().submit(at_s, open_flow, counted)

    class Watched(Failover):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            made.append(self)

    monkeypatch.setattr(module, "Simulation", Counting)
    monkeypatch.setattr(module, "Failover", Watched)
    one = run(MIXED, policy, 5)
    assert set(ends.values()) == {1} and len(ends) == len(one.records)
    assert all(record.total_s is not None and record.good == (not record.error) for record in one.records)
    for failover in made:
        assert {health.in_flight for health in failover.health().values()} == {0}
    assert len(made) == (policy == KIT)


def test_failover_kit_loses_nothing_that_somebody_could_answer() -> None:
    one = run(MIXED, seed=5)
    assert [record.error for record in one.records if not record.good] == []
    assert any(record.attempts[0][0] == "second" for record in one.records)


def test_trips_are_told_with_second_and_target() -> None:
    one = run(QUICK, seed=1)
    assert one.opened and {name for _, name in one.opened} == {"primary"}
    assert 20 <= one.opened[0][0] <= 30
    assert one.false_trips == 0


def test_a_trip_of_a_target_that_is_well_is_a_false_one() -> None:
    """The scenario knows of no incident, so nothing excuses it, although this provider fails all the time."""
    scenario = Scenario("bad", providers=(Profile("primary", errors=1.0), Profile("second")), seconds=60)
    one = run(scenario, seed=1)
    assert one.false_trips == len(one.opened) > 0


def test_settings_reach_the_engine() -> None:
    slow = replace(QUICK, incidents=(Incident(20, 40, slowdown=30.0),))
    patience = Settings(hedge="off", answer_s=500, first_token_s=500)
    usual, patient = (
        sum(len(record.attempts) for record in run(slow, seed=1, settings=settings).records)
        for settings in (None, patience)
    )
    assert patient < usual


@pytest.mark.parametrize("midstream", ["resume", "replace"])
def test_broken_streams_end_whole(midstream: Any) -> None:
    stalling = replace(QUICK, incidents=(Incident(20, 40, stalls=0.5),), traffic=Traffic(streamed_share=1.0))
    one = run(stalling, seed=1, settings=Settings(midstream=midstream))
    assert [record.error for record in one.records if not record.good] == []
    assert any(len(record.attempts) > 1 for record in one.records)


def test_who_waits_for_ever_is_lost_and_says_so() -> None:
    """One silent target and no deadline: nothing will ever happen."""
    silent = replace(QUICK, incidents=(Incident(0, 60, silent=1.0),), providers=(Profile("primary"),))
    records = run(silent, seed=1).records
    assert {(record.good, record.total_s, record.error) for record in records} == {(False, None, "waits for ever")}
    patient = run(silent, seed=1, settings=Settings(deadline_s=20)).records
    assert all(record.total_s is not None and record.error.startswith("DeadlineExceeded") for record in patient)


def test_ranking_reaches_the_engine() -> None:
    fast_second = (Profile("primary", first_token_s=3.0), Profile("second", first_token_s=0.2))
    scenario = replace(QUICK, incidents=(), providers=fast_second)
    first = Counter(record.attempts[0][0] for record in run(scenario, seed=1, ranking="fastest").records)
    assert first["second"] > first["primary"]
    assert {record.attempts[0][0] for record in run(scenario, seed=1).records} == {"primary"}


def test_an_unknown_policy_is_named_with_the_others() -> None:
    with pytest.raises(ConfigError, match=r"'litellm'.*'Failover Kit', 'one model'"):
        run(QUICK, "litellm")


def test_what_is_known_of_reasoning_is_told_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []
    flow = Failover.flow

    def noted(self: Failover, request: Any, info: Any, **options: Any) -> Any:
        told.append(info.thinking)
        return flow(self, request, info, **options)

    monkeypatch.setattr(Failover, "flow", noted)
    for says in (True, False):
        told.clear()
        run(replace(QUICK, traffic=Traffic(thinking_share=0.5, thinking_told=says)))
        assert any(told) is says


def test_processes_change_nothing() -> None:
    """Two processes, a peer, and the calm twin that two scenarios share."""
    scenarios = [QUICK, replace(QUICK, name="silent", incidents=(Incident(20, 40, silent=1.0),))]
    alone = list(compare(scenarios, (KIT, "with_fallbacks"), seeds=(1, 2)))
    assert list(compare(scenarios, (KIT, "with_fallbacks"), seeds=(1, 2), workers=2)) == alone
    assert [row.policy for row in alone[0].rows] == [KIT, "with_fallbacks"]
    assert alone[0].rows[0].seeds == 2
    assert alone[0].calm == alone[1].calm is not None


def test_no_promises_without_failover_kit() -> None:
    (one,) = compare([QUICK], ("one model",), seeds=(1,))
    assert (one.calm, one.findings) == (None, ())


def test_the_core_does_not_load_the_simulator() -> None:
    code = "import sys, failover_core, failover_core.cli; print([m for m in sys.modules if 'simulate' in m])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_simulated_target_cannot_be_called() -> None:
    target = Provider(Profile("primary"), (), 0.0, 1).target()
    with pytest.raises(NotImplementedError, match="planned, not called"):
        target.call("hello")  # type: ignore[misc]


def test_a_record_shows_who_was_asked_and_what_it_cost() -> None:
    record: Record = next(record for record in run(QUICK, seed=1).records if len(record.attempts) > 1)
    names, bills = zip(*record.attempts, strict=True)
    assert names[0] == "primary" and names[-1] in ("second", "third")
    assert bills[0] == 0.0 and bills[-1] > 0.0


def test_a_flow_can_be_driven_by_hand() -> None:
    """`Failover.flow` is what the simulator stands on."""
    from failover_core import Target
    from failover_core.effects import Returned, Start, Wait

    failover = Failover([Target("only", call=str)], rng=Random(1))
    flow = failover.flow("hello", now=5.0)
    effect: Any = flow.send(None)
    assert isinstance(effect, Start) and effect.request == "hello"
    assert isinstance(flow.send(5.0), Wait)
    with pytest.raises(StopIteration) as stop:
        flow.send(Returned(effect.number, "hi", 6.0))
    assert stop.value.value == "hi"
