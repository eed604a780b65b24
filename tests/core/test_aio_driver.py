"""The engine on asyncio: no task while all is well, honest cancellation when it is not.

Each test runs under `run`, which also demands that no task is left behind and that no exception goes unnoticed.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, suppress
from contextvars import ContextVar
from math import inf
from typing import Any

import anyio
import pytest

from failover_core import (
    DeadlineExceeded,
    Failover,
    FailureKind,
    RequestRejected,
    Settings,
    StreamInterrupted,
    Target,
)
from failover_core.context import current_attempt
from failover_core.drivers.abandoned import MAX_ABANDONED
from failover_core.drivers.aio_tasks import CLEANUP_S
from failover_core.drivers.workers import WORKERS
from failover_core.drivers.world import MAX_WAITING_CHUNKS
from failover_core.events import AttemptEnded
from failover_core.output import PlainReader, Reading
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


@pytest.fixture(autouse=True, scope="module")
def quick_collections() -> Iterator[None]:
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


# -- while all is well ----------------------------------------------------------------------------------------------


@both_loops
def test_a_healthy_call_makes_no_task(loop: Any) -> None:
    async def main() -> None:
        me = asyncio.current_task()

        async def looks_around(request: Any) -> Any:
            await asyncio.sleep(0)
            return asyncio.current_task(), asyncio.all_tasks()

        inside = await failover(Target("a", acall=looks_around)).acall("x")
        assert inside == (me, {me})

    run(main, loop)


@both_loops
def test_all_pulls_of_a_stream_and_its_close_are_made_by_one_task(loop: Any) -> None:
    """Whoever reads it: timeouts and cancel scopes of generators and SDKs belong to the task they were entered in."""

    async def main() -> None:
        pulled_by: set[Any] = set()

        async def words(request: Any) -> AsyncIterator[str]:
            try:
                for number in range(20):
                    pulled_by.add(asyncio.current_task())
                    yield f"word {number} "
                    await asyncio.sleep(0)
            finally:
                pulled_by.add(asyncio.current_task())

        stream = failover(Target("a", astream=words)).astream("x")
        for _ in range(10):
            await asyncio.ensure_future(anext(stream))
        await stream.aclose()
        assert len(pulled_by) == 1

    run(main, loop)


def test_a_source_that_never_waits_is_shown_as_it_speaks() -> None:
    """As a local model does that computes in the event loop's thread."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        said: list[int] = []

        async def computes(request: Any) -> AsyncIterator[str]:
            for number in range(20):
                loop.jump(0.02)
                said.append(number)
                yield f"word {number} "

        stream = failover(Target("a", astream=computes), hold_back_tokens=0).astream("x")
        ahead = [len(said) - read async for read in numbered(stream)]
        assert max(ahead) <= 2

    run(main)


async def numbered(stream: Any) -> AsyncIterator[int]:
    number = 0
    async for _ in stream:
        number += 1
        yield number


def test_no_timer_is_left_behind() -> None:
    async def main() -> None:
        await failover(Target("a", acall=answer)).acall("x")
        loop = asyncio.get_running_loop()
        assert [handle for handle in loop._scheduled if not handle.cancelled()] == []  # type: ignore[attr-defined]

    run(main)


def test_the_caller_s_context_reaches_the_target_wherever_it_runs() -> None:
    async def user(request: Any) -> str:
        return USER.get()

    async def main() -> None:
        USER.set("alice")
        assert await failover(Target("a", acall=user)).acall("x") == "alice"
        raced = [Target("a", acall=Silent()), Target("b", acall=user)]
        assert await Failover(raced, Settings(answer_s=1)).acall("x") == "alice"

    run(main)


