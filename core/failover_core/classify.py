"""`classify`: what any exception means. The tables behind it load when the first failure needs them, not at import."""

from __future__ import annotations

from collections.abc import Callable

from .failure import ErrorReport, Failure


def classify(error: BaseException | ErrorReport, *, now: Callable[[], float] | None = None) -> Failure:
    """What an error means, whoever raised it and however it is wrapped. Never raises.

    Args:
        error: any exception (of an SDK, a framework, a transport or Python itself), or an `ErrorReport`.
        now: wall clock in seconds since the epoch, for a Retry-After that names a date; None = the date that the
            response carries itself.
    """
    from .classification import classify as classified

    return classified(error, now=now)
