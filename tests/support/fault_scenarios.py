"""What can go wrong with a provider, and what must come of it, seen from both sides: by the caller and by the provider.

S01 to S16 are the scenarios of the public Failover Bench (failoverbench/failoverbench, methodology v0.1), the others
are faults that it leaves out. S15 is a sequence of calls: see `outage`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from call_styles import STYLES
from failover_core.testing import Ask, Call, Fault, faults
from failover_core.testing.answers import Answer
from failover_core.testing.wires import Problem, Rejected
from fault_stage import STORY, WIRES, Stage, Turn

Outcome = Literal["switches", "stays", "raises", "larger"]


def look_up(query: str) -> str:
    """Look something up."""
    return query


@dataclass(frozen=True, slots=True)
class RejectsPrefill(Fault):
    """As newer models do: a conversation must end with the user's message."""

    def change_answer(self, ask: Ask, answer: Answer) -> Answer:
        if ask.messages[-1].role == "assistant":
            text = (
                "This model does not support assistant message prefill. The conversation must end with a user message."
            )
            raise Rejected(Problem(400, text, type="invalid_request_error", code="invalid_prefill"))
        return answer


@dataclass(frozen=True, slots=True)
class Says(Fault):
    """Answers this instead, and ends well."""

    text: str = ""
    thinking: str = ""

    def change_answer(self, ask: Ask, answer: Answer) -> Answer:
        return Answer(self.text, thinking=self.thinking)


@dataclass(frozen=True)
class Scenario:
    """One fault of the first provider and what must come of it.

    Args:
        fault, script: what the first provider does: always, or call by call.
        second_fault: what the second one does.
        gone: the first one refuses connections instead.
        outcome: who answers: the second ("switches"), the first after all ("stays"), or nobody: the caller gets the
            provider's own error, and nobody else is asked ("raises"). "larger" = the second, where its window is not
            known to be as small; else nobody.
        kinds: the kinds of failure that may be named for the first attempt; empty where it is overdue instead.
        calls: how many calls the first provider sees, at least and at most.
        streams, answers: whether it applies to streams and to whole answers.
        tools: the request offers a tool, and the answer calls it.
        wires: those that have room for such a fault.
        pause_s: at least so long after its first call is the first provider asked again.
        stream_within_s, within_s: how soon a stream, and a whole answer, must be there at default settings.
        says: a part of the provider's words that the error must hold.
    """

    name: str
    fault: Fault | None = None
    script: tuple[Fault | None, ...] = ()
    second_fault: Fault | None = None
    gone: bool = False
    outcome: Outcome = "switches"
    kinds: frozenset[str] = frozenset()
    calls: tuple[int, int] = (1, 1)
    streams: bool = True
    answers: bool = True
    tools: bool = False
    wires: tuple[str, ...] = WIRES
    pause_s: float = 0.0
    stream_within_s: float = 6.0
    within_s: float = 6.0
    says: str = ""

    @property
    def silent(self) -> bool:
        """Only a limit can tell that something is wrong."""
        return self.stream_within_s > Scenario.stream_within_s

    @property
    def id(self) -> str:
        return self.name.replace(" ", "_")

    def turns(self, stage: Stage, kind: str, **options: Any) -> list[Turn]:
        """A caller of each style that it applies to, in which the first target is of this kind."""
        if kind.rstrip(":") not in self.wires:
            return []
        styles = (style for style in STYLES.values() if (self.streams if style.streaming else self.answers))
        return [self.turn(stage, style.name, kind, **options) for style in styles]

    def turn(self, stage: Stage, style: str, kind: str, **options: Any) -> Turn:
        return stage.turn(
            style,
            kind,
            fault=self.fault,
            script=self.script,
            second_fault=self.second_fault,
            gone=self.gone,
            tools=[look_up] if self.tools else (),
            **options,
        )


def _kinds(*names: str) -> frozenset[str]:
    return frozenset(names)


BROKEN = _kinds("stream_broken", "connection", "invalid_output", "server_error", "overloaded", "unknown")
SICK = _kinds("overloaded", "server_error")


