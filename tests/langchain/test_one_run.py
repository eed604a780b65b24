"""One visible run: tokens, usage and callbacks appear exactly once, however the targets are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers.base import BaseTracer
from langchain_core.tracers.schemas import Run
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import BaseModel

from failover_core import Settings, Target
from langchain_failover import ChatFailover
from lc_targets import FakeModel, calling, down

USAGE = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
STYLES = ("invoke", "ainvoke", "stream", "astream")


class Answer(BaseModel):
    """An answer."""

    text: str


def says(text: str = "hello there world") -> FakeModel:
    return FakeModel(AIMessage(text, usage_metadata=USAGE, response_metadata={"model_name": "fake-1"}), finishes=True)


def model_with_its_own_affairs() -> BaseChatModel:
    model = says()
    model.rate_limiter = InMemoryRateLimiter(requests_per_second=1e6, max_bucket_size=100)
    return model


def nested() -> BaseChatModel:
    return ChatFailover(targets=[says()])


def calls_a_model(messages: Any) -> Any:
    return says().invoke(messages)


WAYS: dict[str, Callable[[], Any]] = {
    "direct": says,
    "public": model_with_its_own_affairs,
    "bound": lambda: says().bind(temperature=0),
    "configured": lambda: says().with_config(tags=["inner"]),
    "nested": nested,
    "callable": lambda: Target("f", call=calls_a_model),
}


class Recorder(BaseCallbackHandler):
    """Counts what it hears."""

    def __init__(self) -> None:
        self.starts: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.ends = 0
        self.errors = 0

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.starts.append(kwargs)

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.tokens.append(token)

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.ends += 1

    def on_llm_error(self, error: Any, **kwargs: Any) -> None:
        self.errors += 1


async def run(llm: Any, style: str, question: Any = "hi", config: Any = None) -> Any:
    if style == "invoke":
        return llm.invoke(question, config)
    if style == "ainvoke":
        return await llm.ainvoke(question, config)
    if style == "stream":
        return list(llm.stream(question, config))
    return [chunk async for chunk in llm.astream(question, config)]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("way", WAYS)
async def test_callbacks_and_usage_once(way: str, style: str) -> None:
    recorder, usage = Recorder(), UsageMetadataCallbackHandler()
    chain = ChatPromptTemplate.from_messages([("human", "{q}")]) | ChatFailover(
        targets=[FakeModel(down()), WAYS[way]()], settings=Settings(same_target_retries=0)
    )

    await run(chain, style, {"q": "hi"}, {"callbacks": [recorder, usage]})

    assert (len(recorder.starts), recorder.ends, recorder.errors) == (1, 1, 0)
    assert usage.usage_metadata["fake-1"]["total_tokens"] == 7
    if style.endswith("stream"):
        assert "".join(recorder.tokens) == "hello there world"


@pytest.mark.parametrize("way", WAYS)
async def test_events_once(way: str) -> None:
    chain = RunnableLambda(lambda text: text) | ChatFailover(targets=[WAYS[way]()])

    events = [event async for event in chain.astream_events("hi", version="v2")]

    assert sum(event["event"] == "on_chat_model_start" for event in events) == 1
    assert sum(event["event"] == "on_chat_model_end" for event in events) == 1
    text = "".join(e["data"]["chunk"].text for e in events if e["event"] == "on_chat_model_stream")
    assert text == "hello there world"


@pytest.mark.parametrize("way", WAYS)
async def test_langgraph_streams_each_token_once(way: str) -> None:
    llm = ChatFailover(targets=[WAYS[way]()])

    async def node(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await llm.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("chat", node)
    graph.add_edge(START, "chat")
    graph.add_edge("chat", END)
    compiled = graph.compile()

    streamed = [part async for part, _ in compiled.astream({"messages": [HumanMessage("hi")]}, stream_mode="messages")]

    assert "".join(part.text for part in streamed) == "hello there world"
    assert len({part.id for part in streamed}) == 1


class Tracer(BaseTracer):
    def __init__(self) -> None:
        super().__init__()
        self.roots: list[Run] = []

    def _persist_run(self, run: Run) -> None:
        self.roots.append(run)


@pytest.mark.parametrize("style", STYLES)
async def test_no_child_runs_unless_asked_for(style: str) -> None:
    tracer = Tracer()
    llm = ChatFailover(targets=[FakeModel(down()), says()], settings=Settings(same_target_retries=0))

    await run(llm, style, config={"callbacks": [tracer]})

    (root,) = tracer.roots
    assert root.child_runs == []


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("way", WAYS)
async def test_traced_attempts_are_children_that_count_no_usage(way: str, style: str) -> None:
    tracer, usage, recorder = Tracer(), UsageMetadataCallbackHandler(), Recorder()
    llm = ChatFailover(
        targets=[FakeModel(down()), WAYS[way]()], settings=Settings(same_target_retries=0), trace_attempts=True
    )
    chain = RunnableLambda(lambda text: text) | llm

    await run(chain, style, config={"callbacks": [tracer, usage, recorder]})

    (root,) = tracer.roots
    (model_run,) = [child for child in root.child_runs if child.run_type in ("llm", "chat_model")]
    failed, answered = model_run.child_runs
    assert [failed.name, answered.name] == [target.name for target in llm.failover.targets]
    assert failed.run_type == answered.run_type == "chain"
    assert "connection refused" in str(failed.error) and answered.error is None
    assert answered.metadata["failover_attempt"] == 2
    assert usage.usage_metadata["fake-1"]["total_tokens"] == 7
    assert (len(recorder.starts), recorder.ends) == (1, 1)


async def test_traced_attempts_inside_of_a_streaming_handler() -> None:
    tracer = Tracer()
    llm = ChatFailover(targets=[says()], trace_attempts=True)

    [event async for event in llm.astream_events("hi", {"callbacks": [tracer]}, version="v2")]

    (root,) = tracer.roots
    assert [child.name for child in root.child_runs] == ["FakeModel"]


@pytest.mark.parametrize("style", STYLES)
async def test_bound_and_structured_runs_once(style: str) -> None:
    recorder = Recorder()
    llm = ChatFailover(targets=[FakeModel(down()), FakeModel(calling("Answer", text="42"))])

    await run(llm.with_structured_output(Answer), style, config={"callbacks": [recorder]})
    await run(llm.bind_tools([Answer]), style, config={"callbacks": [recorder]})

    assert (len(recorder.starts), recorder.ends) == (2, 2)
    options = recorder.starts[0]["options"]["ls_structured_output_format"]
    assert options["kwargs"] == {"method": "function_calling", "strict": None}
    assert "failover_output" not in recorder.starts[0]["invocation_params"]


def test_an_inner_models_own_callbacks_hear_its_run_and_the_outer_ones_hear_theirs() -> None:
    inner, outer = Recorder(), Recorder()
    model = says()
    model.callbacks = [inner]
    llm = ChatFailover(targets=[model])

    (RunnableLambda(lambda text: text) | llm).invoke("hi", {"callbacks": [outer]})

    assert len(inner.starts) == len(outer.starts) == 1
    run_id, parent = inner.starts[0]["run_id"], inner.starts[0]["parent_run_id"]
    assert isinstance(run_id, UUID) and parent is None


def test_the_error_of_a_lost_request_is_told_once() -> None:
    recorder = Recorder()

    with pytest.raises(Exception, match="No target answered"):
        ChatFailover(targets=[FakeModel(down())]).invoke("hi", {"callbacks": [recorder]})

    assert (len(recorder.starts), recorder.ends, recorder.errors) == (1, 0, 1)
