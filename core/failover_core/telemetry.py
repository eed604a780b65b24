"""Hands events to listeners, and to stdlib logging under the name `failover` (silent until it is configured)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import BuiltinMethodType, MethodType

from .events import AttemptEnded, AttemptOverdue, CircuitChanged, Happening, RequestLost, TargetChecked, TargetParked
from .failure import RequestRejected
from .trace import Verdict

Listener = Callable[[Happening], None]

logger = logging.getLogger("failover")
logger.addHandler(logging.NullHandler())


class Telemetry:
    """The list of listeners. A listener that raises is logged and never disturbs a request."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = tuple(listeners)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Add a listener; returns a function that removes it. One that listens already is not told things twice."""
        if not any(_is_same(one, listener) for one in self._listeners):
            self._listeners = (*self._listeners, listener)

        def unsubscribe() -> None:
            self._listeners = tuple(one for one in self._listeners if not _is_same(one, listener))

        return unsubscribe

    @property
    def detailed(self) -> bool:
        """False when nobody wants to see that all is well, so that the hot path need not build such events."""
        return bool(self._listeners) or logger.isEnabledFor(logging.DEBUG)

    def emit(self, event: Happening) -> None:
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                logger.exception("a listener of Failover events failed")
        _log(event)


def _is_same(one: Listener, other: Listener) -> bool:
    """Each look at `events.append` makes a new object; other objects may be equal without being the same."""
    return one is other or (isinstance(one, MethodType | BuiltinMethodType) and one == other)


def _log(event: Happening) -> None:
    match event:
        case TargetParked(target, kind, message, park_s):
            logger.error("%s is set aside for %.0f s, a person must act: %s: %s", target, park_s, kind, message)
        case CircuitChanged(target, old, new, reason, _):
            logger.warning("%s: circuit %s -> %s (%s)", target, old, new, reason)
        case AttemptEnded(request_id, attempt) if attempt.verdict is not Verdict.ANSWERED:
            logger.info("request %s: %s", request_id, attempt.line())
        case AttemptOverdue(request_id, attempt, elapsed_s):
            logger.info("request %s: %s is overdue after %.2f s", request_id, attempt.target.name, elapsed_s)
        case TargetChecked(target, failure, elapsed_s) if failure is not None:
            logger.info("%s: health check failed after %.2f s: %s", target, elapsed_s, failure.kind)
        case RequestLost(trace, error):
            level = logging.WARNING if isinstance(error, RequestRejected) else logging.ERROR  # the caller's, or ours
            logger.log(level, "request %s was lost: %s", trace.request_id, error)
        case _:
            logger.debug("%s", event)
