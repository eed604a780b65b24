"""Until when is there nothing to do, and which attempts are waited for no longer?

An attempt is raced when it has passed its limit. Before that it is looked at a few times: the longer it is silent,
the more likely has its target fallen silent as a whole, and together with what else speaks for that it may be raced
at once.
"""

from __future__ import annotations

from collections.abc import Iterator

from .effects import Wait
from .events import AttemptOverdue
from .health.habits import SURE_SAMPLES
from .health.suspicion import LOOKS, RACE_NATS
from .limits import gap_key, habit_key, size_of, stall_limit_s
from .live import Live, Refusal
from .route import Route
from .stream.inlet import LAST_WORDS_S

PACE_LOOK_S = 2.0
KNOCK_S, MAX_KNOCK_S = 0.5, 8.0
MAX_KNOCKS = 200  # with doubling pauses: almost half an hour


def next_wait(route: Route) -> Wait:
    """Until when there is nothing to do unless an attempt says something."""
    until_s, holding = route.deadline_s, False
    if route.retry is not None and (until_s is None or route.retry[1] < until_s):
        until_s = route.retry[1]
    if route.refusal is not None:
        decides_s = refusal_decides_s(route, route.refusal)
        until_s = decides_s if until_s is None else min(until_s, decides_s)
    for live in route.live.values():
        time_s = live.inlet.release_at_s() if live.inlet is not None else None
        if time_s is None:
            time_s = _due_s(route, live)
            hedge_s = live.hedge_at_s
            if hedge_s is not None and hedge_s > route.now and (time_s is None or hedge_s < time_s):
                time_s = hedge_s
        else:
            holding = True
        if time_s is not None and (until_s is None or time_s < until_s):
            until_s = time_s
    if (until_s is None or until_s == route.deadline_s) and route.knocks < MAX_KNOCKS and not holding:
        again_s = _knock_s(route)
        until_s = again_s if until_s is None or (again_s is not None and again_s < until_s) else until_s
    return Wait(until_s)


def refusal_decides_s(route: Route, refusal: Refusal) -> float:
    """When those who may still answer have been silent for too long."""
    heard_s = refusal.at_s
    for live in route.live.values():
        if live.inlet is not None and live.inlet.progress_s is not None:
            heard_s = max(heard_s, live.inlet.progress_s)
    return heard_s + refusal.patience_s


def _knock_s(route: Route) -> float | None:
    """When to ask again for leave to ask somebody else: everybody under way is overdue, and those who are left had no
    room, or were taking their traffic back by shares.
    """
    if not all(live.attempt.overdue for live in route.live.values()):
        return None
    backup_s = route.backup_from_s()
    if backup_s is None:
        return None
    if route.now >= route.knock_s:  # keep-alives must not use up the knocks, nor put them off
        route.knocks += 1
        route.desk.book.traffic.refill()  # where no more requests come, nobody else pays for those that wait
        route.knock_s = route.now + min(MAX_KNOCK_S, KNOCK_S * 2.0 ** (route.knocks - 1))
    return max(backup_s, route.knock_s)


def has_begun(route: Route, live: Live) -> None:
    """The first content has come: the silence is over, and how long it took is known."""
    live.hedge_at_s = None
    book, first_s = route.desk.book, route.now - live.began_s
    book.heard(live.permit)
    book.timed(live.permit, route.now, habit_key(route.info, True), first_s / size_of(route.info))


def pace_look_s(route: Route, live: Live) -> float | None:
    """When the pace of a stream is looked at, once; None where it is not known what is usual."""
    gap = route.desk.book.habits.own(live.target.name, gap_key(route.info))
    if live.limit is None or live.inlet is None or live.inlet.first_content_s is None or gap.samples < SURE_SAMPLES:
        return None
    return max(route.now, live.inlet.first_content_s) + PACE_LOOK_S


