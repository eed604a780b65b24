"""Blocking code that is short of threads, or of time, or interrupted while a thread starts. Nothing here sleeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from failover_core import AllTargetsFailed, DeadlineExceeded, Failover, FailureKind, Settings, Target
from failover_core.classify import classify
from failover_core.context import AttemptContext
from failover_core.drivers.sync import run, streaming
from failover_core.drivers.world import MAX_WAITING_CHUNKS, Mailbox, RealMailbox, RealWorld
from failover_core.effects import Detach, Event, Failed, Flow, Start, Wait
from failover_core.output import Reading
from failover_core.testing.clock import VirtualWorld

RAW = "can't start new thread"


class Short(RealWorld):
    """A world whose system has `left` threads left. What it was asked to run it remembers."""

    def __init__(self, left: int = 0, error: BaseException | None = None) -> None:
        super().__init__()
        self.left = left
        self.error = error or RuntimeError(RAW)
        self.works: list[Callable[[], None]] = []

    def spawn(self, work: Callable[[], None]) -> None:  # type: ignore[override]
        self.works.append(work)
        if self.left <= 0:
            raise self.error
        self.left -= 1
        RealWorld.spawn(work)


def two(world: Any, settings: Settings | None = None) -> Failover:
    targets = [Target(name, call=lambda request, name=name: name) for name in ("a", "b")]
    return Failover(targets, settings, world=world)


def start_of(name: str, asked: Callable[[Any], Any] = str) -> Start:
    context = AttemptContext(Target(name, call=asked, stream=asked), 1, "0" * 16, None)
    return Start(1, context, "hi", watched=True)


# -- no thread left -------------------------------------------------------------------------------------------------


def test_without_a_thread_an_attempt_fails_like_any_other_and_nobody_is_blamed() -> None:
    world = Short()
    failover = two(world, Settings(deadline_s=9.0))
    for _ in range(50):  # more often than a target may have attempts abandoned
        with pytest.raises(AllTargetsFailed, match=RAW):
            failover.call("hi")
    for health in failover.health().values():
        assert (health.in_flight, health.abandoned, health.suspicion, health.state) == (0, 0, 0.0, "closed")
    world.left = 1
    assert failover.call("hi") == "a", "as soon as there is one again"


def test_the_last_candidate_answers_in_the_caller_s_own_thread() -> None:
    failover = two(Short(), Settings(backoff_s=0.0))
    outcome = failover.run("hi")
    assert outcome.value == "b"
    assert [attempt.kind for attempt in outcome.trace.attempts] == [FailureKind.UNKNOWN, None]


def test_who_is_raced_goes_on_where_there_is_no_thread_for_another() -> None:
    class OneThread(VirtualWorld):
        left = 1

        def spawn(self, work: Callable[[], None]) -> None:
            if not self.left:
                raise RuntimeError(RAW)
            self.left -= 1
            super().spawn(work)

    with OneThread() as world:

        def late(request: Any) -> str:
            world.sleep(5.0)
            return "late"

        failover = Failover([Target("a", call=late), Target("b", call=str)], Settings(answer_s=1.0), world=world)
        outcome = failover.run("hi")
        assert outcome.value == "late"
        assert [attempt.target.name for attempt in outcome.trace.attempts][:2] == ["a", "b"]


def test_a_detached_attempt_is_given_up_at_once_where_nobody_could_end_it_later() -> None:
    world, heard = Short(), list[Event]()
    attempts = streaming(world)
    world.left = 1
    attempts.perform(start_of("a", iter))
    attempt = attempts._live[1]
    attempts.perform(Detach(1, world.now() + 60.0, heard.append))
    assert attempt.cancelled
    (failed,) = (event for event in heard if isinstance(event, Failed))
    assert classify(failed.error).kind is FailureKind.LOCAL_ERROR, "which is no evidence against the target"


def test_ctrl_c_while_a_thread_starts_leaves_no_attempt_behind() -> None:
    world, asked = Short(error=KeyboardInterrupt()), list[Any]()
    failover = Failover([Target("a", call=asked.append), Target("b", call=asked.append)], world=world)
    with pytest.raises(KeyboardInterrupt):
        failover.call("hi")
    assert failover.health()["a"].abandoned == 0
    (work,) = world.works
    work()  # the thread did start, only a little later
    assert asked == [], "a request that was given up before is not made any more"
    assert failover.health()["a"].abandoned == 0


def test_a_second_ctrl_c_does_not_keep_attempts_from_being_told() -> None:
    def flow() -> Flow:
        try:
            yield start_of("a", asked.append)
            yield Wait(0.0)
        finally:
            raise KeyboardInterrupt

    class Interrupted(RealWorld):
        spawn = staticmethod(lambda work: works.append(work))

        @staticmethod
        def mailbox() -> Mailbox:
            return InterruptedMailbox()

    class InterruptedMailbox(RealMailbox):
        def get(self, until_s: float | None) -> None:
            raise KeyboardInterrupt

    works, asked = list[Callable[[], None]](), list[Any]()
    with pytest.raises(KeyboardInterrupt):
        run(flow(), Interrupted())
    (work,) = works
    work()
    assert asked == [], "it has been given up"


# -- the deadline of a slow reader ----------------------------------------------------------------------------------


class Reader:
    """Chunks are texts; "." ends the answer, "(usage)" comes after it."""

    expects_finish = False
    usage_adds_up = False

    def read(self, output: Any) -> Reading:
        return Reading(text=output, has_content=True)

    def read_chunk(self, chunk: Any) -> Reading:
        if chunk == "(usage)":
            return Reading(usage={"output_tokens": 9})
        return Reading(text=chunk, has_content=True, finish_reason="stop" if chunk == "." else None)

    def with_text(self, chunk: Any, text: str) -> Any:
        return text


def read_slowly(
    words: list[str], pause_s: Callable[[str], float], deadline_s: float = 1.0
) -> Iterator[tuple[float, str]]:
    """Yields (seconds, chunk) of a target that says all of its words at once."""
    with VirtualWorld() as world:
        began_s = world.now()
        target = Target("a", stream=lambda request: iter(words), reader=Reader())  # type: ignore[arg-type]
        for chunk in Failover([target], Settings(deadline_s=deadline_s), world=world).stream("hi"):
            yield world.now() - began_s, chunk
            world.sleep(pause_s(chunk))


def test_a_deadline_holds_for_chunks_that_wait_for_a_slow_reader() -> None:
    words = [f"word {number} of a long answer, " for number in range(4 * MAX_WAITING_CHUNKS)]
    shown = []
    with pytest.raises(DeadlineExceeded) as caught:
        for at_s, chunk in read_slowly(words, lambda chunk: 0.1):
            shown.append(chunk)
            assert at_s < 1.0
    assert shown == words[: len(shown)]
    assert 8 <= len(shown) <= 11
    assert f"after {len(''.join(shown))} characters" in str(caught.value)


def test_who_has_been_given_all_in_time_may_take_as_long_as_he_likes_over_the_end_of_it() -> None:
    words = ["a text that is long enough to be shown at once, and then a few more words ", "to the ", "end"]
    pause_s = {"end": 60.0}
    assert [chunk for _, chunk in read_slowly(words, lambda chunk: pause_s.get(chunk, 0.0))] == words


def test_the_last_words_pass_when_all_has_been_said_in_time() -> None:
    words = ["a text that is long enough to be shown at once, and then a few more words ", "end", ".", "(usage)"]
    pause_s = {".": 60.0}
    assert [chunk for _, chunk in read_slowly(words, lambda chunk: pause_s.get(chunk, 0.0))] == words
