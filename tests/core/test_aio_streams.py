"""Streams on asyncio: one task for all pulls, what is held back, and readers who leave or are slow.

Each test runs under `run`, which also demands that no task is left behind and that no exception goes unnoticed.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from math import inf
from typing import Any

import anyio
import pytest

from aio_running import (
    TEXT,
    USER,
    Silent,
    counts,
    failover,
    run,
    without_imports,
)
from failover_core import (
    DeadlineExceeded,
    Failover,
    Settings,
    StreamInterrupted,
    Target,
)
from failover_core.drivers.world import MAX_WAITING_CHUNKS
from failover_core.events import AttemptEnded
from failover_core.output import PlainReader, Reading

quick_collections = pytest.fixture(autouse=True, scope="module")(without_imports)


# -- showing what was held back -------------------------------------------------------------------------------------


async def slow_words(request: Any) -> AsyncIterator[str]:
    for number in range(4):
        await asyncio.sleep(2.0)
        yield f"{number} "


def test_a_slow_start_is_shown_while_the_next_chunk_is_still_to_come() -> None:
    """The pull that is under way then must not be disturbed: to cancel it would end the stream."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        stream = failover(Target("a", astream=slow_words)).astream("x")
        arrivals = [(chunk, round(loop.time() - began_s, 3)) async for chunk in stream]
        assert arrivals == [("0 ", 2.3), ("1 ", 4.0), ("2 ", 6.0), ("3 ", 8.0)]
        assert stream.trace is not None
        assert [attempt.verdict for attempt in stream.trace.attempts] == ["answered"]

    run(main)


def test_a_slow_start_in_a_race() -> None:
    async def main() -> None:
        loser = Silent()
        targets = [Target("a", astream=slow_words), Target("b", astream=loser.stream)]
        stream = Failover(targets, Settings(first_token_s=1.0)).astream("x")
        assert "".join([chunk async for chunk in stream]) == "0 1 2 3 "
        assert loser.cleaned

    run(main)


@pytest.mark.parametrize("moment_s", [2.1, 2.5, 3.9])
@pytest.mark.parametrize("way", ["aclose", "timeout", "forgotten"])
def test_leaving_while_a_pull_is_under_way_beside_the_reader(moment_s: float, way: str) -> None:
    async def main() -> None:
        closed = False

        async def words(request: Any) -> AsyncIterator[str]:
            nonlocal closed
            try:
                async for word in slow_words(request):
                    yield word
            finally:
                closed = True

        routes = failover(Target("a", astream=words))
        stream = routes.astream("x")
        with suppress(TimeoutError):
            async with asyncio.timeout(moment_s):
                assert await anext(stream) == "0 "
                if way == "timeout":
                    await anext(stream)
                await asyncio.sleep(60)
        if way == "aclose":
            await stream.aclose()
        del stream
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)
        assert closed
        assert counts(routes, "a") == (1, 0, 0, 0)

    run(main)


def test_a_stream_that_breaks_right_after_its_first_words_were_shown() -> None:
    async def main() -> None:
        async def breaks(request: Any) -> AsyncIterator[str]:
            yield TEXT[:44]
            await asyncio.sleep(1.0)
            raise ConnectionResetError("reset")

        async def goes_on(request: Any) -> AsyncIterator[str]:
            yield TEXT

        targets = [
            Target(name, astream=astream, resume=lambda request, shown: request)
            for name, astream in (("a", breaks), ("b", goes_on))
        ]
        stream = Failover(targets).astream("x")
        assert "".join([chunk async for chunk in stream]) == TEXT

    run(main)


def test_a_late_stream_loses_while_its_first_words_are_held() -> None:
    """The other target has more to show before the late one's words may be shown."""

    async def main() -> None:
        slow = Silent(words=())

        async def dribbles(request: Any) -> AsyncIterator[str]:
            try:
                await asyncio.sleep(1.5)
                yield "I"
                await asyncio.sleep(60.0)
            finally:
                slow.cleaned = True

        async def pours(request: Any) -> AsyncIterator[str]:
            await asyncio.sleep(0.6)
            yield TEXT

        targets = [Target("a", astream=dribbles), Target("b", astream=pours)]
        stream = Failover(targets, Settings(first_token_s=1.0)).astream("x")
        assert "".join([chunk async for chunk in stream]) == TEXT
        assert slow.cleaned

    run(main)


