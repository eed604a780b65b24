"""A request driven by hand, one event at a time: no threads, no event loop, no clock but its own."""

from __future__ import annotations

from random import Random
from typing import Any

from failover_core import Failover, RequestInfo, Settings, Target
from failover_core.effects import Cancel, Chunk, Detach, Elapsed, Emit, Ended, Event, Failed, Returned, Start, Wait
from failover_core.engine import answer_flow, plan, stream_flow
from failover_core.health.state import TargetState
from failover_core.policy.guards import Style
from failover_core.testing.scripted import Finish, ScriptedReader
from failover_core.trace import RouteTrace

START_S = 1000.0


def scripted(name: str, **options: Any) -> Target:
    """A target that nobody calls: its callables only say what it can do."""

    def never(request: Any) -> Any:
        raise AssertionError("a stepped target is never called")

    return Target(
        name,
        **{
            "call": never,
            "stream": never,
            "reader": ScriptedReader(),
            "resume": lambda request, shown: (request, shown),
            **options,
        },
    )


class Stepper:
    """One request. Each method is one event; afterwards the engine waits for the next, or is `done`.

    Attributes:
        now: the clock, in seconds.
        started, cancelled, emitted: what the engine has asked for so far: names, names, chunks.
        detached: attempts that run on by themselves, by name.
        until_s: how long the engine is ready to wait.
        result, error: how it ended.
    """

    def __init__(
        self,
        failover: Failover,
        style: Style = "call",
        info: RequestInfo | None = None,
        *,
        now: float = START_S,
        request: Any = "request",
    ) -> None:
        self.failover = failover
        self.now = now
        self.started: list[str] = []
        self.starts: list[Start] = []
        self.cancelled: list[str] = []
        self.emitted: list[Any] = []
        self.detached: dict[str, Detach] = {}
        self.until_s: float | None = None
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.running: dict[int, str] = {}
        self.reader_takes_s = 0.0
        self.route = plan(failover._desk, request, info or RequestInfo(), style, now)
        self._flow = stream_flow(self.route) if style in ("stream", "astream") else answer_flow(self.route)
        self._advance(None)

    @property
    def trace(self) -> RouteTrace:
        return self.route.trace

    @property
    def verdicts(self) -> list[tuple[str, str, str]]:
        """(target, why, verdict) of each attempt."""
        return [(attempt.target.name, attempt.why, attempt.verdict.value) for attempt in self.trace.attempts]

    def health(self, name: str) -> TargetState:
        return self.failover._book.snapshot[name]

    # -- events -------------------------------------------------------------------------------------------------

    def returns(self, name: str, value: Any, *, after_s: float = 0.0) -> None:
        self._pass(after_s)
        self._happens(Returned(self._forget(name), value, self.now))

    def fails(self, name: str, error: BaseException, *, after_s: float = 0.0) -> None:
        self._pass(after_s)
        self._happens(Failed(self._forget(name), error, self.now))

    def sends(self, name: str, *chunks: Any, after_s: float = 0.0) -> None:
        for chunk in chunks:
            self._pass(after_s)
            self._happens(Chunk(self._number(name), chunk, self.now))

    def ends(self, name: str, *, after_s: float = 0.0) -> None:
        self._pass(after_s)
        self._happens(Ended(self._forget(name), self.now))

    def finishes(self, name: str, *, after_s: float = 0.0) -> None:
        """A finish marker and the end."""
        self.sends(name, Finish(), after_s=after_s)
        self.ends(name)

    def times_out(self) -> None:
        """Nothing happens until the engine's patience is at its end."""
        assert self.until_s is not None, "the engine would wait for ever"
        self.now = max(self.now, self.until_s)
        self._happens(Elapsed(self.now))

    def late(self, number: int, event: Event) -> None:
        """An event of an attempt that the engine has given up."""
        self._happens(event)

    def close(self) -> None:
        """The caller goes away."""
        self._flow.close()
        self.done = True

    # -- the engine's side --------------------------------------------------------------------------------------

    def _number(self, name: str) -> int:
        return next(number for number, running in self.running.items() if running == name)

    def _forget(self, name: str) -> int:
        number = self._number(name)
        del self.running[number]
        return number

    def _pass(self, seconds: float) -> None:
        self.now += seconds
        assert self.until_s is None or self.now <= self.until_s, "the engine wanted to be woken before"

    def _happens(self, event: Event) -> None:
        assert not self.done, "the request is over"
        self._advance(event)

    def _advance(self, reply: Any) -> None:
        try:
            while True:
                effect = self._flow.send(reply)
                if isinstance(effect, Wait):
                    self.until_s = effect.until_s
                    return
                if isinstance(effect, Start):
                    self.started.append(effect.context.target.name)
                    self.starts.append(effect)
                    self.running[effect.number] = effect.context.target.name
                elif isinstance(effect, Cancel):
                    self.cancelled.append(self.running.pop(effect.number))
                elif isinstance(effect, Detach):
                    self.detached[self.running.pop(effect.number)] = effect
                elif isinstance(effect, Emit):
                    self.emitted.append(effect.chunk)
                    self.now += self.reader_takes_s
                reply = self.now
        except StopIteration as stop:
            self.done, self.result = True, stop.value
        except Exception as error:
            self.done, self.error = True, error


def failover_of(*targets: Target | str, on_event: Any = None, rng: Random | None = None, **settings: Any) -> Failover:
    """A `Failover` over scripted targets, with a seeded random source; `settings` are fields of `Settings`."""
    made = [scripted(target) if isinstance(target, str) else target for target in targets]
    return Failover(made, Settings(**settings), rng=rng or Random(7), on_event=on_event)
