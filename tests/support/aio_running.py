"""Targets and a runner for tests of the engine on asyncio: `run` demands that no task is left behind and that no
exception goes unnoticed.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from failover_core import (
    Failover,
    Settings,
    Target,
)
from failover_core.testing.clock import VirtualLoop

PATIENCE_S = 5.0
USER: ContextVar[str] = ContextVar("user", default="nobody")
TEXT = "The quick brown fox jumps over the lazy dog and then it sleeps all day"


def run(main: Callable[[], Awaitable[Any]], loop_factory: Callable[[], Any] = VirtualLoop) -> Any:
    problems: list[Any] = []

    async def checked() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
        result = await main()
        for _ in range(5):
            await asyncio.sleep(0)
        gc.collect()
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert asyncio.all_tasks() == {task}
        assert task is not None
        assert task.cancelling() == 0
        return result

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        result = runner.run(checked())
    gc.collect()
    assert problems == []
    return result


def without_imports() -> Iterator[None]:
    """Each test collects garbage, to see what is said of it; it need not look at all that was imported before."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


both_loops = pytest.mark.parametrize("loop", [VirtualLoop, asyncio.new_event_loop], ids=["virtual", "real"])


async def answer(request: Any) -> str:
    return "hello"


async def backup(request: Any) -> str:
    return "from the backup"


async def backup_words(request: Any) -> AsyncIterator[str]:
    for word in ("from ", "the ", "backup"):
        yield word


def failover(*targets: Target, **settings: Any) -> Failover:
    """Two targets at least, so that there is somebody to race."""
    return Failover([*targets, Target("backup", acall=backup, astream=backup_words)], Settings(**settings))


def counts(failover: Failover, name: str) -> tuple[int, int, int, int]:
    health = failover.health()[name]
    return (health.asked, health.answered, health.failed, health.in_flight)


class Silent:
    """A target that never answers, and notes how it was given up."""

    def __init__(self, cleanup_s: float = 0.0, words: tuple[str, ...] = ()) -> None:
        self.entered = asyncio.Event()
        self.cancelled = False
        self.cleaned = False
        self.cleanup_s = cleanup_s
        self.words = words

    async def __call__(self, request: Any) -> str:
        self.entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        finally:
            if self.cleanup_s:
                await asyncio.sleep(self.cleanup_s)
            self.cleaned = True
        raise AssertionError("nobody wakes it")

    async def stream(self, request: Any) -> AsyncIterator[str]:
        try:
            for word in self.words:
                yield word
            await self(request)
        finally:
            self.cleaned = True


async def waits(routes: Failover, style: str) -> Any:
    if style == "acall":
        return await routes.acall("x")
    return [chunk async for chunk in routes.astream("x")]
