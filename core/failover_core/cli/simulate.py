"""`failover simulate`: incidents lived through in simulated time by Failover Kit and by the policies of others.

The exit status is 0 only if Failover Kit kept its promises (`simulate.promises`) in every scenario.
"""

from __future__ import annotations

import json
import sys
from ast import literal_eval
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, TextIO

from ..failure import ConfigError
from ..policy.ranking import named as ranked
from ..settings import SETTING_NAMES, Settings
from ..simulate import KIT, POLICIES, SCENARIOS, Comparison, Figures, Scenario, compare, named
from ..simulate.promises import false_trips

HEAD = (
    ("", "answered", "first text s", "whole answer s", "billed", "attempts", "noticed", "back", "false"),
    ("", "%", "p50    p99", "p50    p99", "in vain %", "/request", "after s", "after s", "trips"),
)
WIDTHS = (21, 10, 15, 17, 11, 10, 9, 9, 7)
WORDS = """\
first text, whole answer: of requests during the incident; a lost one counts as one that never came
billed in vain: in % of the useful answers' price; an aborted attempt is booked in full
noticed, back: from the incident's begin until the first target is set aside, from its end until it is asked
first again (median over the seeds); false trips: times a healthy target was set aside
"""


@dataclass(frozen=True, slots=True)
class SimulateOptions:
    """What the command line says.

    Args:
        scenarios: names, or paths of JSON files; none = all.
        policies: some of `POLICIES`; none = all.
        seeds: each is another day.
        settings: for Failover Kit, as "name=value".
        ranking: Failover Kit's `policy=`.
        json_path: "-" = JSON instead of the table; another one gets JSON beside the table.
        plot_path: a picture of one scenario.
        workers: processes.
    """

    scenarios: Sequence[str] = ()
    policies: Sequence[str] = ()
    seeds: Sequence[int] = (1, 2, 3)
    settings: Sequence[str] = ()
    ranking: str = "priority"
    json_path: str = ""
    plot_path: str = ""
    workers: int = 1


def list_scenarios(out: TextIO) -> int:
    width = max(len(scenario.name) for scenario in SCENARIOS)
    for scenario in SCENARIOS:
        out.write(f"{scenario.name:{width}}  {scenario.why}\n")
    out.write(f"\npolicies: {'; '.join(POLICIES)}\n")
    return 0


def run_simulate(options: SimulateOptions, out: TextIO = sys.stdout) -> int:
    """Run it; returns the exit status.

    Raises:
        ConfigError: for a scenario, a policy, a setting or a ranking that does not exist.
    """
    scenarios = [named(name) for name in options.scenarios] or list(SCENARIOS)
    settings = parsed_settings(options.settings)
    for option, path in (("--json", options.json_path), ("--plot", options.plot_path)):
        if not Path(path).parent.is_dir():
            raise ConfigError(f"{option} {path}: there is no such directory")
    if options.plot_path:
        return _plot(scenarios, options, settings, out)
    policies = [_policy(name) for name in options.policies] or list(POLICIES)
    ranked(options.ranking)
    with_table = options.json_path != "-"
    if with_table:
        out.write(f"{_seeds(options.seeds)}, the same requests and the same luck for all; simulated time\n{WORDS}")
    done = []
    for one in compare(
        scenarios, policies, options.seeds, settings=settings, ranking=options.ranking, workers=options.workers
    ):
        done.append(one)
        if with_table:
            out.write("\n" + table(one))
            out.flush()
    if with_table and KIT in policies:
        out.write(f"\n{summary(done)}\n")
    if options.json_path:
        text = json.dumps(as_dict(done, options), indent=2)
        out.write(text + "\n") if not with_table else Path(options.json_path).write_text(text + "\n", encoding="utf-8")
    return 0 if all(finding.kept for one in done for finding in one.findings) else 1


def _plot(scenarios: Sequence[Scenario], options: SimulateOptions, settings: Settings | None, out: TextIO) -> int:
    if len(scenarios) != 1:
        raise ConfigError("--plot draws one scenario: name it, as in failover simulate 'black hole' --plot hole.svg")
    from ..simulate.plot import PLOTTED, draw

    policies = [_policy(name) for name in options.policies] or list(PLOTTED)
    draw(scenarios[0], Path(options.plot_path), policies, options.seeds[0], settings, options.ranking)
    out.write(f"{options.plot_path}: {scenarios[0].name}, seed {options.seeds[0]}\n")
    return 0


