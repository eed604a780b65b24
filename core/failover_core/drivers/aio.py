"""The engine on asyncio.

While all is well there is one task, the caller's: the attempt is awaited inline, under one timer. Only when the timer
fires does the engine go on in the timer's callback and start the next attempt in a task of its own; when that one wins,
the inline await is interrupted the way `asyncio.timeout` does it (cancel, then uncancel).

`aio_session` holds what one request has under way, `aio_inline` the await that may be interrupted, `aio_tasks` the
attempts in tasks, `aio_targets` how a target's callables are asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from ..effects import Ended, Event, Flow
from .aio_inline import Inline
from .aio_session import Session
from .aio_targets import aclose


def now() -> float:
    """The running loop's clock: the same as `time.monotonic` unless a test has replaced it."""
    return asyncio.get_running_loop().time()


async def run(flow: Flow) -> Any:
    """Performs an `answer_flow`; returns its answer."""
    session = Session(flow, streaming=False)
    try:
        session.advance(None)
        while not session.finished:
            await (session.call_inline() if session.inline is not None else session.sleep())
        return session.result()
    finally:
        session.close()


async def stream(flow: Flow) -> AsyncGenerator[Any, None]:
    """Performs a `stream_flow`; yields its chunks. Close it: `async for` alone does not."""
    session = Session(flow, streaming=True)
    away_s = 0.0
    try:
        session.advance(None)
        while not session.finished:
            if session.stale is not None:
                await session.give_back()
            elif session.emitted is not None:
                chunk, session.emitted = session.emitted.chunk, None
                left_s = session.loop.time()
                yield chunk
                back_s = session.loop.time()
                away_s += back_s - left_s
                session.advance(back_s)
            elif session.inline is None or session.pulling is not None:
                away_s = 0.0  # the attempt did not wait for the caller
                await session.sleep()
            elif session.holding:
                session.pull_beside()
            elif session.relay is None:
                await session.pull_inline()
            else:  # as `pull_inline`, but for each chunk of a long stream
                start, relay, clock = session.inline, session.relay, session.loop.time
                inlined, pull, take = Inline(start.context, session.loop), session.source.__anext__, relay.take
                relay.inlet.idle_s += away_s
                while session.relay is relay:
                    event: Event | None = None
                    chunk = None
                    session.listen(inlined)
                    with inlined:
                        try:
                            chunk = await pull()
                        except StopAsyncIteration:
                            event = Ended(start.number, clock())
                        except (Exception, asyncio.CancelledError) as error:
                            event = session.failed(start, error)
                    if not session.deafen(relay):
                        break
                    if event is not None:
                        session.ended(event)
                        break
                    at_s = clock()
                    passed = take(chunk, at_s)
                    if passed is not None:
                        yield passed
                        away_s = clock() - at_s
                        relay.quiet_since_s += away_s
                        relay.inlet.idle_s += away_s
                away_s = 0.0
        session.result()
    finally:
        session.close()
        await session.give_back()
        await aclose(session.source)
