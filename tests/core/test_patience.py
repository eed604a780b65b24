"""When an attempt is looked at, when it is overdue, and what its silence tells of its target."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from failover_core import Failover, Failure, FailureKind, RequestInfo, Settings, Target
from failover_core.engine import plan
from failover_core.health.latency import moment_s
from failover_core.health.suspicion import LOOKS, OVERDUE_NATS
from failover_core.limits import gap_key
from failover_core.live import MIN_SILENCE_S, Live
from failover_core.patience import PACE_LOOK_S, next_wait, overdue
from failover_core.route import Route
from stepping import Stepper, failover_of

NOW = 1000.0
ANSWER = ("answer", False, "")


class Waiting:
    """A `Failover` whose target `a` usually takes `usual_s`, with requests under way at it."""

    def __init__(self, usual_s: float = 2.0, settings: Settings | None = None, targets: int = 2) -> None:
        names = "abc"[:targets]
        self.failover = Failover([Target(name, call=lambda request: None) for name in names], settings)
        self.book = self.failover._book
        for number in range(60):
            seconds, now = usual_s * (1.2 if number % 2 else 1 / 1.2), NOW - 700.0 + 10.0 * number
            permit = self.book.admit("a", now - seconds)
            assert permit is not None
            self.book.answered(permit, now, [(ANSWER, seconds)])

    def request(self, now: float = NOW, info: RequestInfo | None = None) -> Route:
        route = plan(self.failover._desk, "x", info or RequestInfo(), "call", now)
        assert route.next_start() is not None
        return route

    @property
    def pending(self) -> float:
        return self.book.snapshot["a"].pending

    def look_at(self, *z: float) -> list[float]:
        habit = self.book.habits.own("a", ANSWER)
        return [NOW + moment_s(habit, deviations) for deviations in z]


def late(route: Route) -> Iterator[tuple[float, list[Live]]]:
    """Lets time pass until nothing more is due; gives each moment and who was given up then."""
    while (until_s := next_wait(route).until_s) is not None:
        route.now = until_s
        yield until_s, list(overdue(route))


@pytest.mark.parametrize(("gap_s", "suspected"), [(0.05, False), (0.5, True)])
def test_a_stream_whose_pieces_come_slowly_is_evidence_before_its_end(gap_s: float, suspected: bool) -> None:
    """At a target that sends a piece every .05 s. Nobody is raced for it: what is shown is good."""
    failover = failover_of("a", "b", hold_back_tokens=1, hold_back_s=0.0)
    for number in range(60):
        permit = failover._book.admit("a", NOW - 700.0 + 10.0 * number, streaming=True)
        assert permit is not None
        failover._book.answered(permit, NOW - 695.0 + 10.0 * number, [(gap_key(RequestInfo()), 0.05)])
    request = Stepper(failover, "stream", now=NOW)
    sent_s = NOW + 0.5
    looked_s = sent_s + PACE_LOOK_S
    while request.now < looked_s + 1.0:
        assert request.now >= looked_s or request.health("a").suspicion == 0.0
        if request.until_s is not None and request.until_s < sent_s:
            request.times_out()
        else:
            request.sends("a", f"word {sent_s} ", after_s=sent_s - request.now)
            sent_s += gap_s
    assert (request.health("a").suspicion >= 0.9 * OVERDUE_NATS) is suspected
    assert (request.health("a").slowness > 0.0) is suspected
    assert request.started == ["a"]
    request.finishes("a")
    assert request.error is None


def test_a_silent_attempt_is_looked_at_a_few_times_and_then_overdue() -> None:
    waiting = Waiting()
    route = waiting.request()
    moments, given_up, pending = [], [], []
    for due_s, who in late(route):
        moments.append(due_s)
        given_up.append(bool(who))
        pending.append(waiting.pending)
        if who:
            break
    limit_s = NOW + waiting.book.habits.own("a", ANSWER).limit_s
    assert moments == pytest.approx([*waiting.look_at(0.67, 1.28, 1.88), limit_s])
    assert given_up == [False, False, False, True]
    assert pending[:-1] == pytest.approx([nats for _, nats in LOOKS[1:]], rel=0.2)
    assert pending[:-1] == sorted(pending[:-1])
    assert pending[-1] == 0.0, "now it is lasting evidence"
    assert waiting.book.snapshot["a"].suspicion == pytest.approx(OVERDUE_NATS, rel=0.2)


def test_silences_add_up_and_the_younger_attempts_are_not_waited_for() -> None:
    """One late request says little; when three are late together, their target has fallen silent."""
    waiting = Waiting()
    routes = [waiting.request() for _ in range(4)]
    alone = waiting.look_at(1.88)[0] - NOW
    began: list[float] = []
    while len(began) < 4:
        until_s, route = min(
            (wait.until_s, number) for number, one in enumerate(routes) if (wait := next_wait(one)).until_s is not None
        )
        for one in routes:
            one.now = until_s
        began += [until_s - NOW for _ in overdue(routes[route])]
    assert max(began) <= alone
    assert waiting.book.snapshot["a"].in_flight == 4


def test_a_word_takes_the_silence_back() -> None:
    waiting = Waiting()
    routes = [waiting.request(), waiting.request()]
    for route in routes:
        route.now = waiting.look_at(0.67)[0]
        assert not list(overdue(route))
    both = waiting.pending
    assert both > 0.0
    routes[0].succeed(next(iter(routes[0].live.values())))
    assert waiting.pending == pytest.approx(both / 2)
    routes[1].succeed(next(iter(routes[1].live.values())))
    assert waiting.pending == 0.0


@pytest.mark.parametrize("end", ["answered", "failed", "cancelled", "lost", "noted"])
def test_whatever_becomes_of_an_attempt_its_silence_ends(end: str) -> None:
    waiting = Waiting()
    route = waiting.request()
    live = next(iter(route.live.values()))
    route.now = waiting.look_at(0.67)[0]
    list(overdue(route))
    assert waiting.pending > 0.0
    book, permit, now = waiting.book, live.permit, route.now
    if end == "answered":
        book.answered(permit, now)
    elif end == "failed":
        book.failed(permit, now, Failure(FailureKind.SERVER_ERROR), 3.4, parks=False)
    elif end == "cancelled":
        book.cancelled(permit, now)
    elif end == "lost":
        book.lost(permit, now, 1.0, "b was faster", runs_on=False, hedged=None)
    else:
        book.overdue(permit, now, "late")
    assert waiting.pending == 0.0
    assert permit.pending_nats == 0.0


def test_silence_means_nothing_while_younger_attempts_are_answered() -> None:
    waiting = Waiting()
    old = waiting.request()
    young = waiting.request(NOW + 0.1)
    young.now = NOW + 1.0
    young.succeed(next(iter(young.live.values())))
    old.now = waiting.look_at(0.67)[0]
    list(overdue(old))
    assert waiting.pending == 0.0


def test_a_very_fast_target_is_not_looked_at_within_half_a_second() -> None:
    """A thread that had to wait for its turn would look like a silent target."""
    waiting = Waiting(usual_s=0.0002)
    route = waiting.request()
    assert next_wait(route).until_s == pytest.approx(NOW + MIN_SILENCE_S)


def test_nobody_else_to_ask_nothing_to_look_at() -> None:
    assert next_wait(Waiting(targets=1).request()).until_s is None


@pytest.mark.parametrize(
    ("settings", "info"),
    [(Settings(answer_s=7.0), RequestInfo()), (Settings(answer_s=7.0), RequestInfo(side_effects=True))],
    ids=["a given limit", "side effects"],
)
def test_a_given_limit_is_the_only_look(settings: Settings, info: RequestInfo) -> None:
    route = Waiting(settings=settings).request(info=info)
    assert next_wait(route).until_s == pytest.approx(NOW + 7.0)


def test_a_second_attempt_under_way_is_not_judged_by_its_lateness() -> None:
    """Only slow requests are raced, so to be slow at one tells nothing of the target."""
    waiting = Waiting()
    route = waiting.request()
    for _, who in late(route):
        if who:
            break
    assert route.next_start() is not None
    before: Any = waiting.book.snapshot["b"]
    for _ in late(route):
        pass
    after = waiting.book.snapshot["b"]
    assert (after.suspicion, after.pending) == (before.suspicion, before.pending) == (0.0, 0.0)
