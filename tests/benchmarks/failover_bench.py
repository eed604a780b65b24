"""The sixteen scenarios of Failover Bench (failoverbench/failoverbench, methodology v0.1) at real time and with default
settings, next to LangChain's `with_fallbacks` in the configuration that the bench gives it.

    python tests/benchmarks/failover_bench.py [--json] [--only S08,S09] [--kind openai]

Everything meets the same provider server with the same faults in one run, all of it at the same time; that takes 100
seconds. Answers are judged as the bench judges them: *pass* = rescued, and every check is passed; *partial* = rescued,
with an advisory check failed (or, in S13, routed around the refusal); *safe* = not rescued, but a clean error in time
and no required check failed; *fail* = a hang, a truncated answer that looks whole, or a required check failed.

The bench asks for streams only (`astream`); the other call styles are judged by the same checks. Where a check is about
the first token, a whole answer has none, and `-` is shown.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from call_styles import STYLES, Got
from failover_core.testing import Fault, faults
from fault_scenarios import RejectsPrefill, last_role
from fault_stage import STORY, Stage, Turn, second_of, stage
from outage import DownUntil

PEER = "with_fallbacks"
REQUIRED, ADVISORY = "required", "advisory"
Finding = tuple[str, str]
Check = Callable[[Turn], Iterator[Finding]]


@dataclass(frozen=True)
class Scenario:
    """One of the sixteen.

    Args:
        within_s: a call that takes longer hangs.
        fault, script, second_fault: what the two providers do.
        checks: what is to be seen of it apart from the answer.
        raises: the caller should get the provider's error.
        streams_only: it cannot be told from the outside with answers that are not streamed.
    """

    id: str
    title: str
    within_s: float
    fault: Fault | None = None
    script: tuple[Fault | None, ...] = ()
    second_fault: Fault | None = None
    checks: tuple[Check, ...] = ()
    raises: bool = False
    streams_only: bool = False


def first_calls(at_least: int = 0, at_most: int = 99, severity: str = REQUIRED) -> Check:
    def check(turn: Turn) -> Iterator[Finding]:
        if not at_least <= len(turn.first) <= at_most:
            yield severity, f"{len(turn.first)} calls at the first provider"

    return check


def first_gap(at_least_s: float) -> Check:
    def check(turn: Turn) -> Iterator[Finding]:
        times = [call.received_s for call in turn.first]
        if len(times) < 2 or times[1] - times[0] < at_least_s:
            yield ADVISORY, f"no pause of {at_least_s} s"

    return check


def no_hammering(at_most: int, within_s: float) -> Check:
    def check(turn: Turn) -> Iterator[Finding]:
        times = [call.received_s for call in turn.first]
        if sum(time - times[0] < within_s for time in times) > at_most:
            yield REQUIRED, f"more than {at_most} calls in {within_s} s"

    return check


def over_within(seconds: float, severity: str = REQUIRED) -> Check:
    def check(turn: Turn) -> Iterator[Finding]:
        if turn.got[0].elapsed_s > seconds:
            yield severity, f"took {turn.got[0].elapsed_s:.1f} s"

    return check


def names_the_model(turn: Turn) -> Iterator[Finding]:
    if turn.second and turn.got[0].model != turn.second[-1].model:
        yield REQUIRED, f"model {turn.got[0].model}"


def has_usage(turn: Turn) -> Iterator[Finding]:
    if turn.got[0].error is None and not turn.got[0].usage:
        yield ADVISORY, "no usage"


def no_prefill_error(turn: Turn) -> Iterator[Finding]:
    if turn.got[0].error is not None and any(last_role(call) == "assistant" for call in turn.second):
        yield REQUIRED, "a rejected prefill is the caller's error"


def outage(turn: Turn) -> Iterator[Finding]:
    fault = turn.first[0].fault
    assert isinstance(fault, DownUntil)
    back = [call.received_s - fault.until_s for call in turn.first if call.status == 200]
    if not back or min(back) > 30:
        yield REQUIRED, "not back on the first provider within 30 s"


CUT = faults.Cut(after_chunks=40)
CONTENT_POLICY = faults.ApiError("content_filtered")
SCENARIOS = [
    Scenario("S01", "429 with Retry-After 2", 20, script=(faults.Status(429, retry_after_s=2), None),
             checks=(first_calls(at_least=2, severity=ADVISORY), first_gap(1.8), no_hammering(2, 1.5))),
    Scenario("S02", "429 for ever", 40, faults.Status(429, message="Rate limit reached."),
             checks=(no_hammering(4, 3), first_calls(at_most=6))),
    Scenario("S03", "500 once", 20, script=(faults.Status(500), None),
             checks=(first_calls(at_least=2, severity=ADVISORY),)),
    Scenario("S04", "503 for ever", 40, faults.Status(503), checks=(first_calls(at_most=6),)),
    Scenario("S05", "reset before the headers", 20, script=(faults.Reset(), None)),
    Scenario("S06", "no response at all", 130, faults.Silence(),
             checks=(over_within(100), first_calls(at_most=1, severity=ADVISORY))),
    Scenario("S07", "first token after 20 s", 60, faults.SlowFirstToken(20), streams_only=True,
             checks=(over_within(15, ADVISORY),)),
    Scenario("S08", "cut after 40 words", 40, CUT),
    Scenario("S09", "stall after 20 words", 70, faults.Stall(after_chunks=20), checks=(over_within(45),)),
    Scenario("S10", "malformed event", 30, faults.Malformed(after_chunks=10)),
    Scenario("S11", "no [DONE]", 30, faults.MissingTerminator(), checks=(over_within(8), has_usage)),
    Scenario("S12", "context length", 20, faults.ApiError("context_overflow"), checks=(first_calls(1, 1),)),
    Scenario("S13", "content filter", 20, CONTENT_POLICY, raises=True, checks=(first_calls(1, 1),)),
    Scenario("S14", "cut, next rejects prefill", 40, CUT, second_fault=RejectsPrefill(), checks=(no_prefill_error,)),
    Scenario("S15", "down for 60 s, then healthy", 30, checks=(outage,)),
    Scenario("S16", "503, model and usage", 40, faults.Status(503),
             checks=(names_the_model, has_usage, first_calls(at_most=6))),
]  # fmt: skip


def verdict(scenario: Scenario, turn: Turn) -> tuple[str, str]:
    """pass, partial, safe or fail, and why."""
    for got in turn.got:
        if got.elapsed_s > scenario.within_s:
            return "fail", f"hung for {got.elapsed_s:.0f} s"
        if got.error is None and got.text != STORY and not scenario.raises:
            return "fail", f"a truncated answer, {len(got.text.split())} words"
    findings = [finding for check in scenario.checks for finding in check(turn)]
    required = [text for severity, text in findings if severity == REQUIRED]
    if required:
        return "fail", "; ".join(required)
    errors = [got.error for got in turn.got if got.error is not None]
    if scenario.raises:
        return ("pass", "") if errors else ("partial", "another provider was asked")
    if errors:
        return "safe", f"{type(errors[0]).__name__}: {errors[0]}"[:100]
    return ("partial", "; ".join(text for _, text in findings)) if findings else ("pass", "")


@dataclass
class Run:
    """One scenario as one system met it."""

    scenario: Scenario
    system: str
    turn: Turn
    under_way: Future[Any]

    def result(self) -> dict[str, Any]:
        got: Got = self.turn.got[-1]
        said, why = verdict(self.scenario, self.turn)
        return {
            "scenario": self.scenario.id,
            "title": self.scenario.title,
            "system": self.system,
            "style": self.turn.style.name,
            "verdict": said,
            "why": why,
            "first_calls": len(self.turn.first),
            "second_calls": len(self.turn.second),
            "elapsed_s": round(max(one.elapsed_s for one in self.turn.got), 2),
            "model": got.model,
        }


def systems(scene: Stage, kind: str) -> Iterator[tuple[str, str, Any]]:
    """Name, call style and how to make it, None for a failover as `Stage.turn` makes it."""
    for style in STYLES.values():
        yield style.name, style.name, None
    for method in ("ainvoke", "astream"):
        yield f"{PEER}-{method}", f"langchain-{method}", lambda: peer(scene, kind)


def peer(scene: Stage, kind: str) -> Any:
    """The bench's configuration: two retries and 30 s of each model, one fallback. It takes wrapped models only."""
    kind = kind.rstrip(":")
    first, second = (
        scene.model("langchain", which, place, max_retries=2, timeout=30)
        for which, place in ((kind, "first"), (second_of(kind), "second"))
    )
    return first.with_fallbacks([second])


