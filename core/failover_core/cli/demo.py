"""`failover demo`: real traffic, a made-up incident, and three ways to live through it. No key and no network needed.

Every lane gets the same questions at the same seconds from three providers of its own on loopback, which speak the real
wires of OpenAI, Anthropic and Gemini. The exit status is 0 only if Failover Kit lost no request.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.live import Live

from .display import frame, report
from .incident import FIRST_TOKEN_S, INCIDENT, TOKENS_PER_S, Phase
from .lanes import Providers, failover_lane, fallbacks_lane, single_lane
from .replay import PATIENCE_S, Replay
from .score import DELAYED_FACTOR
from .traffic import MINUTE_S, SPEED, arrivals

FRAMES_PER_S = 5
REPORT_EVERY_S = 10.0
WORDS = f"""\
Traffic    every second request of a minute of the Azure LLM inference trace
           2023 (CC-BY 4.0) at {SPEED:g} x speed: when users asked, and how long
           the answers were
Providers  loopback servers speaking the real wires; the incident is made up
Failover   one LangChain chain and one LlamaIndex chat engine on native targets,
           default settings
Others     plain models on the official SDKs, the SDKs' own timeouts and retries
Lost       an error, an incomplete answer, or none after {PATIENCE_S:g} s
Delayed    first text later than {DELAYED_FACTOR:g} x its healthy median
"""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line says.

    Args:
        seconds: length of the replay; the incident is stretched with it.
        seed: of the providers' first-token times.
        as_json: print the figures as one JSON object and nothing else on stdout.
        phases: the incident.
        patience_s: callers wait that long for a whole answer.
    """

    seconds: float = MINUTE_S
    seed: int = 1
    as_json: bool = False
    phases: Sequence[Phase] = INCIDENT
    patience_s: float = PATIENCE_S


def run_demo(options: DemoOptions, out: Console, err: Console) -> int:
    """Run it; returns the exit status. Progress goes to `err` when `out` is for JSON."""
    with ExitStack() as stack:
        lanes = [
            made(stack.enter_context(Providers(options.seed))) for made in (failover_lane, single_lane, fallbacks_lane)
        ]
        replay = Replay(
            lanes, arrivals(options.seconds), options.seconds, phases=options.phases, patience_s=options.patience_s
        )
        screen = err if options.as_json else out
        if not options.as_json:
            screen.print(WORDS, highlight=False, markup=False)
        show = show_live if screen.is_terminal and not options.as_json else show_lines
        asyncio.run(_watched(replay, show(replay, screen)))
        if options.as_json:
            print(json.dumps(as_dict(replay, options), indent=2), file=out.file)
        else:
            out.print(report(replay, out.width), "", verdict(replay), highlight=False, sep="\n")
    return 1 if replay.figures(replay.lanes[0]).lost else 0


async def _watched(replay: Replay, shown: Coroutine[Any, Any, None]) -> None:
    """The replay, with a display beside it."""
    async with asyncio.TaskGroup() as running:
        display = running.create_task(shown)
        await replay.run()
        display.cancel()


async def show_live(replay: Replay, console: Console) -> None:
    """Redraw the screen until cancelled."""
    with Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop") as live:
        while True:
            live.update(frame(replay, console.width, console.height), refresh=True)
            await asyncio.sleep(1 / FRAMES_PER_S)


async def show_lines(replay: Replay, console: Console) -> None:
    """For logs: a line now and then, until cancelled."""
    told_s = -REPORT_EVERY_S
    phase: Phase | None = None
    while True:
        if replay.started and (replay.phase is not phase or replay.now_s - told_s >= REPORT_EVERY_S):
            told_s, phase = replay.now_s, replay.phase
            console.print(progress_line(replay), highlight=False, soft_wrap=True)
        await asyncio.sleep(1 / FRAMES_PER_S)


def progress_line(replay: Replay) -> str:
    parts = [f"{replay.now_s:3.0f} s  openai {replay.phase.name:9}"]
    for lane in replay.lanes:
        now = replay.figures(lane)
        parts.append(f"{lane.name}: {now.requests} requests, {now.lost} lost, {now.delayed} delayed")
    return "  |  ".join(parts)


def verdict(replay: Replay) -> str:
    """The last line."""
    lost = replay.figures(replay.lanes[0]).lost
    others = ", ".join(f"{lane.name} {replay.figures(lane).lost}" for lane in replay.lanes[1:])
    return f"Failover Kit lost {lost} requests ({others})."


def as_dict(replay: Replay, options: DemoOptions) -> dict[str, Any]:
    """The figures for JSON. Times are in seconds; null = that many requests never got there."""
    kit = replay.lanes[0]
    return {
        "seconds": options.seconds,
        "seed": options.seed,
        "patience_s": options.patience_s,
        "healthy_first_text_s": replay.usual_s,
        "delayed_after_s": replay.delayed_after_s,
        "provider_first_token_s": FIRST_TOKEN_S,
        "provider_tokens_per_s": TOKENS_PER_S,
        "incident": [{"phase": phase.name, "from_s": phase.from_share * options.seconds} for phase in options.phases],
        "lanes": {lane.name: replay.figures(lane).as_dict() for lane in replay.lanes},
        "answered_by": {
            app: {name: health.answered for name, health in failover.health().items()}
            for app, failover in kit.failovers.items()
        },
        "nothing_lost": not replay.figures(kit).lost,
    }
