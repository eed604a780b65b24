"""The engine on asyncio.

A call has one task while all is well, the caller's: the attempt is awaited inline, under one timer. Only when the timer
fires does the engine go on in the timer's callback and start the next attempt in a task of its own; when that one wins,
the inline await is interrupted the way `asyncio.timeout` does it (cancel, then uncancel). The attempts of a stream have
a task each, which reads a little ahead, and the engine runs in the reader's.

`aio_session` holds what one call has under way, `aio_inline` the await that may be interrupted, `aio_stream` what one
stream has, `aio_tasks` the attempts in tasks, `aio_targets` how a target's callables are asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from math import inf
from typing import Any

from ..effects import Cancel, Chunk, Detach, Elapsed, Emit, Flow, Start, Wait, abandon
from .abandoned import Abandoned
from .aio_session import Session
from .aio_stream import Inbox, make_stream
from .aio_tasks import Tasks, withdrawn


def now() -> float:
    """The running loop's clock: the same as `time.monotonic` unless a test has replaced it."""
    return asyncio.get_running_loop().time()


async def run(flow: Flow, abandoned: Abandoned) -> Any:
    """Performs an `answer_flow`; returns its answer."""
    session = Session(flow, abandoned)
    try:
        session.advance(None)
        while not session.finished:
            await (session.call_inline() if session.inline is not None else session.sleep())
        return session.result()
    finally:
        session.close()


async def stream(flow: Flow, abandoned: Abandoned) -> AsyncGenerator[Any, None]:
    """Performs a `stream_flow`; yields its chunks. Close it: `async for` alone does not."""
    inbox = Inbox()
    tasks = Tasks(partial(make_stream, inbox=inbox, abandoned=abandoned), inbox.put)
    events, clock = inbox.events, asyncio.get_running_loop().time
    reply: Any = None
    try:
        while True:
            try:
                effect = flow.send(reply)
            except StopIteration:
                return
            if isinstance(effect, Wait):
                relay, seen_s = effect.relay, clock()  # chunks may wait: the reader's time is what counts, not theirs
                deadline_s = inf if relay is None or relay.deadline_s is None else relay.deadline_s
                while True:
                    reply = events.popleft() if events else await inbox.next(effect)
                    if relay is None:
                        break
                    if not isinstance(reply, Chunk):
                        relay.inlet.idle_s = inbox.idle_s
                        break
                    if seen_s >= deadline_s and relay.inlet.finish_reason is None:  # else the last words may pass
                        relay.inlet.idle_s, reply = inbox.idle_s, Elapsed(seen_s)
                        break
                    passed = relay.take(reply.value, reply.at_s)
                    if passed is None:
                        seen_s = reply.at_s
                    else:
                        yield passed
                        seen_s = clock()
                        relay.reader_back(reply.at_s, seen_s)
                continue
            if isinstance(effect, Start):
                if not tasks:
                    inbox.idle_s = 0.0
                tasks.begin(effect)
            elif isinstance(effect, Cancel):
                tasks.end(effect.number)
                withdrawn(effect.number, events)
            elif isinstance(effect, Detach):
                tasks.detach(effect, events)
                inbox.make_room()
            elif isinstance(effect, Emit):
                yield effect.chunk
            reply = clock()
    finally:
        abandon(flow, clock())
        inbox.close()
        tasks.end_all()
        await tasks.cleaned_up()
