"""The demo's parts: traffic, incident, figures, picture; and the whole of it, shortened, over real sockets."""

from __future__ import annotations

import io
import json
from math import inf
from random import Random
from typing import Any

import pytest
from rich.console import Console

from cut_traffic_slice import typical_minute
from failover_core import Failover, Target
from failover_core.cli import demo, incident, replay, traffic
from failover_core.cli.display import bar, frame, report, route_line
from failover_core.cli.incident import HEALTHY, INCIDENT, Phase, phase_at
from failover_core.cli.lanes import PROVIDERS, Lane
from failover_core.cli.replay import News, Replay
from failover_core.cli.score import Record, figures, percentile, usual_first_s
from failover_core.events import CircuitChanged, RequestServed
from failover_core.failure import Failure, FailureKind
from failover_core.testing.faults import Silence, Status
from failover_core.testing.reply import Reply
from failover_core.trace import Attempt, RouteTrace, Verdict


class TestTraffic:
    def test_the_slice_is_a_whole_minute_in_order(self) -> None:
        asked = traffic.arrivals(50.0)
        assert len(asked) == 161
        assert [one.number for one in asked] == list(range(1, 162))
        assert asked == sorted(asked, key=lambda one: one.at_s)
        assert 0.0 <= asked[0].at_s < 1.0 and 49.0 < asked[-1].at_s < 50.0

    def test_a_short_replay_is_the_beginning_and_a_long_one_starts_again(self) -> None:
        minute = traffic.arrivals(50.0)
        assert traffic.arrivals(7.0) == [one for one in minute if one.at_s < 7.0]
        longer = traffic.arrivals(55.0)
        assert longer[:161] == minute
        assert 50.0 <= longer[161].at_s < 51.0

    @pytest.mark.parametrize("tokens", [1, 20, 674])
    def test_an_answer_is_as_long_as_its_question_wants_and_always_the_same(self, tokens: int) -> None:
        question = traffic.Arrival(7, 0.0, tokens).question
        answer = traffic.answer_to(question)
        assert answer == traffic.answer_to(f"An earlier turn. Question 1: use about 3 tokens.\n{question}")
        assert tokens <= len(answer) / 4 <= tokens + 5

    def test_the_slice_is_cut_at_the_typical_minute(self) -> None:
        rows = ["2023-11-16 18:15:59,1,1"]  # the first minute is not whole
        for minute, count in (("18:16", 4), ("18:17", 3), ("18:18", 1), ("18:19", 3)):
            rows += [f"2023-11-16 {minute}:{second:02},1,1" for second in range(count)]
        rows += ["2023-11-16 18:20:00,1,1", "2023-11-16 18:20:01,1,1"]
        cut = typical_minute(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows])
        assert [row[11:19] for row in cut[1:]] == ["18:17:00", "18:17:01", "18:17:02"]


class TestIncident:
    def test_the_phases_follow_each_other(self) -> None:
        shares = [0.0, 0.2, 0.4, 0.5, 0.6, 1.0]
        assert [phase_at(share).name for share in shares] == [
            "healthy", "slow", "silent", "503", "recovered", "recovered"
        ]  # fmt: skip
        assert phase_at(0.0) is HEALTHY

    def test_what_the_phases_do(self) -> None:
        by_name = {phase.name: phase.applied(Random(1)) for phase in INCIDENT}
        assert (by_name["silent"], by_name["503"]) == (Silence(), Status(503))
        usual, slow = (self.first_delays(Phase("x", 0.0, slowdown=slowdown)) for slowdown in (1.0, 12.0))
        assert sorted(usual)[500] == pytest.approx(incident.FIRST_TOKEN_S, rel=0.1)
        assert slow == pytest.approx([12.0 * delay for delay in usual])

    @staticmethod
    def first_delays(phase: Phase) -> list[float]:
        pace = phase.applied(Random(1))
        healthy: Any = None
        return [pace.change_reply(healthy, Reply()).first_delay_s for _ in range(1001)]


def answered(first_s: float, total_s: float = 2.0, asked_s: float = 0.0) -> Record:
    return Record(1, asked_s, first_s, total_s)


