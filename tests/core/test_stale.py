"""Connections of other event loops: tried again, at no attempt's expense, and nothing else is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from failover_core.stale import CONNECTIONS, PastStale, of_another_loop, past_stale


def stale(message: str = "Event loop is closed") -> ConnectionError:
    error = ConnectionError("Connection error.")
    error.__cause__ = RuntimeError(message)
    return error


class Provider:
    """Raises what it is given, call by call, then answers; `before` chunks come before each error of a stream."""

    def __init__(self, *errors: Exception, before: int = 0) -> None:
        self.errors, self.before, self.calls, self.closed = list(errors), before, 0, 0

    async def answer(self, question: str) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return question.upper()

    async def stream(self, question: str) -> AsyncIterator[str]:
        self.calls += 1
        try:
            if self.errors:
                for _ in range(self.before):
                    yield "-"
                raise self.errors.pop(0)
            for letter in question:
                yield letter
        finally:
            self.closed += 1


async def test_stale_connections_are_passed_by() -> None:
    provider = Provider(*(stale() for _ in range(60)))
    assert await past_stale(provider.answer, "hi") == "HI"
    assert provider.calls == 61


SHARED = [
    "<asyncio.locks.Event object at 0x7f0 [unset]> is bound to a different event loop",
    "Task <Task pending name='Task-1'> got Future <Future pending> attached to a different loop",
]


@pytest.mark.parametrize("message", SHARED)
async def test_so_are_those_of_a_loop_in_another_thread(message: str) -> None:
    answers, streams = Provider(stale(message)), Provider(stale(message))
    assert await past_stale(answers.answer, "hi") == "HI"
    assert [letter async for letter in PastStale(streams.stream, "hi")] == ["h", "i"]


class PoolInUse(Provider):
    """What a connection pool says from which another thread has just taken the connection."""

    async def answer(self, question: str) -> str:
        if self.calls == 0:
            self.calls += 1
            exec("[].remove(1)", {"__name__": "httpcore._async.connection_pool"})
        return await super().answer(question)


async def test_so_is_what_another_thread_took_from_the_pool() -> None:
    assert await past_stale(PoolInUse().answer, "hi") == "HI"


async def test_a_stream_is_opened_again() -> None:
    provider = Provider(stale(), stale())
    assert [letter async for letter in PastStale(provider.stream, "hi")] == ["h", "i"]
    assert (provider.calls, provider.closed) == (3, 3)


async def test_not_after_its_first_chunk() -> None:
    provider = Provider(stale(), before=1)
    chunks = PastStale(provider.stream, "hi")
    assert await anext(chunks) == "-"
    with pytest.raises(ConnectionError):
        await anext(chunks)
    assert provider.calls == 1


OTHERS = [ConnectionError("refused"), RuntimeError("no loop"), ValueError("list.remove(x): x not in list")]


@pytest.mark.parametrize("error", OTHERS)
async def test_other_errors_are_raised_at_once(error: Exception) -> None:
    answers, streams = Provider(error), Provider(error)
    with pytest.raises(type(error)):
        await past_stale(answers.answer, "hi")
    with pytest.raises(type(error)):
        await anext(PastStale(streams.stream, "hi"))
    assert (answers.calls, streams.calls) == (1, 1)


async def test_it_ends() -> None:
    provider = Provider(*(stale() for _ in range(2 * CONNECTIONS)))
    with pytest.raises(ConnectionError):
        await past_stale(provider.answer, "hi")
    assert provider.calls == CONNECTIONS + 1


async def test_closing_reaches_the_source() -> None:
    provider = Provider()
    chunks: Any = PastStale(provider.stream, "hi")
    await anext(chunks)
    await chunks.aclose()
    assert provider.closed == 1


def test_a_chain_of_causes_that_bites_its_tail() -> None:
    error = RuntimeError("no")
    error.__context__ = ValueError("no")
    error.__context__.__context__ = error
    assert not of_another_loop(error)
