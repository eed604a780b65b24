"""A caller who goes away, in every way there is, over real sockets with the real SDKs: the provider sees the connection
close at once, nothing is left running, and nobody is blamed.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from failover_core import Failover, Settings, Target
from failover_core.testing import ProviderServer, faults

WORDS = " ".join(f"word{number}" for number in range(200))
SHOWN = 20  # chunks that the caller has read before it goes
NETWORK_S = 2.0
WIRES = ("openai:gpt-4o-mini", "anthropic:claude-haiku-4-5", "google:gemini-2.5-flash")


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    gc.freeze()  # only what the test itself leaves behind is to be collected; conftest.py undoes it
    with ProviderServer(answer=WORDS, words_per_chunk=1, chunk_delay_s=0.005) as running:
        yield running


def failover_at(server: ProviderServer, spec: str) -> Failover:
    urls = {"openai": server.openai_url, "anthropic": server.anthropic_url, "google": server.gemini_url}
    options = {"base_url": urls[spec.partition(":")[0]], "api_key": "any", "timeout_s": NETWORK_S}
    targets = [Target.native(spec, name=name, **options) for name in ("first", "second")]
    return Failover(targets, Settings(deadline_s=60))


def assert_all_is_released(failover: Failover, server: ProviderServer, within_s: float = 1.0) -> None:
    assert server.wait_until_idle(within_s)
    first = failover.targets[0].name
    assert comes_true(lambda: failover.health()[first].abandoned == failover.health()[first].in_flight == 0)
    for health in failover.health().values():
        assert (health.in_flight, health.failed, health.suspicion, health.state) == (0, 0, 0.0, "closed")


def comes_true(condition: Callable[[], bool]) -> bool:
    for _ in range(500):
        if condition():
            return True
        threading.Event().wait(0.01)
    return False


def interrupted_when(server: ProviderServer, work: Callable[[], object]) -> None:
    """Press Ctrl-C when the provider has been asked."""
    main = threading.main_thread().ident
    assert main is not None

    def press() -> None:
        assert server.wait_for_calls(1)
        threading.Event().wait(0.1)  # the caller is waiting now
        signal.pthread_kill(main, signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        work()
    presser.join()


# -- blocking code ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["break", "close", "garbage", "Ctrl-C"])
@pytest.mark.parametrize("then", ["goes on", "stalls"])
@pytest.mark.parametrize("spec", WIRES)
def test_a_stream(server: ProviderServer, spec: str, then: str, how: str) -> None:
    """Also while the worker thread sits in a read that nothing will end: its connection is shut under it."""
    failover = failover_at(server, spec)
    if then == "stalls":
        server.script([faults.Stall(after_chunks=SHOWN + 10)])
    stream = failover.stream_chat("hi")
    if how == "Ctrl-C" and then == "stalls":
        interrupted_when(server, lambda stream=stream: [chunk.text for chunk in stream])
    elif how == "Ctrl-C":
        with pytest.raises(KeyboardInterrupt):
            for count, _ in enumerate(stream):
                if count == SHOWN:
                    raise KeyboardInterrupt
    else:
        for count, _ in enumerate(stream):
            if count == SHOWN:
                break
    if how != "garbage":
        stream.close()
    del stream
    gc.collect()
    assert_all_is_released(failover, server)


@pytest.mark.parametrize("style", ["call", "stream"])
def test_ctrl_c_before_the_provider_has_said_a_word(server: ProviderServer, style: str) -> None:
    """Python cannot stop the thread, and nobody knows its socket yet: it is counted until its network limit ends it."""
    failover = failover_at(server, WIRES[0])
    server.script([faults.Silence()])
    work = failover.chat if style == "call" else lambda prompt: list(failover.stream_chat(prompt))
    interrupted_when(server, lambda: work("hi"))
    first = failover.health()["first"]
    assert (first.in_flight, first.abandoned, first.failed) == (0, 1, 0)
    assert_all_is_released(failover, server, within_s=NETWORK_S + 1.0)


# -- asyncio ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["acall", "astream"])
@pytest.mark.parametrize("spec", WIRES)
async def test_a_cancelled_task_before_the_first_word(server: ProviderServer, spec: str, style: str) -> None:
    failover = failover_at(server, spec)
    server.script([faults.Silence()])

    async def read() -> None:
        if style == "acall":
            await failover.achat("hi")
        else:
            async for _ in failover.astream_chat("hi"):
                pass

    task = asyncio.create_task(read())
    assert await asyncio.to_thread(server.wait_for_calls, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(assert_all_is_released, failover, server)
    assert len(asyncio.all_tasks()) == 1
    await closed(failover)


@pytest.mark.parametrize("how", ["break", "aclose", "garbage", "cancel"])
@pytest.mark.parametrize("then", ["goes on", "stalls"])
@pytest.mark.parametrize("spec", WIRES)
async def test_an_async_stream(server: ProviderServer, spec: str, then: str, how: str) -> None:
    failover = failover_at(server, spec)
    if then == "stalls":
        server.script([faults.Stall(after_chunks=SHOWN + 10)])
    reading = asyncio.Event()

    async def read() -> None:
        stream = failover.astream_chat("hi")
        count = 0
        async for _ in stream:
            count += 1
            if count == SHOWN:
                reading.set()
                if how != "cancel":
                    break
        if how != "garbage":
            await stream.aclose()

    task = asyncio.create_task(read())
    await reading.wait()
    if how == "cancel":
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        await task
    del task
    gc.collect()
    await asyncio.to_thread(assert_all_is_released, failover, server)
    await closed(failover)


async def closed(failover: Failover) -> None:
    for target in failover.targets:
        await target.source.aclose()