def begin(scene: Stage, scenario: Scenario, kind: str) -> Iterator[Run]:
    for system, style, make in systems(scene, kind):
        if scenario.streams_only and not STYLES[style].streaming:
            continue
        fault = DownUntil(time.monotonic() + 60) if scenario.id == "S15" else scenario.fault
        turn = scene.turn(style, kind, fault=fault, script=scenario.script, second_fault=scenario.second_fault)
        if make is not None:
            turn.model = make()
        asked = scene.begin(turn, 20, every_s=4) if scenario.id == "S15" else scene.begin(turn)
        yield Run(scenario, system, turn, asked)


def table(results: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(result["system"] for result in results))
    cells = {(result["scenario"], result["system"]): result["verdict"] for result in results}
    width = max(map(len, columns)) + 2
    lines = [" " * 34 + "".join(name.rjust(width) for name in columns)]
    for scenario in dict.fromkeys((result["scenario"], result["title"]) for result in results):
        row = "".join(cells.get((scenario[0], name), "-").rjust(width) for name in columns)
        lines.append(f"{scenario[0]} {scenario[1]}".ljust(34) + row)
    counts = {name: Counter(result["verdict"] for result in results if result["system"] == name) for name in columns}
    lines += [
        said.ljust(34) + "".join(str(counts[name][said]).rjust(width) for name in columns)
        for said in ("pass", "partial", "safe", "fail")
    ]
    flaws = [result for result in results if result["verdict"] != "pass"]
    lines += ["", *(f"{r['scenario']} {r['system']}: {r['verdict']}, {r['why']}" for r in flaws)]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--only", default="", help="scenarios, such as S08,S09")
    parser.add_argument("--kind", default="openai", help='the first target: "openai" wrapped, "openai:" native, ...')
    arguments = parser.parse_args()
    wanted = set(arguments.only.split(",")) - {""}
    # As the bench's provider: 15 ms a word, and no sense of what "go on" means.
    with stage(chunk_delay_s=0.015, continuation=False) as scene:
        chosen = [scenario for scenario in SCENARIOS if not wanted or scenario.id in wanted]
        runs = [run for scenario in chosen for run in begin(scene, scenario, arguments.kind)]
        for run in runs:
            run.under_way.result()
        scene.count_calls([run.turn for run in runs])
        results = [run.result() for run in runs]
    if not arguments.json:
        print(table(results), "\n")
    print(json.dumps({"kind": arguments.kind, "results": results}))


if __name__ == "__main__":
    main()
