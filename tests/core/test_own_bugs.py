"""A target's reader and its resume callable are code of the application: what they raise is told as such, by name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from failover_core import (
    Failover,
    FailoverError,
    FailureKind,
    RequestRejected,
    Settings,
    StreamInterrupted,
    Target,
    Verdict,
)
from failover_core.output import Reading
from failover_core.testing.scripted import Finish, ScriptedReader
from stepping import Stepper, failover_of, scripted

FOX = "The quick brown fox jumps over the lazy dog and then it sleeps all day"
BROKEN = ConnectionResetError(104, "Connection reset by peer")


class Misreads(ScriptedReader):
    def read(self, output: Any) -> Any:
        raise KeyError("choices")

    def read_chunk(self, chunk: Any) -> Any:
        if chunk == "<odd>":
            raise KeyError("delta")
        return super().read_chunk(chunk)

    def with_text(self, chunk: Any, text: str) -> Any:
        raise KeyError("text")


class CountsInWords(ScriptedReader):
    usage_adds_up = True

    def read(self, output: Any) -> Reading:
        usage: Any = {"output_tokens": "a few"}
        return Reading(text=output, has_content=True, finish_reason="stop", usage=usage)

    def read_chunk(self, chunk: Any) -> Reading:
        usage: Any = {"output_tokens": None}
        return Reading(text=chunk, has_content=True, usage=usage)


def streaming(*targets: str | Target, **settings: Any) -> Stepper:
    return Stepper(failover_of(*targets, **{"hold_back_tokens": 1, "hold_back_s": 0.0, **settings}), "stream")


def assert_told(error: BaseException | None, kind: type[FailoverError], what: str) -> None:
    assert type(error) is kind
    assert isinstance(error.__cause__, KeyError | ZeroDivisionError | TypeError | ValueError)
    assert error.failure is not None and error.trace is not None  # type: ignore[attr-defined]
    assert error.failure.kind is FailureKind.LOCAL_ERROR  # type: ignore[attr-defined]
    assert what in str(error)


def test_a_reader_that_cannot_read_an_answer() -> None:
    request = Stepper(failover_of(scripted("a", reader=Misreads()), "b"))
    request.returns("a", "hello")
    assert_told(request.error, RequestRejected, "a: its reader's read raised KeyError: 'choices'")
    assert request.started == ["a"]
    assert (request.health("a").in_flight, request.health("a").suspicion) == (0, 0.0)


def test_a_reader_that_cannot_read_the_first_chunk() -> None:
    request = streaming(scripted("a", reader=Misreads()), "b")
    request.sends("a", "<odd>")
    assert_told(request.error, RequestRejected, "a: its reader's read_chunk raised KeyError: 'delta'")
    assert request.cancelled == ["a"]


def test_a_reader_that_cannot_read_a_later_chunk() -> None:
    request = streaming(scripted("a", reader=Misreads()), "b")
    request.sends("a", FOX, "<odd>")
    assert_told(request.error, StreamInterrupted, "a: its reader's read_chunk raised KeyError: 'delta'")
    assert isinstance(request.error, StreamInterrupted)
    assert (request.error.partial, request.emitted, request.cancelled) == (FOX, [FOX], ["a"])


def test_a_reader_whose_usage_is_no_number() -> None:
    request = Stepper(failover_of(scripted("a", reader=CountsInWords()), "b"))
    request.returns("a", "hello")
    assert_told(request.error, RequestRejected, "a: its reader's read raised ValueError")
    request = streaming(scripted("a", reader=CountsInWords()), "b")
    request.sends("a", FOX, " and on")
    assert_told(request.error, StreamInterrupted, "a: its reader's read_chunk raised TypeError")


def test_a_reader_that_cannot_write_where_texts_are_joined() -> None:
    request = streaming("a", scripted("b", reader=Misreads()))
    request.sends("a", FOX[:44])
    request.fails("a", BROKEN)
    request.sends("b", FOX)
    assert_told(request.error, StreamInterrupted, "b: its reader's with_text raised KeyError: 'text'")


def test_a_resume_callable_that_fails() -> None:
    request = streaming("a", scripted("b", resume=lambda request, shown: 1 // 0), "c")
    request.sends("a", FOX)
    request.fails("a", BROKEN)
    assert_told(request.error, StreamInterrupted, "b: its resume callable raised ZeroDivisionError")
    assert isinstance(request.error, StreamInterrupted)
    assert request.error.partial == FOX
    assert request.health("b").in_flight == 0
    assert request.verdicts[-1] == ("b", "resume", "raise")


class TellsSecrets(ScriptedReader):
    def read(self, output: Any) -> Any:
        raise KeyError("sk-proj-abcdefghijklmnopqrstuvwxyz0123456789\nline two " + 5000 * "x")


class CannotEvenSay(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


class SaysNothing(ScriptedReader):
    def read(self, output: Any) -> Any:
        raise CannotEvenSay


def test_what_a_reader_says_is_short_and_tells_no_secrets() -> None:
    request = Stepper(failover_of(scripted("a", reader=TellsSecrets())))
    request.returns("a", "hello")
    assert isinstance(request.error, RequestRejected)
    assert request.error.failure is not None
    message = request.error.failure.message
    assert message.startswith("a: its reader's read raised KeyError: '[redacted]")
    assert len(message) < 400
    assert "sk-proj" not in str(request.error)


def test_an_error_that_cannot_even_say_what_it_is() -> None:
    request = Stepper(failover_of(scripted("a", reader=SaysNothing())))
    request.returns("a", "hello")
    assert "a: its reader's read raised CannotEvenSay: (its text cannot be read)" in str(request.error)


# -- policies -------------------------------------------------------------------------------------------------------


def breaks(candidates: Any, snapshot: Any, request: Any) -> Any:
    raise KeyError("region")


def half_way(candidates: Any, snapshot: Any, request: Any) -> Any:
    yield candidates[0]
    raise KeyError("region")


@pytest.mark.parametrize("style", ["call", "stream"])
@pytest.mark.parametrize(
    ("policy", "why"),
    [
        (breaks, "the policy breaks failed: KeyError: 'region'"),
        (half_way, "the policy half_way failed: KeyError: 'region'"),
        (lambda *_: None, "the policy <lambda> failed: TypeError: a policy must return the candidates in order"),
        (lambda *_: ["a"], "failed: ValueError: a policy must return candidates that it was given, not 'a'"),
        (lambda *_: [scripted("z")], "failed: ValueError: a policy must return candidates that it was given, not 'z'"),
    ],
)
def test_a_policy_that_fails(policy: Any, why: str, style: Any) -> None:
    heard: list[Any] = []
    failover = Failover([scripted("a"), scripted("b")], policy=policy, on_event=heard.append)
    request = Stepper(failover, style)
    assert_told(request.error, RequestRejected, why)
    assert str(request.error).startswith("The choice of a target failed on this side (local_error): the policy ")
    assert request.started == []
    assert request.trace.skipped == {"a": "the policy failed", "b": "the policy failed"}
    assert [type(event).__name__ for event in heard] == ["RequestLost"]
    assert heard[0].error is request.error


CHUNKS = (FOX, " and on", "<odd>", " it goes", Finish())


def of_chunks(request: Any) -> Iterator[Any]:
    yield from CHUNKS


async def of_async_chunks(request: Any) -> AsyncIterator[Any]:
    for chunk in CHUNKS:
        yield chunk


@pytest.mark.parametrize("hedge", ["overdue", "off"])
def test_under_the_drivers_nothing_is_shown_after_it(hedge: Any) -> None:
    target = Target("a", stream=of_chunks, astream=of_async_chunks, reader=Misreads())
    backup = Target("b", stream=of_chunks, astream=of_async_chunks)
    failover = Failover([target, backup], Settings(hedge=hedge, hold_back_tokens=1, hold_back_s=0.0))
    seen: list[Any] = []

    async def read() -> None:
        async for chunk in failover.astream("request"):
            seen.append(chunk)  # noqa: PERF401  # what came before the error is what counts

    with pytest.raises(StreamInterrupted, match="read_chunk raised KeyError") as caught:
        seen.extend(failover.stream("request"))
    assert seen == [FOX, " and on"]
    assert caught.value.attempts[0].verdict is Verdict.RAISE
    seen.clear()
    with pytest.raises(StreamInterrupted, match="read_chunk raised KeyError") as caught:
        asyncio.run(read())
    assert seen == [FOX, " and on"]
    assert caught.value.partial == FOX + " and on"
