"""Figures and promises of hand-made runs, where the right numbers can be seen."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf

import pytest

from failover_core.simulate import KIT, Figures, Incident, Record, Run, Scenario, Traffic, figures
from failover_core.simulate.promises import false_trips, findings
from failover_core.simulate.run import START_S
from failover_core.simulate.traffic import Ask

OUTAGE = Scenario("outage", incidents=(Incident(100, 200, errors=1.0),), seconds=300)
PRICE = 10 + 4 * 20  # of each request below


def record(
    at_s: float,
    total_s: float | None = 2.0,
    *,
    first_s: float | None = None,
    asked: tuple[tuple[str, float], ...] = (("primary", PRICE),),
    good: bool = True,
) -> Record:
    ask = Ask(0, START_S + at_s, 10, 20, first_s is not None)
    return Record(ask, list(asked), good, first_s, total_s)


def of(*records: Record, opened: tuple[tuple[float, str], ...] = (), scenario: Scenario = OUTAGE) -> Figures:
    trips = sum(not scenario.ill(name, at_s) for at_s, name in opened)
    return figures([Run(scenario, KIT, 1, records, opened, trips)])


def test_success_counts_every_request_of_all_seeds() -> None:
    runs = [
        Run(OUTAGE, KIT, seed, [record(10), record(120, good=good), record(130, 121.0)], (), 0)
        for seed, good in ((1, True), (2, False))
    ]
    found = figures(runs)
    assert (found.requests, found.lost, found.seeds) == (6, 3, 2)  # who waits for more than 120 s has gone
    assert found.success == 0.5


def test_latencies_are_those_of_the_incident() -> None:
    found = of(record(10, 50.0), *(record(100 + second, float(second)) for second in range(1, 100)), record(250, 60.0))
    assert (found.total_p50_s, found.total_p99_s) == (50.0, 99.0)
    assert found.first_p50_s is None


def test_what_was_lost_counts_as_never() -> None:
    found = of(*(record(110) for _ in range(98)), record(110, good=False), record(110, None, good=False))
    assert (found.total_p50_s, found.total_p99_s) == (2.0, inf)
    assert found.as_dict()["total_p99_s"] is None
    json.dumps(found.as_dict(), allow_nan=False)


def test_first_text_is_that_of_streams() -> None:
    found = of(record(110), record(110, 5.0, first_s=0.5), record(120, 300.0, first_s=200.0))
    assert (found.first_p50_s, found.first_p99_s) == (0.5, inf)


def test_waste_is_what_was_billed_beyond_one_answer_each() -> None:
    raced = (("primary", PRICE), ("second", PRICE))
    assert of(record(110, asked=raced), record(120), record(130), record(140)).waste == pytest.approx(0.25)
    assert of(record(110, asked=(("primary", 0.0), ("second", PRICE)))).waste == 0.0
    assert of(record(110, good=False)).waste == inf


def test_a_lost_request_is_billed_and_useless() -> None:
    assert of(record(110), record(120, good=False)).waste == pytest.approx(1.0)


def test_attempts_and_the_primary_s_share_during_the_incident() -> None:
    found = of(record(10), record(110, asked=(("primary", 0), ("second", 9))), record(120, asked=(("second", 9),)))
    assert (found.attempts, found.primary_share) == (1.5, 0.5)


def test_detection_is_the_first_trip_of_the_primary_after_it_began() -> None:
    opened = ((50.0, "primary"), (101.0, "second"), (104.0, "primary"), (150.0, "primary"))
    found = of(record(110), opened=opened)
    assert (found.detect_s, found.trips, found.false_trips) == (4.0, 4, 2)
    assert of(record(110)).detect_s == inf
    assert of(record(110), scenario=Scenario("healthy")).detect_s is None


def test_return_is_when_8_of_10_ask_the_primary_first() -> None:
    def asks(*firsts: str) -> list[Record]:
        return [record(200 + number, asked=((name, 1.0),)) for number, name in enumerate(firsts)]

    one_in_two = ["primary", "second"] * 4
    assert of(*asks(*one_in_two, *["primary"] * 20)).return_s == 4.0  # from there on 8 of 10
    assert of(*asks(*["second"] * 20)).return_s == inf
    assert of(*asks("primary"), scenario=replace(OUTAGE, returns=False)).return_s is None


def test_return_is_the_median_and_the_slowest_over_the_seeds() -> None:
    def back_after(seconds: int) -> Run:
        later = [record(200 + at, asked=(("primary" if at >= seconds else "second", 1.0),)) for at in range(60)]
        return Run(OUTAGE, KIT, seconds, later, (), 0)

    found = figures([back_after(seconds) for seconds in (10, 20, 50)])
    assert found.return_s == pytest.approx(20.0)
    assert found.return_max_s == pytest.approx(50.0)


def test_healthy_calls_are_attempts_at_targets_that_are_well() -> None:
    both = (("primary", 1.0), ("second", 1.0))
    assert of(*(record(at_s, asked=both) for at_s in (10, 110, 229, 231))).calls == 6


# -- promises -------------------------------------------------------------------------------------------------------

KEPT = of(*(record(100 + number) for number in range(60)), *(record(205 + number) for number in range(20)))


def broken(ours: Figures, scenario: Scenario = OUTAGE) -> list[str]:
    return [finding.promise for finding in findings(scenario, ours, KEPT) if not finding.kept]


def test_a_run_that_keeps_all_promises() -> None:
    found = findings(OUTAGE, KEPT, KEPT)
    assert [finding.promise for finding in found] == ["success", "p99", "waste", "return", "false trips"]
    assert all(finding.kept for finding in found)


@pytest.mark.parametrize(
    ("change", "promise"),
    [
        ({"requests": 10_000, "lost": 2}, "success"),
        ({"total_p99_s": 2.41}, "p99"),
        ({"total_p99_s": inf}, "p99"),
        ({"waste": 0.031}, "waste"),
        ({"return_s": 30.1}, "return"),
        ({"return_s": inf}, "return"),
        ({"false_trips": 2}, "false trips"),
        ({"false_trips": 3, "calls": 100_000}, "false trips"),
    ],
)
def test_each_bound(change: dict[str, float], promise: str) -> None:
    assert broken(replace(KEPT, **change)) == [promise]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"requests": 10_000, "lost": 1},
        {"total_p99_s": 2.4},
        {"waste": 0.03},
        {"return_max_s": 30.0},
        {"false_trips": 1},
        {"false_trips": 2, "calls": 100_000},
    ],
)
def test_the_bound_itself_is_kept(change: dict[str, float]) -> None:
    assert broken(replace(KEPT, **change)) == []  # type: ignore[arg-type]


def test_what_a_scenario_cannot_test_is_not_promised() -> None:
    everybody = replace(OUTAGE, incidents=(Incident(100, 200, target="*", errors=1.0),), recoverable=False)
    assert broken(replace(KEPT, lost=50, total_p99_s=inf), everybody) == []


def test_rare_requests_may_waste_more() -> None:
    rare = replace(OUTAGE, traffic=Traffic(rate=0.2))
    assert broken(replace(KEPT, waste=0.12), rare) == []
    assert broken(replace(KEPT, waste=0.121), rare) == ["waste"]


def test_false_trips_for_people() -> None:
    assert false_trips(0, 61_000).words == "0 false trips in 61,000 healthy calls, 1 in 50,000 promised"
