"""Tool loops of agents, broken by an outage at any step and carried on by another provider, streamed and not.

The servers refuse with a 400 what the real APIs would refuse, so a history that is not portable does not pass.
"""

from __future__ import annotations

from itertools import product

import pytest
from llama_index.core.agent.workflow import AgentWorkflow, CodeActAgent, FunctionAgent, ReActAgent
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.tools import FunctionTool

from failover_core import Settings
from failover_core.testing import Ask, ProviderServer, ToolCall, faults
from failover_core.testing.answers import Said
from llamaindex_failover import FailoverLLM
from llamaindex_targets import KINDS, NATIVE, WRAPPED, Shop

ONCE = Settings(same_target_retries=0, backoff_s=0.01)
QUESTION = "Add 17 and 25, then double the sum."


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def double(number: int) -> int:
    """Double a number."""
    return 2 * number


TOOLS = [FunctionTool.from_defaults(add), FunctionTool.from_defaults(double)]


def two_steps(ask: Ask) -> Said:
    """A model that calls one tool, then the other, then answers."""
    match ask.tool_results:
        case ():
            return ToolCall("add", {"a": 17, "b": 25})
        case ("42",):
            return ToolCall("double", {"number": 42})
        case ("42", "84"):
            return "The result is 84."
        case other:
            return f"I am lost: {other}"


@pytest.mark.parametrize("streaming", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(("one", "other"), [*product(WRAPPED, WRAPPED), *product(NATIVE, NATIVE)])
async def test_an_outage_at_any_step_is_invisible(one: str, other: str, streaming: bool, allms: Shop) -> None:
    await _three_loops(one, other, streaming, allms)


@pytest.mark.parametrize(("one", "other"), [*product(WRAPPED, NATIVE), *product(NATIVE, WRAPPED)])
async def test_wrapped_and_native_targets_carry_on_for_each_other(one: str, other: str, allms: Shop) -> None:
    await _three_loops(one, other, True, allms)


async def _three_loops(one: str, other: str, streaming: bool, shop: Shop) -> None:
    with ProviderServer(two_steps) as first, ProviderServer(two_steps) as second:
        targets = [shop.make(one, first), shop.make(other, second)]
        for step in range(3):
            first.heal()
            first.clear()
            second.clear()
            first.script([None] * step)
            first.always(faults.Status(503))
            llm = FailoverLLM(targets, settings=ONCE)
            agent = FunctionAgent(tools=TOOLS, llm=llm, streaming=streaming)
            assert str(await agent.run(QUESTION)) == "The result is 84.", f"outage at step {step}"
            assert 3 - step == second.calls


@pytest.mark.parametrize("back", [False, True], ids=["gone", "back again"])
@pytest.mark.parametrize("one", KINDS)
async def test_a_conversation_goes_on_with_a_history_of_two_providers(one: str, back: bool, allms: Shop) -> None:
    other = {"OpenAI": "Anthropic", "Anthropic": "GoogleGenAI", "GoogleGenAI": "OpenAI"}.get(one, "Anthropic")
    with ProviderServer(two_steps) as first, ProviderServer(two_steps) as second:
        first.script([None, faults.Status(503)])
        llm = FailoverLLM([allms.make(one, first), allms.make(other, second)], settings=ONCE)
        agent = FunctionAgent(tools=TOOLS, llm=llm)
        memory = ChatMemoryBuffer.from_defaults(llm=llm)
        assert str(await agent.run(QUESTION, memory=memory)) == "The result is 84."
        if not back:
            first.refuse()
        asked = second.calls
        assert str(await agent.run("Once more, please.", memory=memory)) == "The result is 84."
        assert back == (second.calls == asked)


@pytest.mark.parametrize("kind", KINDS)
async def test_parallel_calls_of_one_tool_are_told_apart(kind: str, allms: Shop) -> None:
    def both(ask: Ask) -> Said:
        if not ask.tool_results:
            return [ToolCall("double", {"number": 1}), ToolCall("double", {"number": 2})]
        return f"The results are {' and '.join(ask.tool_results)}."

    with ProviderServer(both) as first, ProviderServer(both) as second:
        first.script([None])
        first.always(faults.Status(503))
        targets = [allms.make("GoogleGenAI", first), allms.make(kind, second)]
        agent = FunctionAgent(tools=TOOLS, llm=FailoverLLM(targets, settings=ONCE))
        assert str(await agent.run("Double 1 and 2.")) == "The results are 2 and 4."
        assert second.calls == 1


def react(ask: Ask) -> Said:
    if "Observation: 42" in ask.messages[-1].text:
        return "Thought: I can answer without using any more tools.\nAnswer: The sum is 42."
    return 'Thought: I need a tool.\nAction: add\nAction Input: {"a": 17, "b": 25}'


def code(ask: Ask) -> Said:
    if "42" in ask.messages[-1].text:
        return "The sum is 42."
    return "I compute it.\n<execute>\nprint(17 + 25)\n</execute>"


def run_code(code: str) -> str:
    return "42" if "17 + 25" in code else "?"


@pytest.mark.parametrize("streaming", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("one", ["OpenAI", "anthropic:"])
async def test_react_and_codeact_agents(one: str, streaming: bool, allms: Shop) -> None:
    for script in (react, code):
        with ProviderServer(script) as first, ProviderServer(script) as second:
            first.script([None])
            first.always(faults.Reset())
            llm = FailoverLLM([allms.make(one, first), allms.make("GoogleGenAI", second)], settings=ONCE)
            agent = (
                ReActAgent(tools=TOOLS, llm=llm, streaming=streaming)
                if script is react
                else CodeActAgent(code_execute_fn=run_code, llm=llm, streaming=streaming)
            )
            assert str(await agent.run("Add 17 and 25.")) == "The sum is 42."
            assert second.calls == 1


async def test_agent_workflows(allms: Shop) -> None:
    with ProviderServer(two_steps) as first, ProviderServer(two_steps) as second:
        first.script([None])
        first.always(faults.Status(429, retry_after_s=60))
        llm = FailoverLLM([allms.make("Anthropic", first), allms.make("openai:", second)], settings=ONCE)
        workflow = AgentWorkflow.from_tools_or_functions(TOOLS, llm=llm)
        assert str(await workflow.run(QUESTION)) == "The result is 84."
        assert second.calls == 2


@pytest.mark.parametrize("one", ["OpenAI", "GoogleGenAI", "anthropic:"])
def test_predict_and_call(one: str, first: ProviderServer, llms: Shop) -> None:
    with ProviderServer(two_steps) as second:
        first.refuse()
        llm = FailoverLLM([llms.make(one, first), llms.make("Anthropic", second)], settings=ONCE)
        assert str(llm.predict_and_call(TOOLS, user_msg=QUESTION)) == "42"


@pytest.mark.parametrize("choice", ["add", "required", "any", {"type": "function", "function": {"name": "add"}}])
@pytest.mark.parametrize("kind", KINDS)
def test_tool_choices_are_understood_by_everybody(kind: str, choice: object, llms: Shop) -> None:
    def chooses(ask: Ask) -> Said:
        forced = ask.forced_tool or ("add" if ask.tool_choice == "required" else None)
        return ToolCall(forced, {"a": 1, "b": 2}) if forced else "No tool was demanded."

    with ProviderServer(chooses) as server:
        llm = FailoverLLM([llms.make(kind, server)])
        response = llm.chat_with_tools([TOOLS[0]], user_msg="Add 1 and 2.", tool_choice=choice)
        (call,) = llm.get_tool_calls_from_response(response)
        assert (call.tool_name, call.tool_kwargs) == ("add", {"a": 1, "b": 2})
