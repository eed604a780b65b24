"""Every scenario under every policy, and false alarms: `python tests/benchmarks/simulated_incidents.py [SEEDS FIRST]`.

Prints the tables of `failover simulate`, and a line of JSON. SEEDS = how many (6), FIRST = the first of them (1).
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace

from failover_core.cli.simulate import SimulateOptions, as_dict, summary, table
from failover_core.simulate import KIT, SCENARIOS, Comparison, compare, named

SEEDS = int(sys.argv[1]) if len(sys.argv) > 1 else 6
FIRST = int(sys.argv[2]) if len(sys.argv) > 2 else 1
WORKERS = os.cpu_count() or 1
BUSY = replace(
    named("healthy"),
    name="healthy, busy",
    why="20 requests a second, for false alarms",
    traffic=replace(named("healthy").traffic, rate=20.0),
)


def main() -> None:
    seeds = range(FIRST, FIRST + SEEDS)
    done: list[Comparison] = []
    for one in compare(SCENARIOS, seeds=seeds, workers=WORKERS):
        done.append(one)
        print(table(one), flush=True)
    (busy,) = compare([BUSY], (KIT,), range(FIRST, FIRST + max(SEEDS, 6)), workers=WORKERS)
    print(table(busy))
    print(summary([*done, busy]))
    print(json.dumps(as_dict([*done, busy], SimulateOptions(seeds=seeds))))


if __name__ == "__main__":
    main()