async def has_a_timeout(request: Any) -> AsyncIterator[str]:
    async with asyncio.timeout(5):
        yield "a "
        yield "b "
        await asyncio.sleep(100.0)
        yield "c"


async def has_a_cancel_scope(request: Any) -> AsyncIterator[str]:
    with anyio.move_on_after(5):
        yield "a "
        await asyncio.sleep(4.0)
        yield "b "
        await asyncio.sleep(100.0)
    raise TimeoutError


async def has_a_context_variable(request: Any) -> AsyncIterator[str]:
    token = USER.set("target")
    yield "a "
    await asyncio.sleep(4.0)
    yield "b "
    await asyncio.sleep(1.0)
    USER.reset(token)
    raise TimeoutError


async def has_a_scope_in_each_pull(request: Any) -> AsyncIterator[str]:
    """As httpx has, and so every SDK that is built on it."""
    yield "a "
    with anyio.fail_after(600):
        await asyncio.sleep(4.0)
    yield "b "
    with anyio.fail_after(1.0):
        await asyncio.sleep(100.0)


async def read_by_one_task(stream: Any, told: list[str]) -> None:
    async for word in stream:
        told += [word]


async def read_by_many_tasks(stream: Any, told: list[str]) -> None:
    """As `asyncio.wait_for` does it in Python 3.11, and servers that send a sign of life while they wait."""
    while True:
        told.append(await asyncio.ensure_future(anext(stream)))


async def read_under_timeouts(stream: Any, told: list[str]) -> None:
    while True:
        with anyio.fail_after(50):
            told.append(await anext(stream))


@pytest.mark.parametrize("reads", [read_by_one_task, read_by_many_tasks, read_under_timeouts])
@pytest.mark.parametrize(
    "source", [has_a_timeout, has_a_cancel_scope, has_a_context_variable, has_a_scope_in_each_pull]
)
def test_what_belongs_to_one_task_while_words_are_shown_in_the_middle_of_a_pull(source: Any, reads: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        routes = Failover([Target("a", astream=source)])
        stream, told = routes.astream("x"), list[str]()
        with pytest.raises(StreamInterrupted) as caught:
            await reads(stream, told)
        assert isinstance(caught.value.__cause__, TimeoutError), "its own, at its own time"
        assert told == ["a ", "b "]
        assert loop.time() - began_s == pytest.approx(5.0)
        assert USER.get() == "nobody"

    run(main)


# -- streams that are left early ------------------------------------------------------------------------------------


def stream_of(where: str) -> tuple[Failover, Silent]:
    """A stream that shows one chunk and then hangs, pulled inline or in the task that it won its race in."""
    source = Silent(words=("first ",))
    first = Target("a", astream=source.stream)
    if where == "inline":
        return failover(first, hold_back_tokens=0), source
    rules = Settings(first_token_s=1.0, hold_back_tokens=0)
    return Failover([Target("slow", astream=Silent().stream), first], rules), source


@pytest.mark.parametrize("where", ["inline", "task"])
@pytest.mark.parametrize("how", ["aclose", "aclosing", "cancelled", "forgotten"])
def test_leaving_a_stream_early_closes_it_and_blames_nobody(where: str, how: str) -> None:
    async def main() -> None:
        routes, source = stream_of(where)
        stream = routes.astream("x")
        if how == "aclosing":
            async with aclosing(stream):
                assert await anext(stream) == "first "
        elif how == "cancelled":
            assert await anext(stream) == "first "
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await anext(stream)
        else:
            assert await anext(stream) == "first "
            if how == "aclose":
                await stream.aclose()
        trace = stream.trace
        del stream
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)
        assert source.cleaned
        assert counts(routes, "a") == (1, 0, 0, 0)
        assert routes.health()["a"].suspicion == 0.0
        assert trace is not None
        assert trace.attempts[-1].verdict == "cancelled"

    run(main)


