"""The engine in blocking code. These tests are about real threads; what they wait for are events, hardly ever time."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from failover_core import DeadlineExceeded, Failover, RequestInfo, RequestRejected, Settings, StreamInterrupted, Target
from failover_core.context import AttemptContext, current_attempt
from failover_core.drivers.sync import Attempts
from failover_core.drivers.sync_attempt import pull_inline, pull_on_thread
from failover_core.drivers.workers import WORKERS
from failover_core.drivers.world import MAX_WAITING_CHUNKS, RealMailbox, RealWorld
from failover_core.effects import AttemptEvent, Chunk, Detach, Start
from failover_core.testing.clock import VirtualWorld

PATIENCE_S = 5.0
INLINE = Settings(hedge="off")
THREADED = Settings()
USER: ContextVar[str] = ContextVar("user", default="nobody")


def thread_name(request: Any) -> str:
    return threading.current_thread().name


def backup(request: Any) -> str:
    return "from the backup"


def backup_words(request: Any) -> Iterator[str]:
    yield from ("from ", "the ", "backup")


def failover(*targets: Target, settings: Settings = THREADED, **options: Any) -> Failover:
    """Two targets at least, so that there is somebody to race and attempts are watched."""
    return Failover([*targets, Target("backup", call=backup, stream=backup_words)], settings, **options)


def counts(failover: Failover, name: str) -> tuple[int, int, int, int]:
    health = failover.health()[name]
    return (health.asked, health.answered, health.failed, health.in_flight)


class Gate:
    """A target that is silent until it is opened."""

    def __init__(self, value: Any = "at last") -> None:
        self.opened, self.entered, self.left = threading.Event(), threading.Event(), threading.Event()
        self.value = value

    def __call__(self, request: Any) -> Any:
        self.entered.set()
        assert self.opened.wait(PATIENCE_S)
        self.left.set()
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value


def context_of(name: str) -> AttemptContext:
    return AttemptContext(Target(name, stream=backup_words), 1, "0" * 16, None)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()
    if gate.entered.is_set():
        assert gate.left.wait(PATIENCE_S)


# -- where attempts run ---------------------------------------------------------------------------------------------


def test_an_unwatched_attempt_runs_in_the_caller_s_own_thread() -> None:
    here = threading.current_thread().name
    assert failover(Target("a", call=thread_name), settings=INLINE).call("x") == here
    assert Failover([Target("alone", call=thread_name)]).call("x") == here


@pytest.mark.parametrize(
    "settings", [THREADED, Settings(hedge="off", answer_s=9.0), Settings(hedge="off", deadline_s=9.0)]
)
def test_an_attempt_that_may_have_to_be_given_up_runs_on_a_worker(settings: Settings) -> None:
    assert failover(Target("a", call=thread_name), settings=settings).call("x") == "failover-attempt"


def test_streams_too() -> None:
    def names(request: Any) -> Iterator[str]:
        yield threading.current_thread().name
        yield threading.current_thread().name

    here = threading.current_thread().name
    assert list(failover(Target("a", stream=names), settings=INLINE).stream("x")) == [here] * 2
    assert list(failover(Target("a", stream=names)).stream("x")) == ["failover-attempt"] * 2


def test_workers_are_daemons_so_that_a_silent_provider_cannot_keep_a_program_from_ending() -> None:
    assert failover(Target("a", call=lambda request: threading.current_thread().daemon)).call("x") is True


@pytest.mark.parametrize("settings", [INLINE, THREADED], ids=["inline", "threaded"])
def test_the_caller_s_context_reaches_the_target(settings: Settings) -> None:
    USER.set("alice")
    assert failover(Target("a", call=lambda request: USER.get()), settings=settings).call("x") == "alice"


def test_what_a_worker_sets_in_its_context_stays_there() -> None:
    def changes(request: Any) -> str:
        USER.set("mallory")
        return USER.get()

    USER.set("alice")
    assert failover(Target("a", call=changes)).call("x") == "mallory"
    assert USER.get() == "alice"


# -- the attempt's context ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [INLINE, THREADED], ids=["inline", "threaded"])
def test_a_target_can_ask_which_attempt_it_is(settings: Settings) -> None:
    def tell(request: Any) -> str:
        attempt = current_attempt()
        assert attempt is not None
        return f"{attempt.target.name} {attempt.number} {attempt.remaining_s}"

    assert current_attempt() is None
    assert failover(Target("a", call=tell), settings=settings).call("x") == "a 1 None"
    assert current_attempt() is None


def test_a_failover_inside_of_a_failover_gives_the_outer_attempt_back() -> None:
    inner = Failover([Target("inner", call=backup)], INLINE)

    def outer(request: Any) -> str:
        inner.call(request)
        list(Failover([Target("inner", stream=backup_words)], INLINE).stream(request))
        attempt = current_attempt()
        return attempt.target.name if attempt is not None else "nobody"

    assert failover(Target("outer", call=outer), settings=INLINE).call("x") == "outer"


def test_chunks_are_read_in_the_attempt_s_context_and_used_outside_of_it() -> None:
    inside = []

    def words(request: Any) -> Iterator[str]:
        for word in ("one ", "two "):
            inside.append(current_attempt())
            yield word

    outside = [current_attempt() for _ in failover(Target("a", stream=words), settings=INLINE).stream("x")]
    assert outside == [None, None]
    assert [attempt is not None for attempt in inside] == [True, True]


# -- giving up ------------------------------------------------------------------------------------------------------


def test_the_late_result_of_an_attempt_given_up_falls_on_deaf_ears(gate: Gate) -> None:
    routes = failover(Target("a", call=gate), settings=Settings(answer_s=0.01))
    assert routes.call("x") == "from the backup"
    assert counts(routes, "a") == (1, 0, 0, 0)
    gate.opened.set()
    assert gate.left.wait(PATIENCE_S)
    assert routes.call("y", RequestInfo(side_effects=True)) == "at last"
    assert counts(routes, "a") == (2, 1, 0, 0)


def test_a_late_error_of_an_attempt_given_up_blames_nobody_twice(gate: Gate) -> None:
    gate.value = ConnectionResetError("reset")
    routes = failover(Target("a", call=gate), settings=Settings(answer_s=0.01))
    routes.call("x")
    suspicion = routes.health()["a"].suspicion
    gate.opened.set()
    assert gate.left.wait(PATIENCE_S)
    assert routes.health()["a"].suspicion <= suspicion
    assert routes.health()["a"].failed == 0


def test_a_deadline_ends_the_wait_for_a_silent_target(gate: Gate) -> None:
    routes = Failover([Target("a", call=gate)], Settings(deadline_s=0.02))
    with pytest.raises(DeadlineExceeded):
        routes.call("x")
    assert counts(routes, "a") == (1, 0, 0, 0)


def test_silent_targets_never_keep_others_waiting() -> None:
    """A pool of fixed size would be full of silent attempts."""
    gates = [Gate() for _ in range(40)]
    for gate in gates:
        failover(Target("a", call=gate), settings=Settings(answer_s=0.001)).call("x")
    assert failover(Target("a", call=lambda request: "at once")).call("x") == "at once"
    for gate in gates:
        gate.opened.set()
    assert all(gate.left.wait(PATIENCE_S) for gate in gates)


@pytest.mark.parametrize("settings", [INLINE, THREADED], ids=["inline", "threaded"])
def test_an_error_is_the_target_s_whatever_thread_it_came_from(settings: Settings) -> None:
    def bug(request: Any) -> str:
        raise TypeError("a bug in local code")

    with pytest.raises(RequestRejected) as caught:
        failover(Target("a", call=bug), settings=settings).call("x")
    assert isinstance(caught.value.__cause__, TypeError)


# -- interruption by the user ---------------------------------------------------------------------------------------


def test_ctrl_c_in_an_inline_target() -> None:
    def interrupted(request: Any) -> str:
        raise KeyboardInterrupt

    routes = failover(Target("a", call=interrupted, stream=interrupted), settings=INLINE)
    with pytest.raises(KeyboardInterrupt):
        routes.call("x")
    with pytest.raises(KeyboardInterrupt):
        next(routes.stream("x"))
    assert counts(routes, "a") == (2, 0, 0, 0)
    assert routes.health()["a"].suspicion == 0.0


def test_ctrl_c_while_waiting_for_a_worker(gate: Gate) -> None:
    class InterruptedMailbox(RealMailbox):
        def get(self, until_s: float | None) -> AttemptEvent | None:
            assert gate.entered.wait(PATIENCE_S)
            raise KeyboardInterrupt

    class InterruptedWorld(RealWorld):
        mailbox = staticmethod(InterruptedMailbox)  # type: ignore[assignment]

    routes = failover(Target("a", call=gate), world=InterruptedWorld())
    with pytest.raises(KeyboardInterrupt):
        routes.call("x")
    assert counts(routes, "a") == (1, 0, 0, 0)


def test_a_real_ctrl_c_in_the_main_thread() -> None:
    gate = Gate()
    main = threading.main_thread().ident
    assert main is not None
    assert threading.current_thread() is threading.main_thread()

    def presses_ctrl_c(request: Any) -> Any:
        threading.Event().wait(0.05)  # until the main thread really waits
        signal.pthread_kill(main, signal.SIGINT)
        return gate(request)

    routes = failover(Target("a", call=presses_ctrl_c))
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            routes.call("x")
    finally:
        signal.signal(signal.SIGINT, usual)
        gate.opened.set()
    assert gate.left.wait(PATIENCE_S)
    assert counts(routes, "a") == (1, 0, 0, 0)


# -- streams that are left early ------------------------------------------------------------------------------------


class Source:
    """An endless stream that knows whether it was closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self.reached = 0
        self.far_enough = threading.Event()

    def __call__(self, request: Any) -> Iterator[str]:
        try:
            while True:
                self.reached += 1
                if self.reached > MAX_WAITING_CHUNKS:
                    self.far_enough.set()
                yield f"word {self.reached} "
        finally:
            self.closed.set()


