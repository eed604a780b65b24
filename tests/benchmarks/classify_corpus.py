"""How well `classify` reads real provider errors, and what it costs.

    python tests/benchmarks/classify_corpus.py [CORPUS.jsonl ...]

For each corpus (the two in tests/data by default): the share of right kinds, the confusion table and the rows that are
wrong, rows marked `unsure` aside. Then the time of typical errors and of a 1 MB body, and all of it as a line of JSON.
"""

from __future__ import annotations

import argparse
import json
import timeit
from collections import Counter
from pathlib import Path
from typing import Any

from failover_core.classify import classify
from failover_core.failure import ErrorReport, FailureKind

DATA = Path(__file__).resolve().parents[1] / "data"
CORPORA = (DATA / "provider_errors.jsonl", DATA / "more_provider_errors.jsonl")


def report_of(row: dict[str, Any]) -> ErrorReport:
    return ErrorReport(
        provider=row.get("provider"),
        status=row.get("status"),
        message=row.get("message") or "",
        exception_type=row.get("exception_type"),
    )


def score(path: Path) -> dict[str, Any]:
    """Classify every row of a corpus and compare with its label."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    sure = [row for row in rows if not row.get("unsure")]
    pairs = [(row, classify(report_of(row)).kind) for row in sure]
    wrong = [{**row, "got": str(kind)} for row, kind in pairs if kind != row["label"]]
    return {
        "corpus": path.name,
        "rows": len(rows),
        "unsure": len(rows) - len(sure),
        "right": len(sure) - len(wrong),
        "counted": len(sure),
        "accuracy": (len(sure) - len(wrong)) / len(sure) if sure else None,
        "confusion": {
            f"{label} > {got}": n
            for (label, got), n in sorted(Counter((row["label"], str(kind)) for row, kind in pairs).items())
        },
        "wrong": wrong,
    }


def confusion_table(confusion: dict[str, int]) -> str:
    """Labels down, answers across, without the empty ones."""
    counts = {tuple(key.split(" > ")): n for key, n in confusion.items()}
    kinds = [str(kind) for kind in FailureKind if any(str(kind) in pair for pair in counts)]
    wide = max(map(len, kinds))
    lines = [" " * wide + "".join(f"{i:>4}" for i in range(len(kinds)))]
    for i, label in enumerate(kinds):
        cells = "".join(f"{counts.get((label, got), 0) or '.':>4}" for got in kinds)
        lines.append(f"{label:>{wide}}{cells}  {i}")
    return "\n".join(lines)


def costs() -> dict[str, float]:
    """Microseconds for one `classify`, the best of several runs."""
    message = (
        "Rate limit reached for gpt-4 in organization org-x on tokens per min (TPM): Limit 10000, Used 9348, "
        "Requested 5086. Please try again in 26.604s."
    )
    body = {"message": message, "type": "tokens", "param": None, "code": "rate_limit_exceeded"}
    cases: dict[str, Any] = {
        "report with JSON": ErrorReport(status=429, message=json.dumps({"error": body})),
        "report, prose only": ErrorReport(message="The server is currently overloaded with other requests."),
        "HTML page": ErrorReport(
            status=502, message="<html><head><title>502 Bad Gateway</title></head>" + "<p>x</p>" * 200
        ),
        "TimeoutError": TimeoutError("timed out"),
        "1 MB of words": ErrorReport(status=500, message="limit model token exceed key context " * 28_000),
        "1 MB of JSON": ErrorReport(status=500, message='{"error": {"code": 1}, "a": [' + '{"b": 1},' * 111_000),
    }
    try:
        import httpx
        import openai
    except ImportError:
        pass
    else:
        response = httpx.Response(
            429,
            headers={"retry-after": "26", "content-type": "application/json", "x-request-id": "r"},
            request=httpx.Request("POST", "https://api.openai.com/v1/chat/completions"),
        )
        cases["openai.RateLimitError"] = openai.RateLimitError(
            f"Error code: 429 - {body}", response=response, body=body
        )
    return {
        name: round(min(timeit.repeat(lambda case=case: classify(case), number=5, repeat=50)) / 5 * 1e6, 1)
        for name, case in cases.items()
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("corpora", nargs="*", type=Path, default=list(CORPORA))
    results = [score(path) for path in arguments.parse_args().corpora]
    microseconds = costs()
    for result in results:
        print(f"{result['corpus']}: {result['right']} of {result['counted']} right = {result['accuracy']:.1%}")
        print(f"({result['unsure']} rows marked unsure are not counted)\n")
        print(confusion_table(result["confusion"]), end="\n\n")
        for row in result["wrong"]:
            told = f"{row.get('provider')} {row.get('status')} {row.get('message', '')[:150]!r}"
            print(f"  wanted {row['label']}, got {row['got']}: {told}")
        print()
    for name, cost in sorted(microseconds.items(), key=lambda item: item[1]):
        print(f"{cost:8.1f} microseconds  {name}")
    print("\n" + json.dumps({"corpora": results, "microseconds": microseconds}, ensure_ascii=False))


if __name__ == "__main__":
    main()