def look_at_pace(route: Route, live: Live) -> None:
    """Pieces that come more slowly than usual are evidence before the stream's end, which will be late itself."""
    inlet, book = live.inlet, route.desk.book
    if inlet is None or inlet.first_content_s is None:
        return
    gap_s = (route.now - inlet.first_content_s - inlet.idle_s) / inlet.chunks
    live.paced = True
    book.timed(live.permit, route.now, gap_key(route.info), gap_s)
    slow = book.habits.why_slow(live.target.name, [(gap_key(route.info), gap_s)])
    if slow:
        book.overdue(live.permit, route.now, slow)


def said_all(route: Route) -> list[Live]:
    """Streams that have come to their end, although their connection stays open."""
    return [
        live
        for live in route.live.values()
        if live.inlet is not None
        and live.inlet.said_all_s is not None
        and route.now >= live.inlet.said_all_s + LAST_WORDS_S
    ]


def overdue(route: Route) -> Iterator[Live]:
    """Marks and gives the attempts that are waited for no longer. Their lateness is evidence at once."""
    for live in list(route.live.values()):
        due_s = _due_s(route, live)
        if due_s is None or route.now < due_s:
            continue
        if live.inlet is not None and live.inlet.release_at_s() is not None:
            continue
        if live.attempt.overdue:  # held to a given `stall_s`
            yield live
            continue
        elapsed_s = route.now - live.began_s
        if live.look_s() is not None:
            if not _too_silent(route, live):
                continue
        elif live.limit is not None and live.limit.counts:
            route.desk.book.overdue(live.permit, route.now, f"no answer in {elapsed_s:.1f} s")
        live.attempt.overdue = True
        route.desk.telemetry.emit(AttemptOverdue(route.trace.request_id, live.attempt, elapsed_s))
        yield live


def why_given_up(route: Route, live: Live) -> str | None:
    """What an overdue attempt fails with; None where it is raced instead, or may still be waited for."""
    if live.limit is not None and live.limit.kills:
        return f"no answer in {live.limit.seconds:.1f} s"
    if _is_held_to_stall_s(route, live) and _nobody_is_left(route):
        return f"silent for {route.desk.settings.stall_s:.1f} s inside the stream"
    return None


def _is_held_to_stall_s(route: Route, live: Live) -> bool:
    """It has begun, and how long it may be silent then was given, not learned: that holds for the last one, too."""
    return route.desk.settings.stall_s is not None and live.inlet is not None and live.inlet.progress_s is not None


def _due_s(route: Route, live: Live) -> float | None:
    """When an attempt that has shown nothing yet is over, looked at, overdue or given up; None = never."""
    inlet = live.inlet
    if inlet is not None and inlet.said_all_s is not None:
        return inlet.said_all_s + LAST_WORDS_S
    held = _is_held_to_stall_s(route, live)
    if not held and (live.attempt.overdue or live.limit is None):
        return None
    look_s = live.look_s()
    if look_s is not None:
        return look_s
    if inlet is not None and inlet.progress_s is not None:  # begun, but withheld or not yet joined
        due_s = inlet.progress_s + stall_limit_s(live.target, route.info, route.desk.settings, route.desk.book)
    else:
        assert live.limit is not None
        due_s = live.began_s + live.limit.seconds
    if due_s > route.now:
        return due_s
    if live.attempt.overdue:
        return due_s if _nobody_is_left(route) else None
    backup_s = route.backup_from_s()  # to be late means nothing while there is nobody else to ask
    return due_s if held and backup_s is None else backup_s


def _nobody_is_left(route: Route) -> bool:
    """All who are under way are overdue, and there is nobody else to ask."""
    if route.retry is not None or route.backup_from_s() is not None:
        return False
    return all(live.attempt.overdue for live in route.live.values())


def _too_silent(route: Route, live: Live) -> bool:
    nats = LOOKS[live.looks][1]
    live.looks += 1
    return route.desk.book.silent(live.permit, route.now, nats) >= RACE_NATS and route.has_backup()
