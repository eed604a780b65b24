"""The engine on asyncio: no task for a healthy call, one for a stream, races, and honest cancellation.

Each test runs under `run`, which also demands that no task is left behind and that no exception goes unnoticed.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from typing import Any

import pytest

from aio_running import (
    USER,
    Silent,
    answer,
    both_loops,
    counts,
    failover,
    run,
    waits,
    without_imports,
)
from failover_core import (
    DeadlineExceeded,
    Failover,
    FailureKind,
    RequestRejected,
    Settings,
    Target,
)
from failover_core.context import current_attempt
from failover_core.drivers.aio_tasks import CLEANUP_S

quick_collections = pytest.fixture(autouse=True, scope="module")(without_imports)


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


# -- other kinds of event loop --------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_eager_tasks() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        routes = failover(Target("a", acall=Silent(), astream=Silent().stream), answer_s=1.0, first_token_s=1.0)
        assert await routes.acall("x") == "from the backup"
        assert "".join([word async for word in routes.astream("x")]) == "from the backup"

    run(main)
