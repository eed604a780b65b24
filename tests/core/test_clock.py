"""Virtual time: hours in milliseconds, the same order of events as in real time, and no silent hanging."""

from __future__ import annotations

import asyncio
import threading
from math import inf
from typing import Any

import pytest

from failover_core.effects import Returned
from failover_core.testing.clock import START_S, Deadlock, VirtualLoop, VirtualWorld

PATIENCE_S = 5.0

# -- threads --------------------------------------------------------------------------------------------------------


def test_the_main_thread_s_sleep_takes_no_time() -> None:
    with VirtualWorld() as world:
        world.sleep(3600.0)
        assert world.now() == START_S + 3600.0


def test_threads_wake_up_in_the_order_of_their_times() -> None:
    order: list[tuple[str, float]] = []

    def sleeper(name: str, *naps: float) -> Any:
        def work() -> None:
            for seconds in naps:
                world.sleep(seconds)
                order.append((name, world.now() - START_S))

        return work

    with VirtualWorld() as world:
        world.spawn(sleeper("slow", 10.0, 10.0))
        world.spawn(sleeper("quick", 3.0, 3.0, 9.0))
        world.sleep(100.0)
    assert order == [("quick", 3.0), ("quick", 6.0), ("slow", 10.0), ("quick", 15.0), ("slow", 20.0)]


def test_a_mailbox_waits_until_something_comes_or_it_is_time() -> None:
    with VirtualWorld() as world:
        mailbox = world.mailbox()

        def answers() -> None:
            world.sleep(5.0)
            mailbox.put(Returned(1, "hello", world.now()))

        world.spawn(answers)
        assert mailbox.get(START_S + 2.0) is None
        assert world.now() == START_S + 2.0
        event = mailbox.get(None)
        assert isinstance(event, Returned)
        assert event.at_s == world.now() == START_S + 5.0


def test_what_is_in_the_mailbox_comes_before_the_time() -> None:
    with VirtualWorld() as world:
        mailbox = world.mailbox()
        mailbox.put(Returned(1, "hello", world.now()))
        assert mailbox.get(world.now()) is not None
        assert mailbox.get(world.now()) is None


def test_waiting_for_nothing_is_an_error_and_no_hang() -> None:
    with VirtualWorld() as world:
        with pytest.raises(Deadlock):
            world.mailbox().get(None)
        world.spawn(lambda: world.sleep(inf))
        with pytest.raises(Deadlock):
            world.mailbox().get(None)


def test_the_end_releases_threads_that_sleep_for_ever() -> None:
    ended = threading.Event()

    def sleeps() -> None:
        try:
            world.sleep(inf)
        finally:
            ended.set()

    with VirtualWorld() as world:
        world.spawn(sleeps)
        world.sleep(1.0)
        assert not ended.is_set()
    assert ended.wait(PATIENCE_S)


# -- an event loop --------------------------------------------------------------------------------------------------


def virtual(main: Any) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


def test_tasks_wake_up_in_the_order_of_their_times() -> None:
    async def main() -> list[tuple[str, float]]:
        order: list[tuple[str, float]] = []
        loop = asyncio.get_running_loop()

        async def sleeper(name: str, *naps: float) -> None:
            for seconds in naps:
                await asyncio.sleep(seconds)
                order.append((name, loop.time() - START_S))

        await asyncio.gather(sleeper("slow", 1000.0, 1000.0), sleeper("quick", 300.0, 300.0, 900.0))
        return order

    assert [name for name, _ in virtual(main)] == ["quick", "quick", "slow", "quick", "slow"]
    assert [round(at_s) for _, at_s in virtual(main)] == [300, 600, 1000, 1500, 2000]


def test_timeouts_are_due_at_once() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(86_400):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time() - START_S

    assert virtual(main) == pytest.approx(86_400)


def test_waiting_for_nothing_in_a_loop_is_an_error_and_no_hang() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        virtual(main)
