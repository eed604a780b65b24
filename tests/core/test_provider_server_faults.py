"""Each fault on each wire, plain and streaming: what a client, a socket and the log see of it."""

from __future__ import annotations

import errno
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from failover_core.failure import FailureKind
from failover_core.testing import PRESETS, ProviderServer, faults
from google.genai import errors as google_errors
from provider_server_clients import ADD, MODELS, Seen, raw_request, sdk

WIRES = list(MODELS)
TEXT = "One two three four five six seven eight nine ten."
SHORT_TIMEOUT = httpx.Timeout(0.15)

every_wire = pytest.mark.parametrize("wire", WIRES)
plain_and_stream = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer(TEXT) as server:
        yield server


def ask(wire: str, server: ProviderServer, **options: Any) -> Seen:
    with sdk(wire, server) as client:
        return client.ask("Add 3 and 4.", **options)


def texts_in(line: str) -> list[str]:
    """The visible text in one line of any wire's stream."""
    if not line.startswith("data: {"):
        return []
    data = json.loads(line.removeprefix("data: "))
    openai_text = [choice["delta"].get("content") for choice in data.get("choices", ())]
    anthropic_text = [data.get("delta", {}).get("text")]
    gemini_text = [p.get("text") for c in data.get("candidates", ()) for p in c.get("content", {}).get("parts", ())]
    return [text for text in (*openai_text, *anthropic_text, *gemini_text) if text]


def read(wire: str, server: ProviderServer, *, stream: bool) -> tuple[list[str], Exception | None]:
    """Read a response as far as it goes: the pieces of text, and what ended it."""
    texts: list[str] = []
    request = {**raw_request(wire, server, stream=stream), "timeout": SHORT_TIMEOUT}
    try:
        with httpx.stream(**request) as response:
            if not stream:
                response.read()
            for line in response.iter_lines() if stream else ():
                texts += texts_in(line)
    except httpx.TransportError as error:
        return texts, error
    return texts, None


# --- error responses ---------------------------------------------------------------------------------------------

ERRORS = [
    (faults.Status(400), "Invalid", {"openai": 400, "anthropic": 400, "gemini": 400}),
    (faults.Status(401), "key", {"openai": 401, "anthropic": 401, "gemini": 401}),
    (faults.Status(403), "not", {"openai": 403, "anthropic": 403, "gemini": 403}),
    (faults.Status(404), "model", {"openai": 404, "anthropic": 404, "gemini": 404}),
    (faults.Status(418, "short and stout"), "short and stout", {"openai": 418, "anthropic": 418, "gemini": 418}),
    (faults.Status(429), "error", {"openai": 429, "anthropic": 429, "gemini": 429}),
    (faults.Status(500), "error", {"openai": 500, "anthropic": 500, "gemini": 500}),
    (faults.Status(503), "verloaded", {"openai": 503, "anthropic": 503, "gemini": 503}),
    (faults.Status(529), "verloaded", {"openai": 529, "anthropic": 529, "gemini": 529}),
    (faults.Status(502, body="upstream gone"), "upstream gone", {"openai": 502, "anthropic": 502, "gemini": 502}),
    (faults.Status(500, body={"detail": "odd"}), "odd", {"openai": 500, "anthropic": 500, "gemini": 500}),
    (faults.html(), "Bad Gateway", {"openai": 502, "anthropic": 502, "gemini": 502}),
    (faults.ApiError(FailureKind.RATE_LIMITED), "error", {"openai": 429, "anthropic": 429, "gemini": 429}),
    (faults.ApiError(FailureKind.QUOTA_EXHAUSTED), "error", {"openai": 429, "anthropic": 400, "gemini": 429}),
    (faults.ApiError(FailureKind.BILLING), "illing", {"openai": 429, "anthropic": 400, "gemini": 403}),
    (faults.ApiError(FailureKind.OVERLOADED), "verloaded", {"openai": 503, "anthropic": 529, "gemini": 503}),
    (faults.ApiError(FailureKind.TIMEOUT), "error", {"openai": 504, "anthropic": 504, "gemini": 504}),
    (faults.ApiError(FailureKind.CONTEXT_OVERFLOW), "token", {"openai": 400, "anthropic": 400, "gemini": 400}),
    (faults.ApiError(FailureKind.CONTENT_FILTERED), "filter", {"openai": 400, "anthropic": 400, "gemini": 400}),
    (faults.ApiError(FailureKind.AUTH), "key", {"openai": 401, "anthropic": 401, "gemini": 400}),
    (faults.ApiError(FailureKind.PERMISSION_OR_REGION), "not", {"openai": 403, "anthropic": 403, "gemini": 400}),
    (faults.ApiError(FailureKind.MODEL_NOT_FOUND), "{model}", {"openai": 404, "anthropic": 404, "gemini": 404}),
    (faults.ApiError(FailureKind.INVALID_REQUEST), "nvalid", {"openai": 400, "anthropic": 400, "gemini": 400}),
]


