"""`llamaindex_failover` as its users write it. Never run: mypy and pyright check it."""

from __future__ import annotations

from typing import assert_type

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse, LLMMetadata
from llama_index.core.llms import LLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.llms.mock import MockLLM

from failover_core import Failover, Settings, Target
from llamaindex_failover import FailoverLLM, wrap


def answer(messages: list[ChatMessage]) -> str:
    return "hello"


llm = FailoverLLM(
    targets=[
        MockLLM(),
        "anthropic:claude-sonnet-4-5",
        Target.native("openai:gpt-4o-mini", base_url="http://localhost/v1"),
        Target("mine", call=answer),
        wrap(MockLLM(), name="eu", region="eu", weight=2.0, lacks={"images"}),
        lambda: MockLLM(),
    ],
    settings=Settings(deadline_s=20),
    policy="priority",
    system_prompt="Be brief.",
)
plain: LLM = llm
shared = FailoverLLM(failover=llm.failover, show_attempts=True)
assert_type(llm.failover, Failover)
assert_type(llm.metadata, LLMMetadata)
assert_type(wrap(lambda: MockLLM()), Target)

response = llm.chat([ChatMessage("hi")])
assert_type(response, ChatResponse)
assert_type(llm.complete("hi"), CompletionResponse)
assert_type(llm.get_tool_calls_from_response(response), list[ToolSelection])


async def use() -> None:
    assert_type(await llm.achat([ChatMessage("hi")]), ChatResponse)
    async for chunk in await llm.astream_chat([ChatMessage("hi")]):
        assert_type(chunk, ChatResponse)
