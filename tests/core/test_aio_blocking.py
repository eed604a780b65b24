"""Blocking targets under asyncio: on worker threads, which are counted and bounded.

Each test runs under `run`, which also demands that no task is left behind and that no exception goes unnoticed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aio_running import (
    PATIENCE_S,
    USER,
    counts,
    failover,
    run,
    waits,
    without_imports,
)
from failover_core import (
    RequestRejected,
    Target,
)
from failover_core.context import current_attempt
from failover_core.drivers.abandoned import MAX_ABANDONED
from failover_core.drivers.workers import WORKERS

quick_collections = pytest.fixture(autouse=True, scope="module")(without_imports)


# -- sync callables in async code -----------------------------------------------------------------------------------


class Gate:
    """A blocking target that is silent until it is opened."""

    def __init__(self) -> None:
        self.opened, self.left = threading.Event(), threading.Event()
        self.entered = threading.Semaphore(0)

    def __call__(self, request: Any) -> str:
        self.entered.release()
        self.opened.wait(PATIENCE_S)
        self.left.set()
        return "at last"


def blocking(request: Any) -> str:
    return f"{threading.current_thread().name} {USER.get()} {current_attempt() is not None}"


def blocking_words(request: Any) -> Iterator[str]:
    yield "one "
    yield "two "
    yield threading.current_thread().name


def test_a_sync_callable_runs_on_a_worker_with_the_caller_s_context() -> None:
    async def main() -> None:
        USER.set("alice")
        assert await failover(Target("a", call=blocking)).acall("x") == "failover-attempt alice True"

    run(main, asyncio.new_event_loop)


def test_a_sync_stream_is_pulled_on_a_worker() -> None:
    async def main() -> None:
        stream = failover(Target("a", stream=blocking_words)).astream("x")
        assert [word async for word in stream] == ["one ", "two ", "failover-attempt"]

    run(main, asyncio.new_event_loop)


def test_a_sync_callable_s_errors_arrive() -> None:
    def refuses(request: Any) -> Any:
        raise ConnectionRefusedError("refused")

    def stops(request: Any) -> str:
        raise StopIteration

    async def main() -> None:
        routes = failover(Target("a", call=refuses, stream=refuses), backoff_s=0.0)
        assert await routes.acall("x") == "from the backup"
        assert "".join([word async for word in routes.astream("x")]) == "from the backup"
        with pytest.raises(RequestRejected):
            await asyncio.wait_for(failover(Target("a", call=stops)).acall("x"), PATIENCE_S)

    run(main, asyncio.new_event_loop)


def test_silent_sync_targets_never_keep_others_waiting() -> None:
    """The event loop's own pool has a handful of threads, which others use too."""
    gates = [Gate() for _ in range(40)]

    async def main() -> None:
        calls = [asyncio.ensure_future(failover(Target("a", call=gate), answer_s=0.01).acall("x")) for gate in gates]
        assert await asyncio.gather(*calls) == ["from the backup"] * 40
        assert await asyncio.wait_for(failover(Target("a", call=blocking)).acall("x"), PATIENCE_S)

    run(main, asyncio.new_event_loop)
    assert not any(gate.left.is_set() for gate in gates), "the loop could end although they are still silent"
    for gate in gates:
        gate.opened.set()
    assert all(gate.left.wait(PATIENCE_S) for gate in gates)


@pytest.mark.parametrize("when", ["between chunks", "while it is being pulled"])
def test_a_sync_stream_that_is_left_early_is_closed(when: str) -> None:
    gate, closed = Gate(), threading.Event()

    def words(request: Any) -> Iterator[str]:
        try:
            yield "first "
            gate(request)
            yield "second "
        finally:
            closed.set()

    async def main() -> None:
        routes = failover(Target("a", stream=words), hold_back_tokens=0)
        stream = routes.astream("x")
        assert await anext(stream) == "first "
        if when == "while it is being pulled":
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await anext(stream)
        await stream.aclose()
        gate.opened.set()
        assert await asyncio.to_thread(closed.wait, PATIENCE_S)
        assert counts(routes, "a") == (1, 0, 0, 0)

    run(main, asyncio.new_event_loop)


@pytest.mark.parametrize("style", ["acall", "astream"])
def test_given_up_sync_attempts_are_counted_and_bounded(style: str) -> None:
    gate = Gate()

    def words(request: Any) -> Iterator[str]:
        yield gate(request)

    async def main() -> None:
        routes = failover(Target("a", call=gate, stream=words), same_target_retries=0)
        busy = WORKERS.busy

        for number in range(1, MAX_ABANDONED + 1):
            asking = asyncio.ensure_future(waits(routes, style))
            assert await asyncio.to_thread(gate.entered.acquire, True, PATIENCE_S)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert routes.health()["a"].abandoned == number
        assert WORKERS.busy == busy + MAX_ABANDONED, "a thread each"
        outcome = await asyncio.wait_for(waits(routes, style), PATIENCE_S)
        assert "".join(outcome) == "from the backup"
        assert counts(routes, "a") == (MAX_ABANDONED + 1, 0, 1, 0)
        gate.opened.set()
        await asyncio.to_thread(rests, busy)
        assert routes.health()["a"].abandoned == 0

    run(main, asyncio.new_event_loop)


def rests(busy: int) -> None:
    for _ in range(1000):
        if WORKERS.busy <= busy:
            return
        threading.Event().wait(0.001)
    raise AssertionError(f"{WORKERS.busy} workers are still busy")


def test_a_sync_stream_given_up_before_its_turn_is_never_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    late: list[Callable[[], None]] = []
    opened: list[Any] = []

    def opens(request: Any) -> Iterator[str]:
        opened.append(request)
        return iter(["nobody would close it"])

    async def main() -> None:
        routes = failover(Target("a", stream=opens))
        monkeypatch.setattr(WORKERS, "submit", late.append)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(routes.astream("x"))
        monkeypatch.undo()
        assert routes.health()["a"].abandoned == 0
        first, *others = late
        first()
        for work in others:
            work()
        assert opened == []

    run(main)


def test_a_hung_up_sync_attempt() -> None:
    """A blocked read that can be ended from another thread is ended when nobody waits for it any more."""
    gate = Gate()

    def words(request: Any) -> Iterator[str]:
        attempt = current_attempt()
        assert attempt is not None
        attempt.hang_up = gate.opened.set
        yield gate(request)

    async def main() -> None:
        stream = failover(Target("a", stream=words)).astream("x")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(stream)
        assert gate.opened.is_set()
        assert await asyncio.to_thread(gate.left.wait, PATIENCE_S)

    run(main, asyncio.new_event_loop)


def test_a_sync_stream_is_pulled_in_one_context() -> None:
    def words(request: Any) -> Iterator[str]:
        token = USER.set("target")
        yield "one "
        yield USER.get()
        USER.reset(token)

    async def main() -> None:
        stream = failover(Target("a", stream=words)).astream("x")
        assert [word async for word in stream] == ["one ", "target"]

    run(main, asyncio.new_event_loop)


def test_no_thread_left_blames_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def submit(work: Any) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        monkeypatch.setattr(WORKERS, "submit", submit)
        routes = failover(Target("a", call=blocking), same_target_retries=0)
        assert await routes.acall("x") == "from the backup"
        assert routes.health()["a"].suspicion == 0.0
        monkeypatch.undo()

    run(main)