@every_wire
@plain_and_stream
@pytest.mark.parametrize(("fault", "words", "statuses"), ERRORS, ids=[str(fault)[:40] for fault, *_ in ERRORS])
def test_error_responses_reach_the_sdk_with_status_and_words(
    server: ProviderServer, wire: str, stream: bool, fault: faults.Fault, words: str, statuses: dict[str, int]
) -> None:
    server.always(fault)
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError, google_errors.APIError)) as failed:
        ask(wire, server, stream=stream)
    error = failed.value
    status = error.code if isinstance(error, google_errors.APIError) else error.status_code
    assert status == statuses[wire]
    assert words.format(model=MODELS[wire]) in str(error)
    (call,) = server.log
    assert (call.status, call.ended, call.fault) == (statuses[wire], "complete", fault)


ENVELOPES = {
    "openai": {"type": "insufficient_quota", "code": "insufficient_quota", "param": None},
    "anthropic": {"type": "invalid_request_error"},
    "gemini": {"status": "RESOURCE_EXHAUSTED", "code": 429},
}


@every_wire
def test_errors_come_in_the_envelope_of_the_provider(server: ProviderServer, wire: str) -> None:
    server.always(faults.ApiError(FailureKind.QUOTA_EXHAUSTED))
    error = httpx.request(**raw_request(wire, server, stream=False)).json()["error"]
    assert ENVELOPES[wire].items() <= error.items()


@every_wire
def test_retry_after_is_told_the_way_the_provider_tells_it(server: ProviderServer, wire: str) -> None:
    server.always(faults.Status(429, retry_after_s=2, headers={"x-extra": "yes"}))
    response = httpx.request(**raw_request(wire, server, stream=False))
    assert response.headers["x-extra"] == "yes"
    if wire == "gemini":
        assert response.json()["error"]["details"][-1]["retryDelay"] == "2s"
    else:
        assert response.headers["retry-after"] == "2"


@every_wire
def test_a_gateway_knows_nothing_of_rate_limits(server: ProviderServer, wire: str) -> None:
    server.always(faults.Status(503, body="<html>sorry</html>", retry_after_s=0.5))
    response = httpx.request(**raw_request(wire, server, stream=False))
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["retry-after"] == "0.5"
    assert not [name for name in response.headers if "ratelimit" in name or "request-id" in name]


def test_a_kind_that_is_no_error_response_is_refused_with_the_ones_that_are(server: ProviderServer) -> None:
    server.always(faults.ApiError(FailureKind.LOCAL_ERROR))
    response = httpx.request(**raw_request("openai", server, stream=False))
    assert response.status_code == 500
    assert server.log[0].ended == "complete"


# --- successes that are none -------------------------------------------------------------------------------------

NOT_AN_ANSWER = [
    (faults.html(200), "text/html", faults.HTML_PAGE.encode()),
    (faults.empty_body(), "application/json", b""),
    (faults.Status(200, body="null"), "application/json", b"null"),
    (faults.Status(200, body=b"\xff\xfe", content_type="image/png"), "image/png", b"\xff\xfe"),
]


@every_wire
@plain_and_stream
@pytest.mark.parametrize(("fault", "content_type", "body"), NOT_AN_ANSWER, ids=["html", "empty", "null", "garbage"])
def test_a_success_with_a_body_that_is_no_answer(
    server: ProviderServer, wire: str, stream: bool, fault: faults.Fault, content_type: str, body: bytes
) -> None:
    server.always(fault)
    response = httpx.request(**raw_request(wire, server, stream=stream))
    assert (response.status_code, response.content) == (200, body)
    if body:
        assert response.headers["content-type"].startswith(content_type)


@every_wire
@plain_and_stream
def test_error_json_in_a_success(server: ProviderServer, wire: str, stream: bool) -> None:
    server.always(faults.ApiError(FailureKind.OVERLOADED, status=200))
    response = httpx.request(**raw_request(wire, server, stream=stream))
    assert response.status_code == 200
    assert "verloaded" in response.json()["error"]["message"]


# --- the connection ----------------------------------------------------------------------------------------------


