"""`failover demo --live`: a few questions to real providers, through the same chain and chat engine. No incident."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from time import monotonic

from rich.console import Console
from rich.text import Text

from ..events import Happening, RequestLost, RequestServed
from ..failure import ConfigError, FailoverError
from ..model import Target
from ..trace import RouteTrace
from .display import route_line
from .lanes import MODELS, Ask, built_apps

QUESTIONS = (
    "In one sentence: what is a circuit breaker in software?",
    "In one sentence: why do retries need jitter?",
    "In one sentence: what does an HTTP 503 tell the client?",
    "In one sentence: what is tail latency?",
)


def run_live(specs: Sequence[str], out: Console, err: Console) -> int:
    """Ask; returns the exit status, 0 when every question was answered.

    Args:
        specs: native targets; none = the usual model of each provider whose key is in the environment.
    """
    try:
        targets = [Target.native(spec) for spec in specs] or keyed_targets()
    except ConfigError as error:
        err.print(str(error), highlight=False, markup=False)
        return 2
    if not targets:
        err.print(
            "No key found. Set OPENAI_API_KEY, ANTHROPIC_API_KEY or GOOGLE_API_KEY (or GEMINI_API_KEY); "
            "`failover demo` without --live needs none.",
            highlight=False,
        )
        return 2
    out.print("Real providers, default settings, no incident is injected.", highlight=False)
    out.print(f"Targets: {', '.join(target.name for target in targets)}", highlight=False, markup=False)
    if len(targets) == 1:
        out.print("With one target there is nobody to fail over to; add a second key to see more.")
    return asyncio.run(_ask_all(targets, out))


def keyed_targets() -> list[Target]:
    """The usual model of each provider whose key is in the environment."""
    targets = (Target.native(f"{provider}:{model}") for provider, model in MODELS.items())
    return [target for target in targets if any(os.environ.get(name) for name in target.source.key_variables)]


async def _ask_all(targets: Sequence[Target], out: Console) -> int:
    apps, failovers = built_apps(targets)
    seen: list[RouteTrace] = []

    def listen(event: Happening) -> None:
        if isinstance(event, RequestServed | RequestLost):
            seen.append(event.trace)

    for failover in failovers.values():
        failover.subscribe(listen)
    lost = 0
    for index, question in enumerate(QUESTIONS):
        name, ask = list(zip(failovers, apps, strict=True))[index % len(apps)]
        out.print(Text(f"\n{name}: {question}", "bold"))
        lost += not await _answered(ask, question, seen, out)
    return 1 if lost else 0


async def _answered(ask: Ask, question: str, seen: list[RouteTrace], out: Console) -> bool:
    began_s = monotonic()
    try:
        text = "".join([piece async for piece in ask(question)])
    except FailoverError as error:
        out.print(Text(str(error), "red"))
        return False
    out.print(Text(text.strip()))
    out.print(Text(f"{route_line(seen[-1])}, whole answer after {monotonic() - began_s:.2f} s", "dim"))
    return True
