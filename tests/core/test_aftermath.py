"""A probe that has lost its race runs on by itself: nobody waits for it, and it tells how its target is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from failover_core import Failover, FailureKind, OutputRejected, Settings, Target
from failover_core.drivers.world import RealWorld
from failover_core.effects import Chunk, Elapsed, Ended, Event, Failed, Returned
from failover_core.health.breaker import CircuitState
from failover_core.health.latency import COLD_ANSWER_S
from failover_core.testing.clock import VirtualLoop, VirtualWorld
from failover_core.testing.scripted import Finish, ScriptedError
from stepping import START_S, Stepper, failover_of

DOWN = ScriptedError(503)
LATER_S = START_S + 30.0
PATIENCE_S = 5.0


def lost_probe(style: Any = "call", **settings: Any) -> Stepper:
    """`a` was down and is asked again, as a probe; `b` is asked after the head start, and wins."""
    failover = failover_of("a", "b", same_target_retries=0, **settings)
    for _ in range(3):
        request = Stepper(failover)
        request.fails("a", DOWN)
        request.returns("b", "hello")
    request = Stepper(failover, style, now=LATER_S)
    assert request.health("a").breaker.state is CircuitState.PROBING
    request.times_out()
    assert (request.now, request.started) == (LATER_S + 1.0, ["a", "b"])
    if style == "call":
        request.returns("b", "hello", after_s=0.5)
    else:
        request.sends("b", "hello, this is a whole answer", after_s=0.5)
        if not request.done:
            request.times_out()
        request.finishes("b")
    assert request.done
    assert request.error is None
    return request


def tell(request: Stepper, *events: Any, at_s: float = LATER_S + 3.0) -> None:
    for event in events:
        request.detached["a"].watch(event(1, at_s))


def returned(text: str) -> Any:
    return lambda number, now: Returned(number, text, now)


def elapsed(number: int, now: float) -> Event:
    return Elapsed(now)


def failed(error: Exception) -> Any:
    return lambda number, now: Failed(number, error, now)


def test_the_caller_has_the_answer_and_the_probe_runs_on() -> None:
    request = lost_probe()
    assert request.result == "hello"
    assert request.cancelled == []
    assert list(request.detached) == ["a"]
    assert request.detached["a"].until_s == LATER_S + 30.0
    assert request.verdicts == [("a", "probe", "lost"), ("b", "overdue", "answered")]
    assert request.health("a").in_flight == 1
    assert request.health("a").breaker.state is CircuitState.OPEN, "it may be probed again soon, whatever it does"
    assert request.health("a").breaker.reason == "b was faster"


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (returned("a good answer"), CircuitState.RAMPING),
        (returned(""), CircuitState.OPEN),
        (failed(DOWN), CircuitState.OPEN),
        (failed(ScriptedError(401, "Incorrect API key provided")), CircuitState.OPEN),
        (elapsed, CircuitState.OPEN),
    ],
    ids=["good", "empty", "down", "wrong key", "silent"],
)
def test_its_end_moves_the_circuit(end: Any, state: CircuitState) -> None:
    request = lost_probe()
    tell(request, end)
    assert request.health("a").breaker.state is state
    assert request.health("a").in_flight == 0


def test_a_stream_is_judged_at_its_end() -> None:
    request = lost_probe("stream")
    tell(request, lambda n, at: Chunk(n, "a good ", at), lambda n, at: Chunk(n, "answer", at))
    assert request.health("a").breaker.state is CircuitState.OPEN
    tell(request, lambda n, at: Chunk(n, Finish(), at), Ended)
    assert request.health("a").breaker.state is CircuitState.RAMPING


def test_a_stream_without_its_end_is_no_recovery() -> None:
    request = lost_probe("stream")
    tell(request, lambda n, at: Chunk(n, "half an ", at), Ended)
    assert request.health("a").breaker.state is CircuitState.OPEN
    assert request.health("a").failed == 4


def test_its_end_counts_once() -> None:
    request = lost_probe()
    tell(request, returned("a good answer"), elapsed, failed(DOWN))
    assert (request.health("a").answered, request.health("a").failed - 3, request.health("a").in_flight) == (1, 0, 0)


def test_validators_judge_it_too() -> None:
    def refuses(finished: Any) -> None:
        if "good" in finished.text:
            raise OutputRejected("too good to be true")

    request = lost_probe(validators=(refuses,))
    tell(request, returned("a good answer"))
    assert request.health("a").breaker.state is CircuitState.OPEN


def test_a_bug_in_a_validator_keeps_no_permit_and_blames_nobody() -> None:
    def buggy(finished: Any) -> None:
        if "good" in finished.text:
            raise ZeroDivisionError

    request = lost_probe(validators=(buggy,))
    suspicion = request.health("a").suspicion
    tell(request, returned("a good answer"))
    assert request.health("a").in_flight == 0
    assert request.health("a").suspicion <= suspicion


def test_its_trace_is_closed() -> None:
    request = lost_probe()
    before = request.trace.as_dict()
    tell(request, failed(DOWN))
    assert request.trace.as_dict() == before
    assert FailureKind.OVERLOADED not in [attempt.kind for attempt in request.trace.attempts]


# -- in the world ---------------------------------------------------------------------------------------------------

SETTINGS = Settings(same_target_retries=0, backoff_s=0.0)


def test_on_asyncio() -> None:
    down = True
    ended: list[str] = []

    async def recovers(request: Any) -> str:
        if down:
            raise ConnectionRefusedError("refused")
        await asyncio.sleep(5.0)
        ended.append("call")
        return "recovered"

    async def recovers_in_a_stream(request: Any) -> AsyncIterator[str]:
        yield await recovers(request)
        ended.append("stream")

    async def backup(request: Any) -> str:
        return "from the backup"

    async def backup_words(request: Any) -> AsyncIterator[str]:
        yield "from the backup"

    async def main() -> None:
        nonlocal down
        problems: list[Any] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: problems.append(context))
        targets = [
            Target("a", acall=recovers, astream=recovers_in_a_stream),
            Target("b", acall=backup, astream=backup_words),
        ]
        for style in ("call", "stream"):
            down = True
            failover = Failover(targets, SETTINGS)
            for _ in range(3):
                assert await failover.acall("x") == "from the backup"
            down = False
            await asyncio.sleep(20.0)
            began_s = loop.time()
            if style == "call":
                assert await failover.acall("x") == "from the backup"
            else:
                assert [chunk async for chunk in failover.astream("x")] == ["from the backup"]
            assert loop.time() - began_s == pytest.approx(1.0, abs=0.5), "nobody waits for the probe"
            assert failover.health()["a"].in_flight == 1
            await asyncio.sleep(10.0)
            assert failover._book.snapshot["a"].breaker.state is CircuitState.RAMPING
            assert failover._book.snapshot["a"].in_flight == 0
        assert ended == ["call", "call", "stream"]
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert problems == []

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


def test_a_probe_that_streams_on_does_not_hold_up_the_winner() -> None:
    """Both run in tasks, and the reader of the winner is slow."""
    down = True

    async def recovers(request: Any) -> AsyncIterator[str]:
        if down:
            raise ConnectionRefusedError("refused")
        await asyncio.sleep(5.0)
        for number in range(300):
            yield f"probe {number} "
            await asyncio.sleep(0.01)

    async def pours(request: Any) -> AsyncIterator[str]:
        for number in range(300):
            yield f"word {number} "
            await asyncio.sleep(0.001)

    async def main() -> None:
        nonlocal down
        failover = Failover([Target("a", astream=recovers), Target("b", astream=pours)], SETTINGS)
        for _ in range(3):
            assert len([chunk async for chunk in failover.astream("x")]) == 300
        down = False
        await asyncio.sleep(20.0)
        read = []
        async with asyncio.timeout(3600):
            async for chunk in failover.astream("x"):
                read.append(chunk)
                if len(read) < 10:
                    await asyncio.sleep(20.0)
        assert read == [f"word {number} " for number in range(300)]
        assert failover._book.snapshot["a"].breaker.state is CircuitState.RAMPING

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


@pytest.mark.parametrize("style", ["call", "stream"])
def test_in_blocking_code(style: str) -> None:
    with VirtualWorld() as world:
        down = True

        def recovers(request: Any) -> str:
            if down:
                raise ConnectionRefusedError("refused")
            world.sleep(5.0)
            return "recovered"

        def recovers_in_a_stream(request: Any) -> Iterator[str]:
            yield recovers(request)

        targets = [
            Target("a", call=recovers, stream=recovers_in_a_stream),
            Target("b", call=lambda request: "from the backup", stream=lambda request: iter(["from the backup"])),
        ]
        failover = Failover(targets, SETTINGS, world=world)
        for _ in range(3):
            assert failover.call("x") == "from the backup"
        down = False
        world.sleep(20.0)
        began_s = world.now()
        answer = failover.call("x") if style == "call" else "".join(failover.stream("x"))
        assert answer == "from the backup"
        assert world.now() - began_s == pytest.approx(1.0, abs=0.5)
        assert failover.health()["a"].in_flight == 1
        world.sleep(10.0)
        assert failover.health()["a"].state == "ramping"
        assert failover.health()["a"].in_flight == 0


def test_a_probe_that_has_had_its_time_already_when_it_loses() -> None:
    """In real time, on real threads: its end is due in the past by then."""
    opened, entered = threading.Event(), threading.Event()

    def silent(request: Any) -> str:
        entered.set()
        opened.wait(PATIENCE_S)
        return "too late"

    def slow(request: Any) -> str:
        threading.Event().wait(0.05)
        return "from the backup"

    failover = Failover([Target("a", call=silent), Target("b", call=slow)], Settings(answer_s=0.01))
    long_ago = RealWorld.now() - 60.0
    for _ in range(3):
        permit = failover._book.admit("a", long_ago)
        assert permit is not None
        failover._book.failed(permit, long_ago, failover._desk.classify(DOWN), 3.4, parks=False)
    assert failover.call("x") == "from the backup"
    assert entered.is_set()
    for _ in range(1000):
        if not failover.health()["a"].in_flight:
            break
        threading.Event().wait(0.002)
    assert failover.health()["a"].in_flight == 0, "the probe was never settled"
    opened.set()


def test_a_bug_in_a_listener_of_the_late_result_harms_no_worker() -> None:
    """The late result arrives on the worker's own thread, which must survive it."""
    done = threading.Event()

    def listener(event: Any) -> None:
        if type(event).__name__ == "CircuitChanged" and event.new == "ramping":
            done.set()
            raise ZeroDivisionError

    with VirtualWorld() as world:
        down = True

        def recovers(request: Any) -> str:
            if down:
                raise ConnectionRefusedError("refused")
            world.sleep(5.0)
            return "recovered"

        targets = [Target("a", call=recovers), Target("b", call=lambda request: "from the backup")]
        failover = Failover(targets, SETTINGS, world=world, on_event=listener)
        for _ in range(3):
            failover.call("x")
        down = False
        world.sleep(20.0)
        failover.call("x")
        world.sleep(10.0)
    assert done.is_set()
    assert failover.health()["a"].state == "ramping"


