"""One client a target: pools are kept, shared by threads, and never carried from one event loop to another."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor

import pytest

from failover_core import Target
from failover_core.providers import accumulate
from failover_core.providers.clients import ClientPool
from failover_core.testing import ProviderServer
from native_targets import PROVIDERS, native
from recording_server import recording_server


class Client:
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


class Opened:
    """A pool of `Client`s, and all that it has opened."""

    def __init__(self) -> None:
        self.all: list[Client] = []
        self.pool = ClientPool(self.open, self.open, Client.close, Client.aclose)

    def open(self) -> Client:
        self.all.append(Client())
        return self.all[-1]


def test_sync_code_gets_one_client_from_all_threads() -> None:
    opened = Opened()
    with ThreadPoolExecutor(8) as threads:
        clients = set(threads.map(lambda _: opened.pool.sync(), range(50)))
    assert clients == set(opened.all) and len(opened.all) == 1


def test_each_loop_gets_its_own_client_which_ends_with_it() -> None:
    opened = Opened()

    async def twice() -> None:
        first, second = await asyncio.gather(opened.pool.running(), opened.pool.running())
        assert first is second is await opened.pool.running()
        assert first.closed == 0

    asyncio.run(twice())
    asyncio.run(twice())
    assert [client.closed for client in opened.all] == [1, 1]


def test_the_client_of_a_loop_that_ended_uncleanly_is_dropped() -> None:
    opened = Opened()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(opened.pool.running())
    loop.close()  # without shutdown_asyncgens
    asyncio.run(_noop(opened.pool))
    assert list(opened.pool._clients) == []


async def _noop(pool: ClientPool) -> None:
    await pool.running()


def test_a_closed_client_is_opened_again() -> None:
    opened = Opened()
    first = opened.pool.sync()
    opened.pool.close()
    opened.pool.close()
    assert first.closed == 1
    assert opened.pool.sync() is not first

    async def again() -> None:
        before = await opened.pool.running()
        await opened.pool.aclose()
        assert before.closed == 1
        assert await opened.pool.running() is not before

    asyncio.run(again())


def test_a_dropped_pool_closes_its_client() -> None:
    opened = Opened()
    client = opened.pool.sync()
    del opened.pool
    gc.collect()
    assert client.closed == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_target_works_in_several_loops_and_threads_in_turn(server: ProviderServer, provider: str) -> None:
    target = native(provider, server)

    async def some() -> set[str | None]:
        whole = await asyncio.gather(*(target.acall("hi") for _ in range(3)))
        streamed = accumulate([chunk async for chunk in target.astream("hi")])
        return {answer.finish_reason for answer in (*whole, streamed)}

    for _ in range(3):  # a client of an earlier loop would raise "Event loop is closed"
        assert asyncio.run(some()) == {"stop"}
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(lambda _: target.call("hi").finish_reason, range(12))) == {"stop"}
        assert list(threads.map(lambda _: asyncio.run(some()), range(2))) == [{"stop"}] * 2


@pytest.mark.parametrize("provider", PROVIDERS)
def test_connections_are_kept(provider: str) -> None:
    with recording_server() as recorded:
        target = Target.native(f"{provider}:m", base_url=recorded.url)
        for _ in range(3):
            assert target.call("hi").text == "hi"
        target.source.close()
        assert len(recorded.ports) == 3 and len(set(recorded.ports)) == 1

        async def some() -> None:
            for _ in range(3):
                assert (await target.acall("hi")).text == "hi"

        asyncio.run(some())
        assert len(set(recorded.ports[3:])) == 1
