"""`Failover` as users meet it: what it is made of, what it gives, what it believes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from random import Random
from typing import Any

import pytest

from failover_core import (
    AllTargetsFailed,
    ConfigError,
    Failover,
    NoTargetAvailable,
    Outcome,
    RequestInfo,
    Settings,
    Target,
)
from failover_core.events import CircuitChanged


def answer(request: Any) -> str:
    return f"answer to {request}"


async def answer_async(request: Any) -> str:
    return f"async answer to {request}"


def words(request: Any) -> Iterator[str]:
    yield from ("a ", "few ", "words")


async def words_async(request: Any) -> AsyncIterator[str]:
    for word in words(request):
        yield word


def refuses(request: Any) -> str:
    raise ConnectionRefusedError("refused")


class Model:
    def __call__(self, request: Any) -> str:
        return "from an object"


class AsyncModel:
    async def __call__(self, request: Any) -> str:
        return "from an async object"


# -- construction ---------------------------------------------------------------------------------------------------


def test_there_must_be_targets() -> None:
    with pytest.raises(ConfigError) as caught:
        Failover([])
    assert str(caught.value) == "There are no targets: pass at least one, two to have something to fail over to"


@pytest.mark.parametrize("targets", ["openai:gpt-4o-mini", None, Target("a", call=answer), {"a": answer}])
def test_targets_come_as_a_list(targets: Any) -> None:
    with pytest.raises(ConfigError, match="pass a list, such as Failover"):
        Failover(targets)


def test_a_generator_of_targets_is_not_a_list() -> None:
    with pytest.raises(ConfigError, match="pass a list"):
        Failover(target for target in [answer])  # type: ignore[arg-type]


@pytest.mark.parametrize("target", [None, 3, object()])
def test_each_target_must_be_one(target: Any) -> None:
    with pytest.raises(ConfigError, match=r"is not a target: pass a Target, a string such as 'openai:gpt-4o-mini'"):
        Failover([answer, target])


def test_a_failover_is_not_a_target_but_its_call_is_one() -> None:
    inner = Failover([answer])
    with pytest.raises(ConfigError, match="is not a target"):
        Failover([inner])  # type: ignore[list-item]
    assert Failover([Target("inner", call=inner.call)]).call("x") == "answer to x"


def test_names_are_unique() -> None:
    twins = [Target("a", call=answer), Target("b", call=answer), Target("a", acall=answer_async)]
    with pytest.raises(ConfigError) as caught:
        Failover(twins)
    assert str(caught.value) == ("Two targets are called 'a': health is kept by name, so give each its own name=")


def test_two_lambdas_are_told_to_get_names() -> None:
    with pytest.raises(ConfigError, match=r"'<lambda>'.*give each its own name="):
        Failover([lambda request: 1, lambda request: 2])


@pytest.mark.parametrize("settings", [{"deadline_s": 3}, "fast", 5])
def test_settings_are_settings(settings: Any) -> None:
    with pytest.raises(ConfigError, match=r"pass Settings\(\.\.\.\), such as Settings\(deadline_s=20\)"):
        Failover([answer], settings)


@pytest.mark.parametrize("policy", ["quickest", None, 3])
def test_an_unknown_policy_lists_those_that_exist(policy: Any) -> None:
    with pytest.raises(
        ConfigError, match="write one of 'priority', 'weighted', 'fastest', 'least_busy', 'cheapest', or pass"
    ):
        Failover([answer], policy=policy)


def test_a_listener_must_be_callable() -> None:
    with pytest.raises(ConfigError, match=r"on_event=5: pass a function that takes one event"):
        Failover([answer], on_event=5)  # type: ignore[arg-type]


def test_plain_callables_become_targets_under_their_own_names() -> None:
    failover = Failover([answer, answer_async, Model(), AsyncModel()])
    assert [target.name for target in failover.targets] == ["answer", "answer_async", "Model", "AsyncModel"]
    assert [target.acall is not None for target in failover.targets] == [False, True, False, True]
    assert [target.call is not None for target in failover.targets] == [True, False, True, False]


async def test_an_object_with_an_async_call_is_awaited() -> None:
    assert await Failover([AsyncModel()]).acall("x") == "from an async object"
    assert await Failover([partial(answer_async)]).acall("x") == "async answer to x"


# -- answers --------------------------------------------------------------------------------------------------------


def test_call_and_run() -> None:
    failover = Failover([Target("a", call=answer)])
    assert failover.call("x") == "answer to x"
    outcome = failover.run("x")
    assert isinstance(outcome, Outcome)
    assert outcome.value == "answer to x"
    assert [attempt.target.name for attempt in outcome.trace.attempts] == ["a"]
    assert not outcome.trace.switched


async def test_acall_and_arun() -> None:
    failover = Failover([Target("a", acall=answer_async)])
    assert await failover.acall("x") == "async answer to x"
    outcome = await failover.arun("x")
    assert outcome.value == "async answer to x"
    assert outcome.trace.target is failover.targets[0]


def test_the_request_reaches_the_target_as_the_very_same_object() -> None:
    seen: list[Any] = []

    def look(request: Any) -> str:
        seen.append(request)
        return "ok"

    request = {"any": ["thing"]}
    Failover([look]).call(request)
    assert seen[0] is request


def test_stream_is_lazy_and_has_its_trace_from_the_first_chunk_on() -> None:
    stream = Failover([Target("a", stream=words)]).stream("x")
    assert stream.trace is None
    assert next(stream) == "a "
    assert stream.trace is not None
    assert list(stream) == ["few ", "words"]
    assert [attempt.verdict for attempt in stream.trace.attempts] == ["answered"]


async def test_astream_is_lazy_and_has_its_trace_from_the_first_chunk_on() -> None:
    stream = Failover([Target("a", astream=words_async)]).astream("x")
    assert stream.trace is None
    assert await anext(stream) == "a "
    assert stream.trace is not None
    assert [chunk async for chunk in stream] == ["few ", "words"]
    assert stream.trace.answer is stream.trace.attempts[0]


def test_a_stream_that_was_never_read_asks_nobody() -> None:
    failover = Failover([Target("a", stream=words)])
    failover.stream("x").close()
    assert failover.health()["a"].asked == 0


async def test_an_astream_that_was_never_read_asks_nobody() -> None:
    failover = Failover([Target("a", astream=words_async)])
    await failover.astream("x").aclose()
    assert failover.health()["a"].asked == 0


def test_a_closed_stream_is_over() -> None:
    stream = Failover([Target("a", stream=words)]).stream("x")
    next(stream)
    stream.close()
    stream.close()
    assert list(stream) == []


def test_a_dead_first_target_is_invisible_and_told_in_the_trace() -> None:
    failover = Failover([Target("dead", call=refuses), Target("b", call=answer)], Settings(backoff_s=0))
    outcome = failover.run("x")
    assert outcome.value == "answer to x"
    assert outcome.trace.switched
    assert [(a.target.name, a.verdict, a.kind) for a in outcome.trace.attempts] == [
        ("dead", "retry", "connection"),
        ("dead", "next", "connection"),
        ("b", "answered", None),
    ]


def test_weighted_policy_and_seeded_randomness_give_the_same_choices_twice() -> None:
    def choices() -> list[str]:
        targets = [Target(name, call=answer, weight=weight) for name, weight in (("a", 3), ("b", 1))]
        failover = Failover(targets, policy="weighted", rng=Random(11))
        return [failover.run("x").trace.attempts[0].target.name for _ in range(40)]

    first = choices()
    assert first == choices()
    assert set(first) == {"a", "b"}


def test_a_policy_may_be_a_function() -> None:
    failover = Failover(
        [Target("a", call=answer), Target("b", call=answer)],
        policy=lambda candidates, snapshot, request: [c for c in candidates if c.name == request.task],
    )
    assert failover.run("x", RequestInfo(task="b")).trace.attempts[0].target.name == "b"


def test_what_a_policy_does_to_its_candidates_concerns_no_other_request() -> None:
    def pops(candidates: Any, snapshot: Any, request: RequestInfo) -> Any:
        candidates.pop()
        return candidates

    failover = Failover([Target("a", call=answer), Target("b", call=answer)], policy=pops)
    outcomes = [failover.run("x") for _ in range(3)]
    assert [outcome.trace.target.name for outcome in outcomes if outcome.trace.target] == ["a", "a", "a"]


def test_a_policy_may_return_an_iterator() -> None:
    failover = Failover(
        [Target("a", call=answer), Target("dead", call=refuses)],
        Settings(same_target_retries=0),
        policy=lambda candidates, snapshot, request: reversed(candidates),
    )
    assert [attempt.target.name for attempt in failover.run("x").trace.attempts] == ["dead", "a"]


@pytest.mark.parametrize(("wanted", "error"), [([], NoTargetAvailable), (["dead"], AllTargetsFailed)])
def test_an_error_tells_whom_the_policy_left_out(wanted: list[str], error: type[Exception]) -> None:
    failover = Failover(
        [Target("dead", call=refuses), Target("a", call=answer)],
        policy=lambda candidates, snapshot, request: [target for target in candidates if target.name in wanted],
    )
    with pytest.raises(error, match="-  a: not asked, the policy left it out"):
        failover.call("x")


# -- health ---------------------------------------------------------------------------------------------------------


def test_health_before_anything_happened() -> None:
    health = Failover([Target("a", call=answer)]).health()
    assert list(health) == ["a"]
    assert (health["a"].state, health["a"].suspicion, health["a"].degraded) == ("closed", 0.0, False)
    assert (health["a"].asked, health["a"].in_flight, health["a"].answer_s) == (0, 0, None)
    assert health["a"].available_in_s == 0.0


def test_health_cannot_be_written_to() -> None:
    health = Failover([answer]).health()
    with pytest.raises(TypeError):
        health["answer"] = None  # type: ignore[index]


def test_health_after_failures() -> None:
    failover = Failover([Target("dead", call=refuses), Target("b", call=answer)], Settings(backoff_s=0))
    for _ in range(3):
        failover.call("x")
    dead, b = failover.health()["dead"], failover.health()["b"]
    assert (dead.state, dead.degraded, dead.failed, dead.answered) == ("open", True, 3, 0)
    assert dead.reason == "connection: refused"
    assert 0 < dead.available_in_s <= 6.0
    assert (b.state, b.asked, b.answered, b.in_flight) == ("closed", 3, 3, 0)
    assert b.answer_s is not None


def test_subscribers_hear_events_until_they_leave() -> None:
    failover = Failover([Target("dead", call=refuses), Target("b", call=answer)], Settings(backoff_s=0))
    heard: list[Any] = []
    leave = failover.subscribe(heard.append)
    failover.call("x")
    failover.call("x")
    assert [type(event).__name__ for event in heard if isinstance(event, CircuitChanged)] == ["CircuitChanged"]
    count = len(heard)
    leave()
    failover.call("x")
    assert len(heard) == count


def test_two_failovers_do_not_share_health() -> None:
    targets = [Target("dead", call=refuses), Target("b", call=answer)]
    one, other = Failover(targets, Settings(backoff_s=0)), Failover(targets)
    one.call("x")
    assert one.health()["dead"].failed == 2
    assert other.health()["dead"].failed == 0


def test_threads_may_share_a_failover() -> None:
    from concurrent.futures import ThreadPoolExecutor

    failover = Failover([Target("a", call=answer), Target("b", call=answer)])
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(failover.call, range(400)))
    assert answers == [f"answer to {number}" for number in range(400)]
    assert (failover.health()["a"].asked, failover.health()["a"].in_flight) == (400, 0)


@pytest.mark.parametrize("hedge", ["off", "overdue"])
def test_threads_lose_no_count(hedge: str) -> None:
    """Every attempt of a thousand is in the books, whatever became of it."""
    from concurrent.futures import ThreadPoolExecutor

    def flaky(request: int) -> str:
        if request % 7 == 0:
            raise ConnectionResetError
        return "fine"

    failover = Failover(
        [Target("a", call=flaky), Target("b", call=answer), Target("c", call=answer)],
        Settings(hedge=hedge, same_target_retries=0),  # type: ignore[arg-type]
        policy="least_busy",
    )
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(failover.run, range(1000)))
    attempts = [attempt for outcome in outcomes for attempt in outcome.trace.attempts]
    health = failover.health()
    for name, one in health.items():
        assert one.asked == sum(attempt.target.name == name for attempt in attempts)
        assert one.failed == sum(attempt.target.name == name and attempt.kind is not None for attempt in attempts)
    assert sum(one.answered for one in health.values()) == 1000
    assert sum(one.in_flight for one in health.values()) == 0


async def test_sync_and_async_calls_share_health() -> None:
    failover = Failover([Target("a", call=answer, acall=answer_async)])
    await failover.acall("x")
    await asyncio.to_thread(failover.call, "x")
    assert failover.health()["a"].answered == 2
