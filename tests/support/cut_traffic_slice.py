"""Cuts the demo's minute out of the published trace: `python cut_traffic_slice.py AzureLLMInferenceTrace_conv.csv`.

The minute is the first one with the median number of requests among all whole minutes of the hour. Its rows are kept
as they are. The result is `failover_core/testing/data/azure_llm_conv_2023_minute.csv`.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from statistics import median_low

MINUTE = slice(0, len("2023-11-16 18:15"))


def typical_minute(lines: Iterable[str]) -> list[str]:
    """The header and the rows of the first minute whose number of requests is the (low) median."""
    header, *rows = lines
    counts = Counter(row[MINUTE] for row in rows)
    whole = sorted(counts)[1:-1]  # the hour begins and ends inside a minute
    typical = median_low([counts[minute] for minute in whole])
    chosen = next(minute for minute in whole if counts[minute] == typical)
    return [header, *(row for row in rows if row.startswith(chosen))]


if __name__ == "__main__":
    trace = Path(sys.argv[1]).read_text(encoding="utf-8")
    sys.stdout.write("\n".join(typical_minute(trace.splitlines())) + "\n")
