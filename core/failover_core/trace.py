"""The record of one request: every attempt, why it was made, how it ended and how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal

from .failure import Failure, FailureKind
from .model import Target


class Verdict(StrEnum):
    """What the engine did when an attempt had ended (or, for `RUNNING`, has not done yet)."""

    RUNNING = "running"
    ANSWERED = "answered"  # its output went to the caller
    RETRY = "retry"  # failed; the same target was asked again
    NEXT = "next"  # failed; another target was asked
    RAISE = "raise"  # failed; the error went to the caller
    LOST = "lost"  # another attempt won the race
    RESUMED = "resumed"  # broke after text was shown; another target went on
    REPLACED = "replaced"  # broke after text was shown; another target started over
    CANCELLED = "cancelled"  # the caller went away, or the deadline passed


@dataclass(slots=True, eq=False)
class Attempt:
    """One call to one target. Filled in by the engine while it runs, never changed afterwards.

    Args:
        number: 1 for the first attempt of the request.
        target: the target asked.
        why: why this target now: "first", "retry", "failed over", "overdue", "hedge", "probe", "last resort", "resume",
            "replace".
        started_s: seconds since the request started.
        first_token_s: seconds from the attempt's start to its first content; None before that.
        elapsed_s: seconds from the attempt's start to its end.
        verdict: how it ended.
        failure: what went wrong, None for a success.
        overdue: it was slower than its limit (also when it won in the end).
        model: the model that says it answered, when the output tells.
        usage: token counts, when the output tells.
    """

    number: int
    target: Target
    why: str
    started_s: float
    first_token_s: float | None = None
    elapsed_s: float | None = None
    verdict: Verdict = Verdict.RUNNING
    failure: Failure | None = None
    overdue: bool = False
    model: str | None = None
    usage: Mapping[str, int] | None = None

    @property
    def kind(self) -> FailureKind | None:
        return self.failure.kind if self.failure is not None else None

    def as_dict(self) -> dict[str, Any]:
        """The plain form used in `response_metadata["failover"]["attempts"]`: only str, float, bool, None."""
        return {
            "target": self.target.name,
            "provider": self.target.provider,
            "model": self.model or self.target.model,
            "why": self.why,
            "verdict": self.verdict.value,
            "kind": self.failure.kind.value if self.failure is not None else None,
            "error": self.failure.message if self.failure is not None else None,
            "status": self.failure.status if self.failure is not None else None,
            "overdue": self.overdue,
            "started_s": _rounded(self.started_s),
            "first_token_s": _rounded(self.first_token_s),
            "elapsed_s": _rounded(self.elapsed_s),
            "usage": dict(self.usage) if self.usage else None,
        }

    def line(self) -> str:
        """One readable line."""
        took = f"took {self.elapsed_s:.2f} s" if self.elapsed_s is not None else "not over"
        text = f"{self.number}. {self.target.name} ({self.why}, at {self.started_s:.2f} s, {took}): {self.verdict}"
        if self.failure is not None:
            text += f", {self.failure.kind}: {self.failure.message}"
        elif self.overdue:
            text += ", overdue"
        return text


@dataclass(frozen=True, slots=True)
class Seam:
    """Where a stream changed hands, from the target that broke to the one that went on.

    Args:
        offset_chars: of text had been shown.
        kind: "resume" = the answer goes on right there; "replace" = it starts over, and what was shown is void.
    """

    offset_chars: int
    broken: str
    resumed: str
    kind: Literal["resume", "replace"] = "resume"


@dataclass(frozen=True, slots=True)
class StreamRestarted:
    """Comes in place of a chunk with `Settings(midstream="replace")`: forget the answer so far, it starts over.

    Args:
        broken: the target whose answer broke off.
        target: the one whose answer follows, from its beginning.
        void_chars: length of the text that was shown since the beginning, or since the last restart, and is void.
        kind: what broke it.
    """

    broken: str
    target: str
    void_chars: int
    kind: FailureKind

    def as_dict(self) -> dict[str, Any]:
        """The plain form that adapters pass on under "failover_restart"."""
        return {**asdict(self), "kind": self.kind.value}


@dataclass(slots=True, eq=False)
class RouteTrace:
    """The whole way of one request.

    Args:
        request_id: 16 hexadecimal digits.
        attempts: oldest first.
        skipped: target name -> why it was not asked.
        seams: where a stream changed hands.
        target: the target whose answer the caller got, None if there was none.
        elapsed_s: seconds from the request's start to its end.
    """

    request_id: str
    attempts: list[Attempt] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    seams: list[Seam] = field(default_factory=list)
    target: Target | None = None
    elapsed_s: float = 0.0

    @property
    def answer(self) -> Attempt | None:
        """The attempt whose output the caller got (the last one, for a resumed stream)."""
        for attempt in reversed(self.attempts):
            if attempt.verdict is Verdict.ANSWERED:
                return attempt
        return None

    @property
    def switched(self) -> bool:
        """True when the answer did not simply come from the first target asked."""
        return self.target is not None and bool(self.attempts) and self.attempts[0].target.name != self.target.name

    def as_dict(self) -> dict[str, Any]:
        """The dict under `response_metadata["failover"]` and `additional_kwargs["failover"]`."""
        answer = self.answer
        target = self.target
        return {
            "target": target.name if target else None,
            "provider": target.provider if target else None,
            "model": (answer.model if answer else None) or (target.model if target else None),
            "switched": self.switched,
            "request_id": self.request_id,
            "elapsed_s": _rounded(self.elapsed_s),
            "attempts": [attempt.as_dict() for attempt in self.attempts],
            "skipped": dict(self.skipped),
            "seams": [asdict(seam) for seam in self.seams],
        }

    def explain(self) -> str:
        """The way of the request in readable lines, one an attempt and one a skipped target."""
        lines = [attempt.line() for attempt in self.attempts]
        lines += [f"-  {name}: not asked, {why}" for name, why in self.skipped.items()]
        return "\n".join(lines)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
