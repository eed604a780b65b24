"""S15 of Failover Bench: a provider that is down for a while, and somebody who asks all the time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from failover_core.testing import Fault, faults
from failover_core.testing.reply import Reply
from failover_core.testing.wires import Incoming
from fault_stage import STORY, Stage, Turn


@dataclass(frozen=True, slots=True)
class DownUntil(Fault):
    """503 until a moment of `time.monotonic()`, healthy from then on."""

    until_s: float

    def instead(self, incoming: Incoming) -> Reply | None:
        return faults.Status(503).instead(incoming) if time.monotonic() < self.until_s else None


@dataclass(frozen=True)
class Outage:
    """S15: the first provider is down for a while, then healthy; somebody asks all the time.

    Args:
        down_s: how long it is down.
        every_s, calls: how often it is asked, and how many times.
        back_within_s: so soon after its end the first provider answers again.
        probes: at most so many calls reach it while it is down.
    """

    down_s: float = 60.0
    every_s: float = 4.0
    calls: int = 20
    back_within_s: float = 30.0
    probes: int = 12

    def begin(self, stage: Stage, style: str, kind: str) -> OutageTurn:
        up_s = time.monotonic() + self.down_s
        turn = stage.turn(style, kind, fault=DownUntil(up_s))
        return OutageTurn(self, turn, up_s, stage.begin(turn, self.calls, every_s=self.every_s))


@dataclass(frozen=True)
class OutageTurn:
    """A caller in an outage; `up_s` is its end."""

    outage: Outage
    turn: Turn
    up_s: float
    under_way: Future[Any]

    def problems(self) -> Iterator[str]:
        turn = self.turn
        served = [got.text == STORY for got in turn.got]
        if len(served) != self.outage.calls or not all(served):
            yield f"{sum(served)} of {self.outage.calls} were served"
        slow_s = max(got.elapsed_s for got in turn.got)
        if slow_s > 6:
            yield f"one took {slow_s:.1f} s"
        if self.probes > self.outage.probes:
            yield f"{self.probes} calls reached the provider while it was down"
        if self.back_after_s is None or self.back_after_s > self.outage.back_within_s:
            yield f"it answered again {self.back_after_s} s after it was back"

    @property
    def probes(self) -> int:
        return sum(call.received_s < self.up_s for call in self.turn.first)

    @property
    def back_after_s(self) -> float | None:
        answered = [call.received_s for call in self.turn.first if call.status == 200]
        return min(answered) - self.up_s if answered else None
