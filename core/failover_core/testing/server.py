"""`ProviderServer`: a provider on loopback that speaks the real wires and fails on command.

    with ProviderServer() as server:
        client = openai.OpenAI(base_url=server.openai_url, api_key="test")
        server.script([faults.Status(429, retry_after_s=1), None])   # the first call fails, the second is served
        server.always(faults.Silence())                              # from then on nobody is answered
        ...
        server.heal()

The server runs in a thread with an event loop of its own, so sync and async code use it alike. One server speaks all
three wires: OpenAI chat completions, Anthropic messages and Gemini generateContent, plain and streaming.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, TypeVar

try:
    from aiohttp import web
except ImportError as error:
    raise ImportError('The provider server needs aiohttp: pip install "failover-kit[testing]"') from error

from .answers import Script, default_script
from .behaviour import Behaviour
from .calls import Call, CallLog, without_secrets
from .faults import Fault
from .reply import Reply, plain_reply
from .script import FaultScript, Match, QuotaWindow
from .transport import Listener, drop_connections, send, web_server
from .wires import AnthropicWire, GeminiWire, Incoming, OpenAIWire, Problem, Route, Wire

T = TypeVar("T")
_HEALTHY = Fault()
_MODELS = ("gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-flash")
_PATIENCE_S = 10.0


class ProviderServer:
    """A provider on loopback. What it answers, and how fast, may be changed while it runs: see `behaviour`.

    Args:
        answer: what it says: a str, or a function of the `Ask` that returns a str, a `ToolCall`, a list of them or an
            `Answer`. It runs on the server's thread: keep it quick. None = `default_script`: calls the tools offered,
            fills the schema asked for, else some sentences about the question.
        host: a loopback address.
        port: 0 = any free port.
        words_per_chunk: words in each piece of a stream.
        chunk_delay_s: seconds before each further piece; an answer that is not streamed takes as long in all.
        first_chunk_delay_s: seconds before the first piece, or before an answer that is not streamed.
        continuation: answer a request to go on after a cut with the rest of the answer (see `answers.continued`).
        check_requests: answer requests that the real API would not take with its 400.
        accepts_prefill: take Anthropic requests that end with an assistant message, as older models do.
        models: the models it has; others get the provider's 404. None = any, and three are listed.
        requests_per_minute, tokens_per_minute: what the rate-limit headers tell; not enforced.
    """

    def __init__(
        self,
        answer: Script | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        words_per_chunk: int = 3,
        chunk_delay_s: float = 0.0,
        first_chunk_delay_s: float = 0.0,
        continuation: bool = True,
        check_requests: bool = True,
        accepts_prefill: bool = False,
        models: Sequence[str] | None = None,
        requests_per_minute: int = 10_000,
        tokens_per_minute: int = 2_000_000,
    ) -> None:
        self.behaviour = Behaviour(
            answer=default_script if answer is None else answer,
            words_per_chunk=words_per_chunk,
            chunk_delay_s=chunk_delay_s,
            first_chunk_delay_s=first_chunk_delay_s,
            continuation=continuation,
            check_requests=check_requests,
            models=None if models is None else tuple(models),
        )
        self._host = host
        self._port = port
        self._wires: tuple[Wire, ...] = (
            AnthropicWire(accepts_prefill=accepts_prefill),
            OpenAIWire(),
            GeminiWire(),
        )
        self._calls = CallLog()
        self._live: dict[asyncio.Task[Any], Call] = {}
        self._faults = FaultScript()
        self._quota = QuotaWindow(requests_per_minute, tokens_per_minute)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener: Listener | None = None
        self._server: web.Server | None = None
        self._stopping: asyncio.Event | None = None

    # --- life ----------------------------------------------------------------------------------------------------

    def start(self) -> ProviderServer:
        """Start to listen. Raises OSError when the port is taken."""
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
        return self

    def stop(self) -> None:
        """Close the port and every connection at once; requests under way are dropped."""
        thread, self._thread = self._thread, None
        if thread is not None and self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            thread.join(_PATIENCE_S)

    def __enter__(self) -> ProviderServer:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def refuse(self) -> None:
        """Be gone: new connections are refused, existing ones are closed at once. The port stays reserved."""
        self._on_loop(self._refuse())

    def accept(self) -> None:
        """Be back, on the same port."""
        self._on_loop(self._accept())

    # --- addresses -----------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        if self._listener is None:
            raise RuntimeError("This ProviderServer has no port before start()")
        return self._listener.port

    @property
    def base_url(self) -> str:
        return f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{self.port}"

    @property
    def openai_url(self) -> str:
        """`base_url` for OpenAI's SDK and the classes built on it."""
        return f"{self.base_url}/v1"

    @property
    def anthropic_url(self) -> str:
        """`base_url` for Anthropic's SDK."""
        return self.base_url

    @property
    def gemini_url(self) -> str:
        """`http_options={"base_url": ...}` for google-genai."""
        return self.base_url

    # --- faults --------------------------------------------------------------------------------------------------

    def script(self, faults: Iterable[Fault | None], *, model: str | None = None, stream: bool | None = None) -> None:
        """The faults of the next requests, one each; None = healthy. After those given before.

        Args:
            faults: used up in order.
            model: only for requests of this model.
            stream: only for streams (True) or only for the others (False).
        """
        self._faults.add(faults, Match(model, stream))

    def always(self, fault: Fault | None, *, model: str | None = None, stream: bool | None = None) -> None:
        """The fault of each request from now on that no `script` is left for; None = healthy."""
        self._faults.always(fault, Match(model, stream))

    def heal(self) -> None:
        """Forget all faults. A server that refuses connections goes on doing so until `accept()`."""
        self._faults.heal()

    # --- log -----------------------------------------------------------------------------------------------------

    @property
    def log(self) -> list[Call]:
        """The requests for an answer since the start or the last `clear()`, oldest first."""
        return self._calls.calls()

    @property
    def calls(self) -> int:
        """How many there were."""
        return len(self._calls.calls())

    def clear(self) -> None:
        """Empty the log."""
        self._calls.clear()

    def wait_for_calls(self, count: int, timeout_s: float = 5.0) -> bool:
        """Wait until so many requests have come in; False when they have not after `timeout_s` seconds."""
        return self._calls.wait_for_calls(count, timeout_s)

    def wait_until_idle(self, timeout_s: float = 5.0) -> bool:
        """Wait until no request is under way; False when one still is after `timeout_s` seconds."""
        return self._calls.wait_until_idle(timeout_s)

    # --- the server's thread -------------------------------------------------------------------------------------

    async def _run(self, ready: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._server = web_server(self._handle)
        try:
            self._listener = Listener(self._host, self._port)
            await self._listener.open(self._server)
        except OSError as error:
            ready.set_exception(error)
            return
        ready.set_result(None)
        await self._stopping.wait()
        self._listener.close()
        await self._drop()

    def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        if self._thread is None or self._loop is None:
            work.close()
            raise RuntimeError("This ProviderServer does not run: start() it first")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE_S)

    async def _refuse(self) -> None:
        assert self._listener is not None
        self._listener.refuse()
        await self._drop()

    async def _accept(self) -> None:
        assert self._listener is not None and self._server is not None
        await self._listener.open(self._server)

    async def _drop(self) -> None:
        assert self._server is not None
        for call in self._live.values():
            call.end("fault")
        drop_connections(self._server)
        if self._live:
            await asyncio.wait(self._live)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        for wire in self._wires:
            route = wire.route(request.method, request.path, headers)
            if route is not None:
                break
        else:
            return _as_response(self._wires[0].error(_no_such_path(request)))
        if route.kind != "answer":
            return self._tell_models(wire, route)
        return await self._serve(request, wire, route)

    async def _serve(self, request: web.BaseRequest, wire: Wire, route: Route) -> web.StreamResponse:
        try:
            body = await request.json()
        except ValueError:
            body = None
        known = body if isinstance(body, dict) else {}
        incoming = Incoming(
            wire=wire,
            model=route.model or str(known.get("model") or ""),
            stream=bool(known.get("stream")) if route.stream is None else route.stream,
        )
        fault = self._faults.take(incoming.model, incoming.stream)
        call = self._calls.open(
            wire=wire.name,
            path=request.path,
            model=incoming.model,
            stream=incoming.stream,
            headers=without_secrets(request.headers),
            body=body,
            fault=fault,
        )
        task = asyncio.current_task()
        assert task is not None
        self._live[task] = call
        try:
            reply, tokens = self.behaviour.reply_to(incoming, body, fault or _HEALTHY)
            quota = self._quota.spend(tokens)
            if reply.status == 429:
                quota = replace(quota, remaining_requests=0)
            return await send(reply, request, call, wire.headers(quota) if reply.from_provider else {})
        finally:
            del self._live[task]
            self._calls.close(call)

    def _tell_models(self, wire: Wire, route: Route) -> web.StreamResponse:
        if route.model is None:
            return _as_response(plain_reply(wire.list_models(self.behaviour.models or _MODELS)))
        if not self.behaviour.has(route.model):
            return _as_response(wire.error(Incoming(wire, route.model, stream=False).problem_of_status(404)))
        return _as_response(plain_reply(wire.get_model(route.model)))


def _no_such_path(request: web.BaseRequest) -> Problem:
    text = (
        f"{request.method} {request.path} is not spoken here. There are /v1/chat/completions, /v1/messages and "
        "/v1beta/models/MODEL:generateContent (or :streamGenerateContent), and the lists of models"
    )
    return Problem(404, text, type="not_found_error")


def _as_response(reply: Reply) -> web.Response:
    body = b"".join(part.data for part in reply.parts)
    return web.Response(status=reply.status, body=body, content_type="application/json", headers=dict(reply.headers))
