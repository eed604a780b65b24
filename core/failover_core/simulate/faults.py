"""What goes wrong at a simulated provider, and when. Incidents are data: `Incident(**{"from_s": 100, ...})`."""

from __future__ import annotations

from dataclasses import dataclass

from .fields import need, need_flags, need_name, need_numbers, need_shares, number

MAX_QUEUE_S = 30.0


@dataclass(frozen=True, slots=True)
class Incident:
    """What happens to attempts that begin at a target within a span of time. Shares are of these attempts.

    Args:
        from_s, until_s: seconds since the scenario's start.
        target: who is hit; "*" = everybody.
        errors: share that fails fast with `status`.
        status: 503, 500, 429, ...
        silent: share that never says anything (a black hole).
        stalls: share that breaks off without a word: in the middle of a stream; instead of an answer.
        cuts: share of streams that end early without a finish marker, as if they were whole.
        slowdown: factor on the time to the first token.
        drag: factor on the time of each token after that.
        ramp: the factors grow from 1 at the beginning to their full size at the end.
        limit_per_s: requests a second; more are refused with a 429.
        tells_wait: a 429 says in `Retry-After` when to come back.
        capacity_from, capacity_to: requests a second that can be worked on, growing over the span; the rest wait in
            line, and are refused when the line is longer than 30 s.
        on_s, off_s: the incident comes and goes; 0 = it stays.

    Raises:
        ConfigError: naming the field and what to write instead.
    """

    from_s: float
    until_s: float
    target: str = "primary"
    errors: float = 0.0
    status: int = 503
    silent: float = 0.0
    stalls: float = 0.0
    cuts: float = 0.0
    slowdown: float = 1.0
    drag: float = 1.0
    ramp: bool = False
    limit_per_s: float = 0.0
    tells_wait: bool = False
    capacity_from: float = 0.0
    capacity_to: float = 0.0
    on_s: float = 0.0
    off_s: float = 0.0

    def __post_init__(self) -> None:
        need_name(self, "target")
        need_numbers(self, "from_s", "until_s", "limit_per_s", "capacity_from", "capacity_to", "on_s", "off_s")
        need(self, "until_s", self.until_s >= self.from_s, f"a second after from_s={self.from_s}")
        need_shares(self, "errors", "silent", "stalls", "cuts")
        need(self, "cuts", self.stalls + self.cuts <= 1, "a share that together with stalls is at most 1")
        need(self, "status", number(self.status) and 400 <= self.status < 600, "an HTTP status from 400 to 599")
        need_numbers(self, "slowdown", "drag", above=0.0)
        need_flags(self, "ramp", "tells_wait")

    def hits(self, target: str) -> bool:
        return self.target in ("*", target)

    def active(self, at_s: float) -> bool:
        """At this second of the scenario?"""
        if not self.from_s <= at_s < self.until_s:
            return False
        return not self.on_s or (at_s - self.from_s) % (self.on_s + self.off_s) < self.on_s

    def factor(self, full: float, at_s: float) -> float:
        """A slowdown at this second."""
        return 1.0 + (full - 1.0) * self._part(at_s) if self.ramp else full

    def capacity_per_s(self, at_s: float) -> float:
        return self.capacity_from + (self.capacity_to - self.capacity_from) * self._part(at_s)

    @property
    def limits_capacity(self) -> bool:
        return self.capacity_from > 0.0 or self.capacity_to > 0.0

    @property
    def harmless(self) -> Incident:
        """The same time at the same target, with nothing wrong."""
        return Incident(self.from_s, self.until_s, self.target)

    def _part(self, at_s: float) -> float:
        return (at_s - self.from_s) / (self.until_s - self.from_s)


WELL = Incident(0.0, 0.0)


class Bucket:
    """A provider's own rate limit: a token bucket that holds two seconds' worth."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._most = max(1.0, 2.0 * per_s)
        self._tokens = self._most
        self._at_s = 0.0

    def wait_s(self, now: float) -> float:
        """0 = the request is let in; else the seconds until the next one would be."""
        self._tokens = min(self._most, self._tokens + self._per_s * (now - self._at_s))
        self._at_s = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._per_s


class Line:
    """Requests waiting for a provider that cannot work on all of them."""

    def __init__(self) -> None:
        self._waiting = 0.0
        self._at_s = 0.0

    def wait_s(self, now: float, capacity_per_s: float) -> float | None:
        """Seconds in line for a request that comes now; None = refused, the line is too long."""
        self._waiting = max(0.0, self._waiting - capacity_per_s * (now - self._at_s))
        self._at_s = now
        wait_s = self._waiting / capacity_per_s if capacity_per_s > 0.0 else MAX_QUEUE_S + 1.0
        if wait_s > MAX_QUEUE_S:
            return None
        self._waiting += 1.0
        return wait_s
