"""A tool loop begun on any provider, broken by an outage at any step, ends correctly on any other."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool

from failover_core import Settings
from failover_core.testing import Ask, ProviderServer, ToolCall, faults
from langchain_failover import ChatFailover
from lc_targets import KINDS, NATIVE, WRAPPED, make

QUICK = Settings(backoff_s=0.01, same_target_retries=0)
QUESTION = "How is the weather in Paris, and what do I wear?"
ANSWER = "It is 18 C in Paris. Wear a jacket."
STYLES = ("invoke", "ainvoke", "stream", "astream")
STEPS = 3


@tool
def get_weather(city: str) -> str:
    """Weather of a city."""
    return f"18 C in {city}"


@tool
def get_clothes(weather: str) -> str:
    """What to wear in a weather."""
    return f"a jacket for {weather}"


TOOLS = {"get_weather": get_weather, "get_clothes": get_clothes}


def script(ask: Ask) -> Any:
    """Two tools, one after the other, then an answer out of both results."""
    match ask.tool_results:
        case ():
            return ToolCall("get_weather", {"city": "Paris"})
        case ("18 C in Paris",):
            return ToolCall("get_clothes", {"weather": "18 C in Paris"})
        case ("18 C in Paris", "a jacket for 18 C in Paris"):
            return ANSWER
        case other:
            return f"unexpected results: {other}"


async def ask(llm: Any, messages: list[BaseMessage], style: str) -> AIMessage:
    if style == "invoke":
        return llm.invoke(messages)
    if style == "ainvoke":
        return await llm.ainvoke(messages)
    chunks = list(llm.stream(messages)) if style == "stream" else [chunk async for chunk in llm.astream(messages)]
    return sum(chunks[1:], chunks[0])


async def loop(llm: Any, style: str, before_step: Any) -> tuple[str, list[str]]:
    """The final text, and who answered each step."""
    messages: list[BaseMessage] = [HumanMessage(QUESTION)]
    answered: list[str] = []
    for step in range(STEPS):
        before_step(step)
        message = await ask(llm, messages, style)
        messages.append(message)
        answered.append(message.response_metadata["failover"]["target"])
        messages += [TOOLS[call["name"]].invoke(call) for call in message.tool_calls]
    assert [type(message) for message in messages[1:]].count(ToolMessage) == 2
    return messages[-1].text, answered


@pytest.fixture
def servers(first: ProviderServer, second: ProviderServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    for server in (first, second):
        monkeypatch.setattr(server.behaviour, "answer", script)
    yield first, second
    first.accept()


PAIRS = [(a, b) for family in (WRAPPED, NATIVE) for a in family for b in family]
MIXED = [("openai", "anthropic:"), ("anthropic:", "google"), ("google", "openai:"), ("google:", "anthropic")]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("begins", "ends"), PAIRS + MIXED)
async def test_a_broken_loop_ends_elsewhere(begins: str, ends: str, style: str, servers: Any) -> None:
    first, second = servers
    for broken_at in range(STEPS):
        first.heal()
        backup = make(ends, second, name="backup") if ends.endswith(":") else make(ends, second)
        llm = ChatFailover(targets=[make(begins, first), backup], settings=QUICK)

        def outage(step: int, broken_at: int = broken_at) -> None:
            if step == broken_at:
                first.always(faults.Status(503))

        text, answered = await loop(llm.bind_tools(list(TOOLS.values())), style, outage)

        assert text == ANSWER
        names = [target.name for target in llm.failover.targets]
        assert answered == [names[0]] * broken_at + [names[1]] * (STEPS - broken_at)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_loop_changes_hands_at_every_step(kind: str, style: str, servers: Any) -> None:
    """Each step is answered by another provider, in turn."""
    first, _ = servers
    order = [kind, *(other for other in KINDS if other != kind)][:STEPS]
    failovers = [ChatFailover(targets=[make(other, first)], settings=QUICK) for other in order]
    messages: list[BaseMessage] = [HumanMessage(QUESTION)]

    for llm in failovers:
        message = await ask(llm.bind_tools(list(TOOLS.values())), messages, style)
        messages.append(message)
        messages += [TOOLS[call["name"]].invoke(call) for call in message.tool_calls]

    assert messages[-1].text == ANSWER


@pytest.mark.parametrize("style", ["stream", "astream"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_cut_inside_of_a_tool_call(kind: str, style: str, servers: Any) -> None:
    first, second = servers
    first.always(faults.CutInToolCall())
    llm = ChatFailover(targets=[make(kind, first), make("openai", second)], settings=QUICK)

    text, answered = await loop(llm.bind_tools(list(TOOLS.values())), style, lambda step: None)

    assert text == ANSWER
    assert set(answered) == {"ChatOpenAI:gpt-4o-mini" + ("#2" if kind == "openai" else "")}


async def test_anthropics_thinking_is_switched_off_for_a_loop_begun_elsewhere(servers: Any) -> None:
    first, second = servers
    thinking = {"type": "enabled", "budget_tokens": 1024}
    llm = ChatFailover(
        targets=[make("openai", first), make("anthropic", second, thinking=thinking, max_tokens=4000)], settings=QUICK
    )

    text, _ = await loop(
        llm.bind_tools(list(TOOLS.values())), "ainvoke", lambda step: step == 1 and first.always(faults.Status(503))
    )
    await llm.ainvoke("A new turn.")

    assert text == ANSWER
    assert ["thinking" in call.body for call in second.log] == [False, False, True]


@pytest.mark.parametrize("bound", [False, True], ids=["built in", "bound"])
@pytest.mark.parametrize("metadata", [{}, {"model_provider": "openai", "finish_reason": "tool_calls"}])
def test_or_for_one_that_was_interrupted(metadata: dict[str, Any], bound: bool, first: ProviderServer) -> None:
    """The agent died after the tool, and the user goes on; the history came out of a database."""
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    model = make("anthropic", first, max_tokens=4000, **({} if bound else thinking))
    llm = ChatFailover(targets=[model.bind(**thinking) if bound else model], settings=QUICK)
    call = {"name": "get_weather", "args": {"city": "Paris"}, "id": "call_1"}
    history = [
        HumanMessage(QUESTION),
        AIMessage("", tool_calls=[call], response_metadata=metadata),
        ToolMessage("18 C in Paris", tool_call_id="call_1"),
    ]

    llm.invoke(history)
    llm.invoke([*history, HumanMessage("go on")])
    llm.invoke([*history, AIMessage("18 C."), HumanMessage("And tomorrow?")])

    assert ["thinking" in call.body for call in first.log] == [False, False, True]
