"""Whatever targets do, in whatever order: a request ends, every permit is settled once, and nobody gets a patchwork."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from failover_core import Failover, FailoverError, FailureKind, RequestInfo, StreamInterrupted, StreamRestarted
from failover_core.testing.scripted import Finish, ScriptedError
from stepping import START_S, Stepper, failover_of, scripted

ANSWER = (
    "The quick brown fox jumps over the lazy dog, and then it sleeps all day in the green grass behind the old barn."
)
WORDS = [word + " " for word in ANSWER.split(" ")]
ERRORS = {
    "503": lambda: ScriptedError(503),
    "429": lambda: ScriptedError(429, headers={"retry-after": "1"}),
    "429 for long": lambda: ScriptedError(429, headers={"retry-after": "60"}),
    "401": lambda: ScriptedError(401, "Incorrect API key provided"),
    "400": lambda: ScriptedError(400, "Invalid value for 'temperature'"),
    "reset": lambda: ConnectionResetError(104, "reset"),
    "timeout": lambda: TimeoutError("read"),
    "bug": lambda: TypeError("a bug"),
}

RULES = st.fixed_dictionaries(
    {
        "max_attempts": st.integers(1, 6),
        "same_target_retries": st.integers(0, 2),
        "hedge": st.sampled_from(["overdue", "off", "budgeted"]),
        "midstream": st.sampled_from(["resume", "replace", "raise"]),
        "deadline_s": st.sampled_from([None, 20.0]),
        "answer_s": st.sampled_from([None, 5.0]),
        "first_token_s": st.sampled_from([None, 5.0]),
        "stall_s": st.sampled_from([None, 5.0]),
        "hold_back_tokens": st.sampled_from([0, 4, 16]),
        "on_invalid_request": st.sampled_from(["raise", "next"]),
        "retry_budget_tokens": st.sampled_from([0.0, 20.0]),
    }
)
INFO = st.builds(RequestInfo, structured=st.booleans(), side_effects=st.booleans())


class Ledger:
    """Counts how often each permit is settled."""

    def __init__(self, failover: Failover) -> None:
        self.given: list[Any] = []
        self.settled: Counter[int] = Counter()
        book = failover._book
        admit: Callable[..., Any] = book.admit

        def admitting(*args: Any, **options: Any) -> Any:
            permit = admit(*args, **options)
            if permit is not None:
                self.given.append(permit)
            return permit

        book.admit = admitting  # type: ignore[method-assign]
        for name in ("answered", "failed", "cancelled"):
            setattr(book, name, self.counting(getattr(book, name)))
        self.book = book

    def counting(self, settle: Callable[..., None]) -> Callable[..., None]:
        def counted(permit: Any, *args: Any, **options: Any) -> None:
            self.settled[id(permit)] += 1
            settle(permit, *args, **options)

        return counted

    def is_balanced(self) -> bool:
        return (
            all(self.settled[id(permit)] == 1 for permit in self.given)
            and sum(self.settled.values()) == len(self.given)
            and all(state.in_flight == 0 for state in self.book.snapshot.values())
        )


def accustom(failover: Failover) -> None:
    """Everybody is known to answer in a second, so there are hedges where the settings want them."""
    for name in ("a", "b", "c"):
        for number in range(30):
            permit = failover._book.admit(name, START_S - 100.0)
            assert permit is not None
            timed = [((what, False, ""), 1.0) for what in ("first_token", "answer")]
            failover._book.answered(permit, START_S - 99.0 + number, timed)


def valid(emitted: list[Any]) -> list[Any]:
    """What the caller still has who follows the announcements of restarts."""
    restarts = [place for place, chunk in enumerate(emitted) if isinstance(chunk, StreamRestarted)]
    before = [0, *(place + 1 for place in restarts)]
    for begin, end in zip(before, restarts, strict=False):
        text = "".join(chunk for chunk in emitted[begin:end] if isinstance(chunk, str))
        assert emitted[end].void_chars == len(text)
    return emitted[before[-1] :]


class Story:
    """A stepper fed with drawn events until the request is over or the caller goes away."""

    def __init__(self, data: st.DataObject, style: Any) -> None:
        self.data = data
        failover = failover_of("a", scripted("b"), "c", **data.draw(RULES))
        if data.draw(st.booleans()):
            accustom(failover)
        self.ledger = Ledger(failover)
        self.request = Stepper(failover, style, data.draw(INFO))
        self.said: Counter[int] = Counter()  # words sent by each attempt

    def run(self, steps: int = 40) -> None:
        for _ in range(steps):
            if self.request.done:
                return
            self.step()
        self.give_up()

    def step(self) -> None:
        request, draw = self.request, self.data.draw
        actions = []
        if request.until_s is not None:
            actions += ["time", "much time"]
        if request.running:
            actions += ["answer", "answer", "fail", "rubbish", "a moment"]
        action = draw(st.sampled_from([*actions, "leave"] if draw(st.integers(0, 30)) == 30 else actions))
        if action == "time":
            request.times_out()
        elif action == "much time":
            self.wait(len(request.started))
        elif action == "leave":
            request.close()
        elif action == "a moment":
            request.now = min(request.now + 0.4, request.until_s or float("inf"))
        else:
            number = draw(st.sampled_from(sorted(request.running)))
            name = request.running[number]
            if action == "fail":
                request.fails(name, ERRORS[draw(st.sampled_from(sorted(ERRORS)))]())
            else:
                self.speak(number, name, rubbish=action == "rubbish")

    def wait(self, asked: int) -> None:
        """Until somebody else is asked, or nothing more comes of waiting."""
        request = self.request
        for _ in range(6):
            if not request.done and request.until_s is not None and len(request.started) == asked:
                request.times_out()

    def speak(self, number: int, name: str, *, rubbish: bool) -> None:
        request = self.request
        if not request.route.streaming:
            request.returns(name, "" if rubbish else ANSWER)
        elif rubbish:
            if self.data.draw(st.booleans()):
                request.ends(name)
            else:
                request.sends(name, "")
        elif self.said[number] < len(WORDS):
            take = self.data.draw(st.integers(1, 6))
            start = self.said[number]
            self.said[number] += take
            request.sends(name, "".join(WORDS[start : start + take]))
        else:
            request.sends(name, Finish())
            if not request.done and number in request.running:
                request.ends(name)

    def give_up(self) -> None:
        """From here on everything fails, so the engine has to come to an end by itself."""
        for _ in range(30):
            if self.request.done:
                return
            if self.request.running:
                self.request.fails(next(iter(self.request.running.values())), ERRORS["503"]())
            else:
                self.request.times_out()
        raise AssertionError("it never ends")


@settings(max_examples=250)
@given(st.data())
def test_any_answer(data: st.DataObject) -> None:
    story = Story(data, "call")
    story.run()
    request = story.request
    assert request.done
    assert story.ledger.is_balanced()
    assert request.error is None or isinstance(request.error, FailoverError)
    assert request.result in (None, ANSWER)
    assert len(request.trace.attempts) <= request.failover.settings.max_attempts
    assert all(attempt.verdict != "running" and attempt.elapsed_s is not None for attempt in request.trace.attempts)
    assert (request.trace.target is not None) == (request.result is not None)


@settings(max_examples=400)
@given(st.data())
def test_any_stream(data: st.DataObject) -> None:
    story = Story(data, "stream")
    story.run()
    request = story.request
    assert request.done
    assert story.ledger.is_balanced()
    assert request.error is None or isinstance(request.error, FailoverError)
    text = "".join(chunk for chunk in valid(request.emitted) if isinstance(chunk, str))
    whole = "".join(WORDS)
    assert whole.startswith(text), "a patchwork"
    if request.trace.target is not None:
        assert text == whole, "a truncated answer was called a success"
        assert Finish() in request.emitted
    if isinstance(request.error, StreamInterrupted):
        assert request.error.partial == text
    assert len(request.trace.attempts) <= request.failover.settings.max_attempts
    assert "running" not in [attempt.verdict for attempt in request.trace.attempts]
    for attempt in request.trace.attempts:
        if attempt.verdict == "answered":
            assert attempt.failure is None
        if attempt.verdict in ("next", "retry", "raise", "resumed", "replaced"):
            assert attempt.failure is not None


@settings(max_examples=60)
@given(st.data(), st.sampled_from(["call", "stream"]))
def test_local_errors_and_bad_requests_never_count_against_health(data: st.DataObject, style: Any) -> None:
    request = Stepper(failover_of("a", "b"), style)
    for _ in range(data.draw(st.integers(1, 3))):
        if not request.done:
            request.fails(request.started[-1], data.draw(st.sampled_from([TypeError("bug"), ERRORS["400"]()])))
    assert isinstance(request.error, FailoverError)
    assert request.error.failure is not None
    assert request.error.failure.kind in (FailureKind.LOCAL_ERROR, FailureKind.INVALID_REQUEST)
    assert request.health("a").suspicion == request.health("b").suspicion == 0.0
