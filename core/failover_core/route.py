"""One request on its way: what has been tried, what is under way, who may be asked next, and how each attempt is
settled.

`Route` decides and keeps the trace; it performs nothing. The flows in `engine` turn its decisions into effects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .checks import judge
from .choice import Choice
from .context import AttemptContext
from .effects import Start
from .events import AttemptEnded, AttemptStarted
from .failure import Failure, FailureKind, OutputRejected, own_bug
from .health.book import Permit
from .health.breaker import PROBE
from .health.suspicion import LOOKS, RACE_NATS
from .limits import habit_key, limit_for, races
from .live import Desk, Live, Refusal, durations_of
from .model import RequestInfo, Target
from .output import Finished
from .policy.guards import Style, roomier
from .policy.verdicts import RULES, NextTarget, may_go_on, retry_delay_s
from .stream.inlet import Inlet
from .trace import Attempt, RouteTrace, Verdict

PATIENT_KNOCKS = 5  # some 15 s of waiting for silent targets, see `patience`
PUSHBACK = (FailureKind.RATE_LIMITED, FailureKind.OVERLOADED)


class Route:
    """The state of one request.

    Args:
        desk: what is shared.
        trace: its record, which already says who cannot take it.
        request: passed to the targets as it is.
        info: what is known about it.
        style: which callable is wanted.
        candidates: the targets that can take it, in order of preference.
        now: the request's start, on the driver's clock.
    """

    def __init__(
        self,
        desk: Desk,
        trace: RouteTrace,
        request: Any,
        info: RequestInfo,
        style: Style,
        candidates: Sequence[Target],
        now: float,
    ) -> None:
        self.desk = desk
        self.trace = trace
        self.info = info
        self.style = style
        self.detailed = desk.telemetry.detailed
        self.streaming = style in ("stream", "astream")
        self.live: dict[int, Live] = {}
        self.shown = self.continues = ""
        self.broken: Live | None = None
        self.last_failure: Failure | None = None
        self.decided_by: Failure | None = None
        self.refusal: Refusal | None = None
        self._request = request
        tokens = (info.prompt_tokens or 0) + (info.max_output_tokens or 0)
        self.choice = Choice(desk, trace, candidates, tokens, streaming=self.streaming)
        self.now = self._began_s = now
        self._retries: dict[str, int] = {}
        self.retry: tuple[Target, float, str] | None = None
        self._waited = False
        self.knocks, self.knock_s = 0, 0.0  # how often it has asked for leave in vain, and when it asks again
        given_s, own_s = desk.settings.deadline_s, info.deadline_s
        limit_s = given_s if own_s is None or (given_s is not None and given_s < own_s) else own_s
        self.deadline_s = None if limit_s is None else now + limit_s
        desk.book.traffic.request_began(now)
        if desk.settings.hedge == "budgeted":
            desk.book.traffic.earn_hedge()

    # -- choosing ---------------------------------------------------------------------------------------------

    def next_start(self) -> Start | None:
        """The attempt to start now: the retry that is due, or another target if nothing under way can be relied on."""
        if self.retry is not None:
            target, at_s, why = self.retry
            if self.now < at_s:
                return None
            self.retry = None
            permit = self.choice.admit(target, self.now)
            if permit is not None:
                return self._start(target, permit, why)
        if self._attempts_left <= 0:
            return None
        for live in self.live.values():
            if not live.attempt.overdue:
                return self._hedge(live) if live.hedge_at_s is not None and live.hedge_at_s <= self.now else None
        chosen = self.choice.best(self.now, waiting=bool(self.live))
        if chosen is not None:
            return self._start(*chosen, self._why(chosen[1]))
        return None if self.live and self.knocks < PATIENT_KNOCKS else self._last_resort()

    def _hedge(self, live: Live) -> Start | None:
        """A second attempt before the first is overdue; not while a provider asks for less traffic."""
        live.hedge_at_s = None
        if any(attempt.kind in PUSHBACK for attempt in self.trace.attempts):
            return None
        chosen = self.choice.hedge_for(live.target, self.now)
        return None if chosen is None else self._start(*chosen, "hedge")

    def _last_resort(self) -> Start | None:
        patience_s = 0.0 if self._waited else self.desk.settings.retry_after_patience_s
        if self.deadline_s is not None:
            patience_s = min(patience_s, self.deadline_s - self.now)
        found = self.choice.soonest(self.now, patience_s)
        if found is None:
            return None
        target, permit_or_time = found
        if isinstance(permit_or_time, Permit):
            return self._start(target, permit_or_time, "last resort")
        self._waited = True
        busy = self.desk.book.snapshot[target.name].is_busy
        self.retry = (target, permit_or_time, "was busy" if busy else "rate limit over")
        return None

    def _why(self, permit: Permit) -> str:
        if self.shown or self.broken is not None:  # thoughts may have been shown, but no text
            return "replace" if self.desk.settings.midstream == "replace" else "resume"
        if not self.trace.attempts:
            return "probe" if permit.how is PROBE else "first"
        return "overdue" if any(live.attempt.overdue for live in self.live.values()) else "failed over"

    def _start(self, target: Target, permit: Permit, why: str) -> Start | None:
        number = len(self.trace.attempts) + 1
        attempt = Attempt(number, target, why, self.now - self._began_s)
        self.trace.attempts.append(attempt)
        state = self.desk.book.snapshot[target.name]
        live = Live(attempt, permit, self.now, None, state.is_healthy(self.now), None)
        self.live[number] = live  # from here on its permit will be settled, whatever the callables of others do
        remaining_s = None if self.deadline_s is None else self.deadline_s - self.now
        settings = self.desk.settings
        if self.streaming:
            tokens, hold_s, whole = settings.hold_back_tokens, settings.hold_back_s, settings.hold_tool_calls
            live.inlet = Inlet(target, tokens, hold_s, self.continues, hold_tool_calls=whole)
            if whole and self.info.json is not None:
                live.inlet.withhold()
        probing = permit.how is PROBE
        if self.backup_from_s() is not None or self._may_go_back():
            live.limit = limit_for(
                target,
                self.info,
                settings,
                self.desk.book,
                streaming=self.streaming,
                probing=probing,
                remaining_s=remaining_s,
            )
        limit = live.limit
        live.apart = probing and limit is not None and not limit.kills
        quiet = state.pending + state.silence
        live.looks = 0 if quiet > 0.0 and state.quiet(self.now) + LOOKS[0][1] >= RACE_NATS else 1
        if limit is not None and len(self.live) > 1:  # slow requests are raced, so to be slow at one tells nothing
            limit.counts, live.looks = False, len(LOOKS)
        elif limit is not None and limit.hedge_s is not None:
            live.hedge_at_s = self.now + limit.hedge_s
        if self.detailed:
            self.desk.telemetry.emit(AttemptStarted(self.trace.request_id, attempt))
        context = AttemptContext(target, number, self.trace.request_id, remaining_s)
        resume = target.resume if self.continues else None
        try:
            request = self._request if resume is None else resume(self._request, self.continues)
        except Exception as error:
            self.fail(live, own_bug(target.name, "its resume callable", error))
            return None
        limits_silence = self.streaming and settings.stall_s is not None
        watched = limit is not None or remaining_s is not None or limits_silence
        return Start(number, context, request, watched, live.apart)

    # -- times ------------------------------------------------------------------------------------------------

    def past_deadline(self) -> bool:
        return self.deadline_s is not None and self.now >= self.deadline_s

    @property
    def waiting(self) -> bool:
        return bool(self.live) or self.retry is not None

    def has_backup(self) -> bool:
        """Could another target be asked now, if this attempt does not do?"""
        return self.backup_from_s() == self.now

    def backup_from_s(self) -> float | None:
        """When another target could be asked; None = never."""
        return self.choice.next_available_s(self.now) if self._attempts_left > 0 else None

    def _may_go_back(self) -> bool:
        """Those who are under way may fail and be well a moment later, or lose to a stream that breaks."""
        return len(self.live) > 1 and self._attempts_left > 0

    @property
    def _attempts_left(self) -> int:
        return 0 if self.refusal is not None else self.desk.settings.max_attempts - len(self.trace.attempts)

    def _in_time(self, at_s: float) -> bool:
        return self.deadline_s is None or at_s < self.deadline_s

    def explain_skips(self, else_because: str) -> None:
        self.choice.explain(self.now, else_because)

    # -- settling ---------------------------------------------------------------------------------------------

    def judge(self, finished: Finished) -> Failure | None:
        settings = self.desk.settings
        return judge(finished, settings.validators, checks=settings.output_checks, demand=self.info.json)

    def fail(self, live: Live, failure: Failure, *, after_showing: Verdict | None = None) -> None:
        """Settle a failed attempt and decide what comes next; `decided_by` is set when nobody else may be asked.

        `after_showing` is the verdict when a part of the output has been shown, so that the same target cannot simply
        be asked again.
        """
        rule, error = RULES[failure.kind], failure.exception
        unblamed = isinstance(error, OutputRejected) and not error.blames_target
        unblamed = unblamed or (live.unjoined and failure.kind is FailureKind.INVALID_OUTPUT)
        nats = 0.0 if unblamed else rule.evidence_nats
        self.desk.book.failed(live.permit, self.now, failure, nats, parks=rule.parks)
        self.last_failure = failure
        verdict = after_showing or Verdict.NEXT
        if self._decides(live, failure):
            self.decided_by = failure
            verdict = Verdict.RAISE
        elif self.refusal is not None:
            self.decided_by = None if len(self.live) > 1 else self.refusal.failure
        elif after_showing is None and self._plan_retry(live, failure):
            verdict = Verdict.RETRY
        elif after_showing is None and rule.same_target and races(self.desk.settings, self.info):
            self.choice.stumbled(live.target)
        elif rule.next_target is NextTarget.ROOMIER:
            smaller = f"its window is not larger than that of {live.target.name}"
            self.choice.keep(lambda target: roomier(target, live.target), smaller)
        self._close(live, verdict, failure)

    def _decides(self, live: Live, failure: Failure) -> bool:
        """Does this failure end the request? While an earlier attempt may still answer, as it would have done had
        nobody else been asked, it is only kept, as the `refusal`.
        """
        our_own_words = bool(self.continues) and failure.kind is FailureKind.INVALID_REQUEST  # how we asked to resume
        if may_go_on(failure.kind, self.desk.settings) or our_own_words:
            return False
        earlier = any(number < live.attempt.number for number in self.live)
        if earlier and live.attempt.why != "hedge" and self.refusal is None:  # nobody needed a hedge
            self.refusal, self.retry = Refusal(failure, self.now, self.now - self._began_s), None
        return not earlier

    def _plan_retry(self, live: Live, failure: Failure) -> bool:
        if self.retry is not None:
            return False
        target, untried = live.target, self.choice.count_available(self.now)
        others = [other.attempt for other in self.live.values() if other is not live]
        if self._attempts_left <= untried or (others and untried) or not all(other.overdue for other in others):
            return False  # every attempt left is needed for another target, or another attempt may do
        retries, draw = self._retries.get(target.name, 0), self.desk.rng.random()
        settings, idle = self.desk.settings, bool(others)
        delay_s = retry_delay_s(failure, settings, retries, healthy=live.was_healthy, idle=idle, draw=draw)
        if delay_s is None or not self._in_time(self.now + delay_s):
            return False
        state = self.desk.book.snapshot[target.name]
        if state.available_in_s(self.now + delay_s) > 0.0 or not self.desk.book.traffic.spend_retry():
            return False
        self._retries[target.name] = retries + 1
        self.retry = (target, self.now + delay_s, "retry")
        return True

    def succeed(self, live: Live) -> None:
        """Settle the attempt whose output went to the caller, and teach the target's habits."""
        durations = durations_of(live, self.info, self.now)
        if len(durations) > 1 and not live.paced:
            self.desk.book.timed(live.permit, self.now, *durations[1])
        self.desk.book.answered(live.permit, self.now, durations, live.rate_limit)
        self.trace.target = live.target
        self._close(live, Verdict.ANSWERED)

    def drop(self, live: Live, verdict: Verdict, failure: Failure | None = None) -> None:
        """Settle an attempt that nobody waits for any more; cancellation is neither success nor failure."""
        self.desk.book.cancelled(live.permit, self.now)
        self._close(live, verdict, failure)

    def lose(self, live: Live, winner: Live, *, runs_on: bool = False) -> None:
        """To be outrun by an attempt that began later is evidence, even where the lateness itself was none (with a
        tight deadline); to be stopped before one's time is not. Either way the target may be asked again, if the
        winner's stream breaks: who was late only if nobody else is left. An attempt that runs on by itself has its
        permit settled later.
        """
        if live.attempt.overdue:
            self.choice.stumbled(live.target)
        else:
            self.choice.again(live.target)
        outrun = live.attempt.overdue or live.inlet is None or live.inlet.first_content_s is None
        if outrun and live.limit is not None and live.attempt.number < winner.attempt.number:
            nats = live.limit.silence_nats(self.now - live.began_s)
            reason = f"{winner.target.name} was faster"
            hedged = None if live.attempt.overdue else habit_key(self.info, self.streaming)
            self.desk.book.lost(live.permit, self.now, nats, reason, runs_on=runs_on, hedged=hedged)
        if runs_on:
            self._close(live, Verdict.LOST)
        else:
            self.drop(live, Verdict.LOST)

    def _close(self, live: Live, verdict: Verdict, failure: Failure | None = None) -> None:
        attempt, inlet = live.attempt, live.inlet
        attempt.verdict = verdict
        attempt.failure = failure
        attempt.elapsed_s = self.now - live.began_s
        if inlet is not None:
            if inlet.first_content_s is not None:
                attempt.first_token_s = inlet.first_content_s - live.began_s
            attempt.usage, attempt.model = inlet.usage, inlet.model
        self.live.pop(attempt.number, None)
        if verdict is not Verdict.ANSWERED or self.detailed:
            self.desk.telemetry.emit(AttemptEnded(self.trace.request_id, attempt))

    def finish(self) -> RouteTrace:
        """The trace, complete."""
        self.trace.elapsed_s = self.now - self._began_s
        return self.trace
