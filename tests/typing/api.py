"""Code as users write it, for the type checkers: it is never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, assert_type

import failover_core
from failover_core import (
    AllTargetsFailed,
    Attempt,
    ConfigError,
    DeadlineExceeded,
    ErrorReport,
    Failover,
    FailoverError,
    Failure,
    FailureKind,
    NoTargetAvailable,
    Outcome,
    OutputRejected,
    RequestInfo,
    RequestRejected,
    RouteTrace,
    Settings,
    StreamInterrupted,
    Target,
    TargetHealth,
    Verdict,
    classify,
)
from failover_core.context import AttemptContext, current_attempt
from failover_core.events import AttemptEnded, CircuitChanged, Happening, RequestLost, TargetParked
from failover_core.health.state import TargetState
from failover_core.output import Finished, OutputReader, Reading
from failover_core.policy.ranking import Policy, Snapshot
from failover_core.testing.clock import VirtualLoop, VirtualWorld
from failover_core.testing.scripted import Behaviour, ScriptedTarget

# -- targets: functions, coroutine functions, objects, SDKs by name -------------------------------------------------


def answer(request: str) -> str:
    return f"answer to {request}"


async def answer_async(request: str) -> str:
    return f"answer to {request}"


def words(request: str) -> Iterator[str]:
    yield from request.split()


async def words_async(request: str) -> AsyncIterator[str]:
    for word in request.split():
        yield word


class Model:
    def __call__(self, request: dict[str, Any]) -> list[str]:
        return list(request)


primary = Target("primary", call=answer, acall=answer_async, stream=words, astream=words_async)
checked = Failover([Target("checked", call=answer, health_check=lambda: None)], Settings(health_check_s=30))
described = Target(
    "eu-backup",
    call=Model(),
    provider="own",
    model="llama",
    region="eu",
    context_window_tokens=128_000,
    lacks=frozenset({"images"}),
    tags=frozenset({"cheap"}),
    weight=3,
    tier=1,
    resume=lambda request, shown: f"{request}\n{shown}",
)
native: Target = Target.native("openai:gpt-4o-mini", base_url="http://localhost:8000/v1", api_key="key")

# -- a failover -----------------------------------------------------------------------------------------------------

failover = Failover([primary, "anthropic:claude-sonnet-4-5", answer, answer_async, Model()])
tuned = Failover(
    (primary, described),
    settings=Settings(deadline_s=20, answer_s=2.5, hedge="off", midstream="raise", on_content_filter="next"),
    policy="weighted",
    rng=Random(7),
    on_event=print,
)

assert_type(failover.targets, tuple[Target, ...])
assert_type(failover.settings, Settings)


def calls() -> None:
    info = RequestInfo(prompt_tokens=1200, needs=frozenset({"tools"}), task="summary", deadline_s=5)
    text: str = failover.call("a question", info)
    outcome = failover.run("a question")
    assert_type(outcome, Outcome)
    assert_type(outcome.trace, RouteTrace)
    assert_type(outcome.trace.attempts, list[Attempt])
    print(text, outcome.value, outcome.trace.explain())


async def async_calls() -> None:
    text: str = await failover.acall("a question")
    outcome = await failover.arun("a question", RequestInfo(thinking=True))
    assert_type(outcome.trace.switched, bool)
    assert_type(outcome.trace.as_dict(), dict[str, Any])
    print(text)


def streams() -> None:
    stream = failover.stream("a question")
    for chunk in stream:
        print(chunk)
        break
    stream.close()
    assert_type(stream.trace, RouteTrace | None)


async def async_streams() -> None:
    stream = failover.astream("a question")
    async for chunk in stream:
        print(chunk)
    await stream.aclose()
    if stream.trace is not None and stream.trace.answer is not None:
        assert_type(stream.trace.answer.first_token_s, float | None)


# -- health ---------------------------------------------------------------------------------------------------------


def health() -> None:
    assert_type(failover.health(), Mapping[str, TargetHealth])
    for name, target in failover.health().items():
        if target.degraded or target.state != "closed":
            print(name, target.reason, f"{target.available_in_s:.1f} s", target.answer_s)


# -- errors ---------------------------------------------------------------------------------------------------------


def errors() -> str | None:
    try:
        return str(failover.call("a question"))
    except StreamInterrupted as error:
        assert_type(error.partial, str)
    except RequestRejected as error:
        assert_type(error.failure, Failure | None)
        if error.failure is not None and error.failure.kind is FailureKind.CONTENT_FILTERED:
            print(error.failure.message, error.failure.status, error.failure.retry_after_s)
    except AllTargetsFailed as error:
        assert_type(error.attempts, Sequence[Attempt])
        for attempt in error.attempts:
            if attempt.verdict is Verdict.NEXT and attempt.kind is FailureKind.RATE_LIMITED:
                print(attempt.line())
    except (NoTargetAvailable, ConfigError) as error:
        print(error)
    except DeadlineExceeded as error:
        as_timeout: TimeoutError = error
        print(as_timeout)
    except FailoverError as error:
        assert_type(error.trace, RouteTrace | None)
    return None


def classification() -> None:
    assert_type(classify(ValueError("x")), Failure)
    assert_type(classify(ErrorReport(provider="xai", status=403, message="..."), now=lambda: 0.0).kind, FailureKind)


# -- own rules ------------------------------------------------------------------------------------------------------


def polite(finished: Finished) -> None:
    if "please" not in finished.text:
        raise OutputRejected("impolite", output=finished.output)


def cheap_first(candidates: Sequence[Target], snapshot: Snapshot, request: RequestInfo) -> Sequence[Target]:
    def rank(target: Target) -> tuple[bool, int, float]:
        state = snapshot[target.name]
        assert_type(state, TargetState)
        return "cheap" not in target.tags, state.in_flight, snapshot.draw()

    return sorted(candidates, key=rank)


class Reader:
    expects_finish = True
    usage_adds_up = False

    def read(self, output: Any) -> Reading:
        return Reading(text=output["text"], has_content=True, finish_reason=output.get("finish"))

    def read_chunk(self, chunk: Any) -> Reading:
        return Reading(text=chunk["delta"], has_content=bool(chunk["delta"]), usage={"output_tokens": 1})

    def with_text(self, chunk: Any, text: str) -> Any:
        return {**chunk, "delta": text}


own_policy: Policy = cheap_first
own_reader: OutputReader = Reader()
own = Failover([Target("own", call=answer, reader=own_reader)], Settings(validators=(polite,)), policy=own_policy)


def listen(event: Happening) -> None:
    match event:
        case TargetParked(target, kind, message, park_s):
            print(target, kind.value, message, park_s + 1)
        case CircuitChanged(target=target, new="open", until_s=until_s):
            print(target, until_s)
        case AttemptEnded(request_id, attempt):
            print(request_id, attempt.target.name)
        case RequestLost(trace, error):
            print(trace.request_id, error)
        case _:
            pass


leave: Callable[[], None] = own.subscribe(listen)


def inside_a_target(request: str) -> str:
    attempt = current_attempt()
    assert_type(attempt, AttemptContext | None)
    return f"{attempt.number} {attempt.remaining_s}" if attempt is not None else "outside"


# -- tests of one's own code ----------------------------------------------------------------------------------------


def tests() -> None:
    script = ScriptedTarget("flaky", [Behaviour(status=503), Behaviour(after_s=0.2, text="All is well.")])
    with VirtualWorld() as world:
        print(Failover([script.target(world)], world=world).call("x"))
    loop = VirtualLoop()
    loop.close()


assert_type(failover_core.__version__, str)
