"""Scenarios as data: they survive JSON, and mistakes are named."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from failover_core import ConfigError
from failover_core.simulate import SCENARIOS, Incident, Profile, Scenario, Traffic, from_dict, named


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_scenario_survives_json(scenario: Scenario) -> None:
    assert from_dict(json.loads(json.dumps(scenario.as_dict()))) == scenario


@pytest.mark.parametrize("name", ["black hole", "black-hole", "black_hole"])
def test_a_scenario_is_found_by_its_name(name: str) -> None:
    assert named(name).name == "black hole"


def test_a_scenario_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "brown-out.json"
    path.write_text('{"name": "brown-out", "traffic": {"rate": 2}, "incidents": [{"from_s": 1, "until_s": 2}]}')
    scenario = named(str(path))
    assert scenario.traffic == Traffic(rate=2)
    assert scenario.incidents == (Incident(1, 2),)


def test_the_scenario_of_the_readme() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"echo '(\{.*\})' > brown-out\.json", readme)
    assert from_dict(json.loads(text)).incidents == (Incident(100, 400, errors=0.3, slowdown=3),)


def test_an_unknown_name_lists_the_names() -> None:
    with pytest.raises(ConfigError, match=r"'blck hole'.*'black hole'.*'low traffic', or the path of a JSON file"):
        named("blck hole")


@pytest.mark.parametrize("text", ["{", "[1]", '"black hole"'])
def test_a_file_that_is_no_scenario(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match="scenario"):
        named(str(path))


def test_a_file_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.json is not a scenario: .*No such file"):
        named("nowhere.json")


SPAN = {"from_s": 0, "until_s": 10}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, r"scenario '\?': .*'name'"),
        ({"name": ""}, r"name=''.*write a name"),
        ({"name": "x", "incident": []}, r"scenario 'x' has no field 'incident': write some of name, why, incidents"),
        ({"name": "x", "seconds": 0}, r"seconds=0.*above 0"),
        ({"name": "x", "recoverable": "yes"}, r"recoverable='yes'.*true or false"),
        ({"name": "x", "traffic": {"rate": -1}}, r"scenario 'x': traffic: Traffic\(rate=-1\): write a number above 0"),
        ({"name": "x", "traffic": {"trace": "gcp"}}, r"trace='gcp'.*'steady', 'azure_conversation'"),
        ({"name": "x", "traffic": {"sizes": 3}}, r"sizes=3.*'mooncake'"),
        ({"name": "x", "traffic": [5]}, r"scenario 'x': traffic: \[5\] is no object"),
        ({"name": "x", "incidents": {}}, r"incidents: \{\} is no list"),
        ({"name": "x", "incidents": [{"until_s": 3}]}, r"scenario 'x': incident 1: .*'from_s'"),
        (
            {"name": "x", "incidents": [SPAN, {**SPAN, "eror": 1}]},
            r"incident 2 has no field 'eror': write some of from",
        ),
        ({"name": "x", "incidents": [{**SPAN, "errors": 20}]}, r"errors=20.*share from 0 to 1"),
        ({"name": "x", "incidents": [{**SPAN, "errors": True}]}, r"errors=True.*share from 0 to 1"),
        ({"name": "x", "incidents": [{**SPAN, "stalls": 0.6, "cuts": 0.6}]}, r"cuts=0.6.*together with stalls"),
        ({"name": "x", "incidents": [{**SPAN, "slowdown": 0}]}, r"slowdown=0.*above 0"),
        ({"name": "x", "incidents": [{**SPAN, "status": 200}]}, r"status=200.*400 to 599"),
        ({"name": "x", "incidents": [{"from_s": 5, "until_s": 4}]}, r"until_s=4.*after from_s=5"),
        ({"name": "x", "incidents": [{**SPAN, "target": "primry"}]}, r"target='primry'.*'\*', 'primary', 'second'"),
        ({"name": "x", "providers": []}, r"providers=\(\).*at least one"),
        ({"name": "x", "providers": [{"name": "a"}, {"name": "a"}]}, r"providers=.*its own name"),
        ({"name": "x", "providers": [{"name": "a", "ratios": "fast"}]}, r"provider 1: .*ratios='fast'.*'majors'"),
        ({"name": "x", "providers": [{"name": "a", "tokens_per_s": "64"}]}, r"tokens_per_s='64'.*above 0"),
    ],
)
def test_a_mistake_is_named(data: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        from_dict(data)


def test_its_span_and_whom_it_hits() -> None:
    scenario = Scenario("x", incidents=(Incident(100, 150), Incident(120, 200)), seconds=300)
    assert scenario.fault == (100, 200)
    assert scenario.single_target
    assert [scenario.ill("primary", second) for second in (99, 100, 199, 229, 230)] == [False, True, True, True, False]
    assert not scenario.ill("second", 150)


def test_two_targets_are_not_a_single_one() -> None:
    assert not Scenario("x", incidents=(Incident(1, 2), Incident(1, 2, target="second"))).single_target
    assert not Scenario("x", incidents=(Incident(1, 2, target="*"),)).single_target
    assert not Scenario("x").single_target


def test_the_calm_twin_has_the_same_span_and_no_harm() -> None:
    scenario = Scenario("x", incidents=(Incident(100, 200, errors=1.0, slowdown=3.0),), providers=(Profile("primary"),))
    calm = scenario.calm()
    assert (calm.fault, calm.traffic, calm.seconds) == (scenario.fault, scenario.traffic, scenario.seconds)
    assert calm.incidents == (Incident(100, 200),)
