"""A server that says "hi" on all three wires and remembers each request's headers and connection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

ANSWER = {
    "id": "1", "object": "chat.completion", "created": 0, "type": "message", "role": "assistant", "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn",
    "candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
    "usage": {
        "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "input_tokens": 1, "output_tokens": 1,
    },
}  # fmt: skip


@dataclass
class Recorded:
    url: str
    headers: list[dict[str, str]] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)

    @property
    def keys(self) -> list[str]:
        """The API keys that were sent, in whichever header."""
        names = ("authorization", "x-api-key", "x-goog-api-key")
        return [sent[name].removeprefix("Bearer ") for sent in self.headers for name in names if name in sent]


@contextmanager
def recording_server() -> Iterator[Recorded]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            recorded.headers.append({name.lower(): value for name, value in self.headers.items()})
            recorded.ports.append(self.client_address[1])
            body = json.dumps(ANSWER).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        recorded = Recorded(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield recorded
        server.shutdown()
        thread.join()
