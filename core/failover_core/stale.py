"""Async clients whose kept connections belong to other event loops: to one that is gone, as after each `asyncio.run`,
or to one that runs in another thread and shares the client.

The first use of such a connection fails with one of the messages below, and drops it. The request may be out by then,
but nobody hears the answer. The SDKs' own retries used to hide that; adapters that switch these off try again here, at
no attempt's expense. (Native targets need none of it: they have a client for each loop.)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")

CONNECTIONS = 100
"""So many idle connections do the SDKs' clients keep, and each may be stale."""


_SAID = ("Event loop is closed", "is bound to a different event loop", "attached to a different loop")


def of_another_loop(error: BaseException) -> bool:
    """Does an error come of a connection that belongs to another event loop? SDKs wrap it as a connection error."""
    seen = 0
    cause: BaseException | None = error
    while cause is not None and seen < 10:
        if isinstance(cause, RuntimeError) and str(cause).endswith(_SAID):
            return True
        if isinstance(cause, ValueError) and _raised_in_pool(cause):
            return True
        cause, seen = cause.__cause__ or cause.__context__, seen + 1
    return False


def _raised_in_pool(error: BaseException) -> bool:
    """A pool that two threads use at once loses what it has in its lists: "list.remove(x): x not in list"."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return step is not None and str(step.tb_frame.f_globals.get("__name__", "")).startswith("httpcore")


async def past_stale(function: Callable[..., Awaitable[T]], *args: Any) -> T:
    """`await function(*args)`, tried again for each stale connection that it meets."""
    for _ in range(CONNECTIONS):
        try:
            return await function(*args)
        except Exception as error:
            if not of_another_loop(error):
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
                if not of_another_loop(error):
                    raise
            await self.aclose()
            self._source = self._function(*self._args)
        return await self._begun()

    async def _begun(self) -> T:
        first: T = await self._source.__anext__()
        self._next = self._source.__anext__
        return first