def scenarios(*, retry_after_s: float, late_s: float) -> list[Scenario]:
    """All of them.

    Args:
        retry_after_s: the short wait that a provider asks for.
        late_s: how late a late first token is.
    """
    return [
        Scenario(
            "S01 429 with a short Retry-After",
            script=(faults.Status(429, retry_after_s=retry_after_s), None),
            kinds=_kinds("rate_limited"),
            outcome="stays",
            calls=(2, 2),
            pause_s=retry_after_s,
        ),
        Scenario("S02 429 for ever", faults.Status(429, message="Too many requests."), kinds=_kinds("rate_limited")),
        Scenario(
            "S03 500 once",
            script=(faults.Status(500), None),
            kinds=_kinds("server_error"),
            outcome="stays",
            calls=(2, 2),
        ),
        Scenario("S04 503 for ever", faults.Status(503), kinds=SICK, calls=(1, 2)),
        Scenario(
            "S05 reset before the headers, once",
            script=(faults.Reset(), None),
            kinds=_kinds("connection", "stream_broken"),
            outcome="stays",
            calls=(2, 2),
        ),
        Scenario(
            "reset before the headers, for ever",
            faults.Reset(),
            kinds=_kinds("connection", "stream_broken"),
            calls=(1, 2),
        ),
        Scenario("S06 silence", faults.Silence(), stream_within_s=15, within_s=35),
        Scenario("S07 first token late", faults.SlowFirstToken(late_s), stream_within_s=15, answers=False),
        Scenario(
            "S07 headers late too",
            faults.SlowFirstToken(late_s, headers_first=False),
            stream_within_s=15,
            answers=False,
        ),
        Scenario("S08 cut after 40 words", faults.Cut(after_chunks=40), kinds=BROKEN),
        Scenario("S09 stall after 20 words", faults.Stall(after_chunks=20), stream_within_s=15, within_s=35),
        Scenario("S10 malformed event", faults.Malformed(after_chunks=10), kinds=BROKEN),
        Scenario("S11 no DONE", faults.MissingTerminator(), outcome="stays"),
        Scenario(
            "S12 context length",
            faults.ApiError("context_overflow"),
            kinds=_kinds("context_overflow"),
            outcome="larger",
        ),
        Scenario(
            "S13 content filter in a 400",
            faults.PromptBlocked(),
            kinds=_kinds("content_filtered"),
            outcome="raises",
        ),
        Scenario(
            "S13 content filter in a 200", faults.ContentFilter(), kinds=_kinds("content_filtered"), outcome="raises"
        ),
        # langchain-openai drops a refusal that is streamed: what it shows is an empty answer.
        Scenario("S13 refusal", faults.Refusal(), kinds=_kinds("content_filtered"), outcome="raises", streams=False),
        Scenario("S14 cut, no prefill taken", faults.Cut(after_chunks=40), second_fault=RejectsPrefill(), kinds=BROKEN),
        Scenario("S16 503, model and usage", faults.Status(503), kinds=SICK, calls=(1, 2)),
        # -- what the bench leaves out ---------------------------------------------------------------------------------
        Scenario("clean end without finish reason", faults.NoFinishReason(), kinds=BROKEN),
        Scenario(
            "clean end midway", faults.NoFinishReason(after_chunks=30, terminator=True), kinds=BROKEN, answers=False
        ),
        Scenario("no model answer", faults.Empty(), kinds=_kinds("invalid_output", "stream_broken")),
        Scenario("white space", Says("  \n  "), kinds=_kinds("invalid_output")),
        Scenario(
            "thoughts only", Says(thinking="Let me see."), kinds=_kinds("invalid_output"), wires=("anthropic", "google")
        ),
        Scenario("empty 200", faults.empty_body(), kinds=BROKEN),
        Scenario("keep-alive only", faults.KeepAliveOnly(interval_s=0.2), stream_within_s=15, within_s=35),
        Scenario(
            "keep-alive only after 20 words",
            faults.KeepAliveOnly(interval_s=0.2, after_chunks=20),
            stream_within_s=15,
            answers=False,
        ),
        Scenario("error event first", faults.ErrorEvent(), kinds=SICK | BROKEN, calls=(1, 2)),
        Scenario("error event midway", faults.ErrorEvent(after_chunks=40), kinds=SICK | BROKEN, answers=False),
        Scenario("quota exhausted", faults.ApiError("quota_exhausted"), kinds=_kinds("quota_exhausted", "billing")),
        Scenario("HTML 502", faults.html(502), kinds=SICK, calls=(1, 2)),
        Scenario("HTML 200", faults.html(200), kinds=BROKEN, calls=(1, 2)),
        Scenario(
            "Retry-After 3600", faults.Status(429, retry_after_s=3600), kinds=_kinds("rate_limited", "quota_exhausted")
        ),
        Scenario(
            "the caller's own 400",
            faults.ApiError("invalid_request", message="temperature must be at most 2"),
            kinds=_kinds("invalid_request"),
            outcome="raises",
            says="temperature must be at most 2",
        ),
        Scenario("401", faults.Status(401), kinds=_kinds("auth")),
        Scenario("404 model", faults.ApiError("model_not_found"), kinds=_kinds("model_not_found")),
        Scenario("cut inside a tool call", faults.CutInToolCall(), kinds=BROKEN, tools=True),
        Scenario(
            "unparsable tool arguments",
            faults.BadToolArguments(),
            kinds=_kinds("invalid_output"),
            tools=True,
            wires=("openai", "google"),
        ),
        Scenario("looping output", faults.Looping(), kinds=_kinds("invalid_output"), streams=False),
        Scenario("refused connection", gone=True, kinds=_kinds("connection"), calls=(0, 0)),
        Scenario("reset after 40 words", faults.Reset(after_chunks=40), kinds=BROKEN),
    ]


