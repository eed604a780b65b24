"""A stream has broken after a part of it was shown: who may go on with it, or start over, and how is that told?"""

from __future__ import annotations

from .failure import FailureKind
from .live import Live
from .model import Target
from .route import Route
from .trace import Seam, StreamRestarted


def can_rephrase(route: Route) -> bool:
    """Is there a target left that can be asked to go on from shown text?"""
    return route.choice.any_left(_can_resume)


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
