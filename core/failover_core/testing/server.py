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

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace

try:
    from aiohttp import web
except ImportError as error:
    raise ImportError('The provider server needs aiohttp: pip install "failover-kit[testing]"') from error

from .answers import Script, default_script
from .behaviour import Behaviour
from .calls import Call, CallLog, without_secrets
from .faults import Fault
from .host import Host
from .reply import Reply, plain_reply
from .script import FaultScript, Match, QuotaWindow
from .transport import send
from .wires import AnthropicWire, GeminiWire, Incoming, OpenAIWire, Problem, Route, Wire

_HEALTHY = Fault()
_MODELS = ("gpt-4o-mini", "claude-haiku-4-5", "gemini-2.5-flash")


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
        keep_alive: whether connections stay open after a response. With False an async client that nobody closes
            leaves no socket behind when its event loop ends.
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
        keep_alive: bool = True,
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
        self._keep_alive = keep_alive
        self._wires: tuple[Wire, ...] = (
            AnthropicWire(accepts_prefill=accepts_prefill),
            GeminiWire(),
            OpenAIWire(),
        )
        self._calls = CallLog()
        self._faults = FaultScript()
        self._quota = QuotaWindow(requests_per_minute, tokens_per_minute)
        self._host = Host(self._handle, host, port, on_drop=self._calls.drop)

    # --- life ----------------------------------------------------------------------------------------------------

    def start(self) -> ProviderServer:
        """Start to listen. Raises OSError when the port is taken."""
        self._host.start()
        return self

    def stop(self) -> None:
        """Close the port and every connection at once; requests under way are dropped."""
        self._host.stop()

    def __enter__(self) -> ProviderServer:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def refuse(self) -> None:
        """Be gone: new connections are refused, existing ones are closed at once. The port stays reserved."""
        self._host.refuse()

    def accept(self) -> None:
        """Be back, on the same port."""
        self._host.accept()

    # --- addresses -----------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        return self._host.port

    @property
    def base_url(self) -> str:
        address = self._host.address
        return f"http://{f'[{address}]' if ':' in address else address}:{self.port}"

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

    def script(
        self,
        faults: Iterable[Fault | None],
        *,
        model: str | None = None,
        stream: bool | None = None,
        containing: str | None = None,
    ) -> None:
        """The faults of the next requests, one each; None = healthy. After those given before.

        Args:
            faults: used up in order.
            model: only for requests of this model.
            stream: only for streams (True) or only for the others (False).
            containing: only for requests with this text in their JSON, so that tests can run side by side.
        """
        self._faults.add(faults, Match(model, stream, containing))

    def always(
        self,
        fault: Fault | None,
        *,
        model: str | None = None,
        stream: bool | None = None,
        containing: str | None = None,
    ) -> None:
        """The fault of each request for an answer from now on that no `script` is left for; None = healthy."""
        self._faults.always(fault, Match(model, stream, containing))

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

    @property
    def connections(self) -> int:
        """How many are open now, those at rest included."""
        return self._host.connections

    def wait_for_calls(self, count: int, timeout_s: float = 5.0) -> bool:
        """Wait until so many requests have come in; False when they have not after `timeout_s` seconds."""
        return self._calls.wait_for_calls(count, timeout_s)

    def wait_until_idle(self, timeout_s: float = 5.0) -> bool:
        """Wait until no request is under way; False when one still is after `timeout_s` seconds."""
        return self._calls.wait_until_idle(timeout_s)

    # --- on the server's thread ----------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        for wire in self._wires:
            route = wire.route(request.method, request.path, headers)
            if route is not None:
                break
        else:
            return self._at_once(self._wires[0].error(_no_such_path(request)))
        if route.kind != "answer":
            return self._at_once(self._models(wire, route))
        return await self._serve(request, wire, route)

    async def _serve(self, request: web.BaseRequest, wire: Wire, route: Route) -> web.StreamResponse:
        text = (await request.read()).decode("utf-8", "replace")
        try:
            body = json.loads(text)
        except ValueError:
            body = None
        known = body if isinstance(body, dict) else {}
        incoming = Incoming(
            wire=wire,
            model=route.model or str(known.get("model") or ""),
            stream=bool(known.get("stream")) if route.stream is None else route.stream,
        )
        fault = self._faults.take(incoming.model, incoming.stream, text)
        call = self._calls.open(
            wire=wire.name,
            path=request.path,
            model=incoming.model,
            stream=incoming.stream,
            headers=without_secrets(request.headers),
            body=body,
            fault=fault,
        )
        try:
            reply, tokens = self.behaviour.reply_to(incoming, body, fault or _HEALTHY)
            quota = self._quota.spend(tokens)
            if reply.status == 429:
                quota = replace(quota, remaining_requests=0)
            headers = wire.headers(quota) if reply.from_provider else {}
            return await send(reply, request, call, headers, keep_alive=self._keep_alive)
        finally:
            self._calls.close(call)

    def _models(self, wire: Wire, route: Route) -> Reply:
        if route.model is None:
            return plain_reply(wire.list_models(self.behaviour.models or _MODELS))
        if not self.behaviour.has(route.model):
            return wire.error(Incoming(wire, route.model, stream=False).problem_of_status(404))
        return plain_reply(wire.get_model(route.model))

    def _at_once(self, reply: Reply) -> web.Response:
        """What is no request for an answer: without faults, and not in the log."""
        body = b"".join(part.data for part in reply.parts)
        response = web.Response(status=reply.status, body=body, content_type=reply.content_type)
        if not self._keep_alive:
            response.force_close()
        return response


def _no_such_path(request: web.BaseRequest) -> Problem:
    text = (
        f"{request.method} {request.path} is not spoken here. There are /v1/chat/completions, /v1/messages and "
        "/v1beta/models/MODEL:generateContent (or :streamGenerateContent), and the lists of models"
    )
    return Problem(404, text, type="not_found_error")