@pytest.mark.parametrize("settings", [INLINE, THREADED], ids=["inline", "threaded"])
@pytest.mark.parametrize("how", ["break and close", "forget", "error in the loop"])
def test_leaving_a_stream_early_closes_it_and_blames_nobody(settings: Settings, how: str) -> None:
    source = Source()
    routes = failover(Target("a", stream=source), settings=settings)
    stream = routes.stream("x")
    if how == "error in the loop":
        with pytest.raises(ZeroDivisionError):
            for _ in stream:
                raise ZeroDivisionError
        stream.close()
    else:
        for _ in stream:
            break
        if how == "break and close":
            stream.close()
    trace = stream.trace
    del stream
    gc.collect()
    assert source.closed.wait(PATIENCE_S)
    assert counts(routes, "a") == (1, 0, 0, 0)
    assert routes.health()["a"].suspicion == 0.0
    assert trace is not None
    assert [attempt.verdict for attempt in trace.attempts] == ["cancelled"]


def test_a_fast_target_does_not_run_far_ahead_of_a_slow_reader() -> None:
    source = Source()
    stream = failover(Target("a", stream=source)).stream("x")
    next(stream)
    assert source.far_enough.wait(PATIENCE_S)
    threading.Event().wait(0.02)
    assert source.reached <= MAX_WAITING_CHUNKS + 20, "some were read before the first one was shown"
    for _ in range(200):
        next(stream)
    assert source.reached >= 200, "and it goes on when the reader does"
    stream.close()
    assert source.closed.wait(PATIENCE_S), "also when it waits for room at that time"


