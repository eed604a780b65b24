"""Failure domains: trouble at one target makes its siblings doubtful, and never opens their circuits."""

from __future__ import annotations

from random import Random

import pytest

from failover_core import Failover, Failure, FailureKind, RequestInfo, Target
from failover_core.events import CircuitChanged
from failover_core.health.book import HealthBook
from failover_core.health.breaker import CircuitState
from failover_core.health.domains import NOBODY, SHARE, TRIP_SPILLS_NATS, Domains
from failover_core.health.state import TargetState
from failover_core.health.suspicion import ERROR_NATS, LOOKS, MAX_QUIET_NATS
from failover_core.policy.guards import siblings
from failover_core.policy.ranking import POLICIES, Snapshot, priority

NOW = 1000.0


def target(name: str, provider: str | None, region: str | None = None, tier: int = 0) -> Target:
    return Target(name, call=lambda request: name, provider=provider, region=region, tier=tier)


TARGETS = (target("big", "openai"), target("small", "openai"), target("other", "anthropic"))


class Book(HealthBook):
    def __init__(self) -> None:
        self.events: list[object] = []
        super().__init__(rng=Random(1), emit=self.events.append)
        self.add({one.name: None for one in TARGETS}, siblings(TARGETS))

    def fails(self, name: str, now: float = NOW, kind: FailureKind = FailureKind.SERVER_ERROR) -> None:
        permit = self.admit(name, now, force=True)
        assert permit is not None
        self.failed(permit, now, Failure(kind), ERROR_NATS, parks=kind is FailureKind.AUTH)

    def answers(self, name: str, now: float = NOW) -> None:
        permit = self.admit(name, now)
        assert permit is not None
        self.answered(permit, now)

    def trips(self, name: str, now: float = NOW) -> None:
        for _ in range(3):
            self.fails(name, now)
        assert self.snapshot[name].breaker.state is CircuitState.OPEN

    def order(self, now: float, policy: str = "priority") -> list[str]:
        snapshot = Snapshot(self.snapshot, now, lambda: 0.5, self.doubted(now))
        return [one.name for one in POLICIES[policy](TARGETS, snapshot, RequestInfo())]


@pytest.fixture
def book() -> Book:
    return Book()


def test_who_are_siblings() -> None:
    given = [
        target("a", "azure", "west"),
        target("b", "azure", "east"),
        target("c", "azure"),
        target("d", "openai"),
        target("e", None),
        target("f", None),
    ]
    assert siblings(given) == {"a": ["c"], "b": ["c"], "c": ["a", "b"], "d": [], "e": [], "f": []}


def test_a_trip_makes_siblings_doubtful_and_nobody_else(book: Book) -> None:
    assert book.doubted(NOW) is NOBODY
    book.trips("big")
    assert book.doubted(NOW) == {"small"}
    assert book.snapshot["small"].is_healthy(NOW), "by itself"


@pytest.mark.parametrize("policy", ["priority", "least_busy", "fastest", "weighted", "cheapest"])
def test_doubted_targets_come_after_those_of_other_domains(book: Book, policy: str) -> None:
    before = book.order(NOW, policy)
    assert before.index("small") < before.index("other")
    book.trips("big")
    order = book.order(NOW + 1.0, policy)
    assert order.index("other") < order.index("small")


def test_doubt_does_not_outweigh_tiers(book: Book) -> None:
    book.trips("big")
    tiers = (target("small", "openai"), target("other", "anthropic", tier=1))
    snapshot = Snapshot(book.snapshot, NOW, lambda: 0.5, book.doubted(NOW))
    assert [one.name for one in priority(tiers, snapshot, RequestInfo())] == ["small", "other"]


def test_doubt_passes_after_a_while(book: Book) -> None:
    book.trips("big")
    assert book.doubted(NOW + 35.0) == {"small"}
    assert not book.doubted(NOW + 45.0)
    assert book.doubted(NOW + 400.0) is NOBODY


def test_a_good_answer_of_its_own_ends_the_doubt(book: Book) -> None:
    book.trips("big")
    book.answers("small")
    assert not book.doubted(NOW)
    assert book.order(NOW) == ["big", "small", "other"]


def test_a_single_error_makes_nobody_doubtful(book: Book) -> None:
    book.fails("big")
    assert not book.doubted(NOW)


def test_errors_all_over_a_domain_make_all_of_it_doubtful(book: Book) -> None:
    book.fails("small")
    book.fails("big")
    assert not book.doubted(NOW)
    book.fails("big")
    assert book.doubted(NOW) == {"small", "big"}


def test_spilling_over_opens_no_circuit(book: Book) -> None:
    for second in range(100):
        book.fails("big", NOW + second)
    assert book.snapshot["small"].suspicion == 0.0
    changed = {event.target for event in book.events if isinstance(event, CircuitChanged)}
    assert changed == {"big"}
    book.fails("small", NOW + 100)
    book.fails("small", NOW + 100)
    assert book.snapshot["small"].breaker.state is CircuitState.CLOSED


def test_failed_probes_of_an_open_target_say_nothing_new(book: Book) -> None:
    book.trips("big")
    book.answers("small")
    for second in range(10, 60, 10):
        book.fails("big", NOW + second)
    assert not book.doubted(NOW + 60)


def test_who_is_not_closed_is_judged_by_its_own_circuit(book: Book) -> None:
    """Else its probes would go to others for as long as the doubt lasts."""
    book.trips("big")
    book.trips("small")
    assert not book.doubted(NOW + 1.0)


def test_a_wrong_key_is_nobody_else_s_fault(book: Book) -> None:
    book.fails("big", kind=FailureKind.AUTH)
    assert not book.doubted(NOW)


def test_a_doubted_target_is_raced_sooner(book: Book) -> None:
    calm = book.admit("small", NOW)
    assert calm is not None
    assert book.silent(calm, NOW, LOOKS[2][1]) == pytest.approx(LOOKS[2][1])
    book.trips("big")
    doubted = book.admit("small", NOW)
    assert doubted is not None
    assert book.silent(doubted, NOW, LOOKS[2][1]) == pytest.approx(LOOKS[2][1] + MAX_QUIET_NATS)


def test_a_part_of_each_piece_of_evidence_spills_over_up_to_that_of_a_trip() -> None:
    domains = Domains()
    domains.relate({"a": ["b"], "b": ["a"]})
    domains.spill("a", NOW, 3.0, tripped=False)
    assert domains.nats("b", NOW) == pytest.approx(3.0 * SHARE)
    assert domains.nats("a", NOW) == 0.0
    for _ in range(100):
        domains.spill("a", NOW, 3.0, tripped=False)
    assert domains.nats("b", NOW) == TRIP_SPILLS_NATS
    assert domains.doubted({"a": TargetState(), "b": TargetState()}, NOW) == {"b"}


def test_people_see_the_doubt() -> None:
    failover = Failover(TARGETS)
    now = failover._world.now()
    for _ in range(3):
        permit = failover._book.admit("big", now)
        assert permit is not None
        failover._book.failed(permit, now, Failure(FailureKind.SERVER_ERROR), ERROR_NATS, parks=False)
    health = failover.health()
    assert (health["small"].degraded, health["small"].state, health["other"].degraded) == (True, "closed", False)
    assert failover.run("x").trace.target.name == "other"
