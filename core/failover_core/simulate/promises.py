"""What Failover Kit promises of every scenario, as numbers, and whether a run kept it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from .figures import Figures
from .scenarios import Scenario

SUCCESS_AT_LEAST = 0.9999  # wherever some target is well
P99_AT_MOST = 1.2  # times that of the same requests when nothing is wrong, if only the primary is hit
WASTE_AT_MOST = 0.03
WASTE_AT_MOST_WHEN_RARE = 0.12
RARE_PER_S = 0.2  # at so few requests a second, a probe and the first requests of an incident weigh more
RETURN_WITHIN_S = 30.0  # usually: the median over the seeds
HEALTHY_CALLS_PER_FALSE_TRIP = 50_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise in one scenario.

    Args:
        promise: "success", "p99", "waste", "return" or "false trips".
        value: what was measured.
        bound: what was promised.
        kept: is it within the bound?
        words: the same for people.
    """

    promise: str
    value: float
    bound: float
    kept: bool
    words: str


def findings(scenario: Scenario, ours: Figures, calm: Figures) -> list[Finding]:
    """The promises that this scenario can test.

    Args:
        ours: Failover Kit's figures.
        calm: the same for the same requests with nothing wrong.
    """
    return list(_findings(scenario, ours, calm))


def _findings(scenario: Scenario, ours: Figures, calm: Figures) -> Iterator[Finding]:
    if scenario.recoverable:
        words = f"{100 * ours.success:.3f} % answered, {100 * SUCCESS_AT_LEAST:g} % promised"
        yield Finding("success", ours.success, SUCCESS_AT_LEAST, ours.success >= SUCCESS_AT_LEAST, words)
    if scenario.single_target and ours.total_p99_s is not None and calm.total_p99_s is not None:
        ratio = ours.total_p99_s / calm.total_p99_s
        words = f"p99 is {_times(ratio)} that without the incident, at most {P99_AT_MOST:g} x promised"
        yield Finding("p99", ratio, P99_AT_MOST, ratio <= P99_AT_MOST, words)
    waste_bound = WASTE_AT_MOST_WHEN_RARE if scenario.traffic.rate <= RARE_PER_S else WASTE_AT_MOST
    words = f"{100 * ours.waste:.1f} % billed in vain, at most {100 * waste_bound:g} % promised"
    yield Finding("waste", ours.waste, waste_bound, ours.waste <= waste_bound, words)
    if ours.return_s is not None and ours.return_max_s is not None:
        slowest = f"; {_seconds(ours.return_max_s)} with the slowest seed" if ours.seeds > 1 else ""
        words = f"back after {_seconds(ours.return_s)}{slowest}; {RETURN_WITHIN_S:g} s promised"
        yield Finding("return", ours.return_s, RETURN_WITHIN_S, ours.return_s <= RETURN_WITHIN_S, words)
    yield false_trips(ours.false_trips, ours.calls)


def false_trips(trips: int, calls: int) -> Finding:
    """Of any number of healthy calls. Fewer than 50,000 can excuse one trip, and prove nothing."""
    bound = max(1.0, calls / HEALTHY_CALLS_PER_FALSE_TRIP)
    words = f"{trips} false trips in {calls:,} healthy calls, 1 in {HEALTHY_CALLS_PER_FALSE_TRIP:,} promised"
    return Finding("false trips", trips, bound, trips <= bound, words)


def _times(ratio: float) -> str:
    return "endless, not" if ratio == inf else f"{ratio:.2f} x"


def _seconds(value: float) -> str:
    return "never" if value == inf else f"{value:.1f} s"
