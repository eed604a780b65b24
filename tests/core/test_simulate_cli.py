"""`failover simulate`: its table, its JSON, its picture, and what it says to mistakes."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from failover_core import Settings, cli
from failover_core.cli.simulate import parsed_settings
from failover_core.simulate import KIT, POLICIES, SCENARIOS

QUICK = {
    "name": "quick",
    "why": "down for 20 s",
    "seconds": 80,
    "incidents": [{"from_s": 20, "until_s": 40, "errors": 1.0}],
}
BAD = {**QUICK, "name": "bad", "providers": [{"name": "primary", "errors": 0.6}], "incidents": []}


@pytest.fixture
def quick(tmp_path: Path) -> str:
    return written(tmp_path / "quick.json", QUICK)


def written(path: Path, data: object) -> str:
    path.write_text(json.dumps(data))
    return str(path)


def simulate(*arguments: str) -> int:
    return cli.main(["simulate", *arguments, "--workers", "1"])


def test_the_table(quick: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(quick, "--seeds", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("seeds 1 to 2, the same requests")
    begin = lines.index("quick: down for 20 s")
    assert [line[:21].strip() for line in lines[begin + 3 : begin + 3 + len(POLICIES)]] == list(POLICIES)
    ours, alone = lines[begin + 3].split(), lines[begin + 4].split()
    assert ours[2] == "100.000"  # after "Failover Kit"
    assert float(alone[2]) < 95.0  # after "one model"
    assert lines[begin + 3 + len(POLICIES)].startswith("All 5 promises kept: p99 is ")
    assert lines[-1].startswith("Failover Kit kept every promise in 1 of 1 scenarios; 0 false trips in ")
    assert max(map(len, lines)) <= 110


def test_columns_stand_below_each_other(quick: str, capsys: pytest.CaptureFixture[str]) -> None:
    simulate(quick, "--seeds", "1")
    lines = capsys.readouterr().out.splitlines()
    begin = lines.index("quick: down for 20 s") + 1
    rows = lines[begin : begin + 2 + len(POLICIES)]
    assert {len(row) for row in rows} == {len(rows[0])}


def test_a_broken_promise_is_told_and_gives_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(written(tmp_path / "bad.json", BAD), "--seeds", "1", "--policy", "ours") == 1
    said = capsys.readouterr().out
    assert "Promise broken: " in said and "% answered, 99.99 % promised." in said
    assert "kept every promise in 0 of 1 scenarios" in said


def test_json_alone(quick: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(quick, "--seeds", "2", "--seed", "3", "--policy", "ours", "--policy", "litellm", "--json", "-") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["seeds"] == [3, 4]
    (one,) = found["scenarios"]
    assert one["scenario"]["incidents"][0]["until_s"] == 40
    assert [row["policy"] for row in one["policies"]] == [KIT, "LiteLLM Router, 30 s"]
    assert one["policies"][0]["success"] == 1.0 and one["policies"][0]["seeds"] == 2
    assert {promise["promise"] for promise in one["promises"]} == {"success", "p99", "waste", "return", "false trips"}
    assert all(promise["kept"] for promise in one["promises"])


def test_json_beside_the_table(quick: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figures.json"
    assert simulate(quick, "--seeds", "1", "--policy", "one model", "--json", str(path)) == 0
    (one,) = json.loads(path.read_text())["scenarios"]
    assert one["policies"][0]["total_p99_s"] is None  # lost requests never came
    assert (one["calm"], one["promises"]) == (None, [])
    assert "one model" in capsys.readouterr().out


def test_processes_change_nothing(quick: str, capsys: pytest.CaptureFixture[str]) -> None:
    simulate(quick, "--seeds", "2", "--policy", "ours", "--json", "-")
    alone = capsys.readouterr().out
    cli.main(["simulate", quick, "--seeds", "2", "--policy", "ours", "--json", "-", "--workers", "2"])
    assert capsys.readouterr().out == alone


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate("--list") == 0
    said = capsys.readouterr().out
    assert all(scenario.name in said and scenario.why in said for scenario in SCENARIOS)
    assert all(policy in said for policy in POLICIES)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["blck hole"], "There is no scenario 'blck hole': write one of 'healthy', 'hard down', 'black hole'"),
        (["healthy", "--policy", "envoy"], "There is no policy 'envoy': write 'ours' or one of 'Failover Kit', 'one"),
        (["healthy", "--policy", "with"], "There is no policy 'with'"),
        (["healthy", "--set", "hedge"], "--set hedge: write NAME=VALUE with one of answer_s, "),
        (["healthy", "--set", "hegde=off"], "--set hegde=off: write NAME=VALUE with one of answer_s, "),
        (["healthy", "--set", "deadline_s=-1"], "Settings(deadline_s=-1): write a number of seconds above 0, or None"),
        (["healthy", "--ranking", "quickest"], "policy='quickest'"),
        (["healthy", "--json", "no/such/place.json"], "--json no/such/place.json: there is no such directory"),
        (["healthy", "--plot", "no/such/place.svg"], "--plot no/such/place.svg: there is no such directory"),
        (["--plot", "all.svg"], "--plot draws one scenario: name it"),
        (["healthy", "--plot", "healthy.gif"], "healthy.gif: a picture's name ends in .png or .svg"),
    ],
)
def test_a_mistake_is_named_before_anything_runs(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate(*arguments) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"failover simulate: {words}") and said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.parametrize("count", ["0", "-1", "5000", "three"])
def test_a_senseless_number_of_seeds(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        simulate("--seeds", count)
    assert stop.value.code == 2
    assert "between 1 and 1000" in capsys.readouterr().err


def test_settings() -> None:
    pairs = ("hedge=off", "deadline_s=20", "first_token_s=None", "output_checks=False")
    assert parsed_settings(()) is None
    assert parsed_settings(pairs) == Settings(hedge="off", deadline_s=20, output_checks=False)


def test_settings_and_ranking_change_the_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow = {**QUICK, "incidents": [{"from_s": 20, "until_s": 40, "slowdown": 20.0}]}
    path = written(tmp_path / "slow.json", slow)
    said = []
    for extra in ((), ("--set", "hedge=off", "--set", "first_token_s=60"), ("--ranking", "fastest")):
        simulate(path, "--seeds", "1", "--policy", "ours", *extra)
        said.append(next(line for line in capsys.readouterr().out.splitlines() if line.startswith(KIT)))
    assert len(set(said)) == 3


# -- the picture ----------------------------------------------------------------------------------------------------


def test_a_picture_with_a_panel_a_policy(quick: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "quick.svg"
    assert simulate(quick, "--plot", str(path), "--policy", "ours", "--policy", "one model") == 0
    assert capsys.readouterr().out == f"{path}: quick, seed 1\n"
    drawn = path.read_text()
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    assert "<!-- Failover Kit -->" in drawn and "<!-- one model -->" in drawn
    assert "<!-- quick: down for 20 s -->" in drawn
    lost = drawn.count("<!-- 0 of ")
    assert lost == 1  # ours; the other one lost some


def test_the_same_picture_every_time(quick: str, tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        assert simulate(quick, "--plot", str(tmp_path / name), "--policy", "ours") == 0
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_a_png(quick: str, tmp_path: Path) -> None:
    path = tmp_path / "quick.png"
    assert simulate(quick, "--plot", str(path), "--policy", "ours") == 0
    assert path.read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_extra_is_named(
    quick: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return usual(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    assert simulate(quick, "--plot", str(tmp_path / "quick.svg")) == 2
    assert capsys.readouterr().err == (
        "failover simulate: pictures need matplotlib: pip install 'failover-kit[plot]'\n"
    )
