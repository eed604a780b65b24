"""The provider server when it is well: three wires through their official SDKs, its controls and its log."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from statistics import median

import httpx
import pytest
from failover_core.testing import Answer, Ask, ProviderServer, ToolCall, faults
from provider_server_clients import ADD, CITY, MODELS, SDK, raw_request, sdk

WIRES = list(MODELS)
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
TEXT = "One two three four five six seven eight nine ten."


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as server:
        yield server


@pytest.fixture(params=WIRES)
def client(request: pytest.FixtureRequest, server: ProviderServer) -> Iterator[SDK]:
    with sdk(request.param, server) as client:
        yield client


# --- answers through the SDKs ------------------------------------------------------------------------------------


@STREAM
def test_text_arrives_whole_with_model_usage_and_finish_reason(
    server: ProviderServer, client: SDK, stream: bool
) -> None:
    server.behaviour.answer = TEXT
    seen = client.ask("Count to ten, please.", stream=stream)
    assert seen.text == TEXT
    assert seen.model == client.model
    assert seen.finish in ("stop", "end_turn", "STOP")
    assert (seen.input_tokens, seen.output_tokens) == (6, 13)
    assert seen.chunks == (4 if stream else seen.chunks)


def test_the_default_answer_is_about_the_question_and_the_same_every_time(client: SDK) -> None:
    first, second = client.ask("Why is the sky blue?"), client.ask("Why is the sky blue?", stream=True)
    assert "Why is the sky blue?" in first.text
    assert first.text == second.text
    assert len(first.text.split()) > 40


@STREAM
def test_an_offered_tool_is_called_with_the_numbers_of_the_question(client: SDK, stream: bool) -> None:
    seen = client.ask("What is 17 plus 25?", tools=[ADD], stream=stream)
    assert seen.calls == [("add", {"a": 17, "b": 25})]
    assert seen.finish in ("tool_calls", "tool_use", "STOP")


@STREAM
def test_parallel_tool_calls(server: ProviderServer, client: SDK, stream: bool) -> None:
    calls = [ToolCall("add", {"a": 1, "b": 2}), ToolCall("add", {"a": 3, "b": 4})]
    server.behaviour.answer = lambda ask: calls
    seen = client.ask("Add both pairs.", tools=[ADD], stream=stream)
    assert seen.calls == [("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4})]


def test_text_and_a_tool_call_in_one_answer(server: ProviderServer, client: SDK) -> None:
    server.behaviour.answer = lambda ask: Answer("Let me add.", (ToolCall("add", {"a": 1, "b": 2}),))
    seen = client.ask("Add 1 and 2.", tools=[ADD], stream=True)
    assert (seen.text, seen.calls) == ("Let me add.", [("add", {"a": 1, "b": 2})])


FORCED = {
    "openai": {"tool_choice": {"type": "function", "function": {"name": "multiply"}}},
    "anthropic": {"tool_choice": {"type": "tool", "name": "multiply"}},
    "gemini": {"tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["multiply"]}}},
}
FORBIDDEN = {
    "openai": {"tool_choice": "none"},
    "anthropic": {"tool_choice": {"type": "none"}},
    "gemini": {"tool_config": {"function_calling_config": {"mode": "NONE"}}},
}


def test_a_forced_tool_is_the_one_called(client: SDK) -> None:
    seen = client.ask("6 and 7", tools=[ADD, {**ADD, "name": "multiply"}], **FORCED[client.name])
    assert seen.calls == [("multiply", {"a": 6, "b": 7})]


def test_forbidden_tools_are_not_called(client: SDK) -> None:
    seen = client.ask("6 and 7", tools=[ADD], **FORBIDDEN[client.name])
    assert seen.calls == []
    assert "6 and 7" in seen.text


AFTER_THE_CALL = {
    "openai": [
        {"role": "user", "content": "What is 17 plus 25?"},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 17, "b": 25}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "forty-two"},
    ],
    "anthropic": [
        {"role": "user", "content": "What is 17 plus 25?"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 17, "b": 25}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "forty-two"}]},
    ],
    "gemini": [
        {"role": "user", "parts": [{"text": "What is 17 plus 25?"}]},
        {"role": "model", "parts": [{"function_call": {"name": "add", "args": {"a": 17, "b": 25}}}]},
        {"role": "user", "parts": [{"function_response": {"name": "add", "response": {"result": "forty-two"}}}]},
    ],
}


@STREAM
def test_after_the_tool_result_comes_a_text_that_contains_it(client: SDK, stream: bool) -> None:
    seen = client.ask(AFTER_THE_CALL[client.name], tools=[ADD], stream=stream)
    assert seen.calls == []
    assert "forty-two" in seen.text


@STREAM
def test_structured_output_is_valid_under_the_schema(client: SDK, stream: bool) -> None:
    seen = client.ask('Tell me about "Lisbon" with 545000 people.', schema=CITY, stream=stream)
    assert json.loads(seen.text) == {"name": "Lisbon", "people": 545000}


def test_the_output_limit_ends_the_answer(server: ProviderServer, client: SDK) -> None:
    server.behaviour.answer = TEXT
    limit = {"openai": "max_completion_tokens", "anthropic": "max_tokens", "gemini": "max_output_tokens"}
    seen = client.ask("Count.", **{limit[client.name]: 3})
    assert seen.text == TEXT[:12]
    assert seen.finish in ("length", "max_tokens", "MAX_TOKENS")


def test_a_stop_sequence_ends_the_answer(server: ProviderServer, client: SDK) -> None:
    server.behaviour.answer = TEXT
    stop = {"openai": "stop", "anthropic": "stop_sequences", "gemini": "stop_sequences"}
    seen = client.ask("Count.", **{stop[client.name]: ["four"]})
    assert seen.text == "One two three "
    assert seen.finish in ("stop", "stop_sequence", "STOP")


def test_a_script_sees_the_request_in_neutral_words(server: ProviderServer, client: SDK) -> None:
    asked: list[Ask] = []
    server.behaviour.answer = lambda ask: asked.append(ask) or "noted"  # type: ignore[func-returns-value]
    system = {
        "openai": {"prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]},
        "anthropic": {"prompt": "Hi", "system": "Be brief."},
        "gemini": {"prompt": "Hi", "system_instruction": "Be brief."},
    }
    assert client.ask(**system[client.name], tools=[ADD], stream=True).text == "noted"
    (ask,) = asked
    assert (ask.wire, ask.model, ask.system, ask.question) == (client.name, client.model, "Be brief.", "Hi")
    assert (ask.stream, [tool.name for tool in ask.tools], ask.tool_choice) == (True, ["add"], "auto")


def test_thinking_is_shown_apart_from_the_text(server: ProviderServer) -> None:
    server.behaviour.answer = TEXT
    with sdk("anthropic", server) as client:
        seen = client.ask("Count.", stream=True, thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2000)
        assert seen.text == TEXT
    with sdk("gemini", server) as client:
        assert client.ask("Count.", stream=True, thinking_config={"include_thoughts": True}).text == TEXT
    assert [call.chunks_sent > 4 for call in server.log] == [True, True]


def test_models_can_be_listed_and_looked_up() -> None:
    with ProviderServer(models=["tiny"]) as server, httpx.Client(base_url=server.base_url) as http:
        assert http.get("/v1/models").json()["data"][0]["id"] == "tiny"
        anthropic = http.get("/v1/models", headers={"anthropic-version": "2023-06-01"}).json()
        assert anthropic["data"][0] | {"created_at": ""} == {
            "type": "model",
            "id": "tiny",
            "display_name": "tiny",
            "created_at": "",
        }
        assert http.get("/v1beta/models").json()["models"][0]["name"] == "models/tiny"
        assert http.get("/v1beta/models/tiny").json()["inputTokenLimit"] > 0
        assert http.get("/v1beta/models/other").status_code == 404
        assert server.calls == 0


def test_an_unknown_model_or_path_is_not_found(client: SDK, server: ProviderServer) -> None:
    server.behaviour.models = ("something-else",)
    with pytest.raises(Exception, match=client.model) as failed:
        client.ask("hello")
    assert getattr(failed.value, "status_code", None) or failed.value.code == 404
    assert "/v1/chat/completions" in httpx.get(server.base_url + "/v2/nothing").json()["error"]["message"]


def test_rate_limit_headers_and_request_ids(server: ProviderServer) -> None:
    def headers(wire: str) -> httpx.Headers:
        return httpx.request(**raw_request(wire, server, stream=False)).headers

    first, second = headers("openai"), headers("openai")
    assert first["x-request-id"] != second["x-request-id"]
    assert int(first["x-ratelimit-remaining-requests"]) == int(second["x-ratelimit-remaining-requests"]) + 1
    assert first["x-ratelimit-reset-requests"].endswith("s")
    anthropic = headers("anthropic")
    assert anthropic["request-id"].startswith("req_")
    assert anthropic["anthropic-ratelimit-tokens-reset"].endswith("Z")
    server.always(faults.Status(429))
    assert headers("openai")["x-ratelimit-remaining-requests"] == "0"


# --- going on after a cut ----------------------------------------------------------------------------------------

RESUME = "You were cut off. Go on. Your last words were: <tail>three four five</tail>"


def _history(wire: str, *messages: str) -> list[dict[str, object]]:
    roles = ("user", "model" if wire == "gemini" else "assistant")
    if wire == "gemini":
        return [{"role": roles[i % 2], "parts": [{"text": text}]} for i, text in enumerate(messages)]
    return [{"role": roles[i % 2], "content": text} for i, text in enumerate(messages)]


def test_a_request_to_go_on_gets_the_rest_from_the_quoted_words_on(server: ProviderServer, client: SDK) -> None:
    server.behaviour.answer = TEXT
    seen = client.ask(_history(client.name, "Count.", "One two three four five", RESUME), stream=True)
    assert seen.text == "three four five six seven eight nine ten."


def test_without_continuation_it_answers_as_if_nothing_had_been_said(server: ProviderServer, client: SDK) -> None:
    server.behaviour.answer = TEXT
    server.behaviour.continuation = False
    assert client.ask(_history(client.name, "Count.", "One two three four five", RESUME)).text == TEXT


# --- pace --------------------------------------------------------------------------------------------------------


def test_pieces_come_at_the_pace_that_was_asked_for(server: ProviderServer) -> None:
    server.behaviour.answer = TEXT
    server.behaviour.words_per_chunk = 2
    server.behaviour.first_chunk_delay_s = 0.06
    server.behaviour.chunk_delay_s = 0.03
    with httpx.stream(**raw_request("openai", server, stream=True)) as response:
        arrivals = [time.monotonic() for line in response.iter_lines() if '"content":"' in line]
    role_marker, *pieces = arrivals
    assert len(pieces) == 5
    assert pieces[0] - role_marker > 0.05
    assert pieces[-1] - pieces[0] > 4 * 0.03 - 0.01


def test_an_answer_in_one_piece_takes_as_long_as_its_pieces_would(server: ProviderServer) -> None:
    server.behaviour.answer = TEXT
    server.behaviour.chunk_delay_s = 0.03  # four pieces: three gaps
    start = time.monotonic()
    httpx.request(**raw_request("openai", server, stream=False))
    assert time.monotonic() - start > 0.08


# --- controls ----------------------------------------------------------------------------------------------------


def _statuses(server: ProviderServer, count: int, *, stream: bool = False) -> list[int]:
    return [httpx.request(**raw_request("openai", server, stream=stream)).status_code for _ in range(count)]


def test_a_script_is_used_up_and_then_the_lasting_state_holds(server: ProviderServer) -> None:
    server.script([faults.Status(500), None])
    server.always(faults.Status(503))
    server.script([faults.Status(429)])
    assert _statuses(server, 5) == [500, 200, 429, 503, 503]
    server.heal()
    assert _statuses(server, 1) == [200]


def test_faults_can_be_for_one_model_or_for_streams_only(server: ProviderServer) -> None:
    server.always(faults.Status(503), model="another-model")
    server.always(faults.Status(500), stream=True)
    assert _statuses(server, 1) == [200]
    assert _statuses(server, 1, stream=True) == [500]
    server.script([faults.Status(502)], stream=True)
    assert _statuses(server, 1) == [200]
    assert _statuses(server, 1, stream=True) == [502]


def test_two_faults_at_once(server: ProviderServer) -> None:
    server.always(faults.SlowFirstToken(0.05) + faults.Status(503))
    start = time.monotonic()
    assert _statuses(server, 1) == [503]
    assert time.monotonic() - start > 0.04


def test_refused_connections_and_the_way_back_on_the_same_port(server: ProviderServer) -> None:
    with httpx.Client() as kept_alive:
        request = raw_request("openai", server, stream=False)
        port = server.port
        assert kept_alive.request(**request).status_code == 200
        server.refuse()
        for http in (kept_alive, httpx.Client()):
            with pytest.raises((httpx.ConnectError, httpx.RemoteProtocolError)):
                http.request(**request)
            with pytest.raises(httpx.ConnectError, match="refused"):
                http.request(**request)
        http.close()
        server.refuse()  # twice is as good as once
        server.accept()
        assert server.port == port
        assert kept_alive.request(**request).status_code == 200


def test_a_stream_under_way_breaks_when_the_server_goes(server: ProviderServer) -> None:
    server.behaviour.chunk_delay_s = 0.02
    with httpx.stream(**raw_request("openai", server, stream=True)) as response:
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
            httpx.request(**raw_request("openai", server, stream=True))
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


def test_a_server_can_be_started_again_and_a_taken_port_is_reported(server: ProviderServer) -> None:
    with pytest.raises(RuntimeError, match="runs already"):
        server.start()
    with pytest.raises(OSError, match=r"[Aa]ddress already in use"):
        ProviderServer(port=server.port).start()
    server.stop()
    with pytest.raises(RuntimeError, match="start"):
        server.refuse()
    server.start()
    assert _statuses(server, 1) == [200]


def test_many_callers_at_once(server: ProviderServer) -> None:
    server.script([faults.Status(503)] * 20)
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.extend(_statuses(server, 5))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 20 + [503] * 20
    assert [call.number for call in server.log] == list(range(1, 41))


# --- log ---------------------------------------------------------------------------------------------------------


def test_the_log_tells_what_came_and_what_became_of_it(server: ProviderServer, client: SDK) -> None:
    fault = faults.Status(503)
    server.script([None, fault])
    before = time.monotonic()
    client.ask("hello", stream=True)
    with pytest.raises(Exception, match="503"):
        client.ask("hello again")
    good, bad = server.log
    assert (good.number, bad.number) == (1, 2)
    assert (good.wire, good.model, good.stream, good.status) == (client.name, client.model, True, 200)
    assert (good.ended, good.fault, good.chunks_sent > 10) == ("complete", None, True)
    assert good.ended_s is not None
    assert before <= good.received_s <= good.ended_s <= time.monotonic()
    assert (bad.stream, bad.status, bad.fault, bad.ended) == (False, 503, fault, "complete")
    assert "hello again" in json.dumps(bad.body)
    server.clear()
    assert (server.calls, server.log) == (0, [])


def test_no_key_reaches_the_log(server: ProviderServer, client: SDK) -> None:
    client.ask("hello")
    request = raw_request("gemini", server, stream=False)
    httpx.request(**{**request, "url": f"{request['url']}?key=secret"})
    assert "content-type" in server.log[0].headers
    assert "secret" not in str([(call.path, call.headers, call.body) for call in server.log])


def test_a_client_that_leaves_is_seen_at_once(server: ProviderServer) -> None:
    server.behaviour.chunk_delay_s = 30
    with httpx.stream(**raw_request("openai", server, stream=True)) as response:
        next(line for line in response.iter_lines() if "You asked" in line)
    assert server.wait_until_idle(1)
    (call,) = server.log
    assert (call.ended, call.chunks_sent) == ("client_closed", 1)


def test_a_script_that_raises_is_a_500_that_says_so(server: ProviderServer, client: SDK) -> None:
    server.behaviour.answer = lambda ask: str(1 / 0)
    with pytest.raises(Exception, match="division by zero"):
        client.ask("hello")
    assert server.log[0].status == 500


def test_a_body_that_is_no_json_is_a_400(server: ProviderServer) -> None:
    response = httpx.post(f"{server.openai_url}/chat/completions", content=b"{nonsense")
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


# --- sockets and imports -----------------------------------------------------------------------------------------


def test_answers_are_not_delayed_by_the_socket(server: ProviderServer) -> None:
    """Nagle's algorithm against delayed acknowledgements would cost 40 ms a request."""
    with httpx.Client() as http:
        request = raw_request("openai", server, stream=True)
        http.request(**request)
        took_s = []
        for _ in range(15):
            start = time.monotonic()
            http.request(**request)
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
