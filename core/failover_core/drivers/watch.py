"""Health checks off the hot path: one thread for each `Failover` whose settings ask for them (`health_check_s`).

The thread only looks at what is due; the checks themselves run on worker threads, so that one that hangs holds up no
other. Synchronous and async applications are served alike: no event loop is needed. It starts with the first request
(in a forked child with the child's first) and ends when the `Failover` is dropped. `health.checkups` has the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from weakref import finalize, ref

from ..events import TargetChecked, TargetParked
from ..failure import Failure, FailureKind
from ..forks import forget_in_child
from ..health.breaker import CircuitState
from ..health.checkups import TIMEOUT_S, Finding, after_check, due_s
from ..health.state import TargetState
from ..live import Desk
from ..model import Target
from ..policy.verdicts import health_check_rule
from .world import World

LOOK_S = 1.0  # circuits change at any moment, so everything is looked at this often
MAX_HANGING = 4  # checks of one target that still occupy a thread after they were given up; so many open a circuit


@dataclass(slots=True, eq=False)
class Checkup:
    """What is remembered of the checks of one target.

    Args:
        check: its free call.
        last_s: when the last one ended.
        hurry: that one failed, and the next one should soon confirm it or see its end.
        failing_since_s: when the run of failed ones began that the last one belongs to; None = it was good.
        jitter: of the next one.
        running: the one under way.
        hanging: how many were given up and have not returned.
    """

    check: Callable[[], object]
    last_s: float
    hurry: bool = False
    failing_since_s: float | None = None
    jitter: float = 1.0
    running: Check | None = None
    hanging: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """One check under way."""

    name: str
    began_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A check has returned, or raised `error`."""

    check: Check
    error: BaseException | None
    at_s: float


