"""What the engine adds to an in-process callable on the healthy path: `python tests/benchmarks/engine_overhead.py`.

Prints a table and a line of JSON. Each figure is the median over rounds of (time through Failover - time of the bare
callable) a call, in microseconds; all rows are measured in turn within each round, so that a slow moment hits them
alike.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter

from failover_core import Failover, Settings, Target

CALLS = 1000
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 15


def answer(request: str) -> str:
    return "hello"


async def answer_async(request: str) -> str:
    return "hello"


def targets(count: int) -> list[Target]:
    return [Target(f"t{number}", call=answer, acall=answer_async) for number in range(count)]


def per_call_us(work: Callable[[], None]) -> float:
    start = perf_counter()
    work()
    return (perf_counter() - start) / CALLS * 1e6


def sync_calls(call: Callable[[str], object]) -> Callable[[], None]:
    def work() -> None:
        for _ in range(CALLS):
            call("request")

    return work


def async_calls(call: Callable[[str], object]) -> Callable[[], None]:
    async def all_calls() -> None:
        for _ in range(CALLS):
            await call("request")  # type: ignore[misc]

    return lambda: asyncio.run(all_calls())


def main() -> None:
    rows = {
        "bare sync": sync_calls(answer),
        "bare async": async_calls(answer_async),
        "sync, inline (hedge='off'), 3 targets": sync_calls(Failover(targets(3), Settings(hedge="off")).call),
        "sync, all defaults (worker thread), 3 targets": sync_calls(Failover(targets(3)).call),
        "async, all defaults, 1 target": async_calls(Failover(targets(1)).acall),
        "async, all defaults, 3 targets": async_calls(Failover(targets(3)).acall),
        "async, all defaults, 100 targets": async_calls(Failover(targets(100)).acall),
    }
    samples: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(ROUNDS):
        for name, work in rows.items():
            samples[name].append(per_call_us(work))
    figures = {}
    for name, values in samples.items():
        bare = samples["bare sync" if "sync" in name and "async" not in name else "bare async"]
        added = median(value - base for value, base in zip(values, bare, strict=True))
        figures[name] = round(added, 2)
    print(f"{'added to the bare callable, healthy':<48} {'us a call':>10}")
    for name, added in figures.items():
        if not name.startswith("bare"):
            print(f"{name:<48} {added:>10.2f}")
    print(json.dumps({"added_us": figures, "calls": CALLS, "rounds": ROUNDS}))


if __name__ == "__main__":
    main()
