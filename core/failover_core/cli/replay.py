"""Replays the traffic over all lanes at once while the incident runs. Displays read it; it knows nothing of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from ..events import Happening
from .incident import HEALTHY, INCIDENT, Phase, phase_at
from .lanes import Ask, Lane
from .score import DELAYED_FACTOR, Figures, Record, figures, usual_first_s
from .traffic import Arrival, answer_to

PATIENCE_S = 20.0
NEWS_KEPT = 60
WARM_UP = Arrival(0, 0.0, 20)


@dataclass(frozen=True, slots=True)
class News:
    """Something that one of Failover Kit's apps had to say.

    Args:
        at_s: in seconds of the replay.
        app: the app's name.
        event: what happened.
    """

    at_s: float
    app: str
    event: Happening


class Replay:
    """One run of the demo.

    Args:
        lanes: Failover Kit's first.
        traffic: what to ask, and when.
        seconds: how long.
        phases: the incident.
        patience_s: callers wait that long for a whole answer.
        usual_lane: the lane whose healthy first-token times are the measure of a delay.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        traffic: Sequence[Arrival],
        seconds: float,
        *,
        phases: Sequence[Phase] = INCIDENT,
        patience_s: float = PATIENCE_S,
        usual_lane: str = "one model alone",
    ) -> None:
        self.lanes = lanes
        self.seconds = seconds
        self.phases = phases
        self.patience_s = patience_s
        self.records: dict[str, list[Record]] = {lane.name: [] for lane in lanes}
        self.news: deque[News] = deque(maxlen=NEWS_KEPT)
        self._traffic = traffic
        self._usual_lane = usual_lane
        self._began_s: float | None = None

    @property
    def now_s(self) -> float:
        """Seconds since the replay began; 0 before that."""
        return 0.0 if self._began_s is None else monotonic() - self._began_s

    @property
    def started(self) -> bool:
        return self._began_s is not None

    @property
    def phase(self) -> Phase:
        return phase_at(self.now_s / self.seconds, self.phases)

    @property
    def usual_s(self) -> float | None:
        """The usual time to the first token: the median of a lane without failover while all was well."""
        healthy = [phase.from_share for phase in self.phases if phase is not HEALTHY]
        until_s = min(healthy, default=1.0) * self.seconds
        return usual_first_s(self.records[self._usual_lane], until_s)

    @property
    def delayed_after_s(self) -> float | None:
        usual_s = self.usual_s
        return None if usual_s is None else DELAYED_FACTOR * usual_s

    def figures(self, lane: Lane) -> Figures:
        return figures(self.records[lane.name], self.delayed_after_s)

    async def run(self) -> None:
        """Ask everything at its time; ends when every request is answered or lost."""
        try:
            await self._warm_up()
            self._began_s = monotonic()
            async with asyncio.TaskGroup() as running:
                running.create_task(self._run_incident())
                for arrival in self._traffic:
                    await self._until(arrival.at_s)
                    for lane in self.lanes:
                        running.create_task(self._ask(lane, arrival))
                await self._until(self.seconds)
        finally:
            for close in (close for lane in self.lanes for close in lane.closers):
                await close()

    async def _warm_up(self) -> None:
        for lane in self.lanes:
            for ask in lane.warm_up:
                await _text_of(ask, WARM_UP.question)
            for app, failover in lane.failovers.items():
                failover.subscribe(self._listener(app))

    async def _run_incident(self) -> None:
        for phase in self.phases:
            await self._until(phase.from_share * self.seconds)
            for lane in self.lanes:
                lane.providers.enter(phase)

    async def _ask(self, lane: Lane, arrival: Arrival) -> None:
        record = Record(arrival.number, self.now_s)
        self.records[lane.name].append(record)
        app = lane.apps[arrival.number % len(lane.apps)]
        reading = asyncio.create_task(self._read(app, arrival, record))
        try:
            await asyncio.wait({reading}, timeout=self.patience_s)
        finally:
            # A chat engine may not heed it at once; nobody waits for it, and the end of the event loop asks again.
            reading.cancel()
        if record.waiting:
            record.lost = f"no whole answer in {self.patience_s:g} s"

    async def _read(self, app: Ask, arrival: Arrival, record: Record) -> None:
        """Read one answer as its caller would, and note what became of it."""
        try:
            text = await _text_of(app, arrival.question, on_first=lambda: self._first_came(record))
        except Exception as error:
            record.lost = record.lost or _named(error)
            return
        if text == answer_to(arrival.question):
            record.total_s = self.now_s - record.asked_s
        else:
            record.lost = record.lost or ("a truncated or wrong answer" if text else "an empty answer")

    def _first_came(self, record: Record) -> None:
        record.first_s = self.now_s - record.asked_s

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - self.now_s))

    def _listener(self, app: str) -> Callable[[Happening], None]:
        return lambda event: self.news.append(News(self.now_s, app, event))


async def _text_of(ask: Ask, question: str, on_first: Callable[[], None] = lambda: None) -> str:
    pieces: list[str] = []
    async for piece in ask(question):
        if piece:
            if not pieces:
                on_first()
            pieces.append(piece)
    return "".join(pieces).strip()


def _named(error: Exception) -> str:
    """Its class and, if it has one, its HTTP status: enough to count by."""
    status = getattr(error, "status_code", None)
    return type(error).__name__ + (f" {status}" if status else "")
