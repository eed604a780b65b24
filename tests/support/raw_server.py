"""A server that answers with exactly the bytes it is told to, broken ones included."""

from __future__ import annotations

import json
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Literal

End = Literal["close", "reset", "hang"]


class RawServer:
    """Reads a request, sends what `answer` was given last, then ends the connection as told."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._over = Event()
        self._data, self._end = b"", "close"
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def answer(self, data: bytes, end: End = "close") -> None:
        self._data, self._end = data, end

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            Thread(target=self._serve_one, args=(connection, self._data, self._end), daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve_one(self, connection: socket.socket, data: bytes, end: str) -> None:
        with connection:
            try:
                _read_request(connection)
                connection.sendall(data)
                if end == "reset":
                    # Only after the client has read what came before: a reset throws away what is unread.
                    self._over.wait(0.05)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                elif end == "hang":
                    self._over.wait(5)
            except OSError:
                return


def _read_request(connection: socket.socket) -> None:
    connection.settimeout(5)
    data = b""
    while b"\r\n\r\n" not in data:
        data += _received(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: *(\d+)", head, re.I)
    while length and len(body) < int(length[1]):
        body += _received(connection)


def _received(connection: socket.socket) -> bytes:
    data = connection.recv(65_536)
    if not data:
        raise ConnectionError("the client has left")
    return data


@contextmanager
def raw_server() -> Iterator[RawServer]:
    server = RawServer()
    thread = Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(5)


def http(status: int, body: object, content_type: str = "application/json", **headers: str) -> bytes:
    """A whole response; a body that is not text is sent as JSON."""
    data = (body if isinstance(body, str) else json.dumps(body)).encode()
    told = {"content-type": content_type, "content-length": str(len(data)), "connection": "close", **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in told.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + data


def events(*data: str, complete: bool = True) -> bytes:
    """A stream of server-sent events in chunked encoding, cut off before its last chunk unless `complete`."""
    head = (
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    )
    chunks = "".join(f"{len(text.encode()):x}\r\n{text}\r\n" for text in data)
    return (head + chunks + ("0\r\n\r\n" if complete else "")).encode()
