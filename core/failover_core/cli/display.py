"""What the demo shows: one frame of the live screen, and the table at the end. Reads a `Replay`, changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log2

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..events import CircuitChanged, RequestLost, RequestServed
from ..health.state import TargetHealth
from ..trace import Attempt, RouteTrace, Verdict
from .incident import HEALTHY, Phase
from .lanes import PROVIDERS
from .replay import News, Replay
from .score import Record, is_delayed

LABEL_WIDTH = 17
MAX_TIMELINE_WIDTH = 120
BARS = "▁▂▃▄▅▆▇█"
STATE_STYLES = {"closed": "green", "open": "red", "probing": "yellow", "ramping": "yellow"}
PHASE_STYLES = {HEALTHY.name: "black on green", "slow": "black on yellow", "recovered": "black on green"}
STRUCK = "white on red"


def frame(replay: Replay, width: int, height: int) -> RenderableType:
    """The live screen, at most `width` x `height` characters."""
    blocks: list[Text | Table] = [
        _title(replay),
        *_timelines(replay, width),
        _legend(replay),
        Text(),
        lanes_table(replay),
        Text(),
        _circuits_table(replay),
        Text(),
    ]
    used = sum(_height(block) for block in blocks)
    return Group(*blocks, *_feed(replay.news, width, max(0, height - used - 1)))


def report(replay: Replay, width: int) -> RenderableType:
    """What stays on the screen after the end."""
    tables = (lanes_table(replay), Text(), _circuits_table(replay), Text())
    return Group(*_timelines(replay, width), _legend(replay), Text(), *tables, *_losses(replay))


def lanes_table(replay: Replay) -> Table:
    """The figures of each lane."""
    table = _table(
        "in seconds", "asked", "lost", "delayed", "waiting", "first text\np50", "\np99", "answer\np50", "\np99"
    )
    for lane in replay.lanes:
        now = replay.figures(lane)
        table.add_row(
            Text(lane.name, "bold" if lane.failovers else ""),
            str(now.requests),
            Text(str(now.lost), "bold red" if now.lost else "green"),
            Text(str(now.delayed), "yellow" if now.delayed else "green"),
            str(now.waiting),
            *map(_cell, (now.first_p50_s, now.first_p99_s, now.total_p50_s, now.total_p99_s)),
        )
    return table


def bar(records: Sequence[Record], usual_s: float | None, delayed_after_s: float | None) -> tuple[str, str]:
    """One column of a timeline, with its style: the worst that happened to requests asked in that time."""
    if not records:
        return " ", ""
    if any(record.lost for record in records):
        return "✗", "bold red"
    if any(record.first_s is None for record in records):
        return "·", "yellow"
    worst_s = max(record.first_s or 0.0 for record in records)
    level = 1 + round(2 * log2(worst_s / usual_s)) if usual_s and worst_s > 0.0 else 1
    delayed = any(is_delayed(record, delayed_after_s) for record in records)
    return BARS[min(max(level, 0), len(BARS) - 1)], "yellow" if delayed else "green"


def route_line(trace: RouteTrace) -> str:
    """The way of one request: "openai late after 1.0 s -> anthropic 1.44 s"."""
    return " → ".join(_attempt_words(attempt) for attempt in trace.attempts if attempt.verdict is not Verdict.CANCELLED)


def _attempt_words(attempt: Attempt) -> str:
    name = attempt.target.name
    if attempt.verdict is Verdict.ANSWERED:
        return f"{name} {attempt.started_s + (attempt.first_token_s or 0.0):.2f} s"
    if attempt.failure is not None:
        status = f" {attempt.failure.status}" if attempt.failure.status else ""
        return f"{name} {attempt.failure.kind}{status}"
    return f"{name} {'late' if attempt.overdue else 'not needed'}"


def _title(replay: Replay) -> Text:
    clock = f"{_clock(min(replay.now_s, replay.seconds))} of {_clock(replay.seconds)}" if replay.started else "starting"
    return Text.assemble(
        ("Failover Kit demo", "bold"), "   real traffic, made-up incident at openai   ", (clock, "bold")
    )


def _timelines(replay: Replay, width: int) -> list[Text]:
    columns = max(10, min(width - LABEL_WIDTH - 1, MAX_TIMELINE_WIDTH))
    lines = [_phases_line(replay, columns)]
    for lane in replay.lanes:
        line = Text(f"{lane.name:{LABEL_WIDTH}}", "bold" if lane.failovers else "")
        by_column: list[list[Record]] = [[] for _ in range(columns)]
        for record in replay.records[lane.name]:
            by_column[min(columns - 1, int(record.asked_s / replay.seconds * columns))].append(record)
        for records in by_column:
            line.append(*bar(records, replay.usual_s, replay.delayed_after_s))
        lines.append(line)
    return lines


def _phases_line(replay: Replay, columns: int) -> Text:
    line = Text(f"{'openai is':{LABEL_WIDTH}}")
    ends = [phase.from_share for phase in replay.phases[1:]] + [1.0]
    for phase, end in zip(replay.phases, ends, strict=True):
        room = round(end * columns) - round(phase.from_share * columns)
        begun = replay.now_s >= phase.from_share * replay.seconds
        line.append(f" {phase.name}".ljust(room)[:room], _phase_style(phase) if begun else "dim")
    return line


def _phase_style(phase: Phase) -> str:
    return PHASE_STYLES.get(phase.name, STRUCK)


def _legend(replay: Replay) -> Text:
    limit_s = replay.delayed_after_s
    delayed = " delayed  " if limit_s is None else f" delayed (over {limit_s:.2f} s)  "
    signs: list[str | tuple[str, str]] = [("▂", "green"), " first text  ", ("▅", "yellow"), delayed]
    signs += [("✗", "bold red"), " lost  ", ("·", "yellow"), " waiting"]
    return Text.assemble(" " * LABEL_WIDTH, *signs)


def _circuits_table(replay: Replay) -> Table:
    kit = next(lane for lane in replay.lanes if lane.failovers)
    table = _table("circuits of", *kit.failovers, "answers")
    pictures = [failover.health() for failover in kit.failovers.values()]
    for name in PROVIDERS:
        answers = sum(picture[name].answered for picture in pictures)
        table.add_row(name, *(_circuit(picture[name]) for picture in pictures), str(answers))
    return table


def _circuit(health: TargetHealth) -> Text:
    words = health.state
    if health.state == "open" and health.available_in_s > 0.0:
        words += f" for {health.available_in_s:.0f} s"
    return Text(words, STATE_STYLES.get(health.state, ""))


def _feed(news: Sequence[News], width: int, lines: int) -> list[Text]:
    """The latest news, oldest first."""
    told = [line for line in map(_news_line, news) if line is not None][-lines:] if lines else []
    for line in told:
        line.truncate(width, overflow="ellipsis")
    return told


def _news_line(news: News) -> Text | None:
    head = f"{_clock(news.at_s)}  {news.app:17}"
    match news.event:
        case RequestServed(trace):
            return Text(head + route_line(trace), "" if len(trace.attempts) > 1 else "dim")
        case RequestLost(trace, error):
            return Text(f"{head}lost: {type(error).__name__} after {route_line(trace)}", "bold red")
        case CircuitChanged(target, old, new, reason, _) if new != "probing":
            short = reason.partition(":")[0]
            return Text(f"{head}{target}: circuit {old} → {new} ({short})", STATE_STYLES.get(new, ""))
    return None


def _losses(replay: Replay) -> list[Text]:
    """Why requests were lost, one line a lane that lost any."""
    lines = []
    for lane in replay.lanes:
        reasons = ", ".join(f"{count} x {reason}" for reason, count in replay.figures(lane).reasons)
        if reasons:
            lines.append(Text(f"{lane.name} lost {reasons}", "red"))
    return lines


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0), collapse_padding=True)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    table.columns[0].min_width = LABEL_WIDTH - 2
    return table


def _height(block: Text | Table) -> int:
    """In lines; the header of a table has as many as its longest column title."""
    if isinstance(block, Text):
        return 1
    return block.row_count + max(str(column.header).count("\n") + 1 for column in block.columns)


def _cell(seconds: float | None) -> str:
    return "" if seconds is None else "never" if seconds == inf else f"{seconds:.2f}"


def _clock(at_s: float) -> str:
    return f"{int(at_s) // 60}:{int(at_s) % 60:02}"