class Watch:
    """Checks targets when they are due, and tells the health book.

    Args:
        desk: the settings, health book, classifier and listeners of a `Failover`.
        world: its clock and worker threads.
    """

    def __init__(self, desk: Desk, world: World) -> None:
        assert desk.settings.health_check_s is not None
        self.inbox: SimpleQueue[Result | None] = SimpleQueue()
        self._desk = desk
        self._world = world
        self._interval_s = desk.settings.health_check_s
        self._checkups: dict[str, Checkup] = {}
        self.forget()
        forget_in_child(self)

    def forget(self) -> None:
        """Begin without a thread: a forked child has none of its parent's, and may have found the lock taken."""
        self._lock = Lock()
        self._thread: Thread | None = None

    def add(self, targets: Iterable[Target]) -> None:
        """Check these too, as far as they can be."""
        now = self._world.now()
        checks = {target.name: target.health_check for target in targets}
        new = {name: Checkup(check, now) for name, check in checks.items() if check is not None}
        self._checkups = new | self._checkups  # a new dict: the thread may be walking through the old one

    def wake(self) -> None:
        """Called with each request: see to it that the thread runs. A fork leaves it behind."""
        if self._thread is None or not self._thread.is_alive():
            with self._lock, suppress(RuntimeError):  # no thread left: the next request tries again
                if self._thread is None or not self._thread.is_alive():
                    self._start()

    def _start(self) -> None:
        self.inbox = SimpleQueue()
        for checkup in self._checkups.values():  # the first turn comes later: the first request has enough to do
            checkup.last_s, checkup.jitter = self._world.now(), self._jitter()
            checkup.running, checkup.hanging = None, 0
        self._thread = Thread(target=_watch, args=(ref(self), self.inbox), name="failover-watch", daemon=True)
        self._thread.start()
        finalize(self, self.inbox.put, None).atexit = False

    def look(self, now: float) -> float:
        """Give up the checks that take too long and start those that are due.

        Returns:
            When to look again, in seconds from now.
        """
        snapshot, next_s = self._desk.book.snapshot, now + min(LOOK_S, self._interval_s)
        for name, checkup in self._checkups.items():
            if checkup.running is None and checkup.hanging < MAX_HANGING:
                at_s = due_s(
                    snapshot[name], checkup.last_s, self._interval_s, hurry=checkup.hurry, jitter=checkup.jitter
                )
                if at_s > now:
                    next_s = min(next_s, at_s)
                    continue
                self._begin(name, checkup, now)
            if checkup.running is not None:
                gives_up_s = checkup.running.began_s + TIMEOUT_S
                if now >= gives_up_s:
                    checkup.hanging += 1
                    self._conclude(checkup, now, Failure(FailureKind.TIMEOUT, f"no answer in {TIMEOUT_S:.0f} s"))
                else:
                    next_s = min(next_s, gives_up_s)
        return next_s - now

    def ended(self, result: Result) -> None:
        """A check has ended; what comes late, after it was given up, tells nothing any more."""
        checkup = self._checkups[result.check.name]
        if checkup.running is not result.check:
            checkup.hanging -= 1
        else:
            failure = None if result.error is None else self._desk.classify(result.error)
            self._conclude(checkup, result.at_s, failure)

    def _begin(self, name: str, checkup: Checkup, now: float) -> None:
        checkup.running = check = Check(name, now)
        perform, inbox, clock = checkup.check, self.inbox, self._world.now
        try:
            self._world.spawn(lambda: _perform(perform, check, inbox, clock))
        except RuntimeError:  # no thread left, which says nothing of the target: it is its turn again later
            checkup.running, checkup.last_s = None, now

    def _conclude(self, checkup: Checkup, now: float, failure: Failure | None) -> None:
        assert checkup.running is not None
        name, began_s = checkup.running.name, checkup.running.began_s
        checkup.running, checkup.last_s, checkup.jitter = None, now, self._jitter()
        self._desk.telemetry.emit(TargetChecked(name, failure, now - began_s))
        since_s, checkup.hurry = checkup.failing_since_s, False
        if failure is None:
            checkup.failing_since_s = None
            self._believe(name, Finding(failing_since_s=since_s), now)
            return
        rule = health_check_rule(failure)
        if rule.parks or rule.evidence_nats > 0.0:
            checkup.failing_since_s = began_s if since_s is None else since_s
            finding = Finding(failure, rule.evidence_nats, rule.parks, checkup.failing_since_s)
            believed = self._believe(name, finding, now)
            is_open = self._desk.book.snapshot[name].breaker.state is CircuitState.OPEN
            checkup.hurry = (believed or is_open) and not rule.parks

    def _believe(self, name: str, finding: Finding, now: float) -> bool:
        book, park_s, jitter = self._desk.book, self._desk.settings.park_s, self._jitter()
        was = book.snapshot[name].breaker.state

        def change(state: TargetState, heard_s: float) -> TargetState:
            return after_check(state, finding, now, heard_s=heard_s, jitter=jitter, park_s=park_s)

        believed = book.revise(name, now, change, finding.reason)
        if believed and finding.parks and finding.failure is not None and was is not CircuitState.OPEN:
            self._desk.telemetry.emit(TargetParked(name, finding.failure.kind, finding.failure.message, park_s))
        return believed

    def _jitter(self) -> float:
        return 0.8 + 0.4 * self._desk.rng.random()


def _watch(watching: ref[Watch], inbox: SimpleQueue[Result | None]) -> None:
    """The thread. While it waits nothing here may keep the `Failover` alive."""
    wait_s = 0.0
    while True:
        try:
            result = inbox.get(timeout=wait_s)
        except Empty:
            result = None
        watch = watching()
        if watch is None or watch.inbox is not inbox:
            return
        if result is not None:
            watch.ended(result)
        wait_s = watch.look(watch._world.now())
        del watch, result


def _perform(
    perform: Callable[[], object], check: Check, inbox: SimpleQueue[Result | None], clock: Callable[[], float]
) -> None:
    error: BaseException | None = None
    try:
        perform()
    except BaseException as raised:  # nobody else would hear of it
        error = raised
    inbox.put(Result(check, error, clock()))
