"""A thread with an event loop that serves HTTP on one port, and can be gone and come back.

Knows nothing of providers: `ProviderServer` gives it a handler.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from aiohttp import web

T = TypeVar("T")
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_LONGEST_REQUEST_BYTES = 256 * 1024 * 1024
_PATIENCE_S = 10.0


class Host:
    """Serves `handler` from a daemon thread.

    Args:
        handler: answers a request; it is cancelled when its client leaves.
        address: where to listen.
        port: 0 = any free port, a new one for each start.
        on_drop: called on the thread just before the connections under way are closed.
    """

    def __init__(self, handler: Handler, address: str, port: int, on_drop: Callable[[], None]) -> None:
        self.address = address
        self._handler = handler
        self._wanted_port = port
        self._on_drop = on_drop
        self._working: set[asyncio.Task[Any]] = set()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener: _Listener | None = None
        self._server: web.Server | None = None
        self._stopping: asyncio.Event | None = None

    @property
    def port(self) -> int:
        if self._listener is None:
            raise RuntimeError("This ProviderServer has no port before start()")
        return self._listener.port

    @property
    def connections(self) -> int:
        return len(self._server.connections) if self._server is not None else 0

    def start(self) -> None:
        if self._thread is not None:
            raise RuntimeError("This ProviderServer runs already")
        ready: Future[None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(ready)), name="provider-server", daemon=True
        )
        self._thread.start()
        try:
            ready.result(_PATIENCE_S)
        except BaseException:
            self._thread = None
            raise

    def stop(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None and self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            thread.join(_PATIENCE_S)

    def refuse(self) -> None:
        self._on_loop(self._refuse())

    def accept(self) -> None:
        self._on_loop(self._accept())

    def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        if self._thread is None or self._loop is None:
            work.close()
            raise RuntimeError("This ProviderServer does not run: start() it first")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE_S)

    async def _run(self, ready: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._server = _http_server(self._handle)
        try:
            self._listener = _Listener(self.address, self._wanted_port)
            await self._listener.open(self._server)
        except OSError as error:
            ready.set_exception(error)
            return
        ready.set_result(None)
        await self._stopping.wait()
        self._listener.close()
        await self._drop()

    async def _refuse(self) -> None:
        assert self._listener is not None
        self._listener.refuse()
        await self._drop()

    async def _accept(self) -> None:
        assert self._listener is not None and self._server is not None
        await self._listener.open(self._server)

    async def _drop(self) -> None:
        """Close every connection at once, in use or idle, and see their handlers end."""
        assert self._server is not None
        self._on_drop()
        for connection in self._server.connections:
            if connection.transport is not None:
                connection.transport.abort()
        if self._working:
            await asyncio.wait(self._working)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._working.add(task)
        try:
            return await self._handler(request)
        finally:
            self._working.discard(task)


class _Listener:
    """A port, open or closed. While it is closed the port stays ours and connections are refused."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self._held: socket.socket | None = _bound(host, port)
        self.port: int = self._held.getsockname()[1]
        self._server: asyncio.Server | None = None

    async def open(self, protocol: web.Server) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            # aiohttp and asyncio switch Nagle's algorithm off on what is accepted here.
            self._server = await asyncio.get_running_loop().create_server(protocol, sock=held, backlog=1024)

    def refuse(self) -> None:
        """Stop listening. A socket that is bound but does not listen keeps others from taking the port."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._held = _bound(self.host, self.port)

    def close(self) -> None:
        self.refuse()
        if self._held is not None:
            self._held.close()
            self._held = None


def _http_server(handler: Handler) -> web.Server:
    """aiohttp's HTTP protocol, set up to cancel handlers whose client has left and to take long prompts."""
    loop = asyncio.get_running_loop()

    def factory(message, payload, protocol, writer, task):  # type: ignore[no-untyped-def]
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_LONGEST_REQUEST_BYTES)

    return web.Server(handler, request_factory=factory, handler_cancellation=True, access_log=None)


def _bound(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
