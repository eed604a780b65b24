"""A stream that breaks after text was shown: `midstream="replace"`, and which error ends what nobody may go on with."""

from __future__ import annotations

from typing import Any

import pytest

from failover_core import (
    FailureKind,
    OutputRejected,
    RequestInfo,
    RequestRejected,
    StreamInterrupted,
    StreamRestarted,
    Target,
)
from failover_core.health.latency import COLD_STALL_S
from failover_core.limits import HOPELESS_STALL_S
from failover_core.providers import ChatChunk, Text, accumulate
from failover_core.testing.scripted import Finish, ScriptedError, ScriptedReader
from stepping import Stepper, failover_of, scripted

FOX = "The quick brown fox jumps over the lazy dog and then it sleeps all day"
OTHER = "A hurried tawny vixen leaps across some idle hound"
BROKEN = ConnectionResetError(104, "Connection reset by peer")
REFUSED = ScriptedError(400, "content management policy: content_filter")


def streaming(*targets: str | Target, info: RequestInfo | None = None, **settings: Any) -> Stepper:
    settings = {"hold_back_tokens": 1, "hold_back_s": 0.0, **settings}
    return Stepper(failover_of(*targets, **settings), "stream", info)


def replacing(*targets: str | Target, **more: Any) -> Stepper:
    return streaming(*targets, midstream="replace", **more)


# -- starting over --------------------------------------------------------------------------------------------------


def test_the_announcement_comes_in_place_of_a_chunk_and_only_with_the_new_beginning() -> None:
    request = replacing(scripted("a"), scripted("b", resume=None))
    request.sends("a", FOX)
    request.fails("a", BROKEN)
    assert request.started == ["a", "b"]
    assert request.emitted == [FOX], "the old text stands as long as there is no other"
    request.sends("b", OTHER)
    request.finishes("b")
    restarted = StreamRestarted("a", "b", len(FOX), FailureKind.STREAM_BROKEN)
    assert request.emitted == [FOX, restarted, OTHER, Finish()]
    assert request.verdicts == [("a", "first", "replaced"), ("b", "replace", "answered")]


def test_the_request_is_asked_again_as_it_was() -> None:
    request = replacing("a", "b")
    request.sends("a", FOX)
    request.fails("a", BROKEN)
    assert request.starts[-1].request == "request"


def test_a_restart_is_a_seam_in_the_trace() -> None:
    request = replacing("a", "b")
    request.sends("a", FOX)
    request.fails("a", BROKEN)
    request.sends("b", OTHER)
    request.finishes("b")
    assert request.trace.as_dict()["seams"] == [
        {"offset_chars": len(FOX), "broken": "a", "resumed": "b", "kind": "replace"}
    ]
    assert request.trace.target is not None
    assert request.trace.target.name == "b"


def test_what_breaks_after_a_restart_voids_only_what_came_since() -> None:
    request = replacing("a", "b", "c")
    for name, text in (("a", FOX), ("b", OTHER)):
        request.sends(name, text)
        request.fails(name, BROKEN)
    request.sends("c", "At last.")
    request.finishes("c")
    restarts = [chunk for chunk in request.emitted if isinstance(chunk, StreamRestarted)]
    assert [(r.broken, r.target, r.void_chars) for r in restarts] == [("a", "b", len(FOX)), ("b", "c", len(OTHER))]


def test_the_error_carries_what_is_valid_when_nobody_is_left() -> None:
    request = replacing("a", "b")
    for name, text in (("a", FOX), ("b", OTHER)):
        request.sends(name, text)
        request.fails(name, BROKEN)
    assert isinstance(request.error, StreamInterrupted)
    assert request.error.partial == OTHER


def test_the_error_carries_the_old_text_while_nothing_has_replaced_it() -> None:
    request = replacing("a", "b", same_target_retries=0)
    request.sends("a", FOX)
    request.fails("a", BROKEN)
    request.fails("b", ScriptedError(503))
    assert isinstance(request.error, StreamInterrupted)
    assert request.error.partial == FOX


def test_output_that_is_rejected_at_its_end_is_replaced() -> None:
    def no_foxes(finished: Any) -> None:
        if "fox" in finished.text:
            raise OutputRejected("a fox")

    request = replacing("a", "b", validators=(no_foxes,))
    request.sends("a", FOX)
    request.finishes("a")
    request.sends("b", OTHER)
    request.finishes("b")
    assert request.emitted[-3:] == [StreamRestarted("a", "b", len(FOX), FailureKind.INVALID_OUTPUT), OTHER, Finish()]


class CallsTools(ScriptedReader):
    def read_chunk(self, chunk: Any) -> Any:
        reading = super().read_chunk(chunk)
        reading.has_tool_call = chunk == "<call>"
        return reading


@pytest.mark.parametrize("hold_tool_calls", [True, False])
def test_never_inside_a_tool_call(hold_tool_calls: bool) -> None:
    request = replacing(scripted("a", reader=CallsTools()), "b", hold_tool_calls=hold_tool_calls)
    request.sends("a", FOX, "<call>")
    request.fails("a", BROKEN)
    assert isinstance(request.error, StreamInterrupted)
    assert request.error.partial.startswith(FOX)
    assert request.started == ["a"]