def test_an_inline_stream_is_not_read_ahead_at_all() -> None:
    source = Source()
    stream = Failover([Target("a", stream=source)], Settings(hedge="off", hold_back_tokens=0)).stream("x")
    next(stream)
    assert source.reached == 1
    stream.close()


class SdkStream:
    """Like the stream objects of SDKs: an iterator with a connection behind it that only `close()` gives back."""

    def __init__(self, words: list[Any]) -> None:
        self._words = iter(words)
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[Any]:
        while True:  # a generator, not the object itself: to close it closes nothing else
            try:
                yield next(self)
            except StopIteration:
                return

    def __next__(self) -> Any:
        word = next(self._words)
        if isinstance(word, Exception):
            raise word
        return word

    def close(self) -> None:
        self.closed.set()


@pytest.mark.parametrize("settings", [INLINE, THREADED], ids=["inline", "threaded"])
@pytest.mark.parametrize("end", ["closed early", "read to its end", "broken"])
def test_the_connection_of_a_stream_is_always_given_back(settings: Settings, end: str) -> None:
    words: list[Any] = ["one, two, three, four, five, six, ", "seven, eight, nine, ten, eleven, twelve"]
    if end == "broken":
        words.append(ConnectionResetError("reset"))
    sdk = SdkStream(words)
    routes = failover(Target("a", stream=lambda request: sdk), settings=settings)
    stream = routes.stream("x")
    if end == "closed early":
        next(stream)
        stream.close()
    elif end == "broken":
        with pytest.raises(StreamInterrupted):
            list(stream)
    else:
        assert list(stream) == words
    assert sdk.closed.wait(PATIENCE_S)
    assert counts(routes, "a")[3] == 0


@pytest.mark.parametrize("settings", [INLINE, THREADED], ids=["inline", "threaded"])
def test_any_iterable_is_a_stream(settings: Settings) -> None:
    routes = failover(Target("a", stream=lambda request: ["a ", "list"]), settings=settings)
    assert list(routes.stream("x")) == ["a ", "list"]


@pytest.mark.parametrize("settings", [INLINE, THREADED], ids=["inline", "threaded"])
def test_a_stream_that_cannot_even_begin(settings: Settings) -> None:
    def refuses(request: Any) -> Iterator[str]:
        raise ConnectionRefusedError("refused")

    quick = Settings(hedge=settings.hedge, backoff_s=0.0)
    assert "".join(failover(Target("a", stream=refuses), settings=quick).stream("x")) == "from the backup"


