"""Faults inside a stream and in what the model says, on each wire: what a client and the log see of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import httpx
import openai
import pytest
from google.genai import errors as google_errors

from failover_core.failure import FailureKind
from failover_core.testing import PRESETS, ProviderServer, ToolCall, faults
from provider_server_clients import (
    ADD,
    MODELS,
    SDK,
    Raw,
    Seen,
    open_raw,
    open_sdks,
    read,
    renew,
    run_server,
)

WIRES = list(MODELS)
TEXT = "One two three four five six seven eight nine ten."
Ask = Callable[..., Seen]

every_wire = pytest.mark.parametrize("wire", WIRES)
plain_and_stream = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


running = pytest.fixture(scope="module")(run_server)
clients = pytest.fixture(scope="module")(open_sdks)
raw = pytest.fixture(scope="module")(open_raw)


@pytest.fixture
def server(running: ProviderServer) -> ProviderServer:
    return renew(running, TEXT)


@pytest.fixture
def ask(server: ProviderServer, clients: dict[str, SDK]) -> Ask:
    """Ask through the official SDK of a wire."""
    return lambda wire, **options: clients[wire].ask("Add 3 and 4.", **options)


# --- broken streams ----------------------------------------------------------------------------------------------


@every_wire
@plain_and_stream
def test_a_malformed_event_does_not_parse(server: ProviderServer, wire: str, stream: bool, ask: Ask, raw: Raw) -> None:
    server.always(faults.Malformed(after_chunks=1))
    with pytest.raises((json.JSONDecodeError, google_errors.UnknownApiResponseError)):
        ask(wire, stream=stream)
    lines = raw.ask(wire, stream=stream).text.splitlines()
    if stream:
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        broken = [each for each in data if each != "[DONE]" and not _parses(each)]
        assert len(broken) == 1
        assert data[-1] not in broken


def _parses(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


TERMINATORS = {"openai": "[DONE]", "anthropic": "message_stop", "gemini": '"finishReason":"STOP"'}
FINISHED = {
    "openai": '"finish_reason":"stop"',
    "anthropic": '"stop_reason":"end_turn"',
    "gemini": '"finishReason":"STOP"',
}


@every_wire
def test_a_missing_terminator_leaves_the_finish_reason(server: ProviderServer, wire: str, ask: Ask, raw: Raw) -> None:
    server.script([None, faults.MissingTerminator()])
    healthy, faulty = (raw.ask(wire, stream=True).text for _ in range(2))
    assert TERMINATORS[wire] in healthy
    assert (TERMINATORS[wire] in faulty) is (wire == "gemini")  # it has nothing but the finish reason
    assert FINISHED[wire] in faulty
    server.always(faults.MissingTerminator())
    assert ask(wire).text == TEXT


@every_wire
@plain_and_stream
def test_a_clean_end_without_a_finish_reason(
    server: ProviderServer, wire: str, stream: bool, ask: Ask, raw: Raw
) -> None:
    server.always(faults.NoFinishReason())
    seen = ask(wire, stream=stream)
    assert (seen.text, seen.finish) == (TEXT, None)
    assert server.log[0].ended == "complete"
    if stream:
        assert TERMINATORS[wire] not in raw.ask(wire, stream=True).text


@every_wire
def test_a_clean_end_in_the_middle(server: ProviderServer, wire: str, ask: Ask, raw: Raw) -> None:
    server.always(faults.NoFinishReason(after_chunks=2, terminator=True))
    seen = ask(wire, stream=True)
    assert (seen.text, seen.finish) == ("One two three four five six", None)
    body = raw.ask(wire, stream=True).text
    assert (TERMINATORS[wire] in body) is (wire != "gemini")


@every_wire
@pytest.mark.parametrize("after_chunks", [0, 2])
def test_an_error_event_inside_a_stream(
    server: ProviderServer, wire: str, after_chunks: int, ask: Ask, raw: Raw
) -> None:
    server.always(faults.ErrorEvent(after_chunks=after_chunks))
    with pytest.raises((openai.APIError, anthropic.APIStatusError, google_errors.ServerError)) as failed:
        ask(wire, stream=True)
    assert "verloaded" in str(failed.value)
    if wire == "anthropic":
        assert (failed.value.status_code, failed.value.type) == (200, "overloaded_error")
    if wire == "openai":
        assert type(failed.value) is openai.APIError
    if wire == "gemini":
        assert (failed.value.code, failed.value.status) == (503, "UNAVAILABLE")
    texts, error = read(raw, wire, stream=True)
    assert ("".join(texts), error) == ("One two three four five six" if after_chunks else "", None)
    assert server.log[0].status == 200


@every_wire
def test_an_error_instead_of_a_plain_answer_in_a_200(server: ProviderServer, wire: str, raw: Raw) -> None:
    server.always(faults.ErrorEvent(kind=FailureKind.SERVER_ERROR, message="it broke"))
    response = raw.ask(wire)
    assert (response.status_code, response.json()["error"]["message"]) == (200, "it broke")


# --- what the model says -----------------------------------------------------------------------------------------

LENGTH = {"openai": "length", "anthropic": "max_tokens", "gemini": "MAX_TOKENS"}
STOP = {"openai": "stop", "anthropic": "end_turn", "gemini": "STOP"}
FILTER = {"openai": "content_filter", "anthropic": "refusal", "gemini": "PROHIBITED_CONTENT"}
REFUSED = {"openai": "stop", "anthropic": "refusal", "gemini": "SAFETY"}
LOOP = faults.Looping("again and ", repeats=5)

SAYINGS = [
    (faults.Empty(), "", STOP),
    (LOOP, "again and " * 5, LENGTH),
    (faults.Truncated(words=4), "One two three four", LENGTH),
    (faults.ContentFilter(), "", FILTER),
    (faults.ContentFilter(words=2), "One two", FILTER),
    (faults.Refusal("No."), "", REFUSED),
]


@every_wire
@plain_and_stream
@pytest.mark.parametrize(("fault", "text", "finish"), SAYINGS, ids=[str(fault) for fault, *_ in SAYINGS])
def test_answers_that_are_empty_looping_cut_short_or_refused(
    server: ProviderServer, wire: str, stream: bool, fault: faults.Fault, text: str, finish: dict[str, str], ask: Ask
) -> None:
    server.always(fault)
    seen = ask(wire, stream=stream)
    assert (seen.text, seen.finish) == (text, finish[wire])
    assert server.log[0].ended == "complete"


@pytest.mark.parametrize("wire", ["openai", "anthropic"])
@plain_and_stream
def test_a_refusal_gives_its_reason(server: ProviderServer, wire: str, stream: bool, ask: Ask) -> None:
    server.always(faults.Refusal("I won't."))
    assert ask(wire, stream=stream).refusal == "I won't."


@plain_and_stream
def test_a_blocked_prompt(server: ProviderServer, stream: bool, ask: Ask) -> None:
    server.always(faults.PromptBlocked())
    seen = ask("gemini", stream=stream)
    assert (seen.text, seen.finish, seen.refusal) == ("", None, "PROHIBITED_CONTENT")
    with pytest.raises(openai.BadRequestError) as refused:
        ask("openai", stream=stream)
    assert refused.value.code == "content_filter"
    with pytest.raises(anthropic.BadRequestError, match="content filtering policy"):
        ask("anthropic", stream=stream)


@plain_and_stream
def test_tool_arguments_that_do_not_parse(server: ProviderServer, stream: bool, ask: Ask, raw: Raw) -> None:
    server.always(faults.BadToolArguments())
    with pytest.raises(json.JSONDecodeError):
        ask("openai", stream=stream, tools=[ADD])
    seen = ask("gemini", stream=stream, tools=[ADD])
    assert (seen.calls, seen.finish) == ([], "MALFORMED_FUNCTION_CALL")
    body = raw.ask("anthropic", stream=stream).text
    if stream:
        pieces = [json.loads(line[6:])["delta"] for line in body.splitlines() if "input_json_delta" in line]
        assert "".join(piece["partial_json"] for piece in pieces) == '{"a": 3, "b": '
    else:
        assert json.loads(body)["content"][0]["input"] == {}


@every_wire
@plain_and_stream
def test_a_cut_inside_a_tool_call(server: ProviderServer, wire: str, stream: bool, ask: Ask, raw: Raw) -> None:
    server.always(faults.CutInToolCall())
    with pytest.raises(Exception) as cut:
        ask(wire, stream=stream, tools=[ADD])
    assert type(cut.value).__name__ in ("RemoteProtocolError", "APIConnectionError")  # httpx's, httpx2's or the SDK's
    assert server.log[0].ended == "fault"
    body = b""
    with pytest.raises(httpx.RemoteProtocolError), raw.stream(wire, stream=stream) as response:
        for chunk in response.iter_raw():
            body += chunk
    if stream:
        last = body.decode().splitlines()[-1]
        assert last.startswith(("data: ", "event: "))
        assert not _parses(last.removeprefix("data: "))


@every_wire
def test_a_tool_call_that_the_output_limit_ends(server: ProviderServer, wire: str, raw: Raw) -> None:
    server.behaviour.answer = lambda ask: [ToolCall("add", {"a": 3, "b": 4})]
    server.always(faults.Truncated())
    body = raw.ask(wire).json()
    found = {
        "openai": lambda: body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"],
        "anthropic": lambda: body["content"][0]["input"],
        "gemini": lambda: body["candidates"][0]["content"]["parts"][0]["functionCall"]["args"],
    }
    assert found[wire]() == ('{"a": 3,' if wire == "openai" else {})
    assert LENGTH[wire] in json.dumps(body)


# --- all together ------------------------------------------------------------------------------------------------


def test_presets_are_incidents_by_name() -> None:
    assert {"healthy", "slow", "silent", "503"} <= set(PRESETS)
    assert PRESETS["healthy"] is None
    assert PRESETS["503"] == faults.Status(503)


def test_faults_are_values() -> None:
    assert faults.Cut(3) == faults.Cut(3)
    assert faults.Cut(3) + faults.SlowDecode(1) == faults.Both(faults.Cut(3), faults.SlowDecode(1))
    with pytest.raises(AttributeError):
        faults.Cut(3).after_chunks = 4  # type: ignore[misc]


def test_a_fault_of_ones_own(server: ProviderServer, ask: Ask) -> None:
    class Shouting(faults.Fault):
        def change_answer(self, ask: Any, answer: Any) -> Any:
            return type(answer)(answer.text.upper())

    server.always(Shouting())
    assert ask("openai").text == TEXT.upper()
