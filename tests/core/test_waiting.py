"""A request whose attempts are all silent goes on looking for somebody who answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failover_core import Settings
from failover_core.simulate import Incident, Profile, Record, Scenario, Traffic, run

BOTH = (Profile("primary", errors=0.0), Profile("second", errors=0.0))
SILENT = Incident(30.0, 330.0, silent=1.0)


def unanswered(records: list[Record]) -> list[list[tuple[str, float]]]:
    return [record.attempts for record in records if record.total_s is None]


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_backup_that_comes_back_by_shares_is_asked_although_it_had_no_room_at_first(seed: int) -> None:
    """It fails all for a while, so its circuit opens and ramps, just when the primary falls silent."""
    short = replace(SILENT, until_s=130.0)
    back = Incident(20.0, 60.0, target="second", errors=1.0)
    scenario = Scenario("crossing", incidents=(short, back), providers=BOTH, seconds=240.0, traffic=Traffic(2.0))
    records = list(run(scenario, seed=seed, settings=Settings(max_attempts=8)).records)
    late = [record for record in records if record.ask.at_s - 1000.0 > 62.0]
    assert unanswered(late) == []
    assert len(late) > 200


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_backup_that_stumbles_is_asked_again(seed: int) -> None:
    stumbling = (BOTH[0], replace(BOTH[1], errors=0.03))
    scenario = Scenario("stumbling", incidents=(SILENT,), providers=stumbling, seconds=360.0)
    assert [record.attempts for record in run(scenario, seed=seed).records if not record.good] == []


def test_who_is_silent_is_set_aside_although_every_other_circuit_is_open() -> None:
    """Better slow than nobody, but one who never says anything is nobody."""
    flaky = Incident(30.0, 330.0, target="second", errors=0.5)
    scenario = Scenario("both ill", incidents=(SILENT, flaky), providers=BOTH, seconds=360.0)
    found = run(scenario, seed=2)
    assert "primary" in [name for _, name in found.opened]
    assert all(record.total_s < 60.0 for record in found.records[-20:] if record.total_s is not None)
