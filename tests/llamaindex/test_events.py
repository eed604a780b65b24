"""One visible call: events, token counts and spans exactly once, in sync code, asyncio and streams, whatever failed."""

from __future__ import annotations

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
from llama_index.core.tools import FunctionTool
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation.span_handlers import SimpleSpanHandler
from pydantic import BaseModel

from failover_core import Settings, Target
from llamaindex_failover import FailoverLLM, wrap
from llamaindex_targets import Down, FakeLLM

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


SYNC: dict[str, Callable[[Any], Any]] = {
    "chat": lambda llm: llm.chat(MESSAGES),
    "stream_chat": lambda llm: _drain(llm.stream_chat(MESSAGES)),
    "complete": lambda llm: llm.complete("one two three"),
    "stream_complete": lambda llm: _drain(llm.stream_complete("one two three")),
}


async def _astream_chat(llm: Any) -> Any:
    return await _adrain(await llm.astream_chat(MESSAGES))


async def _astream_complete(llm: Any) -> Any:
    return await _adrain(await llm.astream_complete("one two three"))


ASYNC: dict[str, Callable[[Any], Any]] = {
    "achat": lambda llm: llm.achat(MESSAGES),
    "astream_chat": _astream_chat,
    "acomplete": lambda llm: llm.acomplete("one two three"),
    "astream_complete": _astream_complete,
}


class Listening:
    """A `FailoverLLM` whose first target fails, and what the callback handlers heard of a call."""

    def __init__(self) -> None:
        self.callbacks, self.tokens = Callbacks(), TokenCountingHandler(tokenizer=str.split)
        self.llm = FailoverLLM(failing_first(), settings=QUICK)
        self.llm.callback_manager = CallbackManager([self.callbacks, self.tokens])  # as Settings and engines do it
        self.bare_tokens = TokenCountingHandler(tokenizer=str.split)
        self.bare = FakeLLM(says=["one ", "two"], callback_manager=CallbackManager([self.bare_tokens]))

    def check(self, style: str, report: Report) -> None:
        kind = "Completion" if "complete" in style else "Chat"
        assert report.names[f"LLM{kind}StartEvent"] == 1
        assert report.names[f"LLM{kind}EndEvent"] == 1
        assert report.names["ExceptionEvent"] + report.names["SpanDropEvent"] == 0
        assert (2 if "stream" in style else 0) == report.names[f"LLM{kind}InProgressEvent"]
        assert {f"FailoverLLM.{style}": ""} == report.opened
        assert report.dropped == []
        assert {f"FailoverLLM.{style}"} == {_name(event.span_id) for event in report.events}
        assert len(self.callbacks.starts) == 1
        assert self.callbacks.starts == self.callbacks.ends
        assert self.callbacks.traces == 1

    def check_tokens(self) -> None:
        (ours,), (theirs,) = self.tokens.llm_token_counts, self.bare_tokens.llm_token_counts
        assert theirs.total_token_count > 0
        assert vars(theirs) | {"event_id": ""} == vars(ours) | {"event_id": ""}


@pytest.mark.parametrize("style", SYNC)
def test_one_call_is_told_once_whatever_failed(style: str, report: Report) -> None:
    listening = Listening()
    SYNC[style](listening.llm)
    listening.check(style, report)
    SYNC[style](listening.bare)
    listening.check_tokens()


@pytest.mark.parametrize("style", ASYNC)
async def test_one_call_is_told_once_to_asyncio(style: str, report: Report) -> None:
    listening = Listening()
    await ASYNC[style](listening.llm)
    listening.check(style, report)
    await ASYNC[style](listening.bare)
    listening.check_tokens()


def test_the_end_event_tells_the_answer_and_the_way_it_came(report: Report) -> None:
    FailoverLLM(failing_first(), settings=QUICK).chat(MESSAGES)
    end = next(event for event in report.events if type(event).__name__ == "LLMChatEndEvent")
    assert end.response.message.content == "one two"
    assert end.response.additional_kwargs["failover"]["target"] == "alive"
    start = next(event for event in report.events if type(event).__name__ == "LLMChatStartEvent")
    assert start.model_dict["targets"] == ["dead", "alive"]


def test_tools_are_told_in_the_form_that_displays_know(report: Report) -> None:
    llm = FailoverLLM(failing_first(), settings=QUICK)
    llm.chat_with_tools([TOOL], user_msg="call it", chat_history=MESSAGES)
    assert report.names["LLMChatStartEvent"] == 1
    start = next(event for event in report.events if type(event).__name__ == "LLMChatStartEvent")
    assert [message.content for message in start.messages] == ["one two three", "call it"]
    assert [shown["function"]["name"] for shown in start.additional_kwargs["tools"]] == ["tool"]


TOOLS: dict[str, Callable[[Any], Any]] = {
    "chat_with_tools": lambda llm: llm.chat_with_tools([TOOL], user_msg="call it"),
    "stream_chat_with_tools": lambda llm: _drain(llm.stream_chat_with_tools([TOOL], user_msg="call it")),
}


async def _astream_chat_with_tools(llm: Any) -> Any:
    return await _adrain(await llm.astream_chat_with_tools([TOOL], user_msg="call it"))


