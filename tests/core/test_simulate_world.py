"""The simulated world does what an incident says: to whom, when, and how much."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from statistics import fmean, median
from typing import Any

import pytest

from failover_core.context import AttemptContext
from failover_core.effects import Chunk, Ended, Failed, Returned, Start
from failover_core.simulate import Incident, Profile, Traffic
from failover_core.simulate.faults import MAX_QUEUE_S, Bucket, Line
from failover_core.simulate.fits import first_token_ratio, size
from failover_core.simulate.traffic import Ask, asks
from failover_core.simulate.world import OUTPUT_PRICE, Call, Provider, price
from failover_core.testing.scripted import Finish

START_S = 1000.0
WELL = Profile("primary", errors=0.0)


@dataclass
class Answer:
    """What one attempt did: seconds until each event."""

    events: list[tuple[float, Any]]
    billed: float

    @property
    def last(self) -> Any:
        return self.events[-1][1] if self.events else None

    @property
    def silent(self) -> bool:
        return not isinstance(self.last, Returned | Ended | Failed)

    @property
    def total_s(self) -> float:
        return self.events[-1][0]

    @property
    def text(self) -> str:
        values = [event.value for _, event in self.events if isinstance(event, Returned | Chunk)]
        return "".join(value for value in values if not isinstance(value, Finish))

    @property
    def finished(self) -> bool:
        return any(isinstance(event, Chunk) and isinstance(event.value, Finish) for _, event in self.events)

    @property
    def status(self) -> int | None:
        return self.last.error.status_code if isinstance(self.last, Failed) else None


def ask(number: int = 0, *, streamed: bool = False, thinking: bool = False) -> Ask:
    return Ask(number, START_S, 200, 100, streamed, thinking)


def provider(*incidents: Incident, profile: Profile = WELL, seed: int = 1) -> Provider:
    return Provider(profile, incidents, START_S, seed)


def attempt(at: Provider, at_s: float, asked: Ask | None = None, *, from_chars: int = 0) -> Answer:
    """An attempt that begins at this second of the scenario."""
    call = Call(asked or ask(), from_chars=from_chars)
    now = START_S + at_s
    start = Start(1, AttemptContext(at.target(), 1, "", None), call, True)
    events = []
    for after_s, happens in at.plan(start, now):
        now += after_s
        events.append((now - START_S - at_s, happens(1, now)))
    return Answer(events, call.attempts[0][1])


def many(at: Provider, at_s: float, count: int = 400, *, streamed: bool = False) -> list[Answer]:
    return [attempt(at, at_s, ask(number, streamed=streamed)) for number in range(count)]


def share(answers: list[Answer], what: str) -> float:
    return fmean(bool(getattr(answer, what)) for answer in answers)


class TestWell:
    def test_an_answer_is_whole_and_billed(self) -> None:
        answer = attempt(provider(), 0.0)
        assert answer.text == ask().text and len(answer.text) == 400
        assert answer.billed == price(ask()) == 200 + OUTPUT_PRICE * 100

    def test_a_stream_is_whole_and_ends_with_its_finish_marker(self) -> None:
        answer = attempt(provider(), 0.0, ask(streamed=True))
        assert answer.text == ask().text
        assert answer.finished and isinstance(answer.last, Ended)

    def test_its_times_are_those_of_the_profile(self) -> None:
        answers = many(provider(profile=Profile("primary", 0.6, 50.0, errors=0.0)), 0.0, streamed=True)
        firsts = [answer.events[0][0] for answer in answers]
        assert median(firsts) == pytest.approx(0.6 + 200 * 0.0001, rel=0.1)
        assert median(answer.total_s for answer in answers) - median(firsts) == pytest.approx(100 / 50, rel=0.1)

    def test_a_stream_and_an_answer_take_equally_long(self) -> None:
        streams, answers = many(provider(), 0.0, streamed=True), many(provider(), 0.0)
        assert median(one.total_s for one in streams) == pytest.approx(median(one.total_s for one in answers), rel=0.1)

    def test_its_usual_errors(self) -> None:
        answers = many(provider(profile=Profile("primary", errors=0.1)), 0.0, 1000)
        assert fmean(answer.status == 500 for answer in answers) == pytest.approx(0.1, abs=0.03)

    def test_thinking_takes_ten_seconds_more(self) -> None:
        usual, thinking = attempt(provider(), 0.0), attempt(provider(), 0.0, ask(thinking=True))
        assert thinking.total_s > usual.total_s + 2.0

    def test_a_resumed_answer_repeats_a_little_and_costs_the_rest(self) -> None:
        whole = ask(streamed=True)
        answer = attempt(provider(), 0.0, whole, from_chars=200)
        assert answer.text == whole.text[140:]
        assert answer.billed == 200 + OUTPUT_PRICE * 50

    def test_luck_depends_on_the_seed_and_the_request_alone(self) -> None:
        later = attempt(provider(), 50.0, ask(7))
        assert attempt(provider(), 0.0, ask(7)).total_s == pytest.approx(later.total_s)
        assert attempt(provider(seed=2), 0.0, ask(7)).total_s != pytest.approx(later.total_s)


class TestIncidents:
    def test_hard_down_refuses_fast_free_and_only_in_its_time(self) -> None:
        at = provider(Incident(100, 200, errors=1.0))
        answer = attempt(at, 150.0)
        assert (answer.status, answer.billed) == (503, 0.0)
        assert answer.total_s < 0.5
        assert [attempt(at, second).status for second in (99.9, 100.0, 199.9, 200.0)] == [None, 503, 503, None]

    def test_others_are_not_hit(self) -> None:
        assert attempt(provider(Incident(0, 100, target="second", errors=1.0)), 50.0).status is None
        assert attempt(provider(Incident(0, 100, target="*", errors=1.0)), 50.0).status == 503

    def test_a_share_of_errors_with_a_status(self) -> None:
        answers = many(provider(Incident(0, 100, errors=0.2, status=529)), 50.0, 1000)
        assert fmean(answer.status == 529 for answer in answers) == pytest.approx(0.2, abs=0.04)

    def test_silence_is_billed_and_never_ends(self) -> None:
        answer = attempt(provider(Incident(0, 100, silent=1.0)), 50.0)
        assert answer.events == [] and answer.billed == price(ask())
        assert share(many(provider(Incident(0, 100, silent=0.3)), 50.0), "silent") == pytest.approx(0.3, abs=0.06)

    @pytest.mark.parametrize("streamed", [True, False])
    def test_stalls(self, streamed: bool) -> None:
        answers = many(provider(Incident(0, 100, stalls=0.3)), 50.0, streamed=streamed)
        assert share(answers, "silent") == pytest.approx(0.3, abs=0.06)
        stalled = [answer for answer in answers if answer.silent]
        assert any(answer.text for answer in stalled) == streamed

    def test_cuts_end_early_without_a_finish_marker(self) -> None:
        answers = many(provider(Incident(0, 100, cuts=0.3)), 50.0, streamed=True)
        cut = [answer for answer in answers if not answer.finished]
        assert len(cut) / len(answers) == pytest.approx(0.3, abs=0.06)
        assert all(isinstance(answer.last, Ended) for answer in cut if answer.events)
        assert all(len(answer.text) < 400 for answer in cut)

    def test_slowdown_and_drag_are_factors(self) -> None:
        usual = attempt(provider(), 50.0, ask(streamed=True))
        slow = attempt(provider(Incident(0, 100, slowdown=8.0, drag=4.0)), 50.0, ask(streamed=True))
        first, slow_first = usual.events[0][0], slow.events[0][0]
        assert slow_first == pytest.approx(8.0 * first)
        assert slow.total_s - slow_first == pytest.approx(4.0 * (usual.total_s - first))

    def test_a_ramp_grows_from_nothing_to_its_full_size(self) -> None:
        at = provider(Incident(100, 200, slowdown=9.0, ramp=True))
        usual = attempt(provider(), 0.0, ask(streamed=True)).events[0][0]
        firsts = [attempt(at, second, ask(streamed=True)).events[0][0] / usual for second in (100, 125, 150, 199.999)]
        assert firsts == pytest.approx([1.0, 3.0, 5.0, 9.0], abs=0.01)

    def test_flapping_comes_and_goes(self) -> None:
        at = provider(Incident(100, 180, errors=1.0, on_s=20.0, off_s=20.0))
        assert [attempt(at, second).status for second in (99, 101, 119, 121, 139, 141, 161, 181)] == [
            *(None, 503, 503, None, None, 503, None, None)
        ]

    def test_a_rate_limit_lets_its_rate_through(self) -> None:
        at = provider(Incident(0, 1000, limit_per_s=1.5))
        answers = [attempt(at, number / 5, ask(number)) for number in range(1000)]  # 5 a second for 200 s
        assert sum(answer.status is None for answer in answers) / 200 == pytest.approx(1.5, abs=0.05)
        assert {answer.status for answer in answers} == {None, 429}
        assert all("retry-after" not in answer.last.error.headers for answer in answers if answer.status)

    def test_a_rate_limit_can_say_when_to_come_back(self) -> None:
        at = provider(Incident(0, 1000, limit_per_s=0.1, tells_wait=True))
        attempt(at, 0.0)
        assert attempt(at, 1.0).last.error.headers == {"retry-after": "9"}

    def test_a_weak_provider_lets_requests_wait_in_line(self) -> None:
        at = provider(Incident(0, 1000, capacity_from=1.0, capacity_to=1.0))
        usual = attempt(provider(), 0.0).total_s
        waits = [attempt(at, 10.0).total_s - usual for _ in range(4)]
        assert waits == pytest.approx([0.0, 1.0, 2.0, 3.0])
        refused = [attempt(at, 10.0).status for _ in range(40)]
        assert refused[:20] == [None] * 20 and refused[-1] == 503

    def test_capacity_grows_over_the_span(self) -> None:
        incident = Incident(100, 160, capacity_from=0.5, capacity_to=12.0)
        assert [incident.capacity_per_s(second) for second in (100, 130, 160)] == [0.5, 6.25, 12.0]


def test_the_bucket_holds_two_seconds_worth() -> None:
    bucket = Bucket(2.0)
    assert [bucket.wait_s(10.0) for _ in range(5)] == [0.0, 0.0, 0.0, 0.0, 0.5]
    assert bucket.wait_s(10.5) == 0.0


def test_the_line_empties_at_the_capacity_and_refuses_when_it_is_too_long() -> None:
    line = Line()
    assert [line.wait_s(0.0, 2.0) for _ in range(3)] == [0.0, 0.5, 1.0]
    assert line.wait_s(1.0, 2.0) == 0.5
    for _ in range(int(2 * MAX_QUEUE_S)):
        line.wait_s(1.0, 2.0)
    assert line.wait_s(1.0, 2.0) is None
    assert Line().wait_s(0.0, 0.0) is None


class TestTraffic:
    def test_requests_come_at_the_mean_rate(self) -> None:
        times = [one.at_s for one in asks(Traffic(rate=4.0, trace="steady"), 0.0, 1000.0, Random(1))]
        assert len(times) / 1000 == pytest.approx(4.0, rel=0.05)
        assert times == sorted(times) and times[-1] < 1000.0

    def test_a_recorded_rate_rises_and_falls(self) -> None:
        found = list(asks(Traffic(rate=4.0, trace="azure_code"), 0.0, 1000.0, Random(1)))
        per_10_s = [sum(number * 10 <= one.at_s < number * 10 + 10 for one in found) for number in range(100)]
        assert max(per_10_s) > 5 * median(per_10_s)

    def test_sizes_and_kinds(self) -> None:
        found = list(asks(Traffic(rate=10.0, streamed_share=0.3, thinking_share=0.1), 0.0, 500.0, Random(1)))
        assert fmean(one.streamed for one in found) == pytest.approx(0.3, abs=0.03)
        assert fmean(one.thinking for one in found) == pytest.approx(0.1, abs=0.03)
        middle = size("azure_conversation", "output_tokens").at(0.5)
        assert median(one.output_tokens for one in found) == pytest.approx(middle, rel=0.1)


def test_quantiles_are_met_and_draws_lie_between_them() -> None:
    ratio = first_token_ratio("majors")
    assert ratio.at(0.5) == pytest.approx(1.0)
    assert [ratio.at(0.0), ratio.at(0.9999999)] == pytest.approx([0.215, 3.869], rel=1e-3)
    assert ratio.at(0.9) < ratio.at(0.93) < ratio.at(0.95)
