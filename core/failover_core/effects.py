"""What the engine asks of a driver (effects), and what a driver tells the engine (events).

The engine is a generator. It yields effects and is sent the reply:

=========  =========================================================================================
effect     reply
=========  =========================================================================================
`Start`    the time now. The driver starts the attempt; what becomes of it arrives at a later `Wait`.
`Cancel`   the time now. The driver stops the attempt if it can; nothing more is heard of it.
`Detach`   the time now. Nobody waits for the attempt any more; it runs on, and its events go to `watch`.
`Emit`     the time when the caller came back for more: a slow reader is not a slow target.
`Wait`     the next event of any started attempt, or `Elapsed` when `until_s` has come first.
=========  =========================================================================================

All times are seconds on the driver's own monotonic clock. Errors arrive as values (`Failed`), never thrown in;
`Gone` is how a caller's going away reaches the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .context import AttemptContext
from .stream.relay import Relay


@dataclass(slots=True)
class Start:
    """Begin attempt `number`.

    Args:
        context: what its callable may ask.
        request: what it is called with.
        watched: somebody may have to interrupt it, so it must not block the driver.
        apart: it may be detached later, so it must not run inside the caller's own task or thread.
    """

    number: int
    context: AttemptContext
    request: Any
    watched: bool
    apart: bool = False


@dataclass(slots=True)
class Cancel:
    number: int


@dataclass(slots=True)
class Detach:
    """Let an attempt run on by itself. `watch` is called with each of its events, on whatever thread that happens, and
    once with `Elapsed` if it has not ended by `until_s`, when it is cancelled.
    """

    number: int
    until_s: float
    watch: Callable[[Event], None]


@dataclass(slots=True)
class Emit:
    chunk: Any


@dataclass(slots=True)
class Wait:
    """For the next event, or until `until_s`.

    Args:
        until_s: on the driver's clock; None = for ever.
        relay: the chunks of the only attempt under way may be passed on by the driver itself; what else happens goes to
            the engine. `until_s` moves with each chunk then: see `Relay.until_s`.
    """

    until_s: float | None
    relay: Relay | None = None


@dataclass(slots=True)
class Returned:
    """A non-streamed attempt gave its answer."""

    number: int
    value: Any
    at_s: float


@dataclass(slots=True)
class Chunk:
    """A stream gave a chunk."""

    number: int
    value: Any
    at_s: float


@dataclass(slots=True)
class Ended:
    """A stream came to its end without an error."""

    number: int
    at_s: float


@dataclass(slots=True)
class Failed:
    number: int
    error: BaseException
    at_s: float


@dataclass(slots=True)
class Elapsed:
    at_s: float


class Gone(GeneratorExit):
    """Thrown into the engine when the caller has gone away, at `at_s`."""

    def __init__(self, at_s: float) -> None:
        super().__init__()
        self.at_s = at_s


def abandon(flow: Flow, at_s: float) -> None:
    """As `flow.close()`, where it is not over yet, telling it the time."""
    if getattr(flow, "gi_frame", None) is not None:
        with suppress(Gone):
            flow.throw(Gone(at_s))


Effect = Start | Cancel | Detach | Emit | Wait
AttemptEvent = Returned | Chunk | Ended | Failed
Event = AttemptEvent | Elapsed
Flow = Generator[Effect, Any, Any]
"""Yields effects, is sent a time (`Start`, `Cancel`, `Detach`, `Emit`) or an `Event` (`Wait`), returns the answer."""