@pytest.mark.parametrize("style", ["acall", "astream"])
def test_what_an_attempt_does_to_its_context_reaches_no_other_one_and_no_listener(style: str) -> None:
    seen: dict[str, Any] = {}

    def note(what: str) -> None:
        attempt = current_attempt()
        seen[what] = (USER.get(), None if attempt is None else attempt.target.name)

    async def fails(request: Any) -> str:
        USER.set("second")
        await asyncio.sleep(0.1)
        raise ConnectionResetError("reset")

    async def third(request: Any) -> str:
        note("target")
        return "third"

    def streamed(ask: Any) -> Any:
        async def stream(request: Any) -> AsyncIterator[str]:
            yield await ask(request)

        return stream

    def validator(finished: Any) -> None:
        note("validator")

    async def main() -> None:
        USER.set("alice")
        raced = (("a", Silent()), ("b", fails), ("c", third))
        targets = [Target(name, acall=ask, astream=streamed(ask)) for name, ask in raced]
        rules = Settings(answer_s=1.0, first_token_s=1.0, same_target_retries=0, validators=(validator,))
        routes = Failover(targets, rules, on_event=lambda event: note(type(event).__name__))
        await waits(routes, style)
        assert seen.pop("target") == ("alice", "c")
        assert {"validator", "AttemptEnded"} <= set(seen)
        assert set(seen.values()) == {("alice", None)}

    run(main)


def test_a_target_can_ask_which_attempt_it_is() -> None:
    async def tell(request: Any) -> str:
        await asyncio.sleep(0)
        attempt = current_attempt()
        assert attempt is not None
        return f"{attempt.target.name} {attempt.number} {attempt.remaining_s}"

    async def main() -> None:
        raced = [Target("a", acall=Silent()), Target("b", acall=tell)]
        assert await Failover(raced, Settings(answer_s=1, deadline_s=9)).acall("x") == "b 2 8.0"
        assert await failover(Target("a", acall=tell)).acall("x") == "a 1 None"
        assert current_attempt() is None

    run(main)


def test_a_failover_inside_of_a_failover_gives_the_outer_attempt_back() -> None:
    inner = Failover([Target("inner", acall=answer)])

    async def outer(request: Any) -> str:
        await inner.acall(request)
        attempt = current_attempt()
        return attempt.target.name if attempt is not None else "nobody"

    assert run(lambda: failover(Target("outer", acall=outer)).acall("x")) == "outer"


# -- races ----------------------------------------------------------------------------------------------------------


def test_the_next_target_wins_and_the_inline_attempt_is_interrupted() -> None:
    async def main() -> None:
        silent = Silent()
        routes = failover(Target("a", acall=silent), answer_s=1.0)
        outcome = await routes.arun("x")
        assert outcome.value == "from the backup"
        assert (silent.cancelled, silent.cleaned) == (True, True)
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
        await asyncio.sleep(0.1)  # the caller's task is not cancelled, also not a moment later
        assert counts(routes, "a") == (1, 0, 0, 0)

    run(main)


def test_the_inline_attempt_wins_and_the_others_are_cancelled() -> None:
    async def main() -> None:
        async def late(request: Any) -> str:
            await asyncio.sleep(2.0)
            return "at last"

        second, third = Silent(), Silent()
        targets = [Target("a", acall=late), Target("b", acall=second), Target("c", acall=third)]
        assert await Failover(targets, Settings(answer_s=0.5)).acall("x") == "at last"
        await asyncio.sleep(0)
        assert (second.cancelled, third.cancelled) == (True, True)

    run(main)


def test_a_race_of_streams() -> None:
    async def main() -> None:
        silent = Silent()
        routes = failover(Target("a", astream=silent.stream), first_token_s=1.0)
        stream = routes.astream("x")
        assert await anext(stream) == "from "
        await asyncio.sleep(0)
        assert silent.cleaned
        assert [word async for word in stream] == ["the ", "backup"]
        assert counts(routes, "a") == (1, 0, 0, 0)

    run(main)


