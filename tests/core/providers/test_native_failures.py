"""What goes wrong reaches the caller as the SDK says it, at once and once: no hidden retries, no hidden sleep."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from failover_core import FailureKind, Target
from failover_core.context import AttemptContext, enter, leave
from failover_core.failure import FailoverError
from failover_core.health.ratelimit_headers import parse_rate_limit
from failover_core.providers import ChatReader, ToolSpec, accumulate, as_chat_request
from failover_core.testing import ProviderServer, faults
from native_targets import PROVIDERS, answer, chunks, everywhere, native, on, streamed

each = pytest.mark.parametrize("provider", PROVIDERS)
READER = ChatReader()


def status_of(error: BaseException) -> int | None:
    return getattr(error, "status_code", None) or getattr(error, "code", None)


@everywhere
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_an_error_is_raised_after_one_request(
    server: ProviderServer, provider: str, style: str, status: int
) -> None:
    server.always(faults.Status(status, retry_after_s=0.01))
    with pytest.raises(Exception) as caught:
        await answer(native(provider, server), "hi", style)
    assert status_of(caught.value) == status
    assert server.calls == 1


@each
async def test_rate_limits_are_read_from_failures(server: ProviderServer, provider: str) -> None:
    server.always(faults.Status(429))
    with pytest.raises(Exception) as caught:
        await answer(native(provider, server), "hi", "call")
    facts = parse_rate_limit(caught.value.response.headers, time.time())
    assert (facts is None) if provider == "google" else (facts.remaining_requests == 0)


@everywhere
async def test_a_refused_connection_fails_at_once(provider: str, style: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but nobody listens
        target = Target.native(f"{provider}:m", base_url=f"http://127.0.0.1:{unused.getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(Exception) as caught:
            await answer(target, "hi", style)
        assert time.monotonic() - started < 0.9  # google-genai with aiohttp sleeps at least 1 s
    assert "onnect" in repr(caught.value) + repr(caught.value.__cause__)


@everywhere
async def test_a_web_page_is_no_answer(server: ProviderServer, provider: str, style: str) -> None:
    server.always(faults.html(200))
    with pytest.raises(Exception) as caught:
        await answer(native(provider, server), "hi", style)
    assert "502 Bad Gateway" in str(caught.value) + repr(getattr(caught.value, "body", "")) or provider == "google"


@everywhere
async def test_an_error_inside_a_success_is_raised(server: ProviderServer, provider: str, style: str) -> None:
    server.always(faults.ErrorEvent(kind=FailureKind.OVERLOADED))
    try:
        response = await answer(native(provider, server), "hi", style)
    except Exception as error:
        assert "overloaded" in (str(error) + repr(getattr(error, "body", ""))).lower()
    else:  # google-genai drops an unknown body that was not streamed: an answer without an end is left
        assert (provider, style in ("call", "acall")) == ("google", True)
        assert response.finish_reason is None and response.text == ""


@everywhere
async def test_an_empty_body_is_no_answer(server: ProviderServer, provider: str, style: str) -> None:
    server.always(faults.empty_body())
    try:
        response = await answer(native(provider, server), "hi", style)
    except Exception:
        return
    assert READER.read(response).finish_reason is None


@streamed
@pytest.mark.parametrize(
    "fault", [faults.Cut(3), faults.Reset(3), faults.Malformed(3)], ids=["cut", "reset", "malformed"]
)
async def test_a_broken_stream_raises_after_what_was_read(
    server: ProviderServer, provider: str, style: str, fault: faults.Fault
) -> None:
    server.always(fault)
    target = native(provider, server)
    got = []
    with pytest.raises(Exception) as caught:
        if style == "stream":
            got.extend(target.stream("hi"))
        else:
            async for chunk in target.astream("hi"):
                got.append(chunk)  # noqa: PERF401 - what came before the error is wanted
    assert not isinstance(caught.value, AssertionError)
    assert accumulate(got).text.startswith("You asked: hi")
    assert accumulate(got).finish_reason is None


@streamed
async def test_a_stream_that_just_ends_has_no_finish_reason(server: ProviderServer, provider: str, style: str) -> None:
    for terminator in (False, True):
        server.always(faults.NoFinishReason(3, terminator=terminator))
        got = await chunks(native(provider, server), "hi", style)
        assert accumulate(got).text
        assert all(READER.read_chunk(chunk).finish_reason is None for chunk in got)


@everywhere
async def test_a_refusal_tells_the_provider_s_reason(server: ProviderServer, provider: str, style: str) -> None:
    server.always(faults.Refusal("I cannot help with that."))
    response = await answer(native(provider, server), "hi", style)
    # google-genai drops Gemini's words outside Vertex AI; the finish reason is left.
    said = "SAFETY" if provider == "google" else "I cannot help with that."
    assert said in READER.read(response).refusal
    assert response.finish_reason == "content_filter"


@everywhere
async def test_a_filter_is_a_refusal(server: ProviderServer, provider: str, style: str) -> None:
    server.always(faults.ContentFilter(4))
    response = await answer(native(provider, server), "hi", style)
    assert response.refusal
    assert response.finish_reason == "content_filter"


@on("google")
async def test_a_blocked_prompt_of_gemini_is_a_refusal(server: ProviderServer, provider: str, style: str) -> None:
    server.always(faults.PromptBlocked())
    response = await answer(native(provider, server), "hi", style)
    assert response.refusal == "the prompt was blocked: PROHIBITED_CONTENT"
    assert response.finish_reason == "content_filter"


@on("openai", "google", styles=("call", "acall"))  # a whole answer of Anthropic has parsed arguments
async def test_unparsable_tool_arguments_are_a_flaw(server: ProviderServer, provider: str, style: str) -> None:
    server.always(faults.BadToolArguments())
    request = as_chat_request("hi", tools=[ToolSpec("add", "")])
    assert READER.read(await answer(native(provider, server), request, style)).flaw


@streamed
async def test_unparsable_tool_arguments_of_a_stream_are_a_flaw_at_its_end(
    server: ProviderServer, provider: str, style: str
) -> None:
    server.always(faults.BadToolArguments())
    request = as_chat_request("hi", tools=[ToolSpec("add", "")])
    got = await chunks(native(provider, server), request, style)
    assert [bool(READER.read_chunk(chunk).flaw) for chunk in got if chunk.flaw or chunk.finish_reason] == [True]


@everywhere
async def test_the_caller_s_deadline_is_the_network_s_time_limit(
    server: ProviderServer, provider: str, style: str
) -> None:
    server.always(faults.Silence())
    target = native(provider, server)
    enter(AttemptContext(target, 1, "0" * 16, remaining_s=0.15))
    try:
        started = time.monotonic()
        with pytest.raises(Exception) as caught:
            await answer(target, "hi", style)
        assert 0.1 < time.monotonic() - started < 2
    finally:
        leave()
    assert "imeout" in type(caught.value).__name__


@everywhere
async def test_timeout_s_bounds_silence(server: ProviderServer, provider: str, style: str) -> None:
    server.always(faults.Silence())
    with pytest.raises(Exception) as caught:
        await answer(native(provider, server, timeout_s=0.15), "hi", style)
    assert "imeout" in type(caught.value).__name__


@everywhere
async def test_a_missing_key_is_this_target_s_failure_and_no_other_s(provider: str, style: str) -> None:
    target = Target.native(f"{provider}:m")  # does not fail here
    with pytest.raises(FailoverError) as caught:
        await answer(target, "hi", style)
    assert caught.value.failure.kind is FailureKind.AUTH
    assert f"no API key for {provider}:m: set {provider.upper() if provider != 'google' else 'GOOGLE'}" in str(
        caught.value
    )


@streamed
async def test_a_stream_that_is_left_early_is_closed(provider: str, style: str) -> None:
    with ProviderServer(chunk_delay_s=0.02) as server:
        target = native(provider, server)
        if style == "stream":
            stream = target.stream("hi")
            next(stream)
            stream.close()
        else:
            stream = target.astream("hi")
            await anext(stream)
            await stream.aclose()
        assert await asyncio.to_thread(server.wait_until_idle, 2.0)
        assert server.log[0].ended == "client_closed"


@each
async def test_an_unknown_model_is_an_error_with_its_status(provider: str) -> None:
    with ProviderServer(models=["other"]) as server:
        with pytest.raises(Exception) as caught:
            await answer(native(provider, server), "hi", "call")
        assert status_of(caught.value) == 404
