"""The SDKs try once; the models that the user holds keep their own retries."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from failover_core import AllTargetsFailed, Settings
from failover_core.testing import ProviderServer, faults
from langchain_failover import ChatFailover
from langchain_failover.retries import _warned
from lc_targets import FakeModel, make


@pytest.mark.parametrize("kind", ["openai", "anthropic", "google"])
@pytest.mark.parametrize("style", ["invoke", "ainvoke", "stream", "astream"])
async def test_one_attempt_is_one_request(kind: str, style: str, first: ProviderServer) -> None:
    first.always(faults.Status(500))
    model = make(kind, first, max_retries=3)
    llm = ChatFailover(targets=[model], settings=Settings(same_target_retries=0))

    with pytest.raises(AllTargetsFailed):
        await consume(llm, style)

    assert first.calls == 1
    assert model.max_retries == 3


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_client_that_has_been_used_is_switched_off_too(kind: str, first: ProviderServer) -> None:
    model = make(kind, first, max_retries=3)
    model.invoke("warm up")
    first.clear()
    first.always(faults.Status(500))

    with pytest.raises(AllTargetsFailed):
        ChatFailover(targets=[model], settings=Settings(same_target_retries=0)).invoke("hi")

    assert first.calls == 1


class Patient(FakeModel):
    max_retries: int = 6


def test_an_unknown_class_that_retries_is_reported_once() -> None:
    _warned.clear()

    with pytest.warns(UserWarning, match=r"Write Patient\(..., max_retries=0\)"):
        ChatFailover(targets=[Patient(), Patient()])
    ChatFailover(targets=[Patient()])
    ChatFailover(targets=[Patient(max_retries=0)])


MANY_LOOPS = """
import asyncio
from failover_core.testing import ProviderServer
from langchain_anthropic import ChatAnthropic
from langchain_failover import ChatFailover
from langchain_openai import ChatOpenAI

async def streamed(llm):
    return [chunk async for chunk in llm.astream("hi")]

async def crowd(call, size):
    await asyncio.gather(*(call() for _ in range(size)))

with ProviderServer() as server:
    for model in (
        ChatOpenAI(model="gpt-4o-mini", base_url=server.openai_url, api_key="test"),
        ChatAnthropic(model="claude-haiku-4-5", base_url=server.anthropic_url, api_key="test"),
    ):
        llm = ChatFailover(targets=[model])
        for call in (lambda: llm.ainvoke("hi"), lambda: streamed(llm)):
            for size in (12, 1, 3):
                asyncio.run(crowd(call, size))
        (health,) = llm.failover.health().values()
        print(health.asked, health.answered)
"""


def test_connections_of_a_closed_event_loop_do_not_count() -> None:
    """`asyncio.run` again and again, as scripts do: the SDKs' own retries used to hide what each leaves behind. In a
    process of its own, as the clients are kept for ever.
    """
    done = subprocess.run([sys.executable, "-c", MANY_LOOPS], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["32 32", "32 32"], done.stderr


LIVE_LOOPS = """
import asyncio
import threading
from failover_core import Settings
from failover_core.testing import ProviderServer
from langchain_anthropic import ChatAnthropic
from langchain_failover import ChatFailover
from langchain_openai import ChatOpenAI

async def streamed(llm):
    return [chunk async for chunk in llm.astream("hi")]

async def called(call):
    await call()

other = asyncio.new_event_loop()
threading.Thread(target=other.run_forever, daemon=True).start()
with ProviderServer() as server:
    for model in (
        ChatOpenAI(model="gpt-4o-mini", base_url=server.openai_url, api_key="test"),
        ChatAnthropic(model="claude-haiku-4-5", base_url=server.anthropic_url, api_key="test"),
    ):
        llm = ChatFailover(targets=[model], settings=Settings(same_target_retries=0))
        for call in (lambda: llm.ainvoke("hi"), lambda: streamed(llm)):
            asyncio.run_coroutine_threadsafe(called(call), other).result(20)
            asyncio.run(called(call))
        (health,) = llm.failover.health().values()
        print(health.asked, health.answered)
"""


def test_connections_of_another_threads_event_loop_do_not_count() -> None:
    """A web server with a loop in each thread, and one model for all of them."""
    done = subprocess.run([sys.executable, "-c", LIVE_LOOPS], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["4 4", "4 4"], done.stderr


async def consume(llm: Any, style: str) -> Any:
    match style:
        case "invoke":
            return llm.invoke("hi")
        case "ainvoke":
            return await llm.ainvoke("hi")
        case "stream":
            return list(llm.stream("hi"))
        case _:
            return [chunk async for chunk in llm.astream("hi")]