def test_the_generator_of_a_stream_that_lost_in_a_task_is_closed() -> None:
    async def main() -> None:
        async def late(request: Any) -> AsyncIterator[str]:
            await asyncio.sleep(2.0)
            yield "at last"

        loser = Silent()
        targets = [Target("a", astream=late), Target("b", astream=loser.stream)]
        stream = Failover(targets, Settings(first_token_s=1.0, hold_back_tokens=0)).astream("x")
        assert [word async for word in stream] == ["at last"]
        await asyncio.sleep(0)
        assert loser.cleaned

    run(main)


def test_an_attempt_given_up_may_take_its_time_to_clean_up() -> None:
    """It was interrupted once; the answer of the next target must not interrupt its cleanup at once, nor the caller."""

    async def main() -> None:
        silent = Silent(cleanup_s=3.0)

        async def quick(request: Any) -> str:
            await asyncio.sleep(2.5)
            return "from the next"

        targets = [Target("a", acall=silent), Target("b", acall=quick)]
        assert await Failover(targets, Settings(hedge="off", answer_s=1.0)).acall("x") == "from the next"
        assert silent.cleaned

    run(main)


def test_several_events_during_a_slow_cleanup() -> None:
    async def main() -> None:
        silent = Silent(cleanup_s=2.5)

        async def fails(request: Any) -> str:
            await asyncio.sleep(1.0)
            raise ConnectionResetError("reset")

        targets = [
            Target("a", acall=silent),
            Target("b", acall=fails),
            Target("c", acall=fails),
            Target("d", acall=answer),
        ]
        rules = Settings(hedge="off", answer_s=1.0, same_target_retries=0)
        assert await Failover(targets, rules).acall("x") == "hello"
        assert silent.cleaned

    run(main)


class Untidy:
    """Silent, and its cleanups would take minutes, one after the other."""

    def __init__(self) -> None:
        self.cleaned: list[str] = []

    async def __call__(self, request: Any) -> str:
        try:
            try:
                await asyncio.Event().wait()
            finally:
                await self.clean("first")
        finally:
            await self.clean("second")
        raise AssertionError("nobody wakes it")

    async def clean(self, what: str) -> None:
        await asyncio.sleep(60.0)
        self.cleaned.append(what)

    async def stream(self, request: Any) -> AsyncIterator[str]:
        await self(request)
        yield "never"


@pytest.mark.parametrize("hedge", ["overdue", "off"])
def test_the_endless_cleanup_of_an_inline_attempt_does_not_hold_up_the_answer(hedge: Any) -> None:
    async def main() -> None:
        loop, untidy = asyncio.get_running_loop(), Untidy()
        began_s = loop.time()
        assert await failover(Target("a", acall=untidy), hedge=hedge, answer_s=2.0).acall("x") == "from the backup"
        assert loop.time() - began_s == pytest.approx(2.0 + 2 * CLEANUP_S)
        assert untidy.cleaned == [], "they were cancelled, one after the other"

    run(main)


@pytest.mark.parametrize("hedge", ["overdue", "off"])
def test_the_endless_cleanup_of_a_stream_goes_on_beside_the_answer(hedge: Any) -> None:
    async def main() -> None:
        loop, untidy = asyncio.get_running_loop(), Untidy()
        began_s = loop.time()
        stream = failover(Target("a", astream=untidy.stream), hedge=hedge, first_token_s=2.0).astream("x")
        arrivals = [(word, loop.time() - began_s) async for word in stream]
        assert arrivals == [("from ", 2.0), ("the ", 2.0), ("backup", 2.0)]
        assert loop.time() - began_s == pytest.approx(2.0 + CLEANUP_S)
        gc.collect()
        await asyncio.sleep(125.0)
        assert untidy.cleaned == ["first", "second"]

    run(main)