@every_wire
@plain_and_stream
def test_a_reset_is_a_real_rst(server: ProviderServer, wire: str, stream: bool) -> None:
    server.always(faults.Reset())
    request = httpx.Request(
        "POST",
        (raw := raw_request(wire, server, stream=stream))["url"],
        json=raw["json"],
        headers={"connection": "keep-alive"},
    )
    head = f"POST {request.url.raw_path.decode()} HTTP/1.1\r\nhost: {request.url.netloc.decode()}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {request.headers['content-length']}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=2) as connection:
        connection.sendall(head.encode() + request.read())
        with pytest.raises(ConnectionResetError):
            connection.recv(1000)
    assert (server.log[0].status, server.log[0].ended) == (None, "fault")


@every_wire
def test_a_reset_in_mid_stream(server: ProviderServer, wire: str) -> None:
    server.always(faults.Reset(after_chunks=2))
    texts, error = read(wire, server, stream=True)
    assert isinstance(error, httpx.ReadError)
    assert str(errno.ECONNRESET) in str(error)
    assert "".join(texts) in ("One two three four five six", "One two three", "")  # a RST may overtake what was sent
    assert (server.log[0].chunks_sent, server.log[0].ended) == (2, "fault")


@every_wire
def test_a_reset_in_the_middle_of_a_plain_body(server: ProviderServer, wire: str) -> None:
    server.always(faults.Reset(after_chunks=1))
    _, error = read(wire, server, stream=False)
    assert isinstance(error, httpx.ReadError)
    assert server.log[0].status == 200


@every_wire
@plain_and_stream
def test_a_cut_before_the_headers(server: ProviderServer, wire: str, stream: bool) -> None:
    server.always(faults.Cut(after_chunks=None))
    _, error = read(wire, server, stream=stream)
    assert isinstance(error, httpx.RemoteProtocolError)
    assert "without sending a response" in str(error)


@every_wire
def test_a_cut_in_mid_stream_comes_after_whole_events(server: ProviderServer, wire: str) -> None:
    server.always(faults.Cut(after_chunks=2))
    texts, error = read(wire, server, stream=True)
    assert texts == ["One two three", " four five six"]
    assert isinstance(error, httpx.RemoteProtocolError)
    assert "incomplete chunked read" in str(error)
    assert (server.log[0].chunks_sent, server.log[0].ended) == (2, "fault")


@every_wire
def test_a_cut_in_the_middle_of_a_plain_body(server: ProviderServer, wire: str) -> None:
    server.always(faults.Cut())
    _, error = read(wire, server, stream=False)
    assert isinstance(error, httpx.RemoteProtocolError)
    assert "without sending complete message body" in str(error)


@every_wire
def test_a_cut_after_more_pieces_than_there_are_takes_the_ending(server: ProviderServer, wire: str) -> None:
    server.always(faults.Cut(after_chunks=1000))
    texts, error = read(wire, server, stream=True)
    assert "".join(texts) == TEXT
    assert isinstance(error, httpx.RemoteProtocolError)


@every_wire
@plain_and_stream
def test_silence_does_not_even_send_headers(server: ProviderServer, wire: str, stream: bool) -> None:
    server.always(faults.Silence())
    request = {**raw_request(wire, server, stream=stream), "timeout": SHORT_TIMEOUT}
    with pytest.raises(httpx.ReadTimeout):
        httpx.stream(**request).__enter__()
    assert server.wait_until_idle(1)
    assert (server.log[0].status, server.log[0].ended) == (None, "client_closed")


@every_wire
@plain_and_stream
def test_a_stall_goes_silent_in_the_middle(server: ProviderServer, wire: str, stream: bool) -> None:
    server.always(faults.Stall(after_chunks=2))
    texts, error = read(wire, server, stream=stream)
    assert isinstance(error, httpx.ReadTimeout)
    assert texts == (["One two three", " four five six"] if stream else [])
    assert server.wait_until_idle(1)
    assert (server.log[0].status, server.log[0].ended) == (200, "client_closed")


@every_wire
@plain_and_stream
@pytest.mark.parametrize("after_chunks", [0, 1])
def test_keep_alives_show_life_but_no_progress(
    server: ProviderServer, wire: str, stream: bool, after_chunks: int
) -> None:
    server.always(faults.KeepAliveOnly(interval_s=0.01, after_chunks=after_chunks))
    texts: list[str] = []
    heartbeats = 0
    with httpx.stream(**raw_request(wire, server, stream=stream)) as response:
        for line in response.iter_lines():
            texts += texts_in(line)
            heartbeats += line in ("", ": keep-alive", 'data: {"type": "ping"}')
            if heartbeats > 20:
                break
    assert texts == (["One two three"] if stream and after_chunks else [])
    assert server.wait_until_idle(1)
    assert server.log[0].ended == "client_closed"


