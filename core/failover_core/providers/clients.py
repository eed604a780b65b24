"""The SDK clients of one target: one for sync code, one for each event loop, each with its own connection pool.

A pool of connections belongs to the event loop that opened it; used from a second loop it fails with "Event loop is
closed", which looks like an outage of the provider. So every loop gets its own client. It is closed when the loop
shuts down: `asyncio.run` closes the async generators that are still open, and one of them holds the client.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Callable
from threading import Lock
from typing import Any


class ClientPool:
    """Opens clients when they are first needed. Safe to use from any thread and any event loop.

    Args:
        open_sync, open_async: make a client.
        close_sync, close_async: close one; the second returns an awaitable.
    """

    def __init__(
        self,
        open_sync: Callable[[], Any],
        open_async: Callable[[], Any],
        close_sync: Callable[[Any], Any],
        close_async: Callable[[Any], Any],
    ) -> None:
        self._open_sync, self._open_async = open_sync, open_async
        self._close_sync, self._close_async = close_sync, close_async
        self._sync: Any = None
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncGenerator[Any, None]]
        self._loops = weakref.WeakKeyDictionary()
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = weakref.WeakKeyDictionary()
        self._lock = Lock()

    def sync(self) -> Any:
        """The client for sync code."""
        with self._lock:
            if self._sync is None:
                self._sync = self._open_sync()
                weakref.finalize(self, self._close_sync, self._sync)
            return self._sync

    async def running(self) -> Any:
        """The client of the running event loop."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is not None:
            return client
        with self._lock:
            # Connections keep their loop alive, so what an unclean shutdown left behind is dropped by hand.
            for old in [old for old in self._clients if old.is_closed()]:
                self._forget(old)
            client = self._clients[loop] = self._open_async()
            holder = self._loops[loop] = self._hold(loop, client)
        await anext(holder)
        return client

    def close(self) -> None:
        """Close the sync client; it opens again when it is needed."""
        with self._lock:
            client, self._sync = self._sync, None
        if client is not None:
            self._close_sync(client)

    async def aclose(self) -> None:
        """Close the running loop's client; it opens again when it is needed."""
        holder = self._loops.get(asyncio.get_running_loop())
        if holder is not None:
            await holder.aclose()

    async def _hold(self, loop: asyncio.AbstractEventLoop, client: Any) -> AsyncGenerator[Any, None]:
        try:
            yield client
        finally:
            self._forget(loop)
            await self._close_async(client)

    def _forget(self, loop: asyncio.AbstractEventLoop) -> None:
        self._clients.pop(loop, None)
        self._loops.pop(loop, None)