def parsed_settings(pairs: Sequence[str]) -> Settings | None:
    """`Settings` from "hedge=off", "deadline_s=20" and the like; None = the defaults."""
    values: dict[str, Any] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name not in SETTING_NAMES or not text:
            raise ConfigError(f"--set {pair}: write NAME=VALUE with one of {', '.join(sorted(SETTING_NAMES))}")
        try:
            values[name] = literal_eval(text)
        except (ValueError, SyntaxError):  # a word such as "off"
            values[name] = text
    return Settings(**values) if values else None


def _policy(name: str) -> str:
    """The policy of this name, or the only one that begins with it."""
    found = [one for one in POLICIES if one == name] or [
        one for one in POLICIES if one.lower().startswith(name.lower()) or (name == "ours" and one == KIT)
    ]
    if len(found) != 1:
        raise ConfigError(f"There is no policy {name!r}: write 'ours' or one of {', '.join(map(repr, POLICIES))}")
    return found[0]


def table(one: Comparison) -> str:
    """One scenario: a line a policy, and what became of Failover Kit's promises."""
    lines = [f"{one.scenario.name}: {one.scenario.why}" if one.scenario.why else one.scenario.name]
    lines += [_line(cells) for cells in HEAD]
    lines += [_line(_cells(row)) for row in one.rows]
    broken = [finding.words for finding in one.findings if not finding.kept]
    if broken:
        lines += [f"Promise broken: {words}." for words in broken]
    elif one.findings:
        p99 = next((f": {finding.words}" for finding in one.findings if finding.promise == "p99"), "")
        lines.append(f"All {len(one.findings)} promises kept{p99}.")
    return "\n".join(lines) + "\n"


def _cells(row: Figures) -> tuple[str, ...]:
    return (
        row.policy,
        f"{100 * row.success:.3f}",
        f"{_time(row.first_p50_s, 2)} {_time(row.first_p99_s, 2):>6}",
        f"{_time(row.total_p50_s, 1)} {_time(row.total_p99_s, 1):>6}",
        f"{100 * row.waste:.1f}" if row.waste < inf else "all",
        f"{row.attempts:.2f}",
        _time(row.detect_s, 1),
        _time(row.return_s, 1),
        str(row.false_trips),
    )


def _line(cells: Sequence[str]) -> str:
    first, *rest = (
        f"{cell:{'<' if number == 0 else '>'}{width}}"
        for number, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    )
    return (first + "".join(rest)).rstrip()


def _time(seconds: float | None, digits: int) -> str:
    if seconds is None:
        return "-"
    return "never" if seconds == inf else f"{seconds:.{digits if seconds < 100 else 0}f}"


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"


def summary(done: Sequence[Comparison]) -> str:
    """The last lines: all scenarios together."""
    whole = [one.scenario.name for one in done if all(finding.kept for finding in one.findings)]
    rows = [row for one in done for row in one.rows if row.policy == KIT]
    cried = false_trips(sum(row.false_trips for row in rows), sum(row.calls for row in rows))
    return f"Failover Kit kept every promise in {len(whole)} of {len(done)} scenarios; {cried.words}."


def as_dict(done: Sequence[Comparison], options: SimulateOptions) -> dict[str, Any]:
    """For JSON. Times are in seconds; null = it never came to that, or cannot be said."""
    return {
        "seeds": list(options.seeds),
        "settings": list(options.settings),
        "ranking": options.ranking,
        "scenarios": [
            {
                "scenario": one.scenario.as_dict(),
                "policies": [row.as_dict() for row in one.rows],
                "calm": one.calm.as_dict() if one.calm else None,
                "promises": [
                    {
                        "promise": finding.promise,
                        "value": None if finding.value == inf else round(finding.value, 6),
                        "bound": finding.bound,
                        "kept": finding.kept,
                    }
                    for finding in one.findings
                ],
            }
            for one in done
        ],
    }
