"""Figures of one policy in one scenario, over all seeds together. Pure: runs in, numbers out.

- Success: whole, right answers within `PATIENCE_S`, of all requests.
- Latency (p50, p99): of requests that arrive while something is wrong; until the first text of a stream, and until
  the whole answer. What does not come within `PATIENCE_S` counts as never.
- Waste: what was billed beyond one answer for each answered request, as a share of the price of these answers, from
  100 s before the incident to the end.
- Detection: from the beginning of the incident until the primary was set aside for the first time; median over the
  seeds.
- Return: from the end of the incident until the primary is asked first by 8 of 10 requests in a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import ceil, inf
from statistics import median
from typing import Any

from .run import START_S, Record, Run
from .scenarios import WARM_UP_S
from .world import price

PATIENCE_S = 120.0
BACK_REQUESTS = 10
BACK_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Figures:
    """See the module. `inf` = it never came to that, None = it cannot be said.

    Args:
        requests, lost: numbers of requests over all seeds.
        first_p50_s, first_p99_s, total_p50_s, total_p99_s: latencies during the incident.
        waste: share.
        attempts: a request, during the incident.
        primary_share: of the requests during the incident, those for which the primary was asked.
        detect_s: median over the seeds.
        return_s, return_max_s: median and slowest over the seeds.
        trips: how often a target was set aside.
        false_trips: those of them at a target that was well.
        calls: attempts at targets that were well.
    """

    scenario: str
    policy: str
    seeds: int
    requests: int
    lost: int
    first_p50_s: float | None
    first_p99_s: float | None
    total_p50_s: float | None
    total_p99_s: float | None
    waste: float
    attempts: float
    primary_share: float
    detect_s: float | None
    return_s: float | None
    return_max_s: float | None
    trips: int
    false_trips: int
    calls: int

    @property
    def success(self) -> float:
        return 1.0 - self.lost / self.requests

    def as_dict(self) -> dict[str, Any]:
        """For JSON: what never came is null."""
        plain = {key: _plain(value) for key, value in asdict(self).items()}
        return {**plain, "success": round(self.success, 6)}


def figures(runs: Sequence[Run]) -> Figures:
    """Of runs of one scenario under one policy with different seeds."""
    scenario, policy = runs[0].scenario, runs[0].policy
    primary = scenario.providers[0].name
    records = [record for one in runs for record in one.records]
    begin_s, end_s = scenario.fault
    during = [record for record in records if begin_s <= record.ask.at_s - START_S < end_s]
    first = sorted(_first_s(record) for record in during if record.ask.streamed)
    total = sorted(_total_s(record) for record in during)
    back = [_return_s(one, primary, end_s) for one in runs] if scenario.incidents and scenario.returns else []
    paid = [record for record in records if record.ask.at_s - START_S >= begin_s - WARM_UP_S]
    useful = sum(price(record.ask) for record in paid if answered(record))
    billed = sum(cost for record in paid for _, cost in record.attempts)
    return Figures(
        scenario=scenario.name,
        policy=policy,
        seeds=len(runs),
        requests=len(records),
        lost=sum(not answered(record) for record in records),
        first_p50_s=_percentile(first, 0.50),
        first_p99_s=_percentile(first, 0.99),
        total_p50_s=_percentile(total, 0.50),
        total_p99_s=_percentile(total, 0.99),
        waste=max(0.0, billed / useful - 1.0) if useful else inf,
        attempts=sum(len(record.attempts) for record in during) / max(1, len(during)),
        primary_share=_share(during, primary),
        detect_s=median(_detect_s(one, primary, begin_s) for one in runs) if scenario.incidents else None,
        return_s=median(back) if back else None,
        return_max_s=max(back) if back else None,
        trips=sum(len(one.opened) for one in runs),
        false_trips=sum(one.false_trips for one in runs),
        calls=_healthy_calls(runs),
    )


def answered(record: Record) -> bool:
    return record.good and record.total_s is not None and record.total_s <= PATIENCE_S


def _first_s(record: Record) -> float:
    return record.first_s if record.first_s is not None and record.first_s <= PATIENCE_S else inf


def _total_s(record: Record) -> float:
    return record.total_s if answered(record) and record.total_s is not None else inf


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    """By nearest rank."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else None


def _share(records: Sequence[Record], name: str) -> float:
    return sum(any(asked == name for asked, _ in record.attempts) for record in records) / max(1, len(records))


def _detect_s(one: Run, primary: str, begin_s: float) -> float:
    return next((at_s - begin_s for at_s, name in one.opened if name == primary and at_s >= begin_s), inf)


def _return_s(one: Run, primary: str, end_s: float) -> float:
    after = [record for record in one.records if record.ask.at_s - START_S >= end_s]
    asked = [bool(record.attempts) and record.attempts[0][0] == primary for record in after]
    for number, record in enumerate(after):
        following = asked[number : number + BACK_REQUESTS]
        if sum(following) >= BACK_SHARE * len(following) and asked[number]:
            return record.ask.at_s - START_S - end_s
    return inf


def _healthy_calls(runs: Iterable[Run]) -> int:
    return sum(
        not one.scenario.ill(name, record.ask.at_s - START_S)
        for one in runs
        for record in one.records
        for name, _ in record.attempts
    )


def _plain(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return None if value == inf else round(value, 4)
