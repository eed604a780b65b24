"""Fits the simulator's world to published measurements: `python fit_simulation.py DATA_DIR > fits.json`.

DATA_DIR holds `latency/` and `traffic/` as published (gzipped CSV). Everything is fitted as quantiles or as a shape
over time, so no distribution is assumed:

- first_token_ratio: time to the first token over the median of its model and region (thefastest.ai, groups of at least
  15 calls); "majors" = OpenAI, Anthropic, Google; "hosts" = Together, Fireworks, Anyscale, Groq, Perplexity.
- token_time_ratio: time per output token over the median of its model (llmperf, 70B models of three steady hosts).
- sizes: tokens of prompts and answers of each traffic trace.
- rates: requests in each 10 s of a trace over their mean; "servegen_days" in each 10 minutes of two weeks.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from statistics import mean, median
from typing import Any

SHARES = (
    0.0,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.3,
    0.4,
    0.5,
    0.6,
    0.7,
    0.8,
    0.9,
    0.95,
    0.98,
    0.99,
    0.995,
    0.998,
    0.999,
    1.0,
)
MAJORS = ("openai/", "anthropic/", "google/")
HOSTS = ("together", "fireworks", "anyscale", "groq", "perplexity")
STEADY = (("together", "70b"), ("anyscale", "70b"), ("fireworks", "70b"))
BIN_S = 10.0


def rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def quantiles(values: Iterable[float], digits: int) -> list[float]:
    ordered = sorted(values)
    return [round(ordered[round(share * (len(ordered) - 1))], digits) for share in SHARES]


def ratios(groups: Iterable[list[float]]) -> list[float]:
    return quantiles((value / median(group) for group in groups for value in group), 3)


def first_tokens(data: Path) -> dict[str, list[float]]:
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows(data / "latency/thefastest_ai_2024.csv.gz"):
        if not row["error"] and float(row["ttft_s"] or 0) > 0:
            groups[row["provider_model"], row["region"]].append(float(row["ttft_s"]))
    return {
        name: ratios(group for key, group in groups.items() if key[0].startswith(prefixes) and len(group) >= 15)
        for name, prefixes in (("majors", MAJORS), ("hosts", HOSTS))
    }


def token_times(data: Path) -> list[float]:
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows(data / "latency/llmperf_leaderboard_requests.csv.gz"):
        if not row["error_code"]:
            groups[row["provider"], row["model_size"]].append(float(row["inter_token_latency_s"]))
    return ratios(groups[key] for key in STEADY)


def rates(times_s: list[float]) -> list[float]:
    counts = Counter(int((time - times_s[0]) // BIN_S) for time in times_s)
    bins = [counts.get(number, 0) for number in range(max(counts))]  # the last one is not whole
    return [round(count / mean(bins), 2) for count in bins]


def azure(data: Path, name: str) -> tuple[list[float], dict[str, list[float]]]:
    found = rows(data / f"traffic/AzureLLMInferenceTrace_{name}_2023.csv.gz")
    times = [datetime.fromisoformat(row["TIMESTAMP"][:26]).timestamp() for row in found]
    return rates(times), sizes(found, "ContextTokens", "GeneratedTokens")


def mooncake(data: Path) -> tuple[list[float], dict[str, list[float]]]:
    found = rows(data / "traffic/mooncake_conversation_trace.csv.gz")
    times = [int(row["timestamp_ms"]) / 1000 for row in found]
    return rates(times), sizes(found, "input_length", "output_length")


def sizes(found: list[dict[str, str]], prompt: str, output: str) -> dict[str, list[float]]:
    return {
        "prompt_tokens": quantiles((max(1, int(row[prompt])) for row in found), 0),
        "output_tokens": quantiles((max(1, int(row[output])) for row in found), 0),
    }


def servegen(data: Path) -> list[float]:
    found = [row for row in rows(data / "traffic/servegen_total_rate.csv.gz") if row["model"] == "m-large"]
    values = [float(row["total_requests_per_s"]) for row in found]
    return [round(value / mean(values), 2) for value in values]


def fits(data: Path) -> dict[str, Any]:
    traces = {
        "azure_conversation": azure(data, "conv"),
        "azure_code": azure(data, "code"),
        "mooncake": mooncake(data),
    }
    return {
        "shares": list(SHARES),
        "first_token_ratio": first_tokens(data),
        "token_time_ratio": token_times(data),
        "sizes": {name: trace[1] for name, trace in traces.items()},
        "rates": {name: trace[0] for name, trace in traces.items()} | {"servegen_days": servegen(data)},
    }


def as_json(found: dict[str, Any]) -> str:
    """One list a line."""
    text = json.dumps(found, indent=1)
    return "\n".join(_joined(text.splitlines())) + "\n"


def _joined(lines: Iterable[str]) -> Iterable[str]:
    inside: list[str] = []
    for line in lines:
        if line.endswith("["):
            inside = [line]
        elif inside:
            inside.append(line.strip())
            if line.strip().startswith("]"):
                yield inside[0] + " ".join(inside[1:-1]) + inside[-1]
                inside = []
        else:
            yield line


if __name__ == "__main__":
    sys.stdout.write(as_json(fits(Path(sys.argv[1]))))
