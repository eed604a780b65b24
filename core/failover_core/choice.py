"""Who may be asked next: the candidates of one request, minus those asked already, of no use, or not available."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .health.book import Permit
from .health.state import TargetState
from .live import Desk
from .model import Target
from .policy.guards import together
from .trace import RouteTrace

Chosen = tuple[Target, Permit]


class Choice:
    """The candidates of one request. Each is chosen at most once; retries of the same target are the route's business.

    Args:
        desk: health, settings and retry budget.
        trace: where the reasons for skipping a target are noted.
        candidates: the targets that can take the request, in order of preference.
        tokens: the request's size, as far as it is known.
        streaming: it is asked for as a stream.
    """

    def __init__(
        self, desk: Desk, trace: RouteTrace, candidates: Sequence[Target], tokens: int, *, streaming: bool
    ) -> None:
        self._desk = desk
        self._tokens = tokens
        self._streaming = streaming
        self._book = desk.book
        self._trace = trace
        self._candidates = candidates
        self._out: set[str] = set()
        self._stumbled: set[str] = set()
        self._forced = False

    def best(self, now: float, *, waiting: bool = False) -> Chosen | None:
        """The first candidate that is available, admitted by the health book. What has just failed may have made its
        siblings doubtful: then they come later than the policy had them.

        A request that is `waiting` for silent targets comes back to one that stumbled, when nobody else is left.
        """
        states, candidates = self._book.snapshot, self._candidates
        if self._trace.attempts and (doubted := self._book.doubted(now)):
            candidates = sorted(candidates, key=lambda target: (target.tier, target.name in doubted))
        if waiting:
            self.reconsider(now)
        for target in candidates:
            if target.name in self._out or states[target.name].available_in_s(now) > 0.0:
                continue
            permit = self._admit(target, now)
            if permit is not None:
                return self._chosen(target, permit)
        return None

    def hedge_for(self, slow: Target, now: float) -> Chosen | None:
        """The first candidate that is well and in another failure domain than `slow`, if the hedge budget allows it."""
        states = self._book.snapshot
        for target in self._candidates:
            state = states[target.name]
            if target.name in self._out or together(target, slow) or not state.is_healthy(now):
                continue
            if state.available_in_s(now) > 0.0 or state.limit.strikes or state.limit.per_s:
                continue
            permit = self.admit(target, now) if self._book.traffic.spend_hedge() else None
            return None if permit is None else self._chosen(target, permit)
        return None

    def soonest(self, now: float, patience_s: float) -> Chosen | tuple[Target, float] | None:
        """When nobody is available: the target that has room again within `patience_s`, with the time of that; or one
        knock at the closed door that is due soonest.
        """
        states = self._book.snapshot
        for target in sorted(self._rest(), key=lambda target: states[target.name].available_in_s(now)):
            state = states[target.name]
            full_s = state.full_for_s(now, self._tokens)
            if 0.0 < full_s <= patience_s:
                return target, now + full_s
            if full_s > 0.0:
                self._trace.skipped[target.name] = _full(state, full_s)
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
        """When another candidate could be asked: `now`, or a later time, or None when none is left."""
        states = self._book.snapshot
        soonest_s: float | None = None
        for target in self._candidates:
            if target.name not in self._out or target.name in self._stumbled:
                wait_s = states[target.name].available_in_s(now)
                if wait_s <= 0.0:
                    return now
                soonest_s = now + wait_s if soonest_s is None else min(soonest_s, now + wait_s)
        return soonest_s

    def any_left(self, fits: Callable[[Target], bool]) -> bool:
        """Is there a candidate like this that has not been tried, or has only stumbled?"""
        out = self._out - self._stumbled
        return any(target.name not in out and fits(target) for target in self._candidates)

    def keep(self, fits: Callable[[Target], bool], else_because: str) -> None:
        """Leave out the untried candidates that do not fit."""
        self._stumbled -= {target.name for target in self._candidates if not fits(target)}
        for target in self._rest():
            if not fits(target):
                self._out.add(target.name)
                self._trace.skipped[target.name] = else_because

    def stumbled(self, target: Target) -> None:
        """It failed or was late, but may do better in a moment: to try it once more is better than to wait for a silent
        target, or to leave a broken stream as it is.
        """
        self._stumbled.add(target.name)

    def reconsider(self, now: float) -> None:
        """Those that stumbled may be asked once more, if nobody else is left."""
        if self._stumbled and not self.count_available(now, at_most=1):
            self._out -= self._stumbled

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
        wait_s, full_s = state.available_in_s(now), state.full_for_s(now, self._tokens)
        if full_s > 0.0 and full_s >= wait_s:
            return _full(state, full_s)
        if wait_s <= 0.0:
            return None
        reason = f" ({state.breaker.reason})" if state.breaker.reason else ""
        return f"its circuit is {state.breaker.state} for another {wait_s:.1f} s{reason}"

    def _rest(self) -> list[Target]:
        return [target for target in self._candidates if target.name not in self._out]

    def _chosen(self, target: Target, permit: Permit) -> Chosen:
        self._out.add(target.name)
        self._stumbled.discard(target.name)
        self._trace.skipped.pop(target.name, None)
        return target, permit

    def admit(self, target: Target, now: float, *, force: bool = False) -> Permit | None:
        """Leave to ask `target`, whether it has been chosen before or not."""
        return self._book.admit(target.name, now, tokens=self._tokens, streaming=self._streaming, force=force)

    def _admit(self, target: Target, now: float, *, force: bool = False) -> Permit | None:
        """Leave to ask `target`. The first attempt is free and so is a switch to a healthy target; any other one spends
        retry budget, once it has been admitted.
        """
        made = self._trace.attempts
        free = not made or (
            all(attempt.target.name == made[0].target.name for attempt in made)
            and self._book.snapshot[target.name].is_healthy(now)
        )
        if not free and self._book.traffic.retries_left < 1.0:
            self._trace.skipped[target.name] = "the retry budget is spent"
            return None
        permit = self.admit(target, now, force=force)
        if permit is not None and not free:
            self._book.traffic.spend_retry()
        return permit


def _full(state: TargetState, full_s: float) -> str:
    if state.is_busy:
        return f"busy: {state.in_flight} of at most {state.max_concurrent} attempts are under way"
    return f"rate limited for another {full_s:.1f} s"