def lost(reason: str, first_s: float | None = None) -> Record:
    return Record(1, 0.0, first_s, lost=reason)


class TestFigures:
    def test_waiting_requests_are_neither_lost_nor_timed(self) -> None:
        now = figures([answered(0.4), Record(2, 1.0), Record(3, 1.0, first_s=0.5)], delayed_after_s=1.0)
        assert (now.requests, now.waiting, now.lost, now.delayed) == (3, 2, 0, 0)
        assert (now.first_p50_s, now.total_p50_s) == (0.4, 2.0)

    def test_a_lost_answer_counts_as_one_that_never_came(self) -> None:
        now = figures([answered(0.4), answered(0.4), lost("no answer"), lost("cut", first_s=0.4)], 1.0)
        assert (now.lost, now.first_p50_s, now.first_p99_s) == (2, 0.4, inf)
        assert (now.total_p50_s, now.total_p99_s) == (2.0, inf)
        assert now.as_dict()["whole_answer_s"] == {"p50": 2.0, "p99": None}

    def test_delayed_is_later_than_the_limit_and_not_lost(self) -> None:
        records = [answered(1.0), answered(1.1), lost("cut", first_s=5.0)]
        assert figures(records, delayed_after_s=1.0).delayed == 1
        assert figures(records, delayed_after_s=None).delayed == 0

    def test_reasons_are_counted(self) -> None:
        now = figures([lost("late"), lost("503"), lost("late")], 1.0)
        assert now.reasons == (("late", 2), ("503", 1))

    def test_usual_is_the_median_of_what_was_asked_in_time(self) -> None:
        records = [answered(0.3, asked_s=1), answered(0.5, asked_s=2), answered(9.0, asked_s=16), Record(4, 3.0)]
        assert usual_first_s(records, until_s=15.0) == pytest.approx(0.4)
        assert usual_first_s([], until_s=15.0) is None

    @pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)])
    def test_percentiles_are_by_nearest_rank(self, share: float, expected: int) -> None:
        assert percentile(range(1, 101), share) == expected


class TestPicture:
    @pytest.mark.parametrize(
        ("records", "expected"),
        [
            ([], (" ", "")),
            ([answered(0.4)], ("▂", "green")),
            ([answered(0.4), answered(1.3)], ("▅", "yellow")),
            ([answered(60.0)], ("█", "yellow")),
            ([answered(0.01)], ("▁", "green")),
            ([answered(0.4), Record(2, 0.0)], ("·", "yellow")),
            ([lost("503"), Record(2, 0.0)], ("✗", "bold red")),
        ],
    )
    def test_a_column_shows_the_worst(self, records: list[Record], expected: tuple[str, str]) -> None:
        assert bar(records, usual_s=0.4, delayed_after_s=1.2) == expected

    @pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 16)])
    def test_a_frame_fits_its_screen(self, width: int, height: int) -> None:
        shown = Console(width=width, height=height, file=io.StringIO(), record=True)
        shown.print(frame(crowded_replay(), width, height))
        lines = shown.export_text().splitlines()
        assert len(lines) < height or height < 20, "the cursor needs a line of its own"
        assert max(map(len, lines)) <= width

    def test_a_frame_tells_who_answers_and_how_the_circuits_are(self) -> None:
        shown = Console(width=120, height=40, file=io.StringIO(), record=True)
        shown.print(frame(crowded_replay(), 120, 40))
        text = shown.export_text()
        assert "openai late → anthropic 1.44 s" in text
        assert "openai: circuit closed → open (overloaded)" in text
        for words in ("LangChain chain", "LlamaIndex chat", "closed", "delayed (over 1.20 s)", "with_fallbacks"):
            assert words in text

    def test_the_report_says_why_requests_were_lost(self) -> None:
        shown = Console(width=80, file=io.StringIO(), record=True)
        shown.print(report(crowded_replay(), 80))
        assert "one model alone lost 40 x no whole answer in 20 s" in shown.export_text()

    def test_the_way_of_a_request_in_words(self) -> None:
        trace = RouteTrace("1")
        overloaded = Failure(FailureKind.OVERLOADED, "busy", status=503)
        for name, verdict, failure in (
            ("openai", Verdict.NEXT, overloaded),
            ("google", Verdict.CANCELLED, None),
            ("anthropic", Verdict.ANSWERED, None),
        ):
            attempt = Attempt(1, Target(name, call=str), "first", 0.5, first_token_s=0.4, verdict=verdict)
            attempt.failure = failure
            trace.attempts.append(attempt)
        assert route_line(trace) == "openai overloaded 503 → anthropic 0.90 s"


