"""What users live through: every fault of a provider, in all eight call styles, on all three wires, wrapped and native.

Real sockets, the real SDKs, the real framework classes. Waits are shortened here, everything else is as by default;
`test_real_time_defaults.py` does the same with nothing shortened.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, wait
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from call_styles import STYLES
from failover_core import DeadlineExceeded, FailoverError, Settings
from failover_core.testing import faults
from fault_scenarios import FAST, Scenario, problems_with
from fault_stage import KINDS, STORY, Stage, Turn, problems_of, stage

QUICK = Settings(backoff_s=0.02, hold_back_s=0.02)
IMPATIENT = replace(QUICK, answer_s=0.8, first_token_s=0.8, stall_s=0.8)  # a busy machine can be late by that much


@pytest.fixture(scope="module")
def scene() -> Iterator[Stage]:
    with stage() as made:
        yield made


@pytest.fixture(autouse=True)
def clean(scene: Stage) -> Iterator[None]:
    yield
    scene.clear()


Played = dict[tuple[str, str], list[Turn]]


@pytest.fixture(scope="module")
def silent(scene: Stage) -> Played:
    """Those who meet silence. They only wait, so the next begin meanwhile; not all at once, since limits are short."""
    played: Played = {}
    under_way: list[Future[Any]] = []
    for scenario, kind in product([scenario for scenario in FAST if scenario.silent], KINDS):
        played[scenario.id, kind] = turns = scenario.turns(scene, kind, settings=IMPATIENT)
        under_way += [scene.begin(turn) for turn in turns]
        wait(under_way, timeout=0.3)
    finish(scene, under_way, played)
    return played


@pytest.fixture(scope="module")
def all_silent(scene: Stage) -> Played:
    silence = faults.Silence()
    options: dict[str, Any] = {"settings": Settings(deadline_s=2.0), "fault": silence, "second_fault": silence}
    played = {("", kind): [scene.turn(style, kind, **options) for style in STYLES] for kind in KINDS}
    finish(scene, [scene.begin(turn) for turns in played.values() for turn in turns], played)
    return played


def finish(scene: Stage, under_way: list[Future[Any]], played: Played) -> None:
    for future in under_way:
        future.result()
    for turns in played.values():
        scene.count_calls(turns)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", FAST, ids=lambda scenario: scenario.id)
def test_the_caller_gets_a_whole_answer_or_the_providers_reason(
    scene: Stage, silent: Played, scenario: Scenario, kind: str
) -> None:
    if scenario.silent:
        turns = silent[scenario.id, kind]
    else:
        turns = scenario.turns(scene, kind, settings=QUICK)
        scene.play(turns)
    assert problems_of(turns, lambda turn: problems_with(scenario, turn)) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_when_all_are_silent_the_deadline_holds(all_silent: Played, kind: str) -> None:
    turns = all_silent["", kind]

    def problems(turn: Turn) -> Iterator[str]:
        got = turn.got[0]
        if not isinstance(got.error, DeadlineExceeded):
            yield f"got {got.text!r}, {got.error!r}"
        if not 1.95 <= got.elapsed_s <= 3.5:
            yield f"it took {got.elapsed_s:.2f} s"
        if (len(turn.first), len(turn.second)) != (1, 1):
            yield f"the providers saw {len(turn.first)} and {len(turn.second)} calls"

    assert problems_of(turns, problems) == {}


NEEDS_A_PERSON = [scenario for scenario in FAST if scenario.name in ("quota exhausted", "401", "404 model")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", NEEDS_A_PERSON, ids=lambda scenario: scenario.id)
def test_what_only_a_person_can_mend_is_not_asked_again(scene: Stage, scenario: Scenario, kind: str) -> None:
    turns = scenario.turns(scene, kind, settings=QUICK)
    for _ in range(3):
        scene.play(turns)
    for turn in turns:
        assert [got.text for got in turn.got] == [STORY] * 3, turn.name
        assert (len(turn.first), len(turn.second)) == (1, 3), turn.name


WINDOWS_TOKENS = {"openai": 128_000, "google": 1_048_576}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("first", "second"), [("openai", "google"), ("google", "openai")])
def test_s12_context_length_goes_only_to_a_larger_window(scene: Stage, first: str, second: str, style: str) -> None:
    turn = scene.turn(style, f"{first}:", settings=QUICK, fault=faults.ApiError("context_overflow"))
    targets = [
        replace(scene.model("langchain", f"{wire}:", place), context_window_tokens=WINDOWS_TOKENS[wire])
        for wire, place in ((first, "first"), (second, "second"))
    ]
    turn.model = turn.style.failover(targets, QUICK)
    scene.play([turn])
    got = turn.got[0]
    if first == "google":
        assert isinstance(got.error, FailoverError) and got.failure_kind == "context_overflow"
        assert (len(turn.first), len(turn.second)) == (1, 0)
    else:
        assert (got.text, got.route["attempts"][0]["kind"]) == (STORY, "context_overflow")
        assert (len(turn.first), len(turn.second)) == (1, 1)
