"""`classify` over the two corpora of real errors: how many it gets right, and that it gets no kind always wrong."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from failover_core.classify import classify
from failover_core.failure import ErrorReport, Failure, FailureKind

DATA = Path(__file__).parents[1] / "data"
CORPORA = ["provider_errors.jsonl", "more_provider_errors.jsonl"]


def rows_of(corpus: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / corpus).read_text().splitlines() if line.strip()]


def classified(row: dict[str, Any]) -> Failure:
    return classify(
        ErrorReport(
            provider=row.get("provider"),
            status=row.get("status"),
            message=row.get("message") or "",
            exception_type=row.get("exception_type"),
        )
    )


@pytest.mark.parametrize("corpus", CORPORA)
def test_at_least_97_percent_are_right(corpus: str) -> None:
    rows = [row for row in rows_of(corpus) if not row.get("unsure")]
    wrong = [row for row in rows if classified(row).kind != row["label"]]
    assert len(rows) > 150
    assert len(wrong) <= 0.03 * len(rows), [(row["label"], row["message"][:80]) for row in wrong]


def test_every_kind_of_the_corpus_is_found() -> None:
    rows = [row for corpus in CORPORA for row in rows_of(corpus) if not row.get("unsure")]
    labels = Counter(row["label"] for row in rows)
    found = Counter(row["label"] for row in rows if classified(row).kind == row["label"])
    assert {kind: found[kind] / labels[kind] for kind in labels if found[kind] < 0.8 * labels[kind]} == {}


@pytest.mark.parametrize("corpus", CORPORA)
def test_what_is_known_of_a_row_is_in_its_failure(corpus: str) -> None:
    for row in rows_of(corpus):
        failure = classified(row)
        assert isinstance(failure.kind, FailureKind)
        assert failure.message, row
        assert len(failure.message) <= 302
        assert "\n" not in failure.message
        if row.get("status") is not None:
            assert failure.status is not None
