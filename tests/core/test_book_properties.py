"""Whatever happens to a target, in whatever order: the books balance and no door stays closed."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from failover_core import Failure, FailureKind
from failover_core.events import CircuitChanged
from failover_core.health.book import HealthBook, Permit
from failover_core.health.breaker import PROBE_LEASE_S, Admission, Breaker, CircuitState
from failover_core.health.checkups import Finding, after_check
from failover_core.health.ratelimit_headers import RateLimitFacts
from failover_core.health.suspicion import ERROR_NATS, LOOKS
from failover_core.policy.verdicts import NOTHING, RULES, health_check_rule

NAMES = ("a", "b")  # of one failure domain
CAP = 12
LONG_S = 400.0  # longer than parking and the longest rate limit
RETRY_AFTER = st.one_of(st.none(), st.sampled_from([0.0, 1.5, 60.0, 1e9, -5.0]))
FIRST = ("first_token", False, "")


def beliefs(snapshot: Any) -> Any:
    """Without what each attempt changes: counts and pace."""
    counts = (
        "in_flight",
        "asked",
        "asked_tokens",
        "asked_streams",
        "answered",
        "failed",
        "pace_s",
        "paced_s",
        "updated_s",
        "slowness",
    )
    return {name: replace(state, **dict.fromkeys(counts, 0)) for name, state in snapshot.items()}


class Books(RuleBasedStateMachine):
    @initialize(seed=st.integers(0, 9), ill=st.booleans())
    def start(self, seed: int, ill: bool) -> None:
        self.now = 1000.0
        self.changes: list[CircuitChanged] = []
        self.book = HealthBook(rng=Random(seed), emit=self.told, staged=seed > 2)
        self.book.add({"a": None, "b": CAP}, {"a": ["b"], "b": ["a"]})
        self.in_flight: list[Permit] = []
        self.failing_since_s: float | None = None
        self.probes: dict[str, list[tuple[Permit, float]]] = {name: [] for name in NAMES}
        self.published: list[tuple[Any, Any]] = []
        for _ in range(40):  # so that it is known what is slow
            permit = self.book.admit("a", self.now)
            assert permit is not None
            self.book.answered(permit, self.now, [(FIRST, 0.5)])
            self.now += 1.0
        if ill:
            self.break_down("a")
            self.now += 6.0

    def told(self, event: Any) -> None:
        if isinstance(event, CircuitChanged):
            self.changes.append(event)

    def take(self, number: int) -> Permit:
        permit = self.in_flight.pop(number % len(self.in_flight))
        for probes in self.probes.values():
            probes[:] = [(probe, until_s) for probe, until_s in probes if probe is not permit]
        return permit

    def enter(self, name: str, *, force: bool) -> Permit | None:
        permit = self.book.admit(name, self.now, tokens=100, force=force)
        if permit is not None:
            self.in_flight.append(permit)
            if permit.how is Admission.PROBE:
                self.probes[name].append((permit, self.now + PROBE_LEASE_S))
        return permit

    # -- what can happen ----------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(NAMES), force=st.booleans())
    def ask(self, name: str, force: bool) -> None:
        busy = self.book.snapshot[name].is_busy
        entered = self.enter(name, force=force) is not None
        assert not (entered and busy), "a cap holds for everybody"
        assert entered or busy or not force

    @rule(seconds=st.sampled_from([0.1, 6.0, 21.0, 61.0, 301.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.in_flight)
    @rule(
        number=st.integers(0, 7),
        durations=st.lists(st.floats(0.0, 100.0), max_size=2),
        remaining=st.one_of(st.none(), st.integers(0, 100)),
        reset_s=st.sampled_from([1.0, 60.0, 86_400.0]),
    )
    def answer(self, number: int, durations: list[float], remaining: int | None, reset_s: float) -> None:
        taught = [(key, value) for key, value in zip((FIRST, ("gap", False, "")), durations, strict=False)]
        facts = None if remaining is None else RateLimitFacts(100, remaining, reset_s, 10_000, 99 * remaining, reset_s)
        self.book.answered(self.take(number), self.now, taught, facts)

    @precondition(lambda self: self.in_flight)
    @rule(number=st.integers(0, 7), kind=st.sampled_from(list(FailureKind)), retry_after_s=RETRY_AFTER)
    def fail(self, number: int, kind: FailureKind, retry_after_s: float | None) -> None:
        row = RULES[kind]
        failure = Failure(kind, "it failed", retry_after_s=retry_after_s)
        permit = self.take(number)
        before = self.book.snapshot[permit.name].breaker
        self.book.failed(permit, self.now, failure, row.evidence_nats, parks=row.parks)
        if not row.evidence_nats and not row.parks:
            self.only_a_probe_frees_the_door(permit, before)

    @precondition(lambda self: self.in_flight)
    @rule(number=st.integers(0, 7))
    def cancel(self, number: int) -> None:
        permit = self.take(number)
        before = self.book.snapshot[permit.name].breaker
        self.book.cancelled(permit, self.now)
        self.only_a_probe_frees_the_door(permit, before)

    def only_a_probe_frees_the_door(self, permit: Permit, before: Breaker) -> None:
        after = self.book.snapshot[permit.name].breaker
        assert after is before or permit.how is Admission.PROBE

    @rule(name=st.sampled_from(NAMES))
    def break_down(self, name: str) -> None:
        for _ in range(4):
            permit = self.book.admit(name, self.now, force=True)
            if permit is None:
                assert self.book.snapshot[name].is_busy
                return
            self.book.failed(permit, self.now, Failure(FailureKind.OVERLOADED), ERROR_NATS, parks=False)

    @precondition(lambda self: self.in_flight)
    @rule(number=st.integers(0, 7))
    def be_late(self, number: int) -> None:
        self.book.overdue(self.in_flight[number % len(self.in_flight)], self.now, "late")

    @precondition(lambda self: self.in_flight)
    @rule(number=st.integers(0, 7), look=st.sampled_from(LOOKS))
    def be_silent(self, number: int, look: tuple[float, float]) -> None:
        permit = self.in_flight[number % len(self.in_flight)]
        quiet = self.book.silent(permit, self.now, max(look[1], permit.pending_nats))
        assert quiet >= look[1]

    @precondition(lambda self: self.in_flight)
    @rule(number=st.integers(0, 7))
    def be_heard(self, number: int) -> None:
        permit = self.in_flight[number % len(self.in_flight)]
        self.book.heard(permit)
        assert permit.pending_nats == 0.0

    @precondition(lambda self: self.in_flight)
    @rule(number=st.integers(0, 7), seconds=st.floats(0.0, 60.0))
    def be_timed(self, number: int, seconds: float) -> None:
        self.book.timed(self.in_flight[number % len(self.in_flight)], self.now, FIRST, seconds)

    @precondition(lambda self: self.in_flight)
    @rule(number=st.integers(0, 7), nats=st.floats(0.0, 3.4), runs_on=st.booleans())
    def lose(self, number: int, nats: float, runs_on: bool) -> None:
        permit = self.in_flight[number % len(self.in_flight)] if runs_on else self.take(number)
        self.book.lost(permit, self.now, nats, "another was faster", runs_on=runs_on, hedged=None)
        if runs_on and permit.how is Admission.PROBE:  # it has told what it knows and holds no lease any more
            for probes in self.probes.values():
                probes[:] = [(probe, until_s) for probe, until_s in probes if probe is not permit]

    @rule(name=st.sampled_from(NAMES), kind=st.one_of(st.none(), st.sampled_from(list(FailureKind))))
    def check(self, name: str, kind: FailureKind | None) -> None:
        failure = None if kind is None else Failure(kind, "the check failed")
        rule = NOTHING if failure is None else health_check_rule(failure)
        since_s = self.failing_since_s if failure is None else self.failing_since_s or self.now
        finding = Finding(failure, rule.evidence_nats, rule.parks, since_s)
        self.failing_since_s = None if failure is None else since_s
        before = self.book.snapshot[name].breaker
        self.book.revise(
            name,
            self.now,
            lambda state, heard_s: after_check(state, finding, self.now, heard_s=heard_s, jitter=1.0, park_s=300.0),
            finding.reason,
        )
        after = self.book.snapshot[name].breaker
        assert failure is not None or after.state is before.state, "a good check opens and closes nothing"

    @rule()
    def photograph(self) -> None:
        if len(self.published) < 5:
            self.published.append((self.book.snapshot, deepcopy(beliefs(self.book.snapshot))))

    # -- what must hold -----------------------------------------------------------------------------------------

    @invariant()
    def the_books_balance(self) -> None:
        for name, state in self.book.snapshot.items():
            assert state.in_flight == sum(permit.name == name for permit in self.in_flight)
            assert state.asked >= state.answered + state.failed + state.in_flight
            assert state.suspicion >= 0.0
            assert state.oddities >= 0.0 and state.odd_lately >= 0
            assert state.slowness >= 0.0

    @invariant()
    def silence_is_counted_once(self) -> None:
        for name, state in self.book.snapshot.items():
            heeded = (one for one in self.in_flight if one.name == name and one.epoch >= state.heeds_epoch)
            silences = sum(permit.pending_nats for permit in heeded)
            assert state.pending >= 0.0
            assert abs(state.pending - silences) < 1e-6

    @invariant()
    def what_spills_over_opens_nothing(self) -> None:
        states = self.book.snapshot
        for name in self.book.doubted(self.now):
            assert states[name].breaker.state is CircuitState.CLOSED

    @invariant()
    def there_is_one_probe_at_most(self) -> None:
        for name in NAMES:
            epoch = self.book.snapshot[name].breaker.epoch
            valid = [probe for probe, until_s in self.probes[name] if self.now < until_s and probe.epoch == epoch]
            assert len(valid) <= 1

    @invariant()
    def a_probe_s_lease_is_kept(self) -> None:
        for name in NAMES:
            state = self.book.snapshot[name]
            if state.breaker.state is CircuitState.PROBING and self.now < state.breaker.until_s:
                assert any(probe.epoch == state.breaker.epoch for probe, _ in self.probes[name])

    @invariant()
    def no_door_is_closed_for_long(self) -> None:
        for state in self.book.snapshot.values():
            assert state.available_in_s(self.now) <= 300.0 + 1e-6

    @invariant()
    def listeners_can_follow(self) -> None:
        """Each change starts where the one before it ended, and the last one ends where the circuit is."""
        for name in NAMES:
            seen = CircuitState.CLOSED.value
            for change in self.changes:
                if change.target == name:
                    assert change.old == seen
                    seen = change.new
            assert seen == self.book.snapshot[name].breaker.state.value

    @invariant()
    def published_snapshots_stand_still(self) -> None:
        for snapshot, picture in self.published:
            assert beliefs(snapshot) == picture

    def teardown(self) -> None:
        if hasattr(self, "book"):
            for name in NAMES:
                self.comes_back(name)

    def comes_back(self, name: str) -> None:
        """From wherever it is, a target that answers again is closed soon, even if old permits are never settled."""
        self.now += LONG_S
        if self.book.snapshot[name].is_busy:  # only those who are under way can make room
            for permit in [permit for permit in self.in_flight if permit.name == name]:
                self.book.cancelled(permit, self.now)
        for _ in range(100):  # a ramp is slow where a caller holds streams for ever
            permit = self.book.admit(name, self.now)
            if permit is not None:
                self.book.answered(permit, self.now + 0.5)
            self.now += 2.0
        assert name not in self.book.doubted(self.now)
        assert self.book.snapshot[name].breaker.state is CircuitState.CLOSED
        assert self.book.admit(name, self.now) is not None


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=300, stateful_step_count=40, deadline=None, derandomize=True)