def test_a_stream_that_goes_on_when_its_time_is_over_is_not_silent() -> None:
    """The time is that of a first token, which has come; a long answer goes on for minutes."""
    request = lost_probe("stream")
    suspicion = request.health("a").suspicion
    tell(request, lambda n, at: Chunk(n, "a good ", at), elapsed)
    assert request.health("a").in_flight == 0
    assert (request.health("a").failed, request.health("a").suspicion) == (3, suspicion)
    assert request.health("a").breaker.reason == "b was faster"


def test_an_end_at_the_very_moment_when_its_time_is_over() -> None:
    down, problems = True, []

    async def recovers(request: Any) -> str:
        if down:
            raise ConnectionRefusedError("refused")
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        answer: asyncio.Future[str] = loop.create_future()

        def arrives() -> None:  # the loop goes on to the answer and to the end of its time in one round
            answer.set_result("recovered")
            loop.jump(0.001)

        loop.call_later(COLD_ANSWER_S - 0.0005, arrives)
        return await answer

    async def backup(request: Any) -> str:
        return "from the backup"

    async def main() -> None:
        nonlocal down
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
        failover = Failover([Target("a", acall=recovers), Target("b", acall=backup)], SETTINGS)
        for _ in range(3):
            await failover.acall("x")
        down = False
        await asyncio.sleep(20.0)
        assert await failover.acall("x") == "from the backup"
        await asyncio.sleep(COLD_ANSWER_S)
        assert failover._book.snapshot["a"].breaker.state is CircuitState.RAMPING
        assert problems == []

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())