def problems_with(scenario: Scenario, turn: Turn) -> Iterator[str]:
    """What is wrong with what became of one caller's question."""
    got = turn.got[0]
    if scenario.outcome == "larger":
        scenario = replace(scenario, outcome="switches" if got.error is None else "raises")
    fewest, most = scenario.calls
    if not fewest <= len(turn.first) <= most:
        yield f"the first provider saw {len(turn.first)} calls, not {fewest} to {most}"
    if len(turn.first) > 1 and turn.first[1].received_s - turn.first[0].received_s < scenario.pause_s:
        yield f"it was asked again after {turn.first[1].received_s - turn.first[0].received_s:.2f} s"
    wanted = 1 if scenario.outcome == "switches" else 0
    if len(turn.second) != wanted:
        yield f"the second provider saw {len(turn.second)} calls, not {wanted}"
    for call in turn.second:
        if last_role(call) not in ("user", "tool"):
            yield f"it was asked with a prefill: the last message is the {last_role(call)}'s"
    if scenario.outcome == "raises":
        yield from _problems_with_error(scenario, turn)
    elif got.error is not None:
        yield f"raised {type(got.error).__name__}: {got.error}"
    else:
        yield from _problems_with_answer(scenario, turn)


def _problems_with_error(scenario: Scenario, turn: Turn) -> Iterator[str]:
    got = turn.got[0]
    if got.error is None:
        yield f"answered {got.text[:60]!r} instead of raising"
    elif got.failure_kind not in scenario.kinds:
        yield f"raised {type(got.error).__name__} of kind {got.failure_kind}: {got.error}"
    elif scenario.says not in str(got.error):
        yield f"the provider's words are missing in: {got.error}"


def _problems_with_answer(scenario: Scenario, turn: Turn) -> Iterator[str]:
    got = turn.got[0]
    if scenario.tools:
        if got.tool_calls != ["look_up"]:
            yield f"called {got.tool_calls}"
    elif got.text != STORY:
        yield f"not the whole story, once: {len(got.text)} of {len(STORY)} characters, ...{got.text[-40:]!r}"
    attempts = got.route.get("attempts") or []
    if not attempts:
        yield "no failover dict"
        return
    first, last = attempts[0], attempts[-1]
    if scenario.kinds and first["kind"] not in scenario.kinds and scenario.outcome != "stays":
        yield f"the first attempt's kind is {first['kind']}"
    if last["verdict"] != "answered" or last["target"] != got.route["target"]:
        yield f"the trace ends with {last}"
    if got.route["switched"] != (scenario.outcome == "switches"):
        yield f"switched is {got.route['switched']}"
    served = (turn.second or turn.first)[-1]
    if got.route["model"] != served.model:
        yield f"the failover dict names {got.route['model']}, and {served.model} answered"
    resumed = bool(got.route["seams"])  # two have answered then, and the message may name either
    if got.model != served.model and not (resumed and got.model == turn.first[0].model):
        yield f"the model named is {got.model}, and {served.model} answered"
    if not got.usage or not got.usage.get("output_tokens"):
        yield f"the usage is {got.usage}"


def last_role(call: Call) -> str:
    body = call.body
    messages = body.get("messages") or body.get("contents")
    role = str(messages[-1].get("role") or "user")
    return "assistant" if role == "model" else role


def in_time(scenario: Scenario, turn: Turn) -> Iterator[str]:
    """Was the answer there in time, at default settings?"""
    limit_s = scenario.stream_within_s if turn.style.streaming else scenario.within_s
    if turn.got[0].elapsed_s > limit_s:
        yield f"it took {turn.got[0].elapsed_s:.1f} s, more than {limit_s:g}"


FAST = scenarios(retry_after_s=0.3, late_s=20.0)
REAL_TIME = [
    replace(scenario, pause_s=2.0 if scenario.pause_s else 0.0) for scenario in scenarios(retry_after_s=2, late_s=20)
]
