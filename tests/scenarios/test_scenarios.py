"""The same scenario file gives the same decisions under the sync, asyncio and simulated drivers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scenario import DRIVERS

FILES = sorted(Path(__file__).parent.glob("*.json"))
SCENARIOS = [(file.stem, scenario) for file in FILES for scenario in json.loads(file.read_text())]


@pytest.mark.parametrize(
    "scenario",
    [scenario for _, scenario in SCENARIOS],
    ids=[f"{f}-{s['name']}".replace(" ", "_") for f, s in SCENARIOS],
)
def test_decisions_are_as_expected_and_the_same_under_every_driver(scenario: dict[str, Any]) -> None:
    decisions = {name: driver(scenario) for name, driver in DRIVERS.items()}
    expected = scenario.get("expect") or scenario["expect_last"]
    assert len(decisions["simulation"]) >= len(expected) > 0
    for wanted, got in zip(expected, decisions["simulation"][-len(expected) :], strict=True):
        assert {field: got[field] for field in wanted} == wanted
    assert decisions["sync"] == decisions["simulation"]
    assert decisions["asyncio"] == decisions["simulation"]
