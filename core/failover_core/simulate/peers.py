"""How others would have handled the same requests: their policies as flows over the same effects, in the same world.

"30 s" in a name is an attempt timeout set by hand, as careful users do: the SDKs' own default is 600 s with two
retries, LiteLLM's 6000 s. None of them can go on with a stream after its first chunk; a break or a silence then reaches
the caller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ..context import AttemptContext
from ..effects import Cancel, Chunk, Effect, Elapsed, Emit, Ended, Event, Failed, Flow, Returned, Start, Wait
from ..model import Target
from .world import Call

SDK_TIMEOUT_S = 600.0  # openai and anthropic, both
SDK_RETRIES = 2
OBEYED_RETRY_AFTER_S = 60.0
COMMON_TIMEOUT_S = 30.0


@dataclass(slots=True)
class Tried:
    """What became of one attempt."""

    value: Any = None
    error: Exception | None = None
    shown: bool = False
    at_s: float = 0.0


Trying = Generator[Effect, Any, Tried]


class Peer:
    """A policy over targets, in order of preference.

    Args:
        targets: primary first.
        rng: of its jitter.
        timeout_s: for an answer; in a stream, between two chunks (as the SDKs' read timeout).

    Attributes:
        opened: (time, target's name) whenever a target was set aside.
    """

    def __init__(self, targets: Sequence[Target], rng: Random, timeout_s: float) -> None:
        self.targets = targets
        self.rng = rng
        self.timeout_s = timeout_s
        self.opened: list[tuple[float, str]] = []

    def flow(self, call: Call, now: float) -> Flow:
        raise NotImplementedError

    def attempt(self, call: Call, target: Target) -> Trying:
        """One call to one target, passing on what it streams."""
        number = len(call.attempts) + 1
        now: float = yield Start(number, AttemptContext(target, number, "", None), call, True)
        shown = False
        until_s = now + self.timeout_s
        while True:
            event: Event = yield Wait(until_s)
            if isinstance(event, Elapsed):
                yield Cancel(number)
                return Tried(error=TimeoutError("the read operation timed out"), shown=shown, at_s=event.at_s)
            if isinstance(event, Failed):
                error = event.error
                assert isinstance(error, Exception)
                return Tried(error=error, shown=shown, at_s=event.at_s)
            if isinstance(event, Returned):
                return Tried(event.value, at_s=event.at_s)
            if isinstance(event, Ended):
                return Tried(shown=shown, at_s=event.at_s)
            if isinstance(event, Chunk):
                until_s = event.at_s + self.timeout_s
                shown = True
                yield Emit(event.value)

    def patiently(self, call: Call, target: Target, retries: int) -> Trying:
        """An SDK's own retries: .5 s doubling to 8 s, less up to a quarter; Retry-After up to 60 s is obeyed."""
        for retry in range(retries + 1):
            tried = yield from self.attempt(call, target)
            if tried.error is None or tried.shown or retry == retries:
                return tried
            told = getattr(tried.error, "headers", {}).get("retry-after")
            delay_s = min(8.0, 0.5 * 2.0**retry) * (1.0 - 0.25 * self.rng.random())
            if told and 0.0 < float(told) <= OBEYED_RETRY_AFTER_S:
                delay_s = float(told)
            yield Wait(tried.at_s + delay_s)
        raise AssertionError("unreachable")


class Sequential(Peer):
    """One target after the other, nothing remembered: LangChain's `with_fallbacks`, or with one target none at all.

    Args:
        retries: of the SDK underneath.
    """

    def __init__(self, targets: Sequence[Target], rng: Random, timeout_s: float, retries: int) -> None:
        super().__init__(targets, rng, timeout_s)
        self._retries = retries

    def flow(self, call: Call, now: float) -> Flow:
        error: Exception = RuntimeError("there are no targets")
        for target in self.targets:
            tried = yield from self.patiently(call, target, self._retries)
            if tried.error is None:
                return tried.value
            error = tried.error
            if tried.shown:
                break
        raise error


@dataclass(slots=True)
class Count:
    """LiteLLM's count of "this minute": it begins anew with the first event after 60 s, and does not slide."""

    number: int = 0
    until_s: float = 0.0

    def add(self, now: float) -> None:
        if now >= self.until_s:
            self.number, self.until_s = 0, now + 60.0
        self.number += 1

    def at(self, now: float) -> int:
        return self.number if now < self.until_s else 0


@dataclass(slots=True)
class Deployment:
    good: Count = field(default_factory=Count)
    bad: Count = field(default_factory=Count)
    cooled_until_s: float = 0.0


class LiteLLMRouter(Peer):
    """LiteLLM's Router (1.106) with its defaults: three deployments of one group with `order` 1, 2, 3.

    A deployment cools down after any 429, or when more than half of at least 5 requests of the current minute have
    failed: for as long as a Retry-After of whole seconds says, else for 5 s. No failure on the way makes that longer,
    and then all traffic returns at once. A failed call is tried again twice without delay, each time at the lowest
    order that is not cooled down; after that each higher order gets its turn, with retries of its own
    (`cooldown_handlers.py`; `router.py`: `async_function_with_retries`, `deployment_callback_on_failure`,
    "order-based fallbacks").
    """

    COOLDOWN_S = 5.0
    RETRIES = 2
    MIN_REQUESTS = 5
    BAD_SHARE = 0.5

    def __init__(self, targets: Sequence[Target], rng: Random, timeout_s: float = COMMON_TIMEOUT_S) -> None:
        super().__init__(targets, rng, timeout_s)
        self._deployments = {target.name: Deployment() for target in targets}

    def flow(self, call: Call, now: float) -> Flow:
        none = RuntimeError("No deployments available for selected model")
        error: Exception = none
        for level in (None, *self.targets[1:]):
            for _ in range(1 + self.RETRIES):
                target = next((one for one in ([level] if level else self.targets) if self._usable(one, now)), None)
                if target is None:
                    error = none
                    break
                tried = yield from self.attempt(call, target)
                now = tried.at_s
                self._note(target, tried)
                if tried.error is None:
                    return tried.value
                error = tried.error
                if tried.shown:
                    raise error
        raise error

    def _usable(self, target: Target, now: float) -> bool:
        return now >= self._deployments[target.name].cooled_until_s

    def _note(self, target: Target, tried: Tried) -> None:
        deployment, now = self._deployments[target.name], tried.at_s
        if tried.error is None:
            deployment.good.add(now)
            return
        deployment.bad.add(now)
        bad = deployment.bad.at(now)
        total = bad + deployment.good.at(now)
        limited = getattr(tried.error, "status_code", None) == 429
        if not limited and (total < self.MIN_REQUESTS or bad / total <= self.BAD_SHARE):
            return
        if self._usable(target, now):
            told = getattr(tried.error, "headers", {}).get("retry-after", "")
            deployment.cooled_until_s = now + (float(told) if told.isdigit() else self.COOLDOWN_S)
            self.opened.append((now, target.name))


@dataclass(slots=True)
class Window:
    """What a classic breaker remembers of one target."""

    results: deque[tuple[float, bool]] = field(default_factory=deque)
    bad: int = 0
    state: str = "closed"
    until_s: float = 0.0


class WindowBreaker(Peer):
    """The textbook circuit breaker (Polly, resilience4j): opens when at least half of at least 10 calls of the last
    30 s have failed; after 30 s one call tests it, and its success closes it. Fallback in order.
    """

    WINDOW_S = 30.0
    MIN_CALLS = 10
    BAD_SHARE = 0.5
    OPEN_S = 30.0

    def __init__(self, targets: Sequence[Target], rng: Random, timeout_s: float = COMMON_TIMEOUT_S) -> None:
        super().__init__(targets, rng, timeout_s)
        self._windows = {target.name: Window() for target in targets}

    def flow(self, call: Call, now: float) -> Flow:
        error: Exception = RuntimeError("every circuit is open")
        for target in self.targets:
            if not self._admits(target, now):
                continue
            tried = yield from self.attempt(call, target)
            now = tried.at_s
            self._note(target, tried)
            if tried.error is None:
                return tried.value
            error = tried.error
            if tried.shown:
                break
        raise error

    def _admits(self, target: Target, now: float) -> bool:
        window = self._windows[target.name]
        if window.state == "open" and now >= window.until_s:
            window.state, window.until_s = "testing", now + 2.0 * self.timeout_s
            return True
        return window.state == "closed" or (window.state == "testing" and now >= window.until_s)

    def _note(self, target: Target, tried: Tried) -> None:
        window, now, bad = self._windows[target.name], tried.at_s, tried.error is not None
        if window.state == "testing":
            window.state, window.until_s = ("open", now + self.OPEN_S) if bad else ("closed", 0.0)
            window.results.clear()
            window.bad = 0
            return
        window.results.append((now, bad))
        window.bad += bad
        while window.results[0][0] < now - self.WINDOW_S:
            window.bad -= window.results.popleft()[1]
        total = len(window.results)
        if window.state == "closed" and total >= self.MIN_CALLS and window.bad / total >= self.BAD_SHARE:
            window.state, window.until_s = "open", now + self.OPEN_S
            self.opened.append((now, target.name))


PEERS: dict[str, Callable[[Sequence[Target], Random], Peer]] = {
    "one model": lambda targets, rng: Sequential(targets[:1], rng, SDK_TIMEOUT_S, SDK_RETRIES),
    "with_fallbacks": lambda targets, rng: Sequential(targets, rng, SDK_TIMEOUT_S, SDK_RETRIES),
    "with_fallbacks, 30 s": lambda targets, rng: Sequential(targets, rng, COMMON_TIMEOUT_S, 0),
    "LiteLLM Router, 30 s": LiteLLMRouter,
    "window breaker, 30 s": WindowBreaker,
}
