"""One visible call: events, token counts and spans exactly once, in sync code, asyncio and streams, whatever failed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager, CBEventType, TokenCountingHandler
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.llms import MockLLM
from llama_index.core.prompts import PromptTemplate
from llama_index.core.rate_limiter import TokenBucketRateLimiter
from llama_index.core.tools import FunctionTool
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation.span import SimpleSpan
from llama_index_instrumentation.span_handlers import SimpleSpanHandler
from llamaindex_targets import Down, FakeLLM
from pydantic import BaseModel

from failover_core import Settings, Target
from llamaindex_failover import FailoverLLM, wrap

QUICK = Settings(backoff_s=0.0)
MESSAGES = [ChatMessage("one two three")]


def tool(a: int) -> int:
    """A tool."""
    return a


TOOL = FunctionTool.from_defaults(tool)


@dataclass
class Report:
    """What LlamaIndex was told: dispatcher events, spans, and callback events."""

    events: list[Any] = field(default_factory=list)
    spans: Any = None

    @property
    def names(self) -> Counter[str]:
        return Counter(type(event).__name__ for event in self.events)

    @property
    def opened(self) -> dict[str, str | None]:
        """Every span that was closed well, by name, and the name of its parent."""
        spans = {span.id_: span for span in self.spans.completed_spans}
        return {_name(id_): _name(span.parent_id) for id_, span in spans.items()}

    @property
    def dropped(self) -> list[str]:
        return [_name(span.id_) for span in self.spans.dropped_spans]


def _name(span_id: str | None) -> str:
    return "" if span_id is None else span_id[:-37]


@pytest.fixture
def report() -> Iterator[Report]:
    told = Report()

    class Events(BaseEventHandler):
        def handle(self, event: Any, **kwargs: Any) -> None:
            told.events.append(event)

    told.spans = SimpleSpanHandler()
    root = get_dispatcher()
    handlers, spans = root.event_handlers, root.span_handlers
    root.event_handlers, root.span_handlers = [*handlers, Events()], [*spans, told.spans]
    yield told
    root.event_handlers, root.span_handlers = handlers, spans


class Callbacks(BaseCallbackHandler):
    """Counts the starts and ends of LLM events."""

    def __init__(self) -> None:
        super().__init__([], [])
        self.starts: list[str] = []
        self.ends: list[str] = []
        self.traces = 0

    def on_event_start(self, event_type: Any, payload: Any = None, event_id: str = "", **kwargs: Any) -> str:
        if event_type == CBEventType.LLM:
            self.starts.append(event_id)
        return event_id

    def on_event_end(self, event_type: Any, payload: Any = None, event_id: str = "", **kwargs: Any) -> None:
        if event_type == CBEventType.LLM:
            self.ends.append(event_id)

    def start_trace(self, trace_id: str | None = None) -> None:
        self.traces += 1

    def end_trace(self, trace_id: str | None = None, trace_map: Any = None) -> None:
        pass


def failing_first() -> list[Any]:
    return [wrap(FakeLLM(says=Down("503")), name="dead"), wrap(FakeLLM(says=["one ", "two"]), name="alive")]


def _drain(stream: Any) -> Any:
    return list(stream)[-1]


async def _adrain(stream: Any) -> Any:
    return [chunk async for chunk in stream][-1]


CALLS: dict[str, Callable[[FailoverLLM], Any]] = {
    "chat": lambda llm: llm.chat(MESSAGES),
    "stream_chat": lambda llm: _drain(llm.stream_chat(MESSAGES)),
    "achat": lambda llm: asyncio.run(llm.achat(MESSAGES)),
    "complete": lambda llm: llm.complete("one two three"),
    "stream_complete": lambda llm: _drain(llm.stream_complete("one two three")),
    "acomplete": lambda llm: asyncio.run(llm.acomplete("one two three")),
}


async def _astream(llm: FailoverLLM, method: str, argument: Any) -> Any:
    return await _adrain(await getattr(llm, method)(argument))


CALLS["astream_chat"] = lambda llm: asyncio.run(_astream(llm, "astream_chat", MESSAGES))
CALLS["astream_complete"] = lambda llm: asyncio.run(_astream(llm, "astream_complete", "one two three"))


@pytest.mark.parametrize("style", CALLS)
def test_one_call_is_told_once_whatever_failed(style: str, report: Report) -> None:
    callbacks, tokens = Callbacks(), TokenCountingHandler(tokenizer=str.split)
    llm = FailoverLLM(failing_first(), settings=QUICK)
    llm.callback_manager = CallbackManager([callbacks, tokens])  # as Settings and the engines do it
    CALLS[style](llm)

    kind = "Completion" if "complete" in style else "Chat"
    assert 1 == report.names[f"LLM{kind}StartEvent"]
    assert 1 == report.names[f"LLM{kind}EndEvent"]
    assert 0 == report.names["ExceptionEvent"] + report.names["SpanDropEvent"]
    assert (2 if "stream" in style else 0) == report.names[f"LLM{kind}InProgressEvent"]
    assert {f"FailoverLLM.{style}": ""} == report.opened
    assert [] == report.dropped
    span_ids = {event.span_id for event in report.events}
    assert {f"FailoverLLM.{style}"} == {_name(span_id) for span_id in span_ids}
    assert 1 == len(callbacks.starts)
    assert callbacks.starts == callbacks.ends
    assert 1 == callbacks.traces

    bare = TokenCountingHandler(tokenizer=str.split)
    CALLS[style](FakeLLM(says=["one ", "two"], callback_manager=CallbackManager([bare])))  # type: ignore[arg-type]
    assert 0 < bare.total_llm_token_count
    assert [vars(count) | {"event_id": ""} for count in bare.llm_token_counts] == [
        vars(count) | {"event_id": ""} for count in tokens.llm_token_counts
    ]


def test_the_end_event_tells_the_answer_and_the_way_it_came(report: Report) -> None:
    FailoverLLM(failing_first(), settings=QUICK).chat(MESSAGES)
    end = next(event for event in report.events if type(event).__name__ == "LLMChatEndEvent")
    assert "one two" == end.response.message.content
    assert "alive" == end.response.additional_kwargs["failover"]["target"]
    start = next(event for event in report.events if type(event).__name__ == "LLMChatStartEvent")
    assert ["dead", "alive"] == start.model_dict["targets"]


def test_tools_are_told_in_the_form_that_displays_know(report: Report) -> None:
    llm = FailoverLLM(failing_first(), settings=QUICK)
    llm.chat_with_tools([TOOL], user_msg="call it", chat_history=MESSAGES)
    assert 1 == report.names["LLMChatStartEvent"]
    start = next(event for event in report.events if type(event).__name__ == "LLMChatStartEvent")
    assert ["one two three", "call it"] == [message.content for message in start.messages]
    assert ["tool"] == [shown["function"]["name"] for shown in start.additional_kwargs["tools"]]


def test_targets_own_callback_managers_stay_silent_during_attempts() -> None:
    own = Callbacks()
    target = FakeLLM(callback_manager=CallbackManager([own]))
    FailoverLLM([target]).chat(MESSAGES)
    assert [] == own.starts
    target.chat(MESSAGES)
    assert 1 == len(own.starts), "outside of an attempt the LLM is what it was"


def test_failed_attempts_are_spans_when_asked_for(report: Report) -> None:
    llm = FailoverLLM(failing_first(), settings=Settings(same_target_retries=0), show_attempts=True)
    llm.chat(MESSAGES)
    assert {"alive.chat": "FailoverLLM.chat", "FailoverLLM.chat": ""} == report.opened
    assert ["dead.chat"] == report.dropped
    assert 1 == report.names["LLMChatStartEvent"]

    _drain(llm.stream_chat(MESSAGES))
    assert "FailoverLLM.stream_chat" == report.opened["alive.stream_chat"]


def test_a_lost_call_ends_with_its_error(report: Report) -> None:
    callbacks = Callbacks()
    llm = FailoverLLM([FakeLLM(says=Down("503"))], settings=QUICK, callback_manager=CallbackManager([callbacks]))
    for style in ("chat", "stream_chat"):
        with pytest.raises(Exception, match="503"):
            getattr(llm, style)(MESSAGES)
    assert ["FailoverLLM.chat", "FailoverLLM.stream_chat"] == report.dropped
    assert callbacks.starts == callbacks.ends


def test_calls_nest_in_the_spans_of_their_callers(report: Report) -> None:
    llm = FailoverLLM(failing_first(), settings=QUICK)
    assert "one two" == llm.predict(PromptTemplate("{words}"), words="one two three")
    assert "FailoverLLM.predict" == report.opened["FailoverLLM.chat"]


class Whole(BaseModel):
    a: int = 1


def test_structured_output_is_told_as_the_target_that_answered_tells_it(report: Report) -> None:
    class Structured(FakeLLM):
        def structured_predict(self, output_cls: Any, prompt: Any, llm_kwargs: Any = None, **args: Any) -> Any:
            self.chat(prompt.format_messages(**args))
            return output_cls()

    callbacks = Callbacks()
    targets = [Structured(says=Down("503")), Structured()]
    llm = FailoverLLM(targets, settings=QUICK, callback_manager=CallbackManager([callbacks]))
    assert Whole() == llm.structured_predict(Whole, PromptTemplate("{words}"), words="one")
    assert 1 == report.names["LLMChatStartEvent"] == report.names["LLMChatEndEvent"]
    assert 1 == len(callbacks.starts)
    assert callbacks.starts == callbacks.ends
    assert "FailoverLLM.structured_predict" == report.opened["Structured.structured_predict"]
    assert "Structured.structured_predict" == report.opened["Structured.chat"]


def test_native_and_plain_targets_are_told_like_all_others(report: Report) -> None:
    FailoverLLM([Target("mine", call=lambda messages: "hi")]).chat(MESSAGES)
    assert 1 == report.names["LLMChatStartEvent"] == report.names["LLMChatEndEvent"]
    assert {"FailoverLLM.chat": ""} == report.opened


def test_the_rate_limiter_is_asked_once_a_call() -> None:
    asked: list[int] = []

    class Counting(TokenBucketRateLimiter):
        def acquire(self, num_tokens: int = 0) -> None:
            asked.append(num_tokens)

    llm = FailoverLLM(failing_first(), settings=QUICK, rate_limiter=Counting(requests_per_minute=10))
    llm.chat(MESSAGES)
    _drain(llm.stream_chat(MESSAGES))
    llm.complete("hello")
    assert 3 == len(asked)


def test_the_gate_is_open_for_everybody_else(report: Report) -> None:
    FailoverLLM([FakeLLM()])
    MockLLM(max_tokens=2).complete("hello")
    assert 1 == report.names["LLMCompletionStartEvent"] == report.names["LLMCompletionEndEvent"]
    assert {"MockLLM.complete": ""} == report.opened