def test_different_tasks_may_read_one_stream() -> None:
    """As servers do that hand a response over to another task."""

    async def main() -> None:
        async def words(request: Any) -> AsyncIterator[str]:
            for number in range(6):
                await asyncio.sleep(0.1)
                yield f"{number} "

        stream = failover(Target("a", astream=words), hold_back_tokens=0).astream("x")
        read = [await asyncio.ensure_future(anext(stream)) for _ in range(6)]
        assert "".join(read) == "0 1 2 3 4 5 "
        with pytest.raises(StopAsyncIteration):
            await asyncio.ensure_future(anext(stream))

    run(main)


def test_a_slow_reader_is_not_a_slow_target() -> None:
    async def main() -> None:
        async def words(request: Any) -> AsyncIterator[str]:
            for number in range(20):
                await asyncio.sleep(0.5)
                yield f"word {number} "

        routes = failover(Target("a", astream=words))
        stream = routes.astream("x")
        async for _ in stream:
            await asyncio.sleep(25.0)
        assert stream.trace is not None
        assert [attempt.verdict for attempt in stream.trace.attempts] == ["answered"]
        assert routes.health()["a"].suspicion == 0.0

    run(main)


def test_a_fast_target_does_not_run_far_ahead_of_a_slow_reader() -> None:
    async def main() -> None:
        sent = 0

        async def endless(request: Any) -> AsyncIterator[str]:
            nonlocal sent
            while True:
                await asyncio.sleep(0)
                sent += 1
                yield f"word {sent} "

        targets = [Target("slow", astream=Silent().stream), Target("a", astream=endless)]
        stream = Failover(targets, Settings(first_token_s=1.0, hold_back_tokens=0)).astream("x")
        assert await anext(stream) == "word 1 "
        await asyncio.sleep(5.0)
        assert sent <= MAX_WAITING_CHUNKS + 2
        read = [await anext(stream) for _ in range(300)]
        assert read == [f"word {number} " for number in range(2, 302)]
        await stream.aclose()

    run(main)


def test_a_stalled_stream_is_resumed() -> None:
    async def main() -> None:
        async def stalls(request: Any) -> AsyncIterator[str]:
            yield TEXT[:44]
            await asyncio.sleep(inf)

        async def goes_on(request: Any) -> AsyncIterator[str]:
            yield TEXT

        targets = [
            Target(name, astream=astream, resume=lambda request, shown: request)
            for name, astream in (("a", stalls), ("b", goes_on))
        ]
        stream = Failover(targets, Settings(hold_back_tokens=1)).astream("x")
        assert "".join([chunk async for chunk in stream]) == TEXT
        assert stream.trace is not None
        assert [attempt.verdict for attempt in stream.trace.attempts] == ["resumed", "answered"]

    run(main)


class SdkStream:
    """Like the stream objects of SDKs: an async iterator with a connection that only `close()` gives back."""

    def __init__(self, words: list[Any]) -> None:
        self._words = iter(words)
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[Any]:
        while True:  # a generator, not the object itself: to close it closes nothing else
            try:
                yield await self.__anext__()
            except StopAsyncIteration:
                return

    async def __anext__(self) -> Any:
        word = next(self._words, None)
        if word is None:
            raise StopAsyncIteration
        if isinstance(word, Exception):
            raise word
        return word

    async def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("where", ["inline", "task"])