def test_a_stream_that_has_said_all_may_take_its_time_to_close() -> None:
    async def main() -> None:
        loop, closed = asyncio.get_running_loop(), False

        class Sdk:
            """Its end is one thing, its close another."""

            def __init__(self) -> None:
                self._words = iter(["all ", "of it"])

            def __aiter__(self) -> Sdk:
                return self

            async def __anext__(self) -> str:
                for word in self._words:
                    return word
                raise StopAsyncIteration

            async def close(self) -> None:
                nonlocal closed
                await asyncio.sleep(60.0)
                closed = True

        began_s = loop.time()
        stream = failover(Target("a", astream=lambda request: Sdk())).astream("x")
        assert "".join([word async for word in stream]) == "all of it"
        assert loop.time() - began_s == pytest.approx(CLEANUP_S)
        assert stream.trace is not None
        assert stream.trace.elapsed_s == 0.0
        await asyncio.sleep(60.0)
        assert closed

    run(main)


def test_a_loser_whose_cleanup_fails_is_no_news() -> None:
    async def untidy(request: Any) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("cleanup failed")

    async def late(request: Any) -> str:
        await asyncio.sleep(2.0)
        return "at last"

    async def main() -> None:
        targets = [Target("a", acall=late), Target("b", acall=untidy)]
        assert await Failover(targets, Settings(answer_s=1.0)).acall("x") == "at last"
        inline = [Target("a", acall=untidy), Target("b", acall=answer)]
        assert await Failover(inline, Settings(answer_s=1.0)).acall("x") == "hello"

    run(main)


@pytest.mark.parametrize("instead", ["value", "error"])
def test_a_target_that_swallows_its_cancellation(instead: str) -> None:
    async def stubborn(request: Any) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if instead == "error":
                raise ConnectionResetError("reset") from None
        return "too late"

    async def main() -> None:
        routes = failover(Target("a", acall=stubborn), answer_s=1.0)
        assert await routes.acall("x") == "from the backup"
        await asyncio.sleep(0.1)
        assert counts(routes, "a") == (1, 0, 0, 0)

    run(main)


def test_a_stream_that_swallows_its_cancellation() -> None:
    async def stubborn(request: Any) -> AsyncIterator[str]:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        yield "too late"

    async def main() -> None:
        stream = failover(Target("a", astream=stubborn), first_token_s=1.0).astream("x")
        assert "".join([word async for word in stream]) == "from the backup"

    run(main)


def test_the_words_of_a_loser_that_does_not_listen_are_never_mixed_in() -> None:
    async def late(request: Any) -> AsyncIterator[str]:
        await asyncio.sleep(2.0)
        for number in range(5):
            yield f"{number} "
            await asyncio.sleep(1.0)

    async def stubborn(request: Any) -> AsyncIterator[str]:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        for _ in range(5):
            yield "something else "
            await asyncio.sleep(0.5)

    async def main() -> None:
        targets = [Target("a", astream=late), Target("b", astream=stubborn)]
        stream = Failover(targets, Settings(first_token_s=1.0, hold_back_tokens=0)).astream("x")
        assert "".join([word async for word in stream]) == "0 1 2 3 4 "

    run(main)


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


# -- a target that is cancelled by somebody else --------------------------------------------------------------------


async def cancels_itself(request: Any) -> Any:
    """As when it waits for a task that somebody else has cancelled."""
    shared = asyncio.get_running_loop().create_future()
    shared.cancel()
    await shared


async def cancels_itself_in_a_stream(request: Any) -> AsyncIterator[str]:
    await cancels_itself(request)
    yield "never"


def test_a_cancellation_inside_the_target_is_not_the_caller_s() -> None:
    async def main() -> None:
        routes = failover(Target("a", acall=cancels_itself, astream=cancels_itself_in_a_stream))
        with pytest.raises(RequestRejected) as caught:
            await routes.acall("x")
        assert isinstance(caught.value.__cause__, asyncio.CancelledError)
        with pytest.raises(RequestRejected):
            await anext(routes.astream("x"))
        assert caught.value.failure is not None
        assert caught.value.failure.kind is FailureKind.LOCAL_ERROR
        assert counts(routes, "a") == (2, 0, 2, 0)
        assert routes.health()["a"].suspicion == 0.0

    run(main)


