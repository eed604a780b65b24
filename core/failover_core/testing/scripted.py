"""Targets that follow a script, the same one in every world: threads, asyncio and simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Any, Literal

from ..drivers.sim import Happens
from ..effects import Chunk, Ended, Failed, Returned, Start
from ..model import Target
from ..output import Reading
from ..stream.resume import resume_instruction
from .clock import VirtualWorld

Step = tuple[float, Literal["return", "chunk", "end", "fail"], Any]


class ScriptedError(Exception):
    """An error as an HTTP client would raise it."""

    def __init__(self, status: int, message: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(message or f"Error code: {status}")
        self.status_code = status
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a target does with one call. As data: `Behaviour(**{"after_s": 0.2, "status": 503})`.

    Args:
        after_s: seconds to the answer, the first word of a stream, or the error.
        text: the answer; a stream sends it word by word.
        gap_s: seconds between the words of a stream.
        status, message, retry_after: fail with this HTTP error, "reset" or "refused"; after `words` words in a stream.
        words: how many words a stream sends before it fails, falls silent or is cut; None = all.
        then: how a stream goes on after its words: to its end, into silence, or cut without a finish marker.
    """

    after_s: float = 0.0
    text: str = "All is well."
    gap_s: float = 0.0
    status: int | Literal["reset", "refused"] | None = None
    message: str = ""
    retry_after: str | None = None
    words: int | None = None
    then: Literal["end", "silence", "cut"] = "end"
    silent: bool = False

    def error(self) -> Exception:
        if self.status == "refused":
            return ConnectionRefusedError(111, "Connection refused")
        if self.status == "reset" or self.status is None:
            return ConnectionResetError(104, "Connection reset by peer")
        return ScriptedError(self.status, self.message, {"retry-after": self.retry_after} if self.retry_after else {})

    def steps(self, *, streaming: bool) -> Iterator[Step]:
        """What happens, as (seconds after the step before, what, value). Without an end step: silence for ever."""
        if self.silent:
            return
        if not streaming:
            yield (self.after_s, "return", self.text) if self.status is None else (self.after_s, "fail", self.error())
            return
        wait_s = self.after_s
        words = self.text.split(" ")
        sent = words[: self.words] if self.status is None or self.words is not None else []
        for number, word in enumerate(sent):
            yield wait_s, "chunk", word if number == len(words) - 1 else word + " "
            wait_s = self.gap_s
        if self.status is not None:
            yield wait_s, "fail", self.error()
        elif self.then == "end":
            yield 0.0, "chunk", Finish()
            yield 0.0, "end", None
        elif self.then == "cut":
            yield 0.0, "end", None


@dataclass(frozen=True, slots=True)
class Finish:
    """The finish marker of a scripted stream."""

    reason: str = "stop"


class ScriptedReader:
    """Reads words and the finish marker."""

    expects_finish = True
    usage_adds_up = False

    def read(self, output: Any) -> Reading:
        return Reading(text=output, has_content=bool(output), finish_reason="stop")

    def read_chunk(self, chunk: Any) -> Reading:
        if isinstance(chunk, Finish):
            return Reading(finish_reason=chunk.reason)
        return Reading(text=chunk, has_content=bool(chunk))

    def with_text(self, chunk: Any, text: str) -> Any:
        return chunk if isinstance(chunk, Finish) else text


@dataclass(slots=True)
class ScriptedTarget:
    """A target that follows its script: one behaviour a call, the last one for all calls after it; or a function
    `(call number from 0, now) -> Behaviour`.
    """

    name: str
    script: Sequence[Behaviour] | Callable[[int, float], Behaviour]
    options: dict[str, Any] = field(default_factory=dict)
    calls: int = 0

    def next_behaviour(self, now: float) -> Behaviour:
        number = self.calls
        self.calls += 1
        if callable(self.script):
            return self.script(number, now)
        return self.script[min(number, len(self.script) - 1)]

    def target(self, world: VirtualWorld | None = None) -> Target:
        """As a `Target`; `world` is needed for synchronous calls."""
        return Target(
            self.name,
            call=partial(self._call, world),
            acall=self._acall,
            stream=partial(self._stream, world),
            astream=self._astream,
            reader=ScriptedReader(),
            resume=lambda request, shown: f"{request}\n{resume_instruction(shown)}",
            **self.options,
        )

    def plan(self, start: Start, now: float, *, streaming: bool) -> Iterator[tuple[float, Happens]]:
        """For `drivers.sim`."""
        for after_s, what, value in self.next_behaviour(now).steps(streaming=streaming):
            yield after_s, _happens(what, value)

    def _call(self, world: VirtualWorld | None, request: Any) -> Any:
        assert world is not None
        for after_s, what, value in self.next_behaviour(world.now()).steps(streaming=False):
            world.sleep(after_s)
            if what == "fail":
                raise value
            return value
        return world.sleep(inf)

    async def _acall(self, request: Any) -> Any:
        for after_s, what, value in self.next_behaviour(asyncio.get_running_loop().time()).steps(streaming=False):
            await asyncio.sleep(after_s)
            if what == "fail":
                raise value
            return value
        return await asyncio.Event().wait()

    def _stream(self, world: VirtualWorld | None, request: Any) -> Iterator[Any]:
        assert world is not None
        for after_s, what, value in self.next_behaviour(world.now()).steps(streaming=True):
            world.sleep(after_s)
            if what == "fail":
                raise value
            if what == "end":
                return
            yield value
        world.sleep(inf)

    async def _astream(self, request: Any) -> AsyncIterator[Any]:
        for after_s, what, value in self.next_behaviour(asyncio.get_running_loop().time()).steps(streaming=True):
            await asyncio.sleep(after_s)
            if what == "fail":
                raise value
            if what == "end":
                return
            yield value
        await asyncio.Event().wait()


def _happens(what: str, value: Any) -> Happens:
    if what == "return":
        return lambda number, now: Returned(number, value, now)
    if what == "chunk":
        return lambda number, now: Chunk(number, value, now)
    if what == "end":
        return lambda number, now: Ended(number, now)
    return lambda number, now: Failed(number, value, now)