@every_wire
def test_the_sdk_takes_keep_alives_for_what_they_are(server: ProviderServer, wire: str) -> None:
    """A comment or ping before the answer must not break the official client."""
    beat = {"openai": b": keep-alive\n\n", "anthropic": b'event: ping\ndata: {"type": "ping"}\n\n', "gemini": b"\r\n"}
    with httpx.stream(**raw_request(wire, server, stream=True)) as response:
        healthy = response.read()
    body = beat[wire] * 2 + healthy
    server.always(faults.Status(200, body=body, content_type="text/event-stream"))
    assert ask(wire, server, stream=True).text == TEXT


# --- pace --------------------------------------------------------------------------------------------------------


@every_wire
@pytest.mark.parametrize("headers_first", [True, False])
def test_a_slow_first_token(server: ProviderServer, wire: str, headers_first: bool) -> None:
    server.always(faults.SlowFirstToken(0.06, headers_first=headers_first))
    start = time.monotonic()
    with httpx.stream(**raw_request(wire, server, stream=True)) as response:
        headers_s = time.monotonic() - start
        lines = response.iter_lines()
        next(line for line in lines if texts_in(line))
        first_text_s = time.monotonic() - start
        assert list(lines)
    assert first_text_s > 0.055
    assert (headers_s > 0.055) is not headers_first


@every_wire
def test_a_slow_plain_answer(server: ProviderServer, wire: str) -> None:
    server.always(faults.SlowFirstToken(0.06))
    start = time.monotonic()
    assert ask(wire, server).text == TEXT
    assert time.monotonic() - start > 0.055


@every_wire
@plain_and_stream
def test_slow_decoding_takes_its_time_over_the_whole_answer(server: ProviderServer, wire: str, stream: bool) -> None:
    server.always(faults.SlowDecode(0.03))
    start = time.monotonic()
    assert ask(wire, server, stream=stream).text == TEXT
    assert time.monotonic() - start > 3 * 0.03 - 0.01  # four pieces


# --- broken streams ----------------------------------------------------------------------------------------------


@every_wire
@plain_and_stream
def test_a_malformed_event_does_not_parse(server: ProviderServer, wire: str, stream: bool) -> None:
    server.always(faults.Malformed(after_chunks=1))
    with pytest.raises((json.JSONDecodeError, google_errors.UnknownApiResponseError)):
        ask(wire, server, stream=stream)
    lines = httpx.request(**raw_request(wire, server, stream=stream)).text.splitlines()
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
FINISH = {
    "openai": '"finish_reason":"stop"',
    "anthropic": '"stop_reason":"end_turn"',
    "gemini": '"finishReason":"STOP"',
}


@every_wire
def test_a_missing_terminator_leaves_the_finish_reason(server: ProviderServer, wire: str) -> None:
    server.script([None, faults.MissingTerminator()])
    healthy, faulty = (httpx.request(**raw_request(wire, server, stream=True)).text for _ in range(2))
    assert TERMINATORS[wire] in healthy
    assert (TERMINATORS[wire] in faulty) is (wire == "gemini")  # it has nothing but the finish reason
    assert FINISH[wire] in faulty
    server.always(faults.MissingTerminator())
    assert ask(wire, server).text == TEXT


@every_wire
@plain_and_stream
def test_a_clean_end_without_a_finish_reason(server: ProviderServer, wire: str, stream: bool) -> None:
    server.always(faults.NoFinishReason())
    seen = ask(wire, server, stream=stream)
    assert (seen.text, seen.finish) == (TEXT, None)
    assert server.log[0].ended == "complete"
    if stream:
        assert TERMINATORS[wire] not in httpx.request(**raw_request(wire, server, stream=True)).text


@every_wire
def test_a_clean_end_in_the_middle(server: ProviderServer, wire: str) -> None:
    server.always(faults.NoFinishReason(after_chunks=2, terminator=True))
    seen = ask(wire, server, stream=True)
    assert (seen.text, seen.finish) == ("One two three four five six", None)
    body = httpx.request(**raw_request(wire, server, stream=True)).text
    assert (TERMINATORS[wire] in body) is (wire != "gemini")


