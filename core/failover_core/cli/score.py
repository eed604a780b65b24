"""What became of each request, and the figures of a lane. Pure: records in, figures out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf
from statistics import median
from typing import Any

DELAYED_FACTOR = 3.0


@dataclass(slots=True)
class Record:
    """One request of one lane. Fills while the request goes on.

    Args:
        number: of the arrival.
        asked_s: when it was asked, in seconds of the replay.
        first_s: seconds until the first text; None before that.
        total_s: seconds until the end of a whole answer; None before that, and for ever if it was lost.
        lost: why the caller has no whole answer; "" while there is hope.
    """

    number: int
    asked_s: float
    first_s: float | None = None
    total_s: float | None = None
    lost: str = ""

    @property
    def waiting(self) -> bool:
        return self.total_s is None and not self.lost


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one lane. Times are in seconds over all finished requests; `inf` where that many never came.

    Args:
        requests: all that were asked.
        waiting: those still under way.
        lost: an exception, an empty or truncated answer, or no whole answer by the end of the caller's patience.
        delayed: not lost, but the first text came later than `delayed_after_s`.
        first_p50_s, first_p99_s: first text.
        total_p50_s, total_p99_s: whole answer.
        reasons: why requests were lost, and how many for each reason.
    """

    requests: int
    waiting: int
    lost: int
    delayed: int
    first_p50_s: float | None
    first_p99_s: float | None
    total_p50_s: float | None
    total_p99_s: float | None
    reasons: tuple[tuple[str, int], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON: a time that never came is null."""
        return {
            "requests": self.requests,
            "lost": self.lost,
            "delayed": self.delayed,
            "first_text_s": {"p50": _finite(self.first_p50_s), "p99": _finite(self.first_p99_s)},
            "whole_answer_s": {"p50": _finite(self.total_p50_s), "p99": _finite(self.total_p99_s)},
            "lost_because": dict(self.reasons),
        }


def figures(records: Sequence[Record], delayed_after_s: float | None) -> Figures:
    """The figures so far. Nothing is delayed before it is known what is usual (`delayed_after_s=None`)."""
    finished = [record for record in records if not record.waiting]
    first = sorted(inf if record.first_s is None else record.first_s for record in finished)
    total = sorted(inf if record.total_s is None else record.total_s for record in finished)
    return Figures(
        requests=len(records),
        waiting=len(records) - len(finished),
        lost=sum(bool(record.lost) for record in records),
        delayed=sum(is_delayed(record, delayed_after_s) for record in records),
        first_p50_s=percentile(first, 0.50),
        first_p99_s=percentile(first, 0.99),
        total_p50_s=percentile(total, 0.50),
        total_p99_s=percentile(total, 0.99),
        reasons=tuple(Counter(record.lost for record in records if record.lost).most_common()),
    )


def is_delayed(record: Record, delayed_after_s: float | None) -> bool:
    if delayed_after_s is None or record.first_s is None or record.lost:
        return False
    return record.first_s > delayed_after_s


def usual_first_s(records: Sequence[Record], until_s: float) -> float | None:
    """The median time to the first text of the requests asked in the first `until_s` seconds; None without any."""
    times = [record.first_s for record in records if record.asked_s < until_s and record.first_s is not None]
    return median(times) if times else None


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """By nearest rank; None without values."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else None


def _finite(seconds: float | None) -> float | None:
    return None if seconds is None or seconds == inf else round(seconds, 3)
