"""Async clients whose kept connections belong to event loops that are gone, as after each `asyncio.run`.

The first use of such a connection in another loop fails with "Event loop is closed", and drops it. The request may be
out by then, but nobody hears the answer. The SDKs' own retries used to hide that; adapters that switch these off try
again here, at no attempt's expense. (Native targets need none of it: they have a client for each loop.)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")

CONNECTIONS = 100
"""So many idle connections do the SDKs' clients keep, and each may be stale."""


def of_a_closed_loop(error: BaseException) -> bool:
    """Does an error come of a connection whose event loop is gone? SDKs wrap it as a connection error."""
    seen = 0
    cause: BaseException | None = error
    while cause is not None and seen < 10:
        if isinstance(cause, RuntimeError) and str(cause) == "Event loop is closed":
            return True
        cause, seen = cause.__cause__ or cause.__context__, seen + 1
    return False


async def past_stale(function: Callable[..., Awaitable[T]], *args: Any) -> T:
    """`await function(*args)`, tried again for each stale connection that it meets."""
    for _ in range(CONNECTIONS):
        try:
            return await function(*args)
        except Exception as error:
            if not of_a_closed_loop(error):
                raise
    return await function(*args)


class PastStale(AsyncIterator[T]):
    """The stream that `function(*args)` opens, opened again for each stale connection that it meets before its first
    chunk. From then on it costs next to nothing.
    """

    __slots__ = ("_args", "_function", "_next", "_source")

    def __init__(self, function: Callable[..., AsyncIterator[T]], *args: Any) -> None:
        self._function, self._args = function, args
        self._source: Any = function(*args)
        self._next: Callable[[], Awaitable[T]] | None = None

    def __anext__(self) -> Awaitable[T]:
        return self._first() if self._next is None else self._next()

    async def aclose(self) -> None:
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()

    async def _first(self) -> T:
        for _ in range(CONNECTIONS):
            try:
                return await self._begun()
            except Exception as error:
                if not of_a_closed_loop(error):
                    raise
            await self.aclose()
            self._source = self._function(*self._args)
        return await self._begun()

    async def _begun(self) -> T:
        first: T = await self._source.__anext__()
        self._next = self._source.__anext__
        return first
