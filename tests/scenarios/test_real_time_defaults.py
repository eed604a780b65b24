"""Every fault of a provider with `Settings()` as they are: nothing is shortened, and time is real.

What takes its time begins at once, all of it at the same time, and is looked at last; so the whole takes as long as
S15, an outage of a minute that is watched for 76 seconds. The longest of the others waits 30 seconds, for an answer
that is not streamed.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from call_styles import STYLES
from failover_core.testing import faults
from fault_scenarios import REAL_TIME, Scenario, in_time, problems_with
from fault_stage import KINDS, STORY, Stage, Turn, problems_of, stage
from outage import Outage

WAITING = [scenario for scenario in REAL_TIME if scenario.silent or scenario.pause_s]
QUICK = [scenario for scenario in REAL_TIME if scenario not in WAITING]


class Waiting:
    """The callers who have to wait, all begun at once."""

    def __init__(self, scene: Stage) -> None:
        outage = Outage()
        self.outages = {(style, kind): outage.begin(scene, style, kind) for style in STYLES for kind in KINDS}
        self.turns = {(scenario.id, kind): scenario.turns(scene, kind) for scenario in WAITING for kind in KINDS}
        self._under_way: dict[tuple[str, str], list[Future[Any]]] = {
            key: [scene.begin(turn) for turn in turns] for key, turns in self.turns.items()
        }

    def finished(self, scenario: Scenario, kind: str) -> list[Turn]:
        for future in self._under_way[scenario.id, kind]:
            future.result()
        return self.turns[scenario.id, kind]


@pytest.fixture(scope="module")
def scene() -> Iterator[Stage]:
    with stage() as made:
        yield made


@pytest.fixture(scope="module")
def waiting(scene: Stage) -> Waiting:
    return Waiting(scene)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", QUICK + WAITING, ids=lambda scenario: scenario.id)
def test_defaults(scene: Stage, waiting: Waiting, scenario: Scenario, kind: str) -> None:
    if scenario in WAITING:
        turns = waiting.finished(scenario, kind)
        scene.count_calls(turns)
    else:
        turns = scenario.turns(scene, kind)
        scene.play(turns)
    assert problems_of(turns, lambda turn: [*problems_with(scenario, turn), *in_time(scenario, turn)]) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_s07_after_eight_answers_its_habit_is_known(scene: Stage, waiting: Waiting, kind: str) -> None:
    """What is unusually late is raced long before the 10 and 30 seconds of a cold start, whole answers too."""
    turns = [scene.turn(style, kind) for style in STYLES]
    for _ in range(8):
        scene.play(turns)
    for turn in turns:
        scene.first.always(faults.SlowFirstToken(20.0), containing=turn.mark)
    scene.play(turns)

    def problems(turn: Turn) -> Iterator[str]:
        got = turn.got[-1]
        if got.error is not None or got.text != STORY or len(turn.second) != 1:
            yield f"got {got.text!r}, {got.error!r}, {len(turn.second)} calls of the second"
        if got.elapsed_s > 5:
            yield f"it took {got.elapsed_s:.1f} s"

    assert problems_of(turns, problems) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_s15_an_outage_of_a_minute(scene: Stage, waiting: Waiting, kind: str) -> None:
    outages = [waiting.outages[style, kind] for style in STYLES]
    for outage in outages:
        outage.under_way.result()
    turns = [outage.turn for outage in outages]
    scene.count_calls(turns)
    by_turn = {id(outage.turn): outage for outage in outages}
    assert problems_of(turns, lambda turn: by_turn[id(turn)].problems()) == {}