@every_wire
@pytest.mark.parametrize("after_chunks", [0, 2])
def test_an_error_event_inside_a_stream(server: ProviderServer, wire: str, after_chunks: int) -> None:
    server.always(faults.ErrorEvent(after_chunks=after_chunks))
    with pytest.raises((openai.APIError, anthropic.APIStatusError, google_errors.ServerError)) as failed:
        ask(wire, server, stream=True)
    assert "verloaded" in str(failed.value)
    if wire == "anthropic":
        assert (failed.value.status_code, failed.value.type) == (200, "overloaded_error")
    if wire == "openai":
        assert type(failed.value) is openai.APIError
    if wire == "gemini":
        assert (failed.value.code, failed.value.status) == (503, "UNAVAILABLE")
    texts, error = read(wire, server, stream=True)
    assert ("".join(texts), error) == ("One two three four five six" if after_chunks else "", None)
    assert server.log[0].status == 200


@every_wire
def test_an_error_instead_of_a_plain_answer_in_a_200(server: ProviderServer, wire: str) -> None:
    server.always(faults.ErrorEvent(kind=FailureKind.SERVER_ERROR, message="it broke"))
    response = httpx.request(**raw_request(wire, server, stream=False))
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
    server: ProviderServer, wire: str, stream: bool, fault: faults.Fault, text: str, finish: dict[str, str]
) -> None:
    server.always(fault)
    seen = ask(wire, server, stream=stream)
    assert (seen.text, seen.finish) == (text, finish[wire])
    assert server.log[0].ended == "complete"


@pytest.mark.parametrize("wire", ["openai", "anthropic"])
@plain_and_stream
def test_a_refusal_gives_its_reason(server: ProviderServer, wire: str, stream: bool) -> None:
    server.always(faults.Refusal("I won't."))
    assert ask(wire, server, stream=stream).refusal == "I won't."


@plain_and_stream
def test_a_blocked_prompt(server: ProviderServer, stream: bool) -> None:
    server.always(faults.PromptBlocked())
    seen = ask("gemini", server, stream=stream)
    assert (seen.text, seen.finish, seen.refusal) == ("", None, "PROHIBITED_CONTENT")
    with pytest.raises(openai.BadRequestError) as refused:
        ask("openai", server, stream=stream)
    assert refused.value.code == "content_filter"
    with pytest.raises(anthropic.BadRequestError, match="content filtering policy"):
        ask("anthropic", server, stream=stream)


@plain_and_stream
def test_tool_arguments_that_do_not_parse(server: ProviderServer, stream: bool) -> None:
    server.always(faults.BadToolArguments())
    with pytest.raises(json.JSONDecodeError):
        ask("openai", server, stream=stream, tools=[ADD])
    seen = ask("gemini", server, stream=stream, tools=[ADD])
    assert (seen.calls, seen.finish) == ([], "MALFORMED_FUNCTION_CALL")
    body = httpx.request(**raw_request("anthropic", server, stream=stream)).text
    if stream:
        pieces = [json.loads(line[6:])["delta"] for line in body.splitlines() if "input_json_delta" in line]
        assert "".join(piece["partial_json"] for piece in pieces) == '{"a": 3, "b": '
    else:
        assert json.loads(body)["content"][0]["input"] == {}


@every_wire
@plain_and_stream
def test_a_cut_inside_a_tool_call(server: ProviderServer, wire: str, stream: bool) -> None:
    server.always(faults.CutInToolCall())
    with pytest.raises((httpx.RemoteProtocolError, openai.APIConnectionError, anthropic.APIConnectionError)):
        ask(wire, server, stream=stream, tools=[ADD])
    assert server.log[0].ended == "fault"
    body = b""
    with pytest.raises(httpx.RemoteProtocolError), httpx.stream(**raw_request(wire, server, stream=stream)) as response:
        for chunk in response.iter_raw():
            body += chunk
    if stream:
        last = body.decode().splitlines()[-1]
        assert last.startswith(("data: ", "event: "))
        assert not _parses(last.removeprefix("data: "))


@every_wire
def test_a_tool_call_that_the_output_limit_ends(server: ProviderServer, wire: str) -> None:
    server.behaviour.answer = lambda ask: [faults.output.ToolCall("add", {"a": 3, "b": 4})]
    server.always(faults.Truncated())
    body = httpx.request(**raw_request(wire, server, stream=False)).json()
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


def test_a_fault_of_ones_own(server: ProviderServer) -> None:
    class Shouting(faults.Fault):
        def change_answer(self, ask: Any, answer: Any) -> Any:
            return type(answer)(answer.text.upper())

    server.always(Shouting())
    assert ask("openai", server).text == TEXT.upper()
