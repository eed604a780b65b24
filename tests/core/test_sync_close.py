"""A stream that another thread closes, while its reader waits for the next chunk."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from math import inf
from typing import Any

import pytest

from failover_core import Failover, Settings, Target
from failover_core.client import RoutedStream
from failover_core.context import current_attempt
from failover_core.testing.clock import VirtualWorld

TEXT = "long enough to be trusted and to be shown at once, and then nothing more comes for a while "
PATIENCE_S = 5.0


def ended_without_blame(failover: Failover, stream: RoutedStream) -> None:
    assert stream.trace is not None
    assert [attempt.verdict for attempt in stream.trace.attempts] == ["cancelled"]
    health = failover.health()["a"]
    assert (health.asked, health.failed, health.in_flight, health.suspicion) == (1, 0, 0, 0.0)
    assert next(stream, "the end") == "the end"


@pytest.mark.parametrize("first", [TEXT, "short and held back", None])
def test_the_loop_of_the_reader_ends_at_once(first: str | None) -> None:
    with VirtualWorld() as world:

        def silent(request: Any) -> Iterator[str]:
            if first is not None:
                yield first
            world.sleep(inf)

        targets = [Target("a", stream=silent), Target("b", stream=lambda request: iter([TEXT]))]
        failover = Failover(targets, Settings(hold_back_s=1.0), world=world)
        stream = failover.stream("hi")
        began_s = world.now()

        def closes() -> None:
            world.sleep(0.5)
            stream.close()

        world.spawn(closes)
        assert list(stream) == ([TEXT] if first == TEXT else [])
        assert world.now() - began_s == pytest.approx(0.5)
        ended_without_blame(failover, stream)


def closed_by_another_thread(stream: RoutedStream) -> None:
    closer = threading.Thread(target=stream.close)
    closer.start()
    closer.join(PATIENCE_S)


@pytest.mark.parametrize("first", [TEXT, "short and held back"])
def test_an_inline_target_speaks_once_more_and_nobody_hears_it(first: str) -> None:
    closed = []

    def words(request: Any) -> Iterator[str]:
        try:
            yield first
            closed_by_another_thread(stream)
            yield "nobody hears this"
            raise AssertionError("and it is not asked for more")
        finally:
            closed.append(True)

    failover = Failover([Target("a", stream=words)])
    stream = failover.stream("hi")
    assert list(stream) == ([TEXT] if first == TEXT else [])
    assert closed == [True]
    ended_without_blame(failover, stream)


@pytest.mark.parametrize("first", [TEXT, "short and held back"])
def test_an_inline_target_that_can_be_hung_up_on_ends_at_once_and_its_error_is_no_failure(first: str) -> None:
    line = threading.Event()

    def words(request: Any) -> Iterator[str]:
        yield first
        attempt = current_attempt()
        assert attempt is not None
        attempt.hang_up = line.set
        closed_by_another_thread(stream)
        raise ConnectionResetError("the line is dead")

    failover = Failover([Target("a", stream=words)])
    stream = failover.stream("hi")
    assert list(stream) == ([TEXT] if first == TEXT else [])
    assert line.is_set()
    ended_without_blame(failover, stream)


def test_the_target_of_a_stream_that_was_closed_is_told() -> None:
    """Real threads: the reader waits, the target waits, and only `close` can move them."""
    shown, given_up = threading.Event(), threading.Event()

    def words(request: Any) -> Iterator[str]:
        attempt = current_attempt()
        assert attempt is not None
        attempt.hang_up = given_up.set
        yield TEXT
        assert given_up.wait(PATIENCE_S)

    failover = Failover([Target("a", stream=words), Target("b", stream=words)])
    stream = failover.stream("hi")
    read: list[str] = []

    def reads() -> None:
        for chunk in stream:
            read.append(chunk)
            shown.set()

    reader = threading.Thread(target=reads)
    reader.start()
    assert shown.wait(PATIENCE_S)
    stream.close()
    assert given_up.wait(PATIENCE_S)
    reader.join(PATIENCE_S)
    assert not reader.is_alive()
    assert read == [TEXT]


def test_a_value_error_of_its_own_is_not_hidden() -> None:
    def impostor() -> Iterator[str]:
        try:
            yield TEXT
        finally:
            raise ValueError("something else")

    stream = Failover([Target("a", stream=lambda request: iter([TEXT]))]).stream("hi")
    stream._chunks = impostor()  # type: ignore[assignment]
    next(stream)
    with pytest.raises(ValueError, match="something else"):
        stream.close()
