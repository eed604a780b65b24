"""What a target's callable may ask about the attempt that it is running in."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from .model import Target


@dataclass(slots=True)
class AttemptContext:
    """The attempt under way.

    Args:
        target: the target being asked.
        number: 1 for the request's first attempt.
        request_id: as in the trace.
        remaining_s: seconds left of the caller's deadline when the attempt started; None = no deadline.
            Targets that talk to a network should pass it on as their own timeout.
        hang_up: a target of blocking code may set it to what ends its blocked read from another thread; it is called
            when the attempt is given up. Without it, the thread is only told at its next chunk.
    """

    target: Target
    number: int
    request_id: str
    remaining_s: float | None
    hang_up: Callable[[], None] | None = None


_current: ContextVar[AttemptContext | None] = ContextVar("failover_attempt", default=None)


def current_attempt() -> AttemptContext | None:
    """The attempt that the running code belongs to, or None outside of one."""
    return _current.get()


def enter(attempt: AttemptContext) -> AttemptContext | None:
    """For drivers: mark the running context as belonging to `attempt`; returns the one it belonged to before."""
    outer = _current.get()
    _current.set(attempt)
    return outer


def leave(outer: AttemptContext | None = None) -> None:
    """For drivers: the running context belongs to `outer` again (one failover may run inside an attempt of another)."""
    _current.set(outer)