def test_the_same_inside_of_a_race() -> None:
    async def main() -> None:
        targets = [Target("a", acall=Silent()), Target("b", acall=cancels_itself)]
        with pytest.raises(RequestRejected):
            await Failover(targets, Settings(answer_s=1.0)).acall("x")

    run(main)


# -- cancelled by the caller ----------------------------------------------------------------------------------------

STAGES: dict[str, tuple[dict[str, Any], float]] = {
    "inline": ({}, 0.5),
    "waiting for a retry": ({"fails_first": True}, 0.1),
    "racing": ({"answer_s": 1.0, "first_token_s": 1.0}, 3.0),
    "racing in a slow cleanup": ({"answer_s": 1.0, "first_token_s": 1.0, "hedge": "off", "cleanup_s": 9.0}, 3.0),
}


def at_stage(stage: str) -> tuple[Failover, float]:
    options, after_s = STAGES[stage]
    options = dict(options)
    first, second = Silent(options.pop("cleanup_s", 0.0)), Silent()
    if options.pop("fails_first", False):

        async def fails(request: Any) -> str:
            raise ConnectionResetError("reset")

        async def fails_to_stream(request: Any) -> AsyncIterator[str]:
            raise ConnectionResetError("reset")
            yield

        targets = [Target("a", acall=fails, astream=fails_to_stream), Target("b", acall=second, astream=second.stream)]
        return Failover(targets, Settings(backoff_s=60.0, **options)), after_s
    targets = [Target("a", acall=first, astream=first.stream), Target("b", acall=second, astream=second.stream)]
    return Failover(targets, Settings(**options)), after_s


async def waits(routes: Failover, style: str) -> Any:
    if style == "acall":
        return await routes.acall("x")
    return [chunk async for chunk in routes.astream("x")]


async def timeout(work: Awaitable[Any], after_s: float) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(after_s):
            await work


async def wait_for(work: Awaitable[Any], after_s: float) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(work, after_s)


async def cancel(work: Awaitable[Any], after_s: float) -> None:
    task = asyncio.ensure_future(work)
    await asyncio.sleep(after_s)
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def task_group(work: Awaitable[Any], after_s: float) -> None:
    async def fails() -> None:
        await asyncio.sleep(after_s)
        raise ZeroDivisionError

    async def together() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(work)  # type: ignore[arg-type]
            group.create_task(fails())

    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.ensure_future(together())  # Python 3.11's group leaves its parent's task marked as cancelled
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]


@pytest.mark.parametrize("way", [timeout, wait_for, cancel, task_group])
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("style", ["acall", "astream"])
def test_the_caller_s_cancellation_goes_through_at_every_stage(way: Any, stage: str, style: str) -> None:
    async def main() -> None:
        routes, after_s = at_stage(stage)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        blamed = None
        await way(waits(routes, style), after_s)
        assert loop.time() - began_s <= after_s + 10.0
        await asyncio.sleep(10.0)
        blamed = {name: (health.failed, health.in_flight) for name, health in routes.health().items()}
        failures = {"waiting for a retry": 1, "racing in a slow cleanup": 1}.get(stage, 0)
        assert blamed == {"a": (failures, 0), "b": (0, 0)}

    run(main)


def refusing_to_be_cancelled(error: type[Exception]) -> Any:
    """As SDKs do that report whatever ends a request as an error of their own."""

    async def ask(request: Any) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise error("cancelled inside") from None
        raise AssertionError("nobody wakes it")

    async def stream(request: Any) -> AsyncIterator[str]:
        yield await ask(request)

    return Target("a", acall=ask, astream=stream)


