"""Each fault on each wire, plain and streaming: what a client, a socket and the log see of it."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable
from typing import Any

import anthropic
import httpx
import openai
import pytest
from google.genai import errors as google_errors

from failover_core.failure import FailureKind
from failover_core.testing import ProviderServer, faults
from provider_server_clients import (
    MODELS,
    SDK,
    SHORT_TIMEOUT_S,
    Raw,
    Seen,
    open_raw,
    open_sdks,
    read,
    renew,
    run_server,
    texts_in,
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


# --- error responses ---------------------------------------------------------------------------------------------

ERRORS = [
    (faults.Status(400), "nvalid", 400),
    (faults.Status(401), "key", 401),
    (faults.Status(403), "not", 403),
    (faults.Status(404), "model", 404),
    (faults.Status(418, "short and stout"), "short and stout", 418),
    (faults.Status(429), "error", 429),
    (faults.Status(500), "error", 500),
    (faults.Status(503), "verloaded", 503),
    (faults.Status(529), "verloaded", 529),
    (faults.Status(502, body="upstream gone"), "upstream gone", 502),
    (faults.Status(500, body={"detail": "odd"}), "odd", 500),
    (faults.html(), "Bad Gateway", 502),
    (faults.ApiError(FailureKind.RATE_LIMITED), "error", 429),
    (faults.ApiError(FailureKind.QUOTA_EXHAUSTED), "error", {"openai": 429, "anthropic": 400, "gemini": 429}),
    (faults.ApiError(FailureKind.BILLING), "illing", {"openai": 429, "anthropic": 400, "gemini": 403}),
    (faults.ApiError(FailureKind.OVERLOADED), "verloaded", {"openai": 503, "anthropic": 529, "gemini": 503}),
    (faults.ApiError(FailureKind.TIMEOUT), "error", 504),
    (faults.ApiError(FailureKind.CONTEXT_OVERFLOW), "token", 400),
    (faults.ApiError(FailureKind.CONTENT_FILTERED), "filter", 400),
    (faults.ApiError(FailureKind.AUTH), "key", {"openai": 401, "anthropic": 401, "gemini": 400}),
    (faults.ApiError(FailureKind.PERMISSION_OR_REGION), "not", {"openai": 403, "anthropic": 403, "gemini": 400}),
    (faults.ApiError(FailureKind.MODEL_NOT_FOUND), "{model}", 404),
    (faults.ApiError(FailureKind.INVALID_REQUEST), "nvalid", 400),
]


@every_wire
@plain_and_stream
@pytest.mark.parametrize(("fault", "words", "statuses"), ERRORS, ids=[str(fault)[:40] for fault, *_ in ERRORS])
def test_error_responses_reach_the_sdk_with_status_and_words(
    server: ProviderServer,
    wire: str,
    stream: bool,
    fault: faults.Fault,
    words: str,
    statuses: int | dict[str, int],
    ask: Ask,
) -> None:
    server.always(fault)
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError, google_errors.APIError)) as failed:
        ask(wire, stream=stream)
    error = failed.value
    status = error.code if isinstance(error, google_errors.APIError) else error.status_code
    expected = statuses if isinstance(statuses, int) else statuses[wire]
    assert status == expected
    # openai 3 leaves the body out of the error's own words
    told = str(error) if isinstance(error, google_errors.APIError) else f"{error} {error.response.text}"
    assert words.format(model=MODELS[wire]) in told
    (call,) = server.log
    assert (call.status, call.ended, call.fault) == (expected, "complete", fault)


ENVELOPES = {
    "openai": {"type": "insufficient_quota", "code": "insufficient_quota", "param": None},
    "anthropic": {"type": "invalid_request_error"},
    "gemini": {"status": "RESOURCE_EXHAUSTED", "code": 429},
}


@every_wire
def test_errors_come_in_the_envelope_of_the_provider(server: ProviderServer, wire: str, raw: Raw) -> None:
    server.always(faults.ApiError(FailureKind.QUOTA_EXHAUSTED))
    error = raw.ask(wire).json()["error"]
    assert ENVELOPES[wire].items() <= error.items()


@every_wire
def test_retry_after_is_told_the_way_the_provider_tells_it(server: ProviderServer, wire: str, raw: Raw) -> None:
    server.always(faults.Status(429, retry_after_s=2, headers={"x-extra": "yes"}))
    response = raw.ask(wire)
    assert response.headers["x-extra"] == "yes"
    if wire == "gemini":
        assert response.json()["error"]["details"][-1]["retryDelay"] == "2s"
    else:
        assert response.headers["retry-after"] == "2"


@every_wire
def test_a_gateway_knows_nothing_of_rate_limits(server: ProviderServer, wire: str, raw: Raw) -> None:
    server.always(faults.Status(503, body="<html>sorry</html>", retry_after_s=0.5))
    response = raw.ask(wire)
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["retry-after"] == "0.5"
    assert not [name for name in response.headers if "ratelimit" in name or "request-id" in name]


@pytest.mark.parametrize("fault", [faults.ApiError, lambda kind: faults.ErrorEvent(kind=kind)])
def test_a_kind_that_is_no_error_response_is_refused_with_the_ones_that_are(fault: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"local_error.*use one of: auth, billing"):
        fault(FailureKind.LOCAL_ERROR)


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
    server: ProviderServer, wire: str, stream: bool, fault: faults.Fault, content_type: str, body: bytes, raw: Raw
) -> None:
    server.always(fault)
    response = raw.ask(wire, stream=stream)
    assert (response.status_code, response.content) == (200, body)
    if body:
        assert response.headers["content-type"].startswith(content_type)


@every_wire
@plain_and_stream
def test_error_json_in_a_success(server: ProviderServer, wire: str, stream: bool, raw: Raw) -> None:
    server.always(faults.ApiError(FailureKind.OVERLOADED, status=200))
    response = raw.ask(wire, stream=stream)
    assert response.status_code == 200
    assert "verloaded" in response.json()["error"]["message"]


# --- the connection ----------------------------------------------------------------------------------------------


@every_wire
@plain_and_stream
def test_a_reset_is_a_real_rst(server: ProviderServer, wire: str, stream: bool, raw: Raw) -> None:
    server.always(faults.Reset())
    wanted = raw.request(wire, stream=stream)
    request = httpx.Request("POST", wanted["url"], json=wanted["json"])
    head = f"POST {request.url.raw_path.decode()} HTTP/1.1\r\nhost: {request.url.netloc.decode()}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {request.headers['content-length']}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=2) as connection:
        connection.sendall(head.encode() + request.read())
        with pytest.raises(ConnectionResetError):
            connection.recv(1000)
    assert (server.log[0].status, server.log[0].ended) == (None, "fault")


@every_wire
def test_a_reset_in_mid_stream(server: ProviderServer, wire: str, raw: Raw) -> None:
    server.always(faults.Reset(after_chunks=2))
    texts, error = read(raw, wire, stream=True)
    assert isinstance(error, httpx.ReadError)
    assert str(errno.ECONNRESET) in str(error)
    assert "".join(texts) in ("One two three four five six", "One two three", "")  # a RST may overtake what was sent
    assert (server.log[0].chunks_sent, server.log[0].ended) == (2, "fault")


@every_wire
def test_a_reset_in_the_middle_of_a_plain_body(server: ProviderServer, wire: str, raw: Raw) -> None:
    server.always(faults.Reset(after_chunks=1))
    _, error = read(raw, wire, stream=False)
    assert isinstance(error, httpx.ReadError)
    assert server.log[0].status == 200


@every_wire
@plain_and_stream
def test_a_cut_before_the_headers(server: ProviderServer, wire: str, stream: bool, raw: Raw) -> None:
    server.always(faults.Cut(after_chunks=None))
    _, error = read(raw, wire, stream=stream)
    assert isinstance(error, httpx.RemoteProtocolError)
    assert "without sending a response" in str(error)


@every_wire
def test_a_cut_in_mid_stream_comes_after_whole_events(server: ProviderServer, wire: str, raw: Raw) -> None:
    server.always(faults.Cut(after_chunks=2))
    texts, error = read(raw, wire, stream=True)
    assert texts == ["One two three", " four five six"]
    assert isinstance(error, httpx.RemoteProtocolError)
    assert "incomplete chunked read" in str(error)
    assert (server.log[0].chunks_sent, server.log[0].ended) == (2, "fault")


@every_wire
def test_a_cut_in_the_middle_of_a_plain_body(server: ProviderServer, wire: str, raw: Raw) -> None:
    server.always(faults.Cut())
    _, error = read(raw, wire, stream=False)
    assert isinstance(error, httpx.RemoteProtocolError)
    assert "without sending complete message body" in str(error)


@every_wire
def test_a_cut_after_more_pieces_than_there_are_takes_the_ending(server: ProviderServer, wire: str, raw: Raw) -> None:
    server.always(faults.Cut(after_chunks=1000))
    texts, error = read(raw, wire, stream=True)
    assert "".join(texts) == TEXT
    assert isinstance(error, httpx.RemoteProtocolError)


@every_wire
@plain_and_stream
def test_silence_does_not_even_send_headers(server: ProviderServer, wire: str, stream: bool, raw: Raw) -> None:
    server.always(faults.Silence())
    with pytest.raises(httpx.ReadTimeout):
        raw.stream(wire, stream=stream, timeout_s=SHORT_TIMEOUT_S).__enter__()
    assert server.wait_until_idle(1)
    assert (server.log[0].status, server.log[0].ended) == (None, "client_closed")


@every_wire
@plain_and_stream
def test_a_stall_goes_silent_in_the_middle(server: ProviderServer, wire: str, stream: bool, raw: Raw) -> None:
    server.always(faults.Stall(after_chunks=2))
    texts, error = read(raw, wire, stream=stream)
    assert isinstance(error, httpx.ReadTimeout)
    assert texts == (["One two three", " four five six"] if stream else [])
    assert server.wait_until_idle(1)
    assert (server.log[0].status, server.log[0].ended) == (200, "client_closed")


@every_wire
@plain_and_stream
@pytest.mark.parametrize("after_chunks", [0, 1])
def test_keep_alives_show_life_but_no_progress(
    server: ProviderServer, wire: str, stream: bool, after_chunks: int, raw: Raw
) -> None:
    server.always(faults.KeepAliveOnly(interval_s=0.01, after_chunks=after_chunks))
    texts: list[str] = []
    heartbeats = 0
    with raw.stream(wire, stream=stream) as response:
        for line in response.iter_lines():
            texts += texts_in(line)
            heartbeats += line in ("", ": keep-alive", 'data: {"type": "ping"}')
            if heartbeats > 5:
                break
    assert texts == (["One two three"] if stream and after_chunks else [])
    assert server.wait_until_idle(1)
    assert server.log[0].ended == "client_closed"


@every_wire
def test_the_sdk_takes_keep_alives_for_what_they_are(server: ProviderServer, wire: str, ask: Ask, raw: Raw) -> None:
    """A comment or ping before the answer must not break the official client."""
    beat = {"openai": b": keep-alive\n\n", "anthropic": b'event: ping\ndata: {"type": "ping"}\n\n', "gemini": b"\r\n"}
    with raw.stream(wire) as response:
        healthy = response.read()
    body = beat[wire] * 2 + healthy
    server.always(faults.Status(200, body=body, content_type="text/event-stream"))
    assert ask(wire, stream=True).text == TEXT


# --- pace --------------------------------------------------------------------------------------------------------


@every_wire
@pytest.mark.parametrize("headers_first", [True, False])
def test_a_slow_first_token(server: ProviderServer, wire: str, headers_first: bool, raw: Raw) -> None:
    server.always(faults.SlowFirstToken(0.06, headers_first=headers_first))
    start = time.monotonic()
    with raw.stream(wire) as response:
        headers_s = time.monotonic() - start
        lines = response.iter_lines()
        next(line for line in lines if texts_in(line))
        first_text_s = time.monotonic() - start
        assert list(lines)
    assert first_text_s > 0.055
    assert (headers_s > 0.055) is not headers_first


@every_wire
def test_a_slow_plain_answer(server: ProviderServer, wire: str, ask: Ask) -> None:
    server.always(faults.SlowFirstToken(0.06))
    start = time.monotonic()
    assert ask(wire).text == TEXT
    assert time.monotonic() - start > 0.055


@every_wire
@plain_and_stream
def test_slow_decoding_takes_its_time_over_the_whole_answer(
    server: ProviderServer, wire: str, stream: bool, ask: Ask
) -> None:
    server.always(faults.SlowDecode(0.03))
    start = time.monotonic()
    assert ask(wire, stream=stream).text == TEXT
    assert time.monotonic() - start > 3 * 0.03 - 0.01  # four pieces
