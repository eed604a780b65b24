"""Asking a target from async code: coroutines and async streams as they are, blocking ones on worker threads."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from contextvars import copy_context
from threading import Lock
from typing import Any

from ..model import Target
from .workers import WORKERS


async def call(target: Target, request: Any) -> Any:
    """The target's answer."""
    if target.acall is not None:
        return await target.acall(request)
    assert target.call is not None
    return await on_worker(target.call, request)


def iterate(target: Target, request: Any) -> AsyncIterator[Any]:
    """The target's chunks. Close it with `aclose`."""
    if target.astream is None:
        assert target.stream is not None
        return _pulled(target.stream, request)
    opened: Any = target.astream(request)
    if inspect.isawaitable(opened):
        return _awaited(opened)
    return opened if hasattr(opened, "__anext__") else aiter(opened)


async def aclose(opened: Any) -> None:
    """Generators and SDK streams hold a connection until they are closed, by whichever name."""
    close = getattr(opened, "aclose", None) or getattr(opened, "close", None)
    if close is not None:
        with suppress(Exception):  # it is being given up; what its cleanup says changes nothing
            closing = close()
            if inspect.isawaitable(closing):
                await closing


async def on_worker(work: Callable[..., Any], *args: Any) -> Any:
    """`asyncio.to_thread` without its limits: that pool is small, shared with others, and joined when the loop ends, so
    a few silent providers could hold up a whole program.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    context = copy_context()

    def settle(value: Any, error: BaseException | None) -> None:
        if not outcome.done():
            outcome.set_result((value, error))

    def run() -> None:
        value, problem = None, None
        try:
            value = context.run(work, *args)
        except BaseException as error:
            problem = error
        with suppress(RuntimeError):  # the loop has ended: nobody listens any more
            loop.call_soon_threadsafe(settle, value, problem)

    WORKERS.submit(run)
    value, problem = await outcome
    if problem is not None:
        raise problem
    return value


async def _awaited(source: Awaitable[AsyncIterator[Any]]) -> AsyncIterator[Any]:
    chunks = await source
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        await aclose(chunks)


async def _pulled(stream: Callable[[Any], Iterator[Any]], request: Any) -> AsyncIterator[Any]:
    end = object()
    opened: Any = None
    chunks: Iterator[Any] | None = None
    turn = Lock()  # a blocking iterator bears one thread at a time, also when it has been given up in the middle

    def pull() -> Any:
        nonlocal opened, chunks
        with turn:
            if chunks is None:
                opened = stream(request)
                chunks = iter(opened)
            return next(chunks, end)

    def close() -> None:
        with turn, suppress(Exception):
            getattr(opened, "close", lambda: None)()

    try:
        while (chunk := await on_worker(pull)) is not end:
            yield chunk
    finally:
        if turn.locked():
            WORKERS.submit(close)
        else:
            await on_worker(close)
