"""Who may be asked next: the candidates of one request, minus those asked already, of no use, or not available."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .health.book import Permit
from .live import Desk
from .model import Target
from .trace import RouteTrace

Chosen = tuple[Target, Permit]


class Choice:
    """The candidates of one request. Each is chosen at most once; retries of the same target are the route's business.

    Args:
        desk: health, settings and retry budget.
        trace: where the reasons for skipping a target are noted.
        candidates: the targets that can take the request, in order of preference.
    """

    def __init__(self, desk: Desk, trace: RouteTrace, candidates: Sequence[Target]) -> None:
        self._desk = desk
        self._book = desk.book
        self._trace = trace
        self._candidates = candidates
        self._out: set[str] = set()
        self._forced = False

    def best(self, now: float) -> Chosen | None:
        """The first candidate that is available, admitted by the health book."""
        states = self._book.snapshot
        for target in self._candidates:
            if target.name in self._out or states[target.name].available_in_s(now) > 0.0:
                continue
            permit = self._admit(target, now)
            if permit is not None:
                return self._chosen(target, permit)
        return None

    def soonest(self, now: float, patience_s: float) -> Chosen | tuple[Target, float] | None:
        """When nobody is available: the target whose rate limit ends within `patience_s`, with the time of that; or one
        knock at the closed door that is due soonest.
        """
        states = self._book.snapshot
        for target in sorted(self._rest(), key=lambda target: states[target.name].available_in_s(now)):
            blocked_s = states[target.name].limit.blocked_until_s - now
            if 0.0 < blocked_s <= patience_s:
                return target, now + blocked_s
            if blocked_s > 0.0:
                self._trace.skipped[target.name] = f"rate limited for another {blocked_s:.1f} s"
            elif not self._forced:
                permit = self._admit(target, now, force=True)
                if permit is not None:
                    self._forced = True
                    return self._chosen(target, permit)
        return None

    def count_available(self, now: float, *, at_most: int = 100) -> int:
        """How many untried candidates could be asked now."""
        states = self._book.snapshot
        found = 0
        for target in self._candidates:
            if target.name not in self._out and states[target.name].available_in_s(now) <= 0.0:
                found += 1
                if found == at_most:
                    break
        return found

    def next_available_s(self, now: float) -> float | None:
        """When the next untried candidate could be asked: `now`, or a later time, or None when none is left."""
        states = self._book.snapshot
        soonest_s: float | None = None
        for target in self._candidates:
            if target.name not in self._out:
                wait_s = states[target.name].available_in_s(now)
                if wait_s <= 0.0:
                    return now
                soonest_s = now + wait_s if soonest_s is None else min(soonest_s, now + wait_s)
        return soonest_s

    def any_left(self, fits: Callable[[Target], bool]) -> bool:
        """Is there an untried candidate like this?"""
        return any(fits(target) for target in self._rest())

    def keep(self, fits: Callable[[Target], bool], else_because: str) -> None:
        """Leave out the untried candidates that do not fit."""
        for target in self._rest():
            if not fits(target):
                self._out.add(target.name)
                self._trace.skipped[target.name] = else_because

    def again(self, target: Target) -> None:
        """It was asked, but nothing speaks against asking it once more."""
        self._out.discard(target.name)

    def explain(self, now: float, else_because: str) -> None:
        """Note in the trace why each candidate that is left was not asked."""
        asked = {attempt.target.name for attempt in self._trace.attempts}
        for target in self._rest():
            if target.name not in asked:
                self._trace.skipped.setdefault(target.name, self._why_not(target, now) or else_because)

    def _why_not(self, target: Target, now: float) -> str | None:
        state = self._book.snapshot[target.name]
        wait_s, blocked_s = state.available_in_s(now), state.limit.blocked_until_s - now
        if wait_s <= 0.0:
            return None
        if blocked_s >= wait_s:
            return f"rate limited for another {blocked_s:.1f} s"
        reason = f" ({state.breaker.reason})" if state.breaker.reason else ""
        return f"its circuit is {state.breaker.state} for another {wait_s:.1f} s{reason}"

    def _rest(self) -> list[Target]:
        return [target for target in self._candidates if target.name not in self._out]

    def _chosen(self, target: Target, permit: Permit) -> Chosen:
        self._out.add(target.name)
        self._trace.skipped.pop(target.name, None)
        return target, permit

    def _admit(self, target: Target, now: float, *, force: bool = False) -> Permit | None:
        """Leave to ask `target`. The first attempt is free and so is a switch to a healthy target; any other one spends
        retry budget, once it has been admitted.
        """
        made = self._trace.attempts
        free = not made or (
            all(attempt.target.name == made[0].target.name for attempt in made)
            and self._book.snapshot[target.name].is_healthy(now)
        )
        if not free and self._book.retry_budget_left < 1.0:
            self._trace.skipped[target.name] = "the retry budget is spent"
            return None
        permit = self._book.admit(target.name, now, force=force)
        if permit is not None and not free:
            self._book.spend_retry()
        return permit