@pytest.mark.parametrize("style", ["acall", "astream"])
@pytest.mark.parametrize("hedge", ["overdue", "off"])
def test_the_caller_s_cancellation_that_a_target_turns_into_an_error(style: str, hedge: Any) -> None:
    async def main() -> None:
        asked = False

        async def next_one(request: Any) -> str:
            nonlocal asked
            asked = True
            return "answer"

        async def next_words(request: Any) -> AsyncIterator[str]:
            yield await next_one(request)

        targets = [refusing_to_be_cancelled(ConnectionError), Target("b", acall=next_one, astream=next_words)]
        routes = Failover(targets, Settings(hedge=hedge, same_target_retries=0, retry_budget_tokens=100))
        await cancel(waits(routes, style), 0.1)
        assert not asked
        assert counts(routes, "a") == (1, 0, 0, 0)

    run(main)


def test_an_interruption_that_a_target_turns_into_an_error_is_not_the_caller_s() -> None:
    async def main() -> None:
        routes = failover(refusing_to_be_cancelled(ConnectionError), answer_s=1.0)
        assert await routes.acall("x") == "from the backup"

    run(main)


def test_a_timeout_that_leaves_its_task_cancelled_is_not_the_caller_s() -> None:
    """aiohttp's before 3.10.8: it cancels the task, and never takes that back."""

    async def leaky(request: Any) -> str:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_later(1.0, task.cancel)
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        raise TimeoutError

    async def main() -> None:
        assert await failover(Target("a", acall=leaky), same_target_retries=0).acall("x") == "from the backup"

    async def apart() -> None:
        await asyncio.ensure_future(main())  # its task stays marked

    run(apart)


def test_a_cancellation_at_the_moment_of_the_interruption_is_not_lost() -> None:
    async def main() -> None:
        silent = Silent()
        finished = asyncio.Event()

        async def cancels_the_caller(request: Any) -> str:
            caller.cancel()
            finished.set()
            return "wins at the same moment"

        targets = [Target("a", acall=silent), Target("b", acall=cancels_the_caller)]
        caller = asyncio.ensure_future(Failover(targets, Settings(answer_s=1.0)).acall("x"))
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert finished.is_set()
        assert caller.cancelled()

    run(main)


def test_a_timeout_inside_the_target_is_the_target_s() -> None:
    async def has_its_own_timeout(request: Any) -> str:
        async with asyncio.timeout(0.5):
            await asyncio.Event().wait()
        return "never"

    async def main() -> None:
        routes = failover(Target("a", acall=has_its_own_timeout), same_target_retries=0)
        outcome = await routes.arun("x")
        assert [attempt.kind for attempt in outcome.trace.attempts] == [FailureKind.TIMEOUT, None]

    run(main)


def test_a_task_group_inside_of_the_target_survives_the_interruption() -> None:
    async def fans_out(request: Any) -> str:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(asyncio.Event().wait())
        return "never"

    async def main() -> None:
        assert await failover(Target("a", acall=fans_out), answer_s=1.0).acall("x") == "from the backup"
        async with asyncio.timeout(1):
            await asyncio.sleep(0.5)

    run(main)


def test_an_outer_timeout_that_is_not_reached_is_not_disturbed() -> None:
    async def main() -> None:
        async with asyncio.timeout(100):
            for _ in range(3):
                assert await failover(Target("a", acall=Silent()), answer_s=1.0).acall("x") == "from the backup"
            await asyncio.sleep(50)

    run(main)


def test_a_deadline() -> None:
    async def main() -> None:
        routes = Failover([Target("a", acall=Silent()), Target("b", acall=Silent())], Settings(deadline_s=8.0))
        began_s = asyncio.get_running_loop().time()
        with pytest.raises(DeadlineExceeded):
            await routes.acall("x")
        assert asyncio.get_running_loop().time() - began_s == pytest.approx(8.0)
        await asyncio.sleep(0.1)

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


# -- other kinds of event loop --------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_eager_tasks() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        routes = failover(Target("a", acall=Silent(), astream=Silent().stream), answer_s=1.0, first_token_s=1.0)
        assert await routes.acall("x") == "from the backup"
        assert "".join([word async for word in routes.astream("x")]) == "from the backup"

    run(main)


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
