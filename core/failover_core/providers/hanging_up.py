"""Ending a blocked read from another thread: to close a socket does not wake its reader, to shut it down does."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

from ..context import current_attempt


@contextmanager
def may_be_hung_up(response: Any) -> Iterator[None]:
    """While the stream of `response` (httpx's) is read by blocking code: who gives the attempt up frees its thread.

    A connection that several requests share (HTTP/2) is left alone.
    """
    attempt = current_attempt()
    line = _socket_of(response)
    if attempt is None or line is None:
        yield
        return
    hold = RLock()  # as everything that the garbage collector may come to
    ours = True

    def hang_up() -> None:
        with hold:
            if ours:
                # not SSLSocket's own, which takes its state from under the reader
                socket.socket.shutdown(line, socket.SHUT_RDWR)

    attempt.hang_up = hang_up
    try:
        yield
    finally:
        with hold:  # the connection is going back to its pool, and may serve another request at once
            ours = False
        attempt.hang_up = None


def _socket_of(response: Any) -> socket.socket | None:
    if getattr(response, "http_version", None) != "HTTP/1.1":
        return None
    stream = response.extensions.get("network_stream")
    line = None if stream is None else stream.get_extra_info("socket")
    return line if isinstance(line, socket.socket) else None