@pytest.mark.parametrize("given", ["awaitable", "iterable"])
@pytest.mark.parametrize("end", ["closed early", "read to its end", "broken"])
def test_the_connection_of_a_stream_is_always_given_back(where: str, given: str, end: str) -> None:
    async def main() -> None:
        words: list[Any] = ["one, two, three, ", "four, five, six"]
        sdk = SdkStream([*words, ConnectionResetError("reset")] if end == "broken" else words)

        async def opens(request: Any) -> SdkStream:
            return sdk

        made: Any = opens if given == "awaitable" else lambda request: sdk
        first = [Target("slow", astream=Silent().stream)] if where == "task" else []
        routes = Failover([*first, Target("a", astream=made)], Settings(first_token_s=1.0, hold_back_tokens=0))
        stream = routes.astream("x")
        if end == "closed early":
            await anext(stream)
            await stream.aclose()
        elif end == "broken":
            with pytest.raises(StreamInterrupted):
                [word async for word in stream]
        else:
            assert [word async for word in stream] == words
        for _ in range(5):
            await asyncio.sleep(0)
        assert sdk.closed
        assert counts(routes, "a")[3] == 0

    run(main)


# -- slow readers, and records of what was left ---------------------------------------------------------------------


def test_a_deadline_holds_for_chunks_that_wait_for_a_slow_reader() -> None:
    async def many_words(request: Any) -> AsyncIterator[str]:
        for number in range(4 * MAX_WAITING_CHUNKS):
            yield f"word {number} of a long answer, "

    async def main() -> None:
        shown, clock = [], asyncio.get_running_loop().time
        began_s = clock()
        chunks = failover(Target("a", astream=many_words), deadline_s=1.0).astream("hi")
        with pytest.raises(DeadlineExceeded):
            async for chunk in chunks:
                assert clock() - began_s < 1.0
                shown.append(chunk)
                await asyncio.sleep(0.1)
        assert 8 <= len(shown) <= 11

    run(main)


class Outcome(BaseException):
    """As test libraries raise it."""


def test_what_is_no_exception_ends_the_stream_that_raises_it() -> None:
    async def outcome(request: Any) -> AsyncIterator[str]:
        yield "a word "
        raise Outcome

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)  # the task tells it, too
        with pytest.raises(StreamInterrupted, match="Outcome"):
            async for _ in Failover([Target("a", astream=outcome)], Settings(hold_back_tokens=0)).astream("hi"):
                pass

    asyncio.run(main())


def test_a_slow_reader_is_not_a_silent_target_where_chunks_are_withheld() -> None:
    async def tool_call(request: Any) -> AsyncIterator[Any]:
        yield "a text that is long enough to be shown at once, so that the stream is trusted, and then some more words"
        for _ in range(3 * MAX_WAITING_CHUNKS):
            yield ToolDelta()
            await asyncio.sleep(0.01)

    async def main() -> None:
        routes = Failover([Target("a", astream=tool_call, reader=ToolReader())], Settings(stall_s=2.0))
        count = 0
        async for _ in routes.astream("hi"):
            await asyncio.sleep(3.0 if count == 0 else 0.0)
            count += 1
        assert count == 1 + 3 * MAX_WAITING_CHUNKS
        assert routes.health()["a"].failed == 0

    run(main)


class ToolDelta:
    pass


class ToolReader(PlainReader):
    def read_chunk(self, chunk: Any) -> Reading:
        is_tool = isinstance(chunk, ToolDelta)
        return Reading(text="" if is_tool else chunk, has_content=True, has_tool_call=is_tool)


def test_the_record_of_a_request_that_was_left_says_how_long_it_took() -> None:
    async def silent(request: Any) -> str:
        await asyncio.sleep(1e6)
        return "never"

    async def slow_words(request: Any) -> AsyncIterator[str]:
        while True:
            yield "a word and another one, "
            await asyncio.sleep(0.5)

    async def main() -> None:
        heard: list[Any] = []
        asked = Failover([Target("a", acall=silent, astream=slow_words)], on_event=heard.append)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asked.acall("hi"), 3.0)
        chunks = asked.astream("hi")
        for _ in range(5):
            await anext(chunks)
        await chunks.aclose()
        took_s = [event.attempt.elapsed_s for event in heard if isinstance(event, AttemptEnded)]
        assert took_s == [pytest.approx(3.0), pytest.approx(2.0, abs=0.6)]
        assert chunks.trace is not None
        assert chunks.trace.elapsed_s == took_s[1]

    run(main)
