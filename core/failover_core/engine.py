"""The life of one request, as a generator of effects: no clock, no I/O, no threads, no locks of its own.

`answer_flow` returns an answer; `stream_flow` emits chunks. Both begin with `compete`, which starts attempts until one
of them has something to show. Drivers (`drivers/`) perform the effects in the world or in simulated time; `Route`
decides.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from .aftermath import Aftermath
from .effects import Cancel, Chunk, Detach, Effect, Elapsed, Emit, Ended, Event, Failed, Flow, Gone, Returned, Wait
from .errors import deadline_error, final_error, interrupted_error
from .events import RequestLost, RequestServed
from .failure import Failure, FailureKind, own_bug
from .limits import HOPELESS_STALL_S, stall_limit_s
from .live import Desk, Live
from .model import RequestInfo
from .output import Finished
from .patience import (
    has_begun,
    look_at_pace,
    next_wait,
    overdue,
    pace_look_s,
    refusal_decides_s,
    said_all,
    why_given_up,
)
from .policy.guards import Style
from .policy.ranking import Snapshot, policy_failure
from .route import Route
from .stream.inlet import Inlet
from .stream.relay import Relay
from .takeover import can_go_on, go_on_after, may_change_hands, taken_over
from .trace import RouteTrace, Verdict


def plan(desk: Desk, request: Any, info: RequestInfo, style: Style, now: float) -> Route:
    """Who can take this request, and in which order should they be asked?"""
    able, unable = desk.able(info, style)
    trace = RouteTrace(f"{desk.rng.getrandbits(64):016x}", skipped=dict(unable))
    doubted = desk.book.doubted(now)
    try:
        order = desk.policy(able, Snapshot(desk.book.snapshot, now, desk.rng.random, doubted), info)
    except Exception as error:
        route = Route(desk, trace, request, info, style, (), now)
        route.decided_by = policy_failure(desk.policy, error)
        return route
    return Route(desk, trace, request, info, style, order, now)


def answer_flow(route: Route) -> Flow:
    """One request that wants a whole answer; returns it."""
    try:
        winner = yield from compete(route)
        route.succeed(winner)
        if route.live:
            yield from drop_losers(route, winner)
        served(route)
        return winner.value
    except Gone as gone:
        route.now = max(route.now, gone.at_s)
        raise
    except Exception as error:
        lost(route, error)
        raise
    finally:
        leave(route)


def stream_flow(route: Route) -> Flow:
    """One request that wants a stream; emits its chunks."""
    try:
        while True:
            live = yield from compete(route)
            yield from drop_losers(route, live)
            if route.broken is not None:
                restarted = taken_over(route, route.broken, live)
                if restarted is not None:
                    route.now = yield Emit(restarted)
            broken = yield from deliver(route, live)
            if broken is None:
                route.succeed(live)
                served(route)
                return None
            go_on_or_raise(route, live, broken)
    except Gone as gone:
        route.now = max(route.now, gone.at_s)
        raise
    except Exception as error:
        lost(route, error)
        raise
    finally:
        leave(route)


def compete(route: Route) -> Generator[Effect, Any, Live]:
    """Starts attempts, one after the other or racing when one is overdue, until one has an answer, or enough of a
    stream.

    Raises:
        FailoverError: when nobody is left to ask, the failure is the caller's own, or the deadline has passed.
    """
    while True:
        if route.past_deadline():
            raise deadline_error(route, shown=route.shown)
        start = route.next_start()
        if start is not None:
            route.now = yield start
        elif not route.waiting or route.decided_by is not None:
            raise final_error(route)
        event: Event = yield next_wait(route)
        route.now = event.at_s
        if isinstance(event, Elapsed):
            yield from _time_passed(route)
        elif event.number in route.live:
            yield from _settle(route, route.live[event.number], event)
        for live in route.live.values():
            if live.ended or (live.inlet is not None and live.inlet.ready(route.now)):
                route.refusal = None
                return live


def _time_passed(route: Route) -> Generator[Effect, Any, None]:
    if route.past_deadline():
        raise deadline_error(route, shown=route.shown)
    if route.refusal is not None and route.now >= refusal_decides_s(route, route.refusal):
        route.decided_by = route.refusal.failure
        raise final_error(route)
    for live in said_all(route):
        number = live.attempt.number
        route.now = yield Cancel(number)
        yield from _settle(route, live, Ended(number, route.now))
        if live.ended:
            return
    for live in overdue(route):
        why = why_given_up(route, live)
        if why is not None:
            route.now = yield Cancel(live.attempt.number)
            route.fail(live, Failure(FailureKind.TIMEOUT, why))


def _settle(route: Route, live: Live, event: Event) -> Generator[Effect, Any, None]:
    """What one event means for its attempt while nothing of it has been shown."""
    inlet = live.inlet
    failure: Failure | None = None
    over = isinstance(event, Ended)
    if isinstance(event, Failed):
        failure = route.desk.classify(event.error)
        over = inlet is not None and _only_the_end_broke(inlet, failure)
    elif isinstance(event, Returned):
        live.value = event.value
        failure = judge_answer(route, live, event.value)
        live.ended = failure is None
    elif isinstance(event, Chunk) and inlet is not None:
        chunk = inlet.take(event.value, route.now)
        if chunk is not None:
            inlet.held.append(chunk)
        if inlet.first_content_s == route.now:
            has_begun(route, live)
        if inlet.hopeless or inlet.bug is not None:
            route.now = yield Cancel(event.number)
            failure = inlet.bug or _unjoined()
    if over and inlet is not None:
        failure = route.judge(inlet.finished()) if inlet.joined else _unjoined()
        live.ended = failure is None
    if failure is not None:
        route.fail(live, failure)
        if route.decided_by is not None:
            raise final_error(route)


def deliver(route: Route, live: Live) -> Generator[Effect, Any, Failure | None]:
    """Passes a stream on until its end; returns what broke it, or None after a good end."""
    inlet = live.inlet
    assert inlet is not None
    held, inlet.held = inlet.held, []
    for chunk in held:
        route.now = yield Emit(chunk)
    if live.ended:
        return None
    stall_s = stall_limit_s(live.target, route.info, route.desk.settings, route.desk.book)
    relay = Relay(inlet, route.now)
    watch_silence(route, live, relay, stall_s)
    relay.deadline_s, relay.look_s = route.deadline_s, pace_look_s(route, live)
    if inlet.finish_reason is not None:
        relay.wait_for_last_words(route.now)
    while True:
        event: Event = yield Wait(relay.until_s, relay=relay)
        route.now = event.at_s
        if isinstance(event, Chunk):
            chunk = relay.take(event.value, route.now)
            if chunk is not None:
                route.now = yield Emit(chunk)
                relay.reader_back(event.at_s, route.now)
            elif inlet.bug is not None:
                route.now = yield Cancel(live.attempt.number)
                return inlet.bug
        elif isinstance(event, Ended):
            return (yield from _end(route, inlet))
        elif isinstance(event, Failed):
            failure = route.desk.classify(event.error)
            return (yield from _end(route, inlet)) if _only_the_end_broke(inlet, failure) else _inside_stream(failure)
        elif isinstance(event, Elapsed):
            # All is said, but the connection stays open; or what is said cannot be read.
            over = inlet.finish_reason is not None or inlet.bug is not None
            if route.past_deadline() and not over:
                raise deadline_error(route, shown=inlet.seen)
            if not over:
                watch_silence(route, live, relay, stall_s)
            if relay.look_s is not None and route.now >= relay.look_s:
                relay.look_s = None
                look_at_pace(route, live)
            if relay.until_s is not None and route.now >= relay.until_s:
                route.now = yield Cancel(live.attempt.number)
                if over:
                    return (yield from _end(route, inlet))
                return Failure(FailureKind.TIMEOUT, f"silent for {relay.stall_s:.1f} s inside the stream")


def _end(route: Route, inlet: Inlet) -> Generator[Effect, Any, Failure | None]:
    """The stream is over: was it good? Then what was withheld is shown."""
    failure = inlet.bug or route.judge(inlet.finished())
    if failure is None:
        for chunk in inlet.held:
            route.now = yield Emit(chunk)
    return failure


def go_on_or_raise(route: Route, live: Live, broken: Failure) -> None:
    """A stream broke after a part of it was passed on: plan to go on at another target, or raise.

    Raises:
        StreamInterrupted: text was shown, and to go on is switched off, impossible or not allowed.
        FailoverError: what it would have been without a stream, where no text was shown.
    """
    assert live.inlet is not None
    route.choice.reconsider(route.now)
    seen, replaces = live.inlet.seen, route.desk.settings.midstream == "replace"
    bad_text = bool(seen) and broken.kind is FailureKind.INVALID_OUTPUT  # more of it would not make it better
    possible = can_go_on(route, live) and (replaces or not bad_text)
    verdict = Verdict.REPLACED if replaces else Verdict.RESUMED
    route.fail(live, broken, after_showing=verdict if possible else Verdict.RAISE)
    if route.decided_by is not None and not seen:
        raise final_error(route)
    if route.decided_by is not None or not possible:
        raise interrupted_error(route, broken, seen)
    go_on_after(route, seen, live)


def watch_silence(route: Route, live: Live, relay: Relay, stall_s: float) -> None:
    """A given limit always holds, a learned one only where attempts are limited at all, and not before somebody could
    take over. Where nobody ever may, the caller has to be told some day that no more will come.
    """
    relay.stall_s, relay.not_before_s = stall_s, 0.0
    if route.desk.settings.stall_s is not None:
        return
    if live.limit is None:
        relay.stall_s = None
        return
    backup_s = route.backup_from_s() if may_change_hands(route, live) else None
    if backup_s is None:
        relay.stall_s = max(stall_s, HOPELESS_STALL_S)
    else:
        relay.not_before_s = backup_s


def drop_losers(route: Route, winner: Live) -> Generator[Effect, Any, None]:
    """The race is over. A probe that has lost it runs on by itself: it was asked to learn how the target is."""
    for live in list(route.live.values()):
        if live is winner:
            continue
        if live.apart and live.limit is not None:
            until_s = live.began_s + max(live.limit.usual_s, route.now - live.began_s)
            route.now = yield Detach(live.attempt.number, until_s, Aftermath(route.desk, route.info, live))
            route.lose(live, winner, runs_on=True)
        else:
            route.now = yield Cancel(live.attempt.number)
            route.lose(live, winner)


def served(route: Route) -> None:
    trace = route.finish()
    if route.detailed:
        route.desk.telemetry.emit(RequestServed(trace))


def lost(route: Route, error: Exception) -> None:
    route.desk.telemetry.emit(RequestLost(route.finish(), error))


def leave(route: Route) -> None:
    """Whatever happened, no permit is kept: attempts still under way are cancelled, and that blames nobody."""
    for live in list(route.live.values()):
        route.drop(live, Verdict.CANCELLED)
    route.finish()


def judge_answer(route: Route, live: Live, value: Any) -> Failure | None:
    """What is wrong with a whole answer; also notes what it tells of usage and model."""
    reader = live.target.reader
    try:
        reading = reader.read(value)
        finished = Finished.of(value, reading, reader)
        if route.desk.book.habits.pace_is_due(live.target.name, route.now):
            live.output_tokens = reading.tokens
    except Exception as error:
        return own_bug(live.target.name, "its reader's read", error)
    live.attempt.usage, live.attempt.model, live.told = reading.usage, reading.model, reading.rate_limit
    return route.judge(finished)


def _inside_stream(failure: Failure) -> Failure:
    """A connection lost or an event garbled in the middle is a broken stream: what came before it was good, and nothing
    says that the next connection would fail too.
    """
    if failure.kind in (FailureKind.CONNECTION, FailureKind.UNKNOWN, FailureKind.INVALID_OUTPUT):
        return replace(failure, kind=FailureKind.STREAM_BROKEN)
    return failure


def _only_the_end_broke(inlet: Inlet, failure: Failure) -> bool:
    """All had been said: a connection lost after the finish reason takes nothing away."""
    return inlet.finish_reason is not None and failure.kind in (FailureKind.CONNECTION, FailureKind.STREAM_BROKEN)


def _unjoined() -> Failure:
    return Failure(FailureKind.INVALID_OUTPUT, "its answer does not go on from the text already shown")