def test_never_inside_structured_output() -> None:
    request = replacing("a", "b", info=RequestInfo(structured=True))
    request.sends("a", FOX)
    request.fails("a", BROKEN)
    assert isinstance(request.error, StreamInterrupted)
    assert request.error.partial == FOX


@pytest.mark.parametrize(
    ("info", "settings"),
    [
        (RequestInfo(structured=True), {}),
        (RequestInfo(structured=True), {"midstream": "replace"}),
        (None, {"midstream": "raise"}),
    ],
    ids=["structured output", "structured output, to be replaced", "to be raised"],
)
def test_who_waits_for_a_silent_stream_that_nobody_may_take_over_is_told_some_day(
    info: RequestInfo | None, settings: dict[str, Any]
) -> None:
    request = streaming("a", "b", info=info, **settings)
    request.sends("a", FOX)
    began_s = request.now
    while request.error is None and request.now < began_s + 1000.0:
        request.times_out()
    assert isinstance(request.error, StreamInterrupted)
    assert request.error.partial == FOX
    assert request.started == ["a"]
    assert request.now == pytest.approx(began_s + HOPELESS_STALL_S)


def test_who_has_only_lost_a_race_goes_on_when_the_winner_breaks_and_nobody_else_is_left() -> None:
    request = streaming("a", "b")
    request.times_out()
    request.sends("b", FOX)
    assert request.verdicts[0] == ("a", "first", "lost")
    request.fails("b", BROKEN)
    assert request.started == ["a", "b", "a"]
    assert request.starts[-1].request == ("request", FOX)
    request.sends("a", FOX, " long.")
    request.finishes("a")
    assert "".join(chunk for chunk in request.emitted if isinstance(chunk, str)) == FOX + " long."
    assert request.verdicts[-1] == ("a", "resume", "answered")


def test_a_silent_winner_is_left_for_the_one_that_has_only_lost_the_race() -> None:
    request = streaming("a", "b")
    request.times_out()
    request.sends("b", FOX)
    silent_from_s = request.now
    while len(request.started) == 2:
        request.times_out()
    assert request.started == ["a", "b", "a"]
    assert request.now == pytest.approx(silent_from_s + COLD_STALL_S)


def test_a_race_for_the_replacement_ends_in_one_restart() -> None:
    request = replacing("a", "b", "c")
    request.sends("a", FOX)
    request.fails("a", BROKEN)
    request.times_out()
    assert request.started == ["a", "b", "c"]
    request.sends("c", OTHER)
    request.finishes("c")
    restarts = [chunk for chunk in request.emitted if isinstance(chunk, StreamRestarted)]
    assert [restart.target for restart in restarts] == ["c"]


def test_the_sum_of_the_chunks_begins_at_the_last_restart() -> None:
    old = ChatChunk((Text(FOX),), model="old", refusal="no")
    new = ChatChunk((Text(OTHER),), "stop", model="new")
    whole = accumulate([old, StreamRestarted("a", "b", len(FOX), FailureKind.TIMEOUT), new])
    assert (whole.text, whole.model, whole.refusal, whole.finish_reason) == (OTHER, "new", None, "stop")


def test_a_restart_as_plain_data() -> None:
    restarted = StreamRestarted("a", "b", 35, FailureKind.STREAM_BROKEN)
    assert restarted.as_dict() == {"broken": "a", "target": "b", "void_chars": 35, "kind": "stream_broken"}


# -- refusals -------------------------------------------------------------------------------------------------------


def test_a_refusal_before_any_text_rejects_the_request() -> None:
    request = streaming("a", "b")
    request.fails("a", REFUSED)
    assert isinstance(request.error, RequestRejected)


@pytest.mark.parametrize("midstream", ["resume", "replace", "raise"])
@pytest.mark.parametrize("by", ["error", "ending"])
def test_a_refusal_after_text_interrupts_the_stream(midstream: str, by: str) -> None:
    """One rule for whatever ends a request: once there is text, the error carries it."""

    class Refuses(ScriptedReader):
        def read_chunk(self, chunk: Any) -> Any:
            reading = super().read_chunk(chunk)
            reading.refusal = "no such talk" if isinstance(chunk, Finish) else None
            return reading

    request = streaming(scripted("a", reader=Refuses()), "b", midstream=midstream)
    request.sends("a", FOX)
    if by == "error":
        request.fails("a", REFUSED)
    else:
        request.finishes("a")
    assert isinstance(request.error, StreamInterrupted)
    assert request.error.partial == FOX
    assert request.error.failure is not None
    assert request.error.failure.kind is FailureKind.CONTENT_FILTERED
    assert "content_filtered" in str(request.error)
    assert request.started == ["a"], "nobody else is asked"


def test_a_refusal_of_the_one_who_should_go_on_is_the_same() -> None:
    request = streaming("a", "b", "c")
    request.sends("a", FOX)
    request.fails("a", BROKEN)
    request.fails("b", REFUSED)
    assert isinstance(request.error, StreamInterrupted)
    assert request.error.partial == FOX
    assert request.started == ["a", "b"]


def test_a_refusal_may_be_replaced_where_the_settings_say_next() -> None:
    request = replacing("a", "b", on_content_filter="next")
    request.sends("a", FOX)
    request.fails("a", REFUSED)
    request.sends("b", OTHER)
    request.finishes("b")
    assert request.emitted[1] == StreamRestarted("a", "b", len(FOX), FailureKind.CONTENT_FILTERED)
