"""A stream has broken after a part of it was shown: who may go on with it, or start over, and how is that told?"""

from __future__ import annotations

from .failure import FailureKind
from .live import Live
from .model import Target
from .route import Route
from .trace import Seam, StreamRestarted


def can_go_on(route: Route, live: Live) -> bool:
    """Could another target take over now?"""
    return may_change_hands(route, live) and route.has_backup()


def may_change_hands(route: Route, live: Live) -> bool:
    """May another target take over? Always while nothing but reasoning has been seen; after that only for plain text,
    never with tools or structured output under way, and as the settings say: by going on, where somebody can be asked
    to, or by starting over.
    """
    inlet = live.inlet
    if inlet is None or inlet.opaque:
        return False
    if not inlet.seen:
        return not inlet.has_tool_call or inlet.withholds
    if route.info.structured or inlet.has_tool_call:
        return False
    midstream = route.desk.settings.midstream
    return midstream == "replace" or (midstream == "resume" and route.choice.any_left(_can_resume))


def go_on_after(route: Route, shown: str, broken: Live) -> None:
    """From now on attempts are asked to go on after `shown`, or to start over."""
    route.shown, route.broken = shown, broken
    if route.desk.settings.midstream == "replace":
        return
    route.continues = shown
    if shown:
        route.choice.keep(_can_resume, "it cannot go on from an answer that has begun")


def taken_over(route: Route, broken: Live, live: Live) -> StreamRestarted | None:
    """Note where the caller's text changes hands; returns what tells the caller of a new beginning."""
    route.broken = None
    replaces = route.desk.settings.midstream == "replace"
    old, new, offset = broken.target.name, live.target.name, len(route.shown)
    route.trace.seams.append(Seam(offset, old, new, "replace" if replaces else "resume"))
    if not replaces:
        return None
    route.shown = ""
    return StreamRestarted(old, new, offset, broken.attempt.kind or FailureKind.UNKNOWN)


def _can_resume(target: Target) -> bool:
    return target.resume is not None
