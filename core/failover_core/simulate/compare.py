"""Many scenarios, policies and seeds, over several processes if wanted. The results are the same either way."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context

from ..policy.ranking import Policy
from ..settings import Settings
from .figures import Figures, figures
from .promises import Finding, findings
from .run import KIT, POLICIES, Run, run
from .scenarios import Scenario


@dataclass(frozen=True, slots=True)
class Comparison:
    """One scenario under several policies.

    Args:
        scenario: what was run.
        rows: the figures of each policy, in the order asked for.
        calm: Failover Kit's for the same requests with nothing wrong.
        findings: Failover Kit's promises in this scenario; empty if it was not among the policies.
    """

    scenario: Scenario
    rows: tuple[Figures, ...]
    calm: Figures | None
    findings: tuple[Finding, ...]


def compare(
    scenarios: Iterable[Scenario],
    policies: Sequence[str] = POLICIES,
    seeds: Sequence[int] = (1, 2, 3),
    *,
    settings: Settings | None = None,
    ranking: str | Policy = "priority",
    workers: int = 1,
) -> Iterator[Comparison]:
    """One comparison a scenario, as they become ready.

    Args:
        policies: some of `POLICIES`.
        seeds: each is another day: other arrivals, other luck. All policies live through the same ones.
        settings, ranking: see `run`.
        workers: processes; more than one needs settings and a ranking that can be pickled.

    Raises:
        ConfigError: for a policy that does not exist.
    """
    scenarios = list(scenarios)
    with _runner(workers, settings, ranking) as begin:

        def runs(scenario: Scenario, policy: str) -> list[Callable[[], Run]]:
            return [begin(scenario, policy, seed) for seed in seeds]

        begun = [
            ([runs(scenario, policy) for policy in policies], runs(scenario.calm(), KIT) if KIT in policies else None)
            for scenario in scenarios
        ]
        for scenario, (rows, calm) in zip(scenarios, begun, strict=True):
            yield _compared(scenario, [_figures(row) for row in rows], _figures(calm) if calm else None)


def _compared(scenario: Scenario, rows: list[Figures], calm: Figures | None) -> Comparison:
    ours = next((row for row in rows if row.policy == KIT), None)
    found = findings(scenario, ours, calm) if ours and calm else []
    return Comparison(scenario, tuple(rows), calm, tuple(found))


def _figures(runs: Iterable[Callable[[], Run]]) -> Figures:
    return figures([result() for result in runs])


Begin = Callable[[Scenario, str, int], Callable[[], Run]]


@contextmanager
def _runner(workers: int, settings: Settings | None, ranking: str | Policy) -> Iterator[Begin]:
    """A function that begins a run and returns a function that waits for it. Of equal runs only one is made."""
    if workers <= 1:
        yield cache(lambda scenario, policy, seed: cache(partial(run, scenario, policy, seed, settings, ranking)))
        return
    # "spawn": a fork of a process that has threads, as notebooks have, may hang. Ctrl-C is for the parent alone.
    context, ignore = get_context("spawn"), (signal.SIGINT, signal.SIG_IGN)
    pool = ProcessPoolExecutor(workers, context, initializer=signal.signal, initargs=ignore)
    try:
        yield cache(lambda scenario, policy, seed: pool.submit(run, scenario, policy, seed, settings, ranking).result)
    finally:
        pool.shutdown(cancel_futures=True)
