"""Fifty callers at the very moment when the circuit of a dead provider may be tried again: at most three reach it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from call_styles import STYLES, Got
from failover_core import Settings
from failover_core.testing import faults
from fault_stage import STORY, Stage, Turn, stage

CROWD = 50
DEAD = {"503": faults.Status(503), "reset": faults.Reset(), "silent": faults.Silence()}
SETTINGS = Settings(first_token_s=1.0, answer_s=1.0)  # for the calls that open the circuit; the rest is as by default


@pytest.fixture(scope="module")
def scene() -> Iterator[Stage]:
    with stage(words_per_chunk=20) as made:
        yield made


@pytest.fixture(scope="module")
def cooling(scene: Stage) -> dict[tuple[str, str], Turn]:
    """A caller for each style and death, who has met the dead provider until its circuit opened."""
    turns = {
        (style, death): scene.turn(style, kind, settings=SETTINGS, fault=fault)
        for style in STYLES
        for (death, fault), kind in zip(DEAD.items(), ("openai", "anthropic:", "google"), strict=True)
    }
    waiting = set(turns.values())
    for _ in range(20):
        waiting = {turn for turn in waiting if state_of(turn) != "open"}
        scene.play(list(waiting))
    assert {state_of(turn) for turn in turns.values()} == {"open"}
    return turns


def state_of(turn: Turn) -> str:
    return next(iter(turn.model.failover.health().values())).state


@pytest.mark.parametrize("death", DEAD)
@pytest.mark.parametrize("style", STYLES)
def test_a_crowd_does_not_rush_at_a_dead_provider(
    scene: Stage, cooling: dict[tuple[str, str], Turn], style: str, death: str
) -> None:
    turn = cooling[style, death]
    time.sleep(next(iter(turn.model.failover.health().values())).available_in_s + 0.01)
    scene.count_calls([turn])
    before = len(turn.first)
    answers = crowd(scene, turn)
    scene.count_calls([turn])
    assert {got.text for got in answers} == {STORY}
    assert 1 <= len(turn.first) - before <= 3


def crowd(scene: Stage, turn: Turn) -> list[Got]:
    if turn.style.asynchronous:

        async def all_at_once() -> list[Got]:
            return await asyncio.gather(*(turn.style.aask(turn.model, turn.question) for _ in range(CROWD)))

        return scene.on_loop(all_at_once()).result()
    with ThreadPoolExecutor(CROWD) as threads:
        return list(threads.map(lambda _: turn.style.ask(turn.model, turn.question), range(CROWD)))
