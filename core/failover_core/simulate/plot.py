"""A picture of one scenario: every request under several policies, one below the other. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..failure import ConfigError
from ..policy.ranking import Policy
from ..settings import Settings
from .figures import answered
from .run import KIT, START_S, Record, Run, run
from .scenarios import Scenario

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOTTED = ("one model", "with_fallbacks, 30 s", "LiteLLM Router, 30 s", KIT)
FORMATS = (".png", ".svg")
SIZE_IN = (8.0, 1.4)  # width, and height of a panel
DPI = 130
TICKS_S = (1.0, 10.0, 100.0)
LOW_S = 0.3
LOST_AT_S = 300.0  # above all that is waited for
GOOD, BAD, SHADE, INK = "#1a6faf", "#d1242f", "#fbeedd", "#24292f"
SHOWN_BEFORE_S, SHOWN_AFTER_S = 60.0, 90.0
STYLE: Any = {
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.edgecolor": "#8c959f",
    "svg.hashsalt": "the same file every time",
}


def draw(
    scenario: Scenario,
    path: Path,
    policies: Sequence[str] = PLOTTED,
    seed: int = 1,
    settings: Settings | None = None,
    ranking: str | Policy = "priority",
) -> None:
    """Run the scenario under each policy and draw, for each request, how long its caller waited for the whole answer.

    Args:
        path: an .svg or .png file.
        settings, ranking: see `run`.

    Raises:
        ImportError: without matplotlib, naming the extra that has it.
        ConfigError: for another kind of file.
    """
    if path.suffix not in FORMATS:
        raise ConfigError(f"{path}: a picture's name ends in {' or '.join(FORMATS)}")
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install 'failover-kit[plot]'") from error
    runs = [run(scenario, policy, seed, settings, ranking) for policy in policies]
    with rc_context(STYLE):
        figure = Figure(figsize=(SIZE_IN[0], 0.6 + SIZE_IN[1] * len(runs)), layout="constrained")
        panels = figure.subplots(len(runs), sharex=True, sharey=True, squeeze=False)[:, 0]
        for panel, one in zip(panels, runs, strict=True):
            _panel(panel, one)
        panels[-1].set_xlabel("seconds")
        figure.supylabel("seconds until the whole answer", fontsize=10)
        figure.suptitle(f"{scenario.name}: {scenario.why}" if scenario.why else scenario.name, fontsize=12)
        kind = {".svg": {"Date": None}, ".png": {"Software": None}}[path.suffix]
        figure.savefig(path, dpi=DPI, facecolor="white", metadata=kind)


def _panel(panel: Axes, one: Run) -> None:
    begin_s, end_s = one.scenario.fault
    shown = [
        record
        for record in one.records
        if begin_s - SHOWN_BEFORE_S <= _at_s(record) < min(end_s + SHOWN_AFTER_S, one.scenario.seconds)
    ]
    fine = [record for record in shown if answered(record)]
    lost = [record for record in shown if not answered(record)]
    for incident in one.scenario.incidents:
        panel.axvspan(incident.from_s, incident.until_s, color=SHADE, linewidth=0, zorder=0)
    dots = [record.total_s or 0.0 for record in fine]
    panel.scatter([_at_s(record) for record in fine], dots, s=3.5, color=GOOD, linewidths=0)
    marks = [LOST_AT_S] * len(lost)
    panel.scatter([_at_s(record) for record in lost], marks, s=9, marker="x", color=BAD, linewidths=0.6)
    panel.set_yscale("log")
    panel.set_ylim(LOW_S, 1.7 * LOST_AT_S)
    panel.set_yticks([*TICKS_S, LOST_AT_S], [*(f"{tick:g}" for tick in TICKS_S), "lost"])
    panel.minorticks_off()
    panel.set_xlim(begin_s - SHOWN_BEFORE_S, min(end_s + SHOWN_AFTER_S, one.scenario.seconds))
    panel.grid(axis="y", color="#d0d7de", linewidth=0.5)
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_title(one.policy, loc="left", fontsize=10, fontweight="bold", pad=3)
    panel.set_title(_fate(one.records, begin_s, end_s), loc="right", fontsize=10, pad=3)


def _at_s(record: Record) -> float:
    return record.ask.at_s - START_S


def _fate(records: Sequence[Record], begin_s: float, end_s: float) -> str:
    """What became of the requests that arrived during the incident."""
    during = [record for record in records if begin_s <= _at_s(record) < end_s]
    waits = sorted(record.total_s or 0.0 for record in during if answered(record))
    lost = len(during) - len(waits)
    words = f"{lost} of {len(during)} lost"
    if waits:
        median_s, p99_s = (waits[int(share * (len(waits) - 1))] for share in (0.5, 0.99))
        words += f"; {'the others' if lost else 'all'} answered, median {median_s:.0f} s, p99 {p99_s:.0f} s"
    return words