ATOOLS: dict[str, Callable[[Any], Any]] = {
    "achat_with_tools": lambda llm: llm.achat_with_tools([TOOL], user_msg="call it"),
    "astream_chat_with_tools": _astream_chat_with_tools,
}


def check_one_span(style: str, report: Report) -> None:
    assert {f"FailoverLLM.{style}": ""} == report.opened
    assert {f"FailoverLLM.{style}"} == {_name(event.span_id) for event in report.events}
    assert 1 == report.names["LLMChatStartEvent"] == report.names["LLMChatEndEvent"]


@pytest.mark.parametrize("style", TOOLS)
def test_a_call_with_tools_has_a_span(style: str, report: Report) -> None:
    TOOLS[style](FailoverLLM(failing_first(), settings=QUICK))
    check_one_span(style, report)
    with pytest.raises(Exception, match="503"):
        TOOLS[style](FailoverLLM([FakeLLM(says=Down("503"))], settings=QUICK))
    assert [f"FailoverLLM.{style}"] == report.dropped
    assert report.names["SpanDropEvent"] == 1


@pytest.mark.parametrize("style", ATOOLS)
async def test_a_call_with_tools_has_a_span_on_asyncio(style: str, report: Report) -> None:
    await ATOOLS[style](FailoverLLM(failing_first(), settings=QUICK))
    check_one_span(style, report)
    with pytest.raises(Exception, match="503"):
        await ATOOLS[style](FailoverLLM([FakeLLM(says=Down("503"))], settings=QUICK))
    assert [f"FailoverLLM.{style}"] == report.dropped


def test_targets_own_callback_managers_stay_silent_during_attempts() -> None:
    own = Callbacks()
    target = FakeLLM(callback_manager=CallbackManager([own]))
    FailoverLLM([target]).chat(MESSAGES)
    assert own.starts == []
    target.chat(MESSAGES)
    assert len(own.starts) == 1, "outside of an attempt the LLM is what it was"


def test_failed_attempts_are_spans_when_asked_for(report: Report) -> None:
    llm = FailoverLLM(failing_first(), settings=Settings(same_target_retries=0), show_attempts=True)
    llm.chat(MESSAGES)
    assert report.opened == {"alive.chat": "FailoverLLM.chat", "FailoverLLM.chat": ""}
    assert report.dropped == ["dead.chat"]
    assert report.names["LLMChatStartEvent"] == 1

    _drain(llm.stream_chat(MESSAGES))
    assert report.opened["alive.stream_chat"] == "FailoverLLM.stream_chat"


def test_a_lost_call_ends_with_its_error(report: Report) -> None:
    callbacks = Callbacks()
    llm = FailoverLLM([FakeLLM(says=Down("503"))], settings=QUICK, callback_manager=CallbackManager([callbacks]))
    for style in ("chat", "stream_chat"):
        with pytest.raises(Exception, match="503"):
            getattr(llm, style)(MESSAGES)
    assert report.dropped == ["FailoverLLM.chat", "FailoverLLM.stream_chat"]
    assert callbacks.starts == callbacks.ends


def test_calls_nest_in_the_spans_of_their_callers(report: Report) -> None:
    llm = FailoverLLM(failing_first(), settings=QUICK)
    assert llm.predict(PromptTemplate("{words}"), words="one two three") == "one two"
    assert report.opened["FailoverLLM.chat"] == "FailoverLLM.predict"


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
    assert len(callbacks.starts) == 1
    assert callbacks.starts == callbacks.ends
    assert report.opened["Structured.structured_predict"] == "FailoverLLM.structured_predict"
    assert report.opened["Structured.chat"] == "Structured.structured_predict"


def test_structured_output_of_a_function_is_told(report: Report) -> None:
    llm = FailoverLLM([Target("mine", call=lambda messages: '{"a": 2}')])
    assert Whole(a=2) == llm.structured_predict(Whole, PromptTemplate("{words}"), words="one")
    assert 1 == report.names["LLMChatStartEvent"] == report.names["LLMChatEndEvent"]


def test_native_and_plain_targets_are_told_like_all_others(report: Report) -> None:
    FailoverLLM([Target("mine", call=lambda messages: "hi")]).chat(MESSAGES)
    assert 1 == report.names["LLMChatStartEvent"] == report.names["LLMChatEndEvent"]
    assert report.opened == {"FailoverLLM.chat": ""}


def test_the_rate_limiter_is_asked_once_a_call() -> None:
    limits = pytest.importorskip("llama_index.core.rate_limiter")  # since 0.14.16
    asked: list[int] = []

    class Counting(limits.TokenBucketRateLimiter):
        def acquire(self, num_tokens: int = 0) -> None:
            asked.append(num_tokens)

    llm = FailoverLLM(failing_first(), settings=QUICK, rate_limiter=Counting(requests_per_minute=10))
    llm.chat(MESSAGES)
    _drain(llm.stream_chat(MESSAGES))
    llm.complete("hello")
    assert len(asked) == 3


def test_the_gate_is_open_for_everybody_else(report: Report) -> None:
    FailoverLLM([FakeLLM()])
    MockLLM(max_tokens=2).complete("hello")
    assert 1 == report.names["LLMCompletionStartEvent"] == report.names["LLMCompletionEndEvent"]
    assert report.opened == {"MockLLM.complete": ""}
