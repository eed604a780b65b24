"""Two providers, each on all three wires, of which the first fails as it is told; and many callers side by side.

Each caller's question carries a mark of its own. Faults are scripted for a mark and calls are counted by mark, so that
a whole row of scenarios can run at the same time, with health of its own for each.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from itertools import count
from threading import Thread
from typing import Any

import lc_targets
from call_styles import STYLES, Got, Style
from failover_core import Settings
from failover_core.testing import Ask, Call, Fault, ProviderServer, ToolCall
from failover_core.testing.answers import Said
from llamaindex_targets import Shop

STORY = (
    "Once upon a time there was a small service in a large data centre far away from everybody who used it. "
    "It answered every question it was asked, by day and by night, and nobody ever thanked it for that. Then one "
    "morning it fell silent, and for the very first time all of the people noticed how much they had relied on it."
)
WIRES = ("openai", "anthropic", "google")
KINDS = (*WIRES, *(f"{wire}:" for wire in WIRES))
"""What a target may be: "openai" a wrapped model of the framework, "openai:" a native target."""

SECOND = {"openai": "anthropic", "anthropic": "google", "google": "openai"}
_LLAMAINDEX = {"openai": "OpenAI", "anthropic": "Anthropic", "google": "GoogleGenAI"}
_MARK = re.compile(r"\[mark (\d+)\]")


def second_of(kind: str) -> str:
    """The kind of the other target: the next wire, wrapped or native as the first."""
    return SECOND[kind.rstrip(":")] + (":" if kind.endswith(":") else "")


def answer(ask: Ask) -> Said:
    """The story; a call of the tool where there is one."""
    return ToolCall(ask.tools[0].name, {"query": "stories"}) if ask.tools else STORY


@dataclass(eq=False)
class Turn:
    """One caller's question and what came of it.

    Args:
        style: how it is asked.
        kind: the kind of the first target.
        model: the failover, or whatever is asked.
        mark: tells its calls from those of others.
        tools: what the model may call.
        got: what the caller got; several, when it asked several times.
        first, second: the calls that the two providers saw.
    """

    style: Style
    kind: str
    model: Any
    mark: str
    tools: Sequence[Callable[..., Any]] = ()
    got: list[Got] = field(default_factory=list)
    first: list[Call] = field(default_factory=list)
    second: list[Call] = field(default_factory=list)

    @property
    def question(self) -> str:
        return f"Tell me a story. {self.mark}"

    @property
    def name(self) -> str:
        return f"{self.kind} {self.style.name}"


class Stage:
    """Servers, clients, a loop and threads, kept for all tests of a module. Use it as a context manager."""

    def __init__(self, **behaviour: Any) -> None:
        options = {"answer": answer, "words_per_chunk": 1, **behaviour}
        self.first, self.second = ProviderServer(**options), ProviderServer(**options)
        self.gone = ProviderServer(**options)
        self._made: dict[tuple[str, ...], Any] = {}
        self._known: dict[str, dict[str, list[Call]]] = {"first": {}, "second": {}}
        self._shop = Shop()
        self._marks = count(1)
        self._threads = ThreadPoolExecutor(400, thread_name_prefix="caller")
        self._loop = asyncio.new_event_loop()
        self._loop_thread = Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Stage:
        for sdk in ("openai", "anthropic", "google.genai"):
            import_module(sdk)  # the first import takes longer than short limits
        for server in (self.first, self.second, self.gone):
            server.start()
        self.gone.refuse()
        self._loop_thread.start()
        self.play([self.turn(style, kind) for style in STYLES for kind in KINDS])  # first calls are slow
        self.clear()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._threads.shutdown()
        self.on_loop(self._close()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._loop_thread.join()
        self._loop.close()
        for server in (self.first, self.second, self.gone):
            server.stop()

    async def _close(self) -> None:
        await self._shop.aclose()
        for (framework, *_), made in self._made.items():
            if framework == "langchain":
                await lc_targets.close(made)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=30)  # probes that were left behind end by themselves
        await self._loop.shutdown_asyncgens()

    def on_loop(self, work: Any) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def model(self, framework: str, kind: str, place: str, **options: Any) -> Any:
        """A model or target at the server `place`: "first", "second" or "gone". Made once."""
        key = (framework, kind, place, *options)
        if key not in self._made:
            self._made[key] = self._make(framework, kind, getattr(self, place), place, options)
        return self._made[key]

    def _make(self, framework: str, kind: str, server: ProviderServer, place: str, options: dict[str, Any]) -> Any:
        if kind.endswith(":"):
            options["name"] = f"{kind}{place}"
        if framework == "llamaindex":
            if kind == "openai":  # as `stream_usage=True` of LangChain's class
                options["additional_kwargs"] = {"stream_options": {"include_usage": True}}
            if kind == "google":
                options["context_window"] = 1_048_576
            return self._shop.make(_LLAMAINDEX.get(kind, kind), server, **options)
        if kind == "google":  # one that thinks without being asked may take twice as long for a whole answer
            options["model"] = "gemini-2.0-flash"
        return lc_targets.build(kind, server, **options)

    def turn(
        self,
        style: str,
        kind: str,
        *,
        settings: Settings | None = None,
        fault: Fault | None = None,
        script: Sequence[Fault | None] = (),
        second_fault: Fault | None = None,
        gone: bool = False,
        tools: Sequence[Callable[..., Any]] = (),
    ) -> Turn:
        """A caller with a failover of its own, and what the providers will do to it."""
        turn = Turn(STYLES[style], kind, None, f"[mark {next(self._marks)}]", tools)
        framework = turn.style.framework
        targets = [
            self.model(framework, kind, "gone" if gone else "first"),
            self.model(framework, second_of(kind), "second"),
        ]
        turn.model = turn.style.failover(targets, settings)
        if script:
            self.first.script(script, containing=turn.mark)
        if fault is not None:
            self.first.always(fault, containing=turn.mark)
        if second_fault is not None:
            self.second.always(second_fault, containing=turn.mark)
        return turn

    def begin(self, turn: Turn, questions: int = 1, *, every_s: float = 0.0) -> Future[Any]:
        """Ask so many times, each `every_s` seconds after the time before, or as soon as that one is over."""
        style = turn.style
        due_s = [time.monotonic() + every_s * number for number in range(questions)]

        def ask() -> None:
            for at_s in due_s:
                time.sleep(max(0.0, at_s - time.monotonic()))
                turn.got.append(style.ask(turn.model, turn.question, turn.tools))

        async def aask() -> None:
            for at_s in due_s:
                await asyncio.sleep(max(0.0, at_s - time.monotonic()))
                turn.got.append(await style.aask(turn.model, turn.question, turn.tools))

        return self.on_loop(aask()) if style.asynchronous else self._threads.submit(ask)

    def play(self, turns: Sequence[Turn]) -> None:
        """All callers at the same time; then tell each what the providers saw of it."""
        for future in [self.begin(turn) for turn in turns]:
            future.result()
        self.count_calls(turns)

    def count_calls(self, turns: Sequence[Turn]) -> None:
        """Tell each caller what the providers have seen of it up to now."""
        for place in ("first", "second"):
            log, known = getattr(self, place).log, self._known[place]
            for call in log[sum(map(len, known.values())) :]:
                marked = _MARK.search(str(call.body))
                known.setdefault(marked[0] if marked else "", []).append(call)
            for turn in turns:
                setattr(turn, place, known.get(turn.mark, []))

    def clear(self) -> None:
        """Forget faults and calls."""
        for server in (self.first, self.second):
            server.heal()
            server.clear()
        self._known = {"first": {}, "second": {}}


@contextmanager
def stage(**behaviour: Any) -> Iterator[Stage]:
    with Stage(**behaviour) as made:
        yield made


Problems = dict[str, list[str]]
"""Who met which problems; empty when all is well."""


def problems_of(turns: Sequence[Turn], check: Callable[[Turn], Iterable[str]]) -> Problems:
    found = {turn.name: list(check(turn)) for turn in turns}
    return {name: problems for name, problems in found.items() if problems}
