"""The provider server's controls, its log and its sockets."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from statistics import median

import httpx
import pytest

from failover_core.testing import ProviderServer, faults
from provider_server_clients import MODELS, SDK, Raw, open_raw, open_sdks, raw_http, renew, run_server

WIRES = list(MODELS)


running = pytest.fixture(scope="module")(run_server)
clients = pytest.fixture(scope="module")(open_sdks)
raw = pytest.fixture(scope="module")(open_raw)


@pytest.fixture
def server(running: ProviderServer) -> ProviderServer:
    return renew(running)


@pytest.fixture(params=WIRES)
def client(request: pytest.FixtureRequest, server: ProviderServer, clients: dict[str, SDK]) -> SDK:
    return clients[request.param]


# --- controls ----------------------------------------------------------------------------------------------------


def _statuses(raw: Raw, count: int, *, stream: bool = False) -> list[int]:
    return [raw.ask("openai", stream=stream).status_code for _ in range(count)]


def test_a_script_is_used_up_and_then_the_lasting_state_holds(server: ProviderServer, raw: Raw) -> None:
    server.script([faults.Status(500), None])
    server.always(faults.Status(503))
    server.script([faults.Status(429)])
    assert _statuses(raw, 5) == [500, 200, 429, 503, 503]
    server.heal()
    assert _statuses(raw, 1) == [200]


def test_faults_can_be_for_one_model_or_for_streams_only(server: ProviderServer, raw: Raw) -> None:
    server.always(faults.Status(503), model="another-model")
    server.always(faults.Status(500), stream=True)
    assert _statuses(raw, 1) == [200]
    assert _statuses(raw, 1, stream=True) == [500]
    server.script([faults.Status(502)], stream=True)
    assert _statuses(raw, 1) == [200]
    assert _statuses(raw, 1, stream=True) == [502]


def test_faults_can_be_for_requests_with_a_text(server: ProviderServer) -> None:
    def status(question: str) -> int:
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": question}]}
        return httpx.post(f"{server.openai_url}/chat/completions", json=body).status_code

    server.script([faults.Status(429)], containing="[b]")
    server.always(faults.Status(500), containing="[a]")
    assert [status("hello [a]"), status("hello [b]"), status("hello [b]"), status("hello [c]")] == [500, 429, 200, 200]


def test_two_faults_at_once(server: ProviderServer, raw: Raw) -> None:
    server.always(faults.SlowFirstToken(0.05) + faults.Status(503))
    start = time.monotonic()
    assert _statuses(raw, 1) == [503]
    assert time.monotonic() - start > 0.04


def test_refused_connections_and_the_way_back_on_the_same_port(server: ProviderServer, raw: Raw) -> None:
    port = server.port
    assert raw.ask("openai").status_code == 200
    server.refuse()
    with pytest.raises((httpx.ConnectError, httpx.RemoteProtocolError)):
        raw.ask("openai")  # the connection that was kept alive is gone
    with pytest.raises(httpx.ConnectError, match="refused"):
        raw.ask("openai")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=2)
    server.refuse()  # twice is as good as once
    server.accept()
    assert server.port == port
    assert raw.ask("openai").status_code == 200


def test_a_stream_under_way_breaks_when_the_server_goes(server: ProviderServer, raw: Raw) -> None:
    server.behaviour.chunk_delay_s = 0.02
    with raw.stream("openai") as response:
        lines = response.iter_lines()
        next(lines)
        server.refuse()
        with pytest.raises(httpx.RemoteProtocolError):
            list(lines)
    assert server.log[0].ended == "fault"


def test_stop_does_not_wait_for_those_who_never_get_an_answer() -> None:
    server = ProviderServer().start()
    server.script([faults.Silence(), faults.Stall(1), faults.KeepAliveOnly()])
    ended: list[str] = []

    def wait_for_ever() -> None:
        try:
            with raw_http() as http:
                Raw(server, http).ask("openai", stream=True)
        except httpx.TransportError as error:
            ended.append(type(error).__name__)

    threads = [threading.Thread(target=wait_for_ever) for _ in range(3)]
    for number, thread in enumerate(threads, start=1):
        thread.start()
        assert server.wait_for_calls(number)
    start = time.monotonic()
    server.stop()
    assert time.monotonic() - start < 1
    for thread in threads:
        thread.join(2)
    assert ended == ["RemoteProtocolError"] * 3
    assert [call.ended for call in server.log] == ["fault"] * 3
    server.stop()


def test_a_server_can_be_started_again_and_a_taken_port_is_reported() -> None:
    server = ProviderServer().start()
    with pytest.raises(RuntimeError, match="runs already"):
        server.start()
    with pytest.raises(OSError, match=r"[Aa]ddress already in use"):
        ProviderServer(port=server.port).start()
    server.stop()
    with pytest.raises(RuntimeError, match="start"):
        server.refuse()
    with server, raw_http() as http:
        assert _statuses(Raw(server, http), 1) == [200]


def test_many_callers_at_once(server: ProviderServer, raw: Raw) -> None:
    server.script([faults.Status(503)] * 20)
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.extend(_statuses(raw, 5))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 20 + [503] * 20
    assert len({call.number for call in server.log}) == 40


def test_connections_stay_open_unless_told_otherwise() -> None:
    for keep_alive in (True, False):
        with ProviderServer(keep_alive=keep_alive) as server, raw_http() as http:
            response = Raw(server, http).ask("openai")
            assert (response.headers.get("connection") == "close") is not keep_alive


# --- log ---------------------------------------------------------------------------------------------------------


def test_the_log_tells_what_came_and_what_became_of_it(server: ProviderServer, client: SDK) -> None:
    fault = faults.Status(503)
    server.script([None, fault])
    before = time.monotonic()
    client.ask("hello", stream=True)
    with pytest.raises(Exception, match="503"):
        client.ask("hello again")
    good, bad = server.log
    assert bad.number == good.number + 1
    assert (good.wire, good.model, good.stream, good.status) == (client.name, client.model, True, 200)
    assert (good.ended, good.fault, good.chunks_sent > 10) == ("complete", None, True)
    assert good.ended_s is not None
    assert before <= good.received_s <= good.ended_s <= time.monotonic()
    assert (bad.stream, bad.status, bad.fault, bad.ended) == (False, 503, fault, "complete")
    assert "hello again" in json.dumps(bad.body)
    server.clear()
    assert (server.calls, server.log) == (0, [])


def test_no_key_reaches_the_log(server: ProviderServer, client: SDK, raw: Raw) -> None:
    client.ask("hello")
    request = raw.request("gemini")
    raw.http.request(**{**request, "url": f"{request['url']}?key=secret"})
    assert "content-type" in server.log[0].headers
    assert "secret" not in str([(call.path, call.headers, call.body) for call in server.log])


def test_a_client_that_leaves_is_seen_at_once(server: ProviderServer, raw: Raw) -> None:
    server.behaviour.chunk_delay_s = 30
    with raw.stream("openai") as response:
        next(line for line in response.iter_lines() if "You asked" in line)
    assert server.wait_until_idle(1)
    (call,) = server.log
    assert (call.ended, call.chunks_sent) == ("client_closed", 1)


def test_a_script_that_raises_is_a_500_that_says_so(server: ProviderServer, client: SDK) -> None:
    server.behaviour.answer = lambda ask: str(1 / 0)
    with pytest.raises(Exception, match="division by zero"):
        client.ask("hello")
    assert server.log[0].status == 500


def test_a_body_that_is_no_json_is_a_400(server: ProviderServer, raw: Raw) -> None:
    response = raw.http.post(f"{server.openai_url}/chat/completions", content=b"{nonsense")
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


# --- sockets and imports -----------------------------------------------------------------------------------------


def test_answers_are_not_delayed_by_the_socket(server: ProviderServer, raw: Raw) -> None:
    """Nagle's algorithm against delayed acknowledgements would cost 40 ms a request."""
    took_s = []
    for _ in range(15):
        start = time.monotonic()
        raw.ask("openai", stream=True)
        took_s.append(time.monotonic() - start)
    assert median(took_s) < 0.02


def test_it_listens_on_loopback_only(server: ProviderServer) -> None:
    assert server.base_url == f"http://127.0.0.1:{server.port}"
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", server.port), timeout=2)


def test_without_aiohttp_the_package_imports_and_the_server_names_its_extra() -> None:
    code = (
        "import sys; sys.modules['aiohttp'] = None\n"
        "import failover_core.testing as t\n"
        "t.faults.Status(503), t.Answer, t.PRESETS\n"
        "try: t.ProviderServer\n"
        "except ImportError as e: print(e)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "failover-kit[testing]" in result.stdout


def test_the_package_imports_light() -> None:
    code = "import sys, failover_core.testing; print(*[m for m in sys.modules if m.split('.')[0] == 'aiohttp'])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