def test_a_stream_whose_cleanup_fails_harms_nobody() -> None:
    def untidy(request: Any) -> Iterator[str]:
        try:
            while True:
                yield "word "
        finally:
            raise OSError("cleanup failed")

    stream = failover(Target("a", stream=untidy), settings=INLINE).stream("x")
    next(stream)
    stream.close()


# -- time -----------------------------------------------------------------------------------------------------------


def test_a_stalled_stream_is_resumed_in_blocking_code_too() -> None:
    text = "The quick brown fox jumps over the lazy dog and then it sleeps all day"
    with VirtualWorld() as world:

        def stalls(request: Any) -> Iterator[str]:
            yield text[:44]
            world.sleep(float("inf"))

        def goes_on(request: Any) -> Iterator[str]:
            yield text

        def rephrase(request: Any, shown: str) -> Any:
            return request

        targets = [Target(name, stream=s, resume=rephrase) for name, s in (("a", stalls), ("b", goes_on))]
        stream = Failover(targets, Settings(hold_back_tokens=1), world=world).stream("x")
        assert "".join(stream) == text
        assert stream.trace is not None
        assert stream.trace.elapsed_s == pytest.approx(10.0)


def test_a_given_stall_limit_holds_for_a_single_target_in_blocking_code() -> None:
    with VirtualWorld() as world:

        def stalls(request: Any) -> Iterator[str]:
            yield "The quick brown fox jumps over the lazy dog and sleeps all day, "
            world.sleep(float("inf"))

        stream = Failover([Target("a", stream=stalls)], Settings(stall_s=3.0), world=world).stream("x")
        with pytest.raises(StreamInterrupted) as caught:
            list(stream)
        assert caught.value.trace is not None
        assert caught.value.trace.elapsed_s == pytest.approx(3.0)


def test_a_slow_reader_of_a_threaded_stream_is_not_a_stall() -> None:
    with VirtualWorld() as world:

        def words(request: Any) -> Iterator[str]:
            for number in range(20):
                world.sleep(0.5)
                yield f"word {number} "

        routes = Failover([Target("a", stream=words), Target("b", stream=backup_words)], Settings(), world=world)
        stream = routes.stream("x")
        for _ in stream:
            world.sleep(25.0)
        assert stream.trace is not None
        assert [attempt.verdict for attempt in stream.trace.attempts] == ["answered"]
        assert routes.health()["a"].suspicion == 0.0


def test_workers_come_back_to_the_pool() -> None:
    before = WORKERS.busy
    for _ in range(20):
        failover(Target("a", call=thread_name)).call("x")
    for _ in range(200):
        if WORKERS.busy <= before:
            break
        threading.Event().wait(0.005)
    assert WORKERS.busy <= before


def test_what_a_stream_has_said_stays_in_order_while_another_is_let_go() -> None:
    """The probe that lost is let go between two chunks of the winner, whose thread goes on."""
    loser, winner = Start(1, context_of("a"), "hi", watched=True), Start(2, context_of("b"), "hi", watched=True)

    class Spoken(RealMailbox):
        """Whenever it is found empty, the winner's thread says one more word, unless it has to wait with that."""

        def poll(self) -> AttemptEvent | None:
            event = super().poll()
            if event is None and left:
                speaker = threading.Thread(target=self.speak)
                speaker.start()
                speaker.join()
            return event

        def speak(self) -> None:
            attempt = attempts._live[2]
            if attempt.lock.acquire(blocking=False):
                attempt.tell(Chunk(2, left.pop(0), 0.0), self)
                attempt.lock.release()

    class World(RealWorld):
        spawn = staticmethod(lambda work: None)
        mailbox = staticmethod(Spoken)

    left: list[str] = []
    attempts = Attempts(World(), pull_inline, pull_on_thread)
    for start in (loser, winner):
        attempts.perform(start)
    mailbox = attempts._mailbox
    assert mailbox is not None
    for word in ("one ", "two "):
        mailbox.put(Chunk(2, word, 0.0))
    left.append("three ")
    attempts.perform(Detach(1, 0.0, lambda event: None))
    unsaid, left[:] = left[:], []
    heard = []
    while (event := mailbox.poll()) is not None:
        assert isinstance(event, Chunk)
        heard.append(event.value)
    assert heard + unsaid == ["one ", "two ", "three "]


def test_a_deadline_of_ages() -> None:
    """More than the operating system can wait for is as good as none."""
    ages = Settings(deadline_s=1e15, first_token_s=1e15, answer_s=1e15)
    assert failover(Target("a", call=thread_name), settings=ages).call("hi").startswith("failover-attempt")
