"""What belief costs: `python tests/benchmarks/health_cost.py`. Prints a table and a line of JSON.

- select + record: rank all targets over the snapshot, admit the first, settle its good answer; the best of many short
  rounds, in microseconds (what else runs on the machine only ever adds).
- memory: growth over a million such calls, after a warm-up.
- threads: 8 of them hammer one `Failover`; no call may be lost from the counts.
"""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from time import perf_counter

from failover_core import Failover, RequestInfo, Settings, Target
from failover_core.health.book import HealthBook
from failover_core.policy.ranking import POLICIES, Policy, Snapshot

CALLS = 500
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 100
MEMORY_CALLS = 1_000_000
THREADS, CALLS_PER_THREAD = 8, 5000
KEY = ("answer", False, "")
INFO = RequestInfo()


def targets(count: int) -> list[Target]:
    return [Target(f"t{number}", call=lambda request: request) for number in range(count)]


def select_and_record(count: int, policy: Policy) -> Callable[[int], None]:
    able = targets(count)
    book = HealthBook([target.name for target in able], rng=Random(1), emit=lambda event: None)
    draw, now = Random(2).random, 1000.0

    def work(calls: int) -> None:
        nonlocal now
        for _ in range(calls):
            now += 0.01
            first = policy(able, Snapshot(book.snapshot, now, draw, book.doubted(now)), INFO)[0]
            if book.snapshot[first.name].available_in_s(now) > 0.0:
                raise AssertionError("nothing is wrong with it")
            permit = book.admit(first.name, now)
            assert permit is not None
            book.answered(permit, now + 0.5, ((KEY, 0.5),))

    return work


def costs_us() -> dict[str, float]:
    rows = {
        f"{policy}, {count} targets": select_and_record(count, POLICIES[policy])
        for policy in ("priority", "least_busy", "fastest")
        for count in (3, 100)
    }
    samples: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(ROUNDS):
        for name, work in rows.items():
            start = perf_counter()
            work(CALLS)
            samples[name].append((perf_counter() - start) / CALLS * 1e6)
    return {name: round(min(values), 2) for name, values in samples.items()}


def growth_bytes() -> int:
    work = select_and_record(3, POLICIES["priority"])
    work(20_000)
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    work(MEMORY_CALLS)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return after - before


def lost_counts() -> int:
    failover = Failover(targets(3), Settings(hedge="off"))

    def hammer(number: int) -> None:
        for call in range(CALLS_PER_THREAD):
            failover.call(call)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(hammer, range(THREADS)))
    health = failover.health().values()
    wanted = THREADS * CALLS_PER_THREAD
    return abs(wanted - sum(one.asked for one in health)) + abs(wanted - sum(one.answered for one in health))


def main() -> None:
    figures = costs_us()
    print(f"{'select + record, healthy':<32} {'us a call':>10}")
    for name, cost in figures.items():
        print(f"{name:<32} {cost:>10.2f}")
    growth, lost = growth_bytes(), lost_counts()
    print(f"{'growth over 1,000,000 calls':<32} {growth:>10,} bytes")
    print(f"{'counts lost by 8 threads':<32} {lost:>10} of {THREADS * CALLS_PER_THREAD:,}")
    print(json.dumps({"select_and_record_us": figures, "growth_bytes": growth, "counts_lost": lost}))


if __name__ == "__main__":
    main()
