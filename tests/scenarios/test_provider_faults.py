"""What users live through: every fault of a provider, in all eight call styles, on all three wires, wrapped and native.

The scenarios S01 to S16 are those of the public Failover Bench (failoverbench/failoverbench, methodology v0.1),
followed by faults that it leaves out. Real sockets, the real SDKs, the real framework classes; limits are shortened
where a scenario is about silence, everything else runs on the defaults.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage

import lc_targets
from failover_core import FailoverError, Settings
from failover_core.testing import Fault, ProviderServer, faults
from langchain_failover import ChatFailover
from llamaindex_failover import FailoverLLM
from llamaindex_targets import Shop

STORY = (
    "Once upon a time there was a small service in a large data centre far away from everybody who used it. "
    "It answered every question it was asked, by day and by night, and nobody ever thanked it for that. Then one "
    "morning it fell silent, and for the very first time all of the people noticed how much they had relied on it."
)
QUESTION = "Tell me a story."
FAST = Settings(answer_s=0.6, first_token_s=0.6, stall_s=0.6, backoff_s=0.02, hold_back_s=0.02)
SECOND = {"openai": "anthropic", "anthropic": "google", "google": "openai"}
LLAMAINDEX_KINDS = {"openai": "OpenAI", "anthropic": "Anthropic", "google": "GoogleGenAI"}


@dataclass(frozen=True)
class Scenario:
    """One fault of the primary and what must come of it.

    Args:
        fault: what the primary does; None = it refuses connections.
        script: what it does call by call, instead.
        kinds: the kinds of failure the trace may name for the primary, empty for none needed.
        calls: at most this many calls reach the primary.
        stays: the primary itself gives the answer.
        raises: the caller gets a typed error with one of `kinds`, and nobody else is asked.
        streams, answers: whether it applies to streams and to whole answers.
    """

    name: str
    fault: Fault | None = None
    script: tuple[Fault | None, ...] = ()
    kinds: frozenset[str] = frozenset()
    calls: int = 2
    stays: bool = False
    raises: bool = False
    streams: bool = True
    answers: bool = True
    settings: Settings = field(default=FAST)


def kinds(*names: str) -> frozenset[str]:
    return frozenset(names)


BROKEN = kinds("stream_broken", "connection", "invalid_output", "timeout", "server_error", "overloaded", "unknown")
SCENARIOS = [
    Scenario(
        "S01 429 with a short Retry-After",
        script=(faults.Status(429, retry_after_s=0.3), None),
        kinds=kinds("rate_limited"),
        stays=True,
    ),
    Scenario("S02 429 for ever", faults.Status(429, retry_after_s=30), kinds=kinds("rate_limited"), calls=1),
    Scenario("S03 500 once", script=(faults.Status(500), None), kinds=kinds("server_error"), stays=True),
    Scenario("S04 503 for ever", faults.Status(503), kinds=kinds("overloaded", "server_error")),
    Scenario("S05 reset before the headers", faults.Reset(), kinds=kinds("connection", "stream_broken")),
    Scenario("S06 silence", faults.Silence(), calls=1),
    Scenario("S07 first token late", faults.SlowFirstToken(20.0), calls=1),
    Scenario("S08 cut after some words", faults.Cut(after_chunks=25), kinds=BROKEN),
    Scenario("S09 stall after some words", faults.Stall(after_chunks=10), calls=1),
    Scenario("S10 malformed event", faults.Malformed(after_chunks=10), kinds=BROKEN, answers=False),
    Scenario("S13 content filter", faults.ContentFilter(), kinds=kinds("content_filtered"), calls=1, raises=True),
    Scenario("clean end without finish reason", faults.NoFinishReason(), kinds=BROKEN),
    Scenario("empty answer", faults.Empty(), kinds=kinds("invalid_output", "stream_broken"), calls=1),
    Scenario("keep-alive only", faults.KeepAliveOnly(), kinds=frozenset(), calls=1, answers=False),
    Scenario("error event first", faults.ErrorEvent(), kinds=kinds("overloaded", "server_error"), answers=False),
    Scenario(
        "error event midway",
        faults.ErrorEvent(after_chunks=15),
        kinds=kinds("overloaded", "server_error", "stream_broken"),
        answers=False,
    ),
    Scenario("quota exhausted", faults.ApiError("quota_exhausted"), kinds=kinds("quota_exhausted", "billing"), calls=1),
    Scenario("HTML 502", faults.html(502), kinds=kinds("server_error", "overloaded")),
    Scenario("HTML 200", faults.html(200), kinds=BROKEN),
    Scenario(
        "Retry-After 3600",
        faults.Status(429, retry_after_s=3600),
        kinds=kinds("rate_limited", "quota_exhausted"),
        calls=1,
    ),
    Scenario(
        "the caller's own 400", faults.ApiError("invalid_request"), kinds=kinds("invalid_request"), calls=1, raises=True
    ),
    Scenario("401", faults.Status(401), kinds=kinds("auth"), calls=1),
    Scenario("404 model", faults.ApiError("model_not_found"), kinds=kinds("model_not_found"), calls=1),
    Scenario("looping output", faults.Looping(), kinds=kinds("invalid_output"), calls=1, streams=False),
    Scenario("refused connection", None, kinds=kinds("connection")),
    Scenario("reset after some words", faults.Reset(after_chunks=25), kinds=BROKEN),
]


@dataclass
class Stage:
    """Three providers, one a wire, and models of each kind pointed at them, kept for all tests of this module."""

    servers: dict[str, ProviderServer]
    runner: asyncio.Runner
    shop: Shop
    made: dict[tuple[str, str], Any] = field(default_factory=dict)

    def target(self, framework: str, kind: str) -> Any:
        wire = kind.rstrip(":")
        if (framework, kind) not in self.made:
            server = self.servers[wire]
            self.made[framework, kind] = (
                self.shop.make(LLAMAINDEX_KINDS.get(kind, kind), server)
                if framework == "llamaindex"
                else lc_targets.build(kind, server)
            )
        return self.made[framework, kind]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    for sdk in ("openai", "anthropic", "google.genai"):
        import_module(sdk)  # the first import takes longer than the short limits here
    servers = {wire: ProviderServer(answer=STORY, words_per_chunk=1).start() for wire in SECOND}
    with asyncio.Runner() as runner:
        stage = Stage(servers, runner, Shop())
        yield stage
        runner.run(stage.shop.aclose())
        for (framework, _), made in stage.made.items():
            if framework == "langchain":
                runner.run(lc_targets.close(made))
    for server in servers.values():
        server.stop()


@pytest.fixture(autouse=True)
def healthy(stage: Stage) -> Iterator[None]:
    yield
    for server in stage.servers.values():
        server.accept()
        server.heal()
        server.clear()


Result = tuple[str, dict[str, Any]]
"""The text that the caller got, and the failover dict."""


def langchain_invoke(stage: Stage, targets: list[Any], settings: Settings) -> Result:
    message = ChatFailover(targets=targets, settings=settings).invoke(QUESTION)
    return message.text, message.response_metadata["failover"]


def langchain_ainvoke(stage: Stage, targets: list[Any], settings: Settings) -> Result:
    message = stage.runner.run(ChatFailover(targets=targets, settings=settings).ainvoke(QUESTION))
    return message.text, message.response_metadata["failover"]


def langchain_stream(stage: Stage, targets: list[Any], settings: Settings) -> Result:
    chunks = list(ChatFailover(targets=targets, settings=settings).stream(QUESTION))
    return "".join(chunk.text for chunk in chunks), chunks[-1].response_metadata["failover"]


def langchain_astream(stage: Stage, targets: list[Any], settings: Settings) -> Result:
    async def all_chunks() -> list[Any]:
        return [chunk async for chunk in ChatFailover(targets=targets, settings=settings).astream(QUESTION)]

    chunks = stage.runner.run(all_chunks())
    return "".join(chunk.text for chunk in chunks), chunks[-1].response_metadata["failover"]


def llamaindex_chat(stage: Stage, targets: list[Any], settings: Settings) -> Result:
    response = FailoverLLM(targets=targets, settings=settings).chat([ChatMessage(QUESTION)])
    return response.message.content or "", response.additional_kwargs["failover"]


def llamaindex_achat(stage: Stage, targets: list[Any], settings: Settings) -> Result:
    response = stage.runner.run(FailoverLLM(targets=targets, settings=settings).achat([ChatMessage(QUESTION)]))
    return response.message.content or "", response.additional_kwargs["failover"]


def llamaindex_stream_chat(stage: Stage, targets: list[Any], settings: Settings) -> Result:
    chunks = list(FailoverLLM(targets=targets, settings=settings).stream_chat([ChatMessage(QUESTION)]))
    return "".join(chunk.delta or "" for chunk in chunks), chunks[-1].additional_kwargs["failover"]


def llamaindex_astream_chat(stage: Stage, targets: list[Any], settings: Settings) -> Result:
    async def all_chunks() -> list[Any]:
        stream = await FailoverLLM(targets=targets, settings=settings).astream_chat([ChatMessage(QUESTION)])
        return [chunk async for chunk in stream]

    chunks = stage.runner.run(all_chunks())
    return "".join(chunk.delta or "" for chunk in chunks), chunks[-1].additional_kwargs["failover"]


STYLES: dict[str, Callable[[Stage, list[Any], Settings], Result]] = {
    "langchain-invoke": langchain_invoke,
    "langchain-ainvoke": langchain_ainvoke,
    "langchain-stream": langchain_stream,
    "langchain-astream": langchain_astream,
    "llamaindex-chat": llamaindex_chat,
    "llamaindex-achat": llamaindex_achat,
    "llamaindex-stream": llamaindex_stream_chat,
    "llamaindex-astream": llamaindex_astream_chat,
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", ["openai", "anthropic", "google", "openai:", "anthropic:", "google:"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name.replace(" ", "_"))
def test_the_caller_gets_a_whole_answer_or_the_providers_reason(
    stage: Stage, scenario: Scenario, kind: str, style: str
) -> None:
    streaming = "stream" in style
    if not (scenario.streams if streaming else scenario.answers):
        return
    wire = kind.rstrip(":")
    second = SECOND[wire] + (":" if kind.endswith(":") else "")
    framework = style.partition("-")[0]
    primary = stage.servers[wire]
    if scenario.script:
        primary.script(scenario.script)
    elif scenario.fault is not None:
        primary.always(scenario.fault)
    else:
        primary.refuse()
    targets = [stage.target(framework, kind), stage.target(framework, second)]

    if scenario.raises:
        with pytest.raises(FailoverError) as caught:
            STYLES[style](stage, targets, scenario.settings)
        assert caught.value.failure is not None and caught.value.failure.kind in scenario.kinds
        assert stage.servers[SECOND[wire]].calls == 0
        return
    text, route = STYLES[style](stage, targets, scenario.settings)

    assert text == STORY
    first, last = route["attempts"][0], route["attempts"][-1]
    assert first["target"] != last["target"] or scenario.stays
    assert last["verdict"] == "answered" and last["target"] == route["target"]
    assert scenario.kinds == frozenset() or first["kind"] in scenario.kinds
    assert primary.calls <= scenario.calls


WINDOWS_TOKENS = {"openai": 128_000, "google": 1_048_576}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("first", "second"), [("openai", "google"), ("google", "openai")])
def test_s12_context_length_goes_only_to_a_larger_window(stage: Stage, first: str, second: str, style: str) -> None:
    stage.servers[first].always(faults.ApiError("context_overflow"))
    targets = [
        replace(stage.target("langchain", f"{name}:"), context_window_tokens=WINDOWS_TOKENS[name])
        for name in (first, second)
    ]
    if first == "google":
        with pytest.raises(FailoverError) as caught:
            STYLES[style](stage, targets, FAST)
        assert caught.value.failure is not None and caught.value.failure.kind == "context_overflow"
        assert stage.servers[second].calls == 0
    else:
        text, route = STYLES[style](stage, targets, FAST)
        assert (text, route["attempts"][0]["kind"]) == (STORY, "context_overflow")
    assert stage.servers[first].calls == 1
