"""Agents: `create_agent`, `create_react_agent`, and a graph written by hand, through an outage."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware, SummarizationMiddleware
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, create_react_agent, tools_condition
from pydantic import BaseModel

from failover_core import Settings
from failover_core.testing import Ask, ProviderServer, ToolCall, faults
from langchain_failover import ChatFailover
from lc_targets import KINDS, WRAPPED, FakeModel, calling, down, make

QUICK = Settings(backoff_s=0.01, same_target_retries=0)
QUESTION: Any = {"messages": [{"role": "user", "content": "How is the weather in Paris?"}]}
OTHER = {"openai": "anthropic", "anthropic": "google", "google": "openai"}
ANSWER = "It is 18 C in Paris."


class Report(BaseModel):
    """A weather report."""

    city: str
    celsius: int


@tool
def get_weather(city: str) -> str:
    """Weather of a city."""
    return f"18 C in {city}"


def script(ask: Ask) -> Any:
    if not ask.tool_results:
        return ToolCall("get_weather", {"city": "Paris"})
    if ask.schema is not None:
        return '{"city": "Paris", "celsius": 18}'
    if any(known.name == "Report" for known in ask.tools):
        return ToolCall("Report", {"city": "Paris", "celsius": 18})
    return ANSWER


@pytest.fixture
def servers(first: ProviderServer, second: ProviderServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    for server in (first, second):
        monkeypatch.setattr(server.behaviour, "answer", script)
    return first, second


def failover(kind: str, servers: Any) -> ChatFailover:
    first, second = servers
    return ChatFailover(targets=[make(kind, first), make(OTHER[kind.strip(":")], second)], settings=QUICK)


@pytest.mark.parametrize("broken_at", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
async def test_create_agent(kind: str, broken_at: int, servers: Any) -> None:
    servers[0].script([None] * broken_at)
    servers[0].always(faults.Status(503))
    agent = create_agent(failover(kind, servers), tools=[get_weather])

    answer = await agent.ainvoke(QUESTION)
    sync = create_agent(failover(kind, servers), tools=[get_weather]).invoke(QUESTION)

    assert answer["messages"][-1].text == sync["messages"][-1].text == ANSWER
    assert [message.type for message in answer["messages"]] == ["human", "ai", "tool", "ai"]


@pytest.mark.parametrize("kind", WRAPPED)
@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy, None])
async def test_create_agent_with_a_response_format(kind: str, strategy: Any, servers: Any) -> None:
    servers[0].script([None])
    servers[0].always(faults.Status(503))
    llm = failover(kind, servers)
    wanted = Report if strategy is None else strategy(Report)
    if strategy is ProviderStrategy and "google" in (kind, OTHER[kind]):  # Gemini 2.5 cannot do it together with tools
        llm = ChatFailover(targets=[make("openai", servers[0]), make("anthropic", servers[1])], settings=QUICK)

    answer = await create_agent(llm, tools=[get_weather], response_format=wanted).ainvoke(QUESTION)

    assert answer["structured_response"] == Report(city="Paris", celsius=18)


@pytest.mark.parametrize("prebound", [False, True])
@pytest.mark.filterwarnings("ignore::langgraph.warnings.LangGraphDeprecatedSinceV10")
def test_create_react_agent(prebound: bool, servers: Any) -> None:
    servers[0].always(faults.Status(503))
    llm = failover("openai", servers)

    agent = create_react_agent(llm.bind_tools([get_weather]) if prebound else llm, tools=[get_weather])

    assert agent.invoke(QUESTION)["messages"][-1].text == ANSWER


async def test_a_hand_written_graph(servers: Any) -> None:
    servers[0].script([None])
    servers[0].always(faults.Status(503))
    llm = failover("google", servers).bind_tools([get_weather])

    async def chat(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await llm.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("chat", chat)
    graph.add_node("tools", ToolNode([get_weather]))
    graph.add_edge(START, "chat")
    graph.add_conditional_edges("chat", tools_condition)
    graph.add_edge("tools", "chat")

    answer = await graph.compile().ainvoke(QUESTION)

    assert answer["messages"][-1].text == ANSWER


def test_bad_tool_arguments_do_not_loop() -> None:
    a = FakeModel(calling("get_weather", town="Paris"))
    b = FakeModel(calling("get_weather", city="Paris"), ANSWER)

    answer = create_agent(ChatFailover(targets=[a, b], settings=QUICK), tools=[get_weather]).invoke(QUESTION)

    assert answer["messages"][-1].text == ANSWER
    assert answer["messages"][2].text == "18 C in Paris"


def test_the_summarization_middleware_runs_on_it() -> None:
    profile = {"max_input_tokens": 4000, "tool_calling": True}
    models = [FakeModel(down(), profile=profile), FakeModel("short", profile=profile)]
    llm = ChatFailover(targets=models, settings=QUICK)
    middleware = SummarizationMiddleware(model=llm, trigger=("fraction", 0.03), keep=("messages", 1))
    history = [HumanMessage("word " * 60), AIMessage("yes " * 60), HumanMessage("And now?")]

    answer = create_agent(llm, tools=[], middleware=[middleware]).invoke({"messages": history})

    assert "short" in answer["messages"][0].text, "the history was not summarized"
    assert answer["messages"][-1].text == "short"


def test_the_retry_middleware_tells_passing_errors_from_final_ones() -> None:
    passing, final = FakeModel(down(), ANSWER), FakeModel(PermissionRefused("no access"))
    retry = ModelRetryMiddleware(max_retries=2, initial_delay=0.0, jitter=False, on_failure="error")

    agent = create_agent(ChatFailover(targets=[passing], settings=QUICK), tools=[], middleware=[retry])
    assert agent.invoke(QUESTION)["messages"][-1].text == ANSWER

    agent = create_agent(ChatFailover(targets=[final], settings=QUICK), tools=[], middleware=[retry])
    with pytest.raises(Exception, match="permission_or_region"):
        agent.invoke(QUESTION)
    assert len(final.calls) == 1


class PermissionRefused(Exception):
    status_code = 403
