"""The provider server when it is well: three wires through their official SDKs."""

from __future__ import annotations

import json
import time

import httpx
import pytest

from failover_core.testing import Answer, Ask, ProviderServer, ToolCall, faults
from provider_server_clients import ADD, CITY, MODELS, SDK, Raw, open_raw, open_sdks, renew, run_server

WIRES = list(MODELS)
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
TEXT = "One two three four five six seven eight nine ten."


running = pytest.fixture(scope="module")(run_server)
clients = pytest.fixture(scope="module")(open_sdks)
raw = pytest.fixture(scope="module")(open_raw)


@pytest.fixture
def server(running: ProviderServer) -> ProviderServer:
    return renew(running)


@pytest.fixture(params=WIRES)
def client(request: pytest.FixtureRequest, server: ProviderServer, clients: dict[str, SDK]) -> SDK:
    return clients[request.param]


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


def test_thinking_is_shown_apart_from_the_text(server: ProviderServer, clients: dict[str, SDK]) -> None:
    server.behaviour.answer = TEXT
    wanted = {
        "anthropic": {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000},
        "gemini": {"thinking_config": {"include_thoughts": True}},
    }
    for wire, options in wanted.items():
        assert clients[wire].ask("Count.", stream=True, **options).text == TEXT
    assert [call.chunks_sent > 4 for call in server.log] == [True, True]


def test_models_can_be_listed_and_looked_up() -> None:
    with ProviderServer(models=["tiny"]) as server, httpx.Client(base_url=server.base_url, verify=False) as http:
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


def test_an_unknown_model_or_path_is_not_found(client: SDK, server: ProviderServer, raw: Raw) -> None:
    server.behaviour.models = ("something-else",)
    with pytest.raises(Exception, match=client.model) as failed:
        client.ask("hello")
    assert getattr(failed.value, "status_code", None) or failed.value.code == 404
    assert "/v1/chat/completions" in raw.http.get(server.base_url + "/v2/nothing").json()["error"]["message"]


def test_rate_limit_headers_and_request_ids(server: ProviderServer, raw: Raw) -> None:
    first, second = raw.ask("openai").headers, raw.ask("openai").headers
    assert first["x-request-id"] != second["x-request-id"]
    assert int(first["x-ratelimit-remaining-requests"]) == int(second["x-ratelimit-remaining-requests"]) + 1
    assert first["x-ratelimit-reset-requests"].endswith("s")
    anthropic = raw.ask("anthropic").headers
    assert anthropic["request-id"].startswith("req_")
    assert anthropic["anthropic-ratelimit-tokens-reset"].endswith("Z")
    server.always(faults.Status(429))
    assert raw.ask("openai").headers["x-ratelimit-remaining-requests"] == "0"


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


def test_pieces_come_at_the_pace_that_was_asked_for(server: ProviderServer, raw: Raw) -> None:
    server.behaviour.answer = TEXT
    server.behaviour.words_per_chunk = 2
    server.behaviour.first_chunk_delay_s = 0.06
    server.behaviour.chunk_delay_s = 0.03
    with raw.stream("openai") as response:
        arrivals = [time.monotonic() for line in response.iter_lines() if '"content":"' in line]
    role_marker, *pieces = arrivals
    assert len(pieces) == 5
    assert pieces[0] - role_marker > 0.05
    assert pieces[-1] - pieces[0] > 4 * 0.03 - 0.01


def test_an_answer_in_one_piece_takes_as_long_as_its_pieces_would(server: ProviderServer, raw: Raw) -> None:
    server.behaviour.answer = TEXT
    server.behaviour.chunk_delay_s = 0.03  # four pieces: three gaps
    start = time.monotonic()
    raw.ask("openai")
    assert time.monotonic() - start > 0.08
