"""Asking a target from async code: coroutines and async streams as they are, blocking ones on worker threads."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from threading import Lock, RLock
from typing import Any

from ..context import AttemptContext
from ..effects import Start
from .abandoned import MAX_ABANDONED, Abandoned, busy, threadless
from .sync_attempt import close
from .workers import WORKERS


async def call(start: Start, abandoned: Abandoned) -> Any:
    """The target's answer."""
    target = start.context.target
    if target.acall is not None:
        return await target.acall(start.request)
    assert target.call is not None
    work = partial(copy_context().run, target.call, start.request)
    return await on_worker(work, _Held(start.context, abandoned, limited=True))


async def opened(start: Start, abandoned: Abandoned) -> Any:
    """The target's stream: an async iterator, or what `aiter` makes one of. Close it with `aclose`."""
    target = start.context.target
    if target.astream is None:
        return _pulled(start, abandoned)
    stream: Any = target.astream(start.request)
    return (await stream) if inspect.isawaitable(stream) else stream


async def aclose(stream: Any) -> None:
    """Generators and SDK streams hold a connection until they are closed, by whichever name."""
    close = getattr(stream, "aclose", None) or getattr(stream, "close", None)
    if close is not None:
        with suppress(Exception):  # it is being given up; what its cleanup says changes nothing
            closing = close()
            if inspect.isawaitable(closing):
                await closing


class _Held:
    """The thread that a piece of an attempt holds: given up while it runs, it counts until it returns.

    Args:
        limited: a target with too many of them is not asked.

    Raises:
        FailoverError: it has too many.
    """

    def __init__(self, attempt: AttemptContext, abandoned: Abandoned, *, limited: bool) -> None:
        count = abandoned.count(attempt.target.name)
        if limited and count >= MAX_ABANDONED:
            raise busy(count)
        self._attempt = attempt
        self._abandoned = abandoned
        self._lock = RLock()  # the garbage collector may end a forgotten request in the thread that has just ended
        self._running = False
        self._given_up = False

    def begins(self) -> bool:
        """Its thread has come; False when it was given up before that, and is not to be done at all."""
        with self._lock:
            self._running = not self._given_up
            return self._running

    def ends(self) -> None:
        with self._lock:
            self._running = False
            if self._given_up:
                self._abandoned.remove(self._attempt.target.name)

    def give_up(self) -> None:
        with self._lock:
            self._given_up = True
            if self._running:
                self._abandoned.add(self._attempt.target.name)
                if (hang_up := self._attempt.hang_up) is not None:
                    with suppress(Exception):  # it has just ended by itself
                        hang_up()


async def on_worker(work: Callable[[], Any], held: _Held | None = None) -> Any:
    """`asyncio.to_thread` without its limits: that pool is small, shared with others, and joined when the loop ends, so
    a few silent providers could hold up a whole program.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if not outcome.done():
            outcome.set_result((value, error))

    def run() -> None:
        if held is not None and not held.begins():
            return
        value, problem = None, None
        try:
            value = work()
        except BaseException as error:
            problem = error
        if held is not None:
            held.ends()
        with suppress(RuntimeError):  # the loop has ended: nobody listens any more
            loop.call_soon_threadsafe(settle, value, problem)

    try:
        WORKERS.submit(run)
    except RuntimeError as error:
        raise threadless(error) from error
    try:
        value, problem = await outcome
    except BaseException:
        if held is not None:
            held.give_up()
        raise
    if problem is not None:
        raise problem
    return value


async def _pulled(start: Start, abandoned: Abandoned) -> AsyncIterator[Any]:
    """A blocking iterator bears one thread at a time, also when it has been given up in the middle. Then the thread
    that is in it closes it.
    """
    stream, context, end = start.context.target.stream, copy_context(), object()
    assert stream is not None
    turn, over = Lock(), False
    source: Any = None
    chunks: Iterator[Any] | None = None

    def pull() -> Any:
        nonlocal source, chunks
        try:
            with turn:
                if over:
                    return end
                if chunks is None:
                    source = context.run(stream, start.request)
                    chunks = context.run(iter, source)
                return context.run(next, chunks, end)
        finally:
            if over:
                give_back()

    def give_back() -> None:
        nonlocal source
        with turn:
            left, source = source, None
            context.run(close, left)

    try:
        while True:
            chunk = await on_worker(pull, _Held(start.context, abandoned, limited=chunks is None))
            if chunk is end:
                return
            yield chunk
    finally:
        over = True
        if not turn.locked():
            await on_worker(give_back)