def crowded_replay() -> Replay:
    """A replay at its end, with many records, without servers."""
    targets = [Target(name, call=str) for name in PROVIDERS]
    nothing: Any = None
    failovers = {name: Failover(targets) for name in ("LangChain chain", "LlamaIndex chat")}
    lanes = [
        Lane("Failover Kit", nothing, (), (), failovers),
        Lane("one model alone", nothing, (), ()),
        Lane("with_fallbacks", nothing, (), ()),
    ]
    made = Replay(lanes, [], seconds=60.0)
    for lane in lanes:
        for second in range(60):
            made.records[lane.name] += [answered(0.4, asked_s=second) for _ in range(20)]
    made.records["one model alone"] += [lost("no whole answer in 20 s") for _ in range(40)]
    raced = RouteTrace("1")
    raced.attempts = [
        Attempt(1, targets[0], "first", 0.0, verdict=Verdict.LOST, overdue=True),
        Attempt(2, targets[1], "overdue", 1.04, first_token_s=0.4, verdict=Verdict.ANSWERED),
    ]
    opened = CircuitChanged("openai", "closed", "open", "overloaded: " + "try again " * 30, 5.0)
    made.news += [News(20.0, "LangChain chain", event) for event in (RequestServed(raced), opened)] * 20
    return made


@pytest.fixture
def fast_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers as usual, but quickly: what is tested is not how long it takes."""
    monkeypatch.setattr(incident, "FIRST_TOKEN_S", 0.02)
    monkeypatch.setattr(incident, "TOKENS_PER_S", 20_000.0)
    monkeypatch.setattr(replay, "WARM_UP", traffic.Arrival(0, 0.0, 5))


DOWN = (HEALTHY, Phase("503", 0.2, fault=Status(503)))


@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")  # google-genai inside aiohttp
@pytest.mark.usefixtures("fast_providers")
class TestWholeDemo:
    def run(self, **options: Any) -> tuple[int, str, str]:
        out, err = (Console(width=100, file=io.StringIO()) for _ in range(2))
        status = demo.run_demo(demo.DemoOptions(seconds=2.0, **options), out, err)
        return status, out.file.getvalue(), err.file.getvalue()  # type: ignore[attr-defined]

    def test_an_outage_is_invisible_through_failover_and_lost_without(self) -> None:
        status, out, err = self.run(phases=DOWN, as_json=True)
        said = json.loads(out)
        lanes = said["lanes"]
        asked = len(traffic.arrivals(2.0))
        assert (status, said["nothing_lost"]) == (0, True), lanes
        assert [lane["requests"] for lane in lanes.values()] == [asked] * 3
        assert lanes["Failover Kit"]["lost"] == lanes["with_fallbacks"]["lost"] == 0
        assert lanes["one model alone"]["lost_because"] == {"InternalServerError 503": lanes["one model alone"]["lost"]}
        assert lanes["one model alone"]["lost"] >= 3
        for answered_by in said["answered_by"].values():
            assert answered_by["openai"] > 0 and answered_by["anthropic"] > 0
        assert "openai 503" in err, "progress goes elsewhere than the figures"

    def test_a_lost_request_gives_status_1_and_a_report(self) -> None:
        status, out, _ = self.run(phases=(Phase("silent", 0.0, fault=Silence()),), patience_s=0.1)
        asked = len(traffic.arrivals(2.0))
        assert status == 1
        assert f"Failover Kit lost {asked} requests (one model alone {asked}, with_fallbacks {asked})." in out
        assert "no whole answer in 0.1 s" in out
        assert "\x1b" not in out, "no live display where nobody looks"
