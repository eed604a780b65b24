"""Tool calls that were cut off at the output limit are no answers, even where their arguments arrive as objects."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.tools import FunctionTool

from failover_core import Settings
from failover_core.testing import Ask, ProviderServer, ToolCall, faults
from llamaindex_failover import FailoverLLM
from llamaindex_failover.parsing import WrittenArguments
from llamaindex_failover.reader import NATIVE, ResponseReader
from llamaindex_targets import KINDS, Shop

ONCE = Settings(same_target_retries=0)
TOOL = FunctionTool.from_defaults(lambda a, b: a + b, name="add", description="Adds.")
LIMITS = {"OpenAI": "length", "Anthropic": "max_tokens", "GoogleGenAI": "MAX_TOKENS"}


def adding(ask: Ask) -> ToolCall:
    return ToolCall("add", {"a": 1, "b": 2})


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_was_cut_off_goes_to_the_next(kind: str, llms: Shop) -> None:
    with ProviderServer(adding) as first, ProviderServer(adding) as second:
        first.always(faults.Truncated())
        llm = FailoverLLM([llms.make(kind, first), llms.make("OpenAI", second)], settings=ONCE)
        for response in (
            llm.chat_with_tools([TOOL], "Add 1 and 2."),
            list(llm.stream_chat_with_tools([TOOL], "Add 1 and 2."))[-1],
        ):
            assert response.additional_kwargs["failover"]["switched"]
            (call,) = llm.get_tool_calls_from_response(response)
            assert call.tool_kwargs == {"a": 1, "b": 2}


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_call_is_an_answer(kind: str, llms: Shop) -> None:
    with ProviderServer(adding) as server:
        llm = FailoverLLM([llms.make(kind, server)], settings=ONCE)
        llm.chat_with_tools([TOOL], "Add 1 and 2.")
        list(llm.stream_chat_with_tools([TOOL], "Add 1 and 2."))
        assert server.calls == 2


def test_the_arguments_that_anthropic_streams_are_read_as_they_were_written(llms: Shop) -> None:
    with ProviderServer(adding) as first, ProviderServer(adding) as second:
        first.always(faults.BadToolArguments())
        llm = FailoverLLM([llms.make("Anthropic", first), llms.make("OpenAI", second)], settings=ONCE)
        *_, last = llm.stream_chat_with_tools([TOOL], "Add 1 and 2.")
        assert last.additional_kwargs["failover"]["switched"]


def response(arguments: Any, raw: dict[str, Any]) -> ChatResponse:
    call = ToolCallBlock(tool_call_id="1", tool_name="add", tool_kwargs=arguments)
    return ChatResponse(message=ChatMessage(role="assistant", blocks=[call]), raw=raw)


@pytest.mark.parametrize(
    ("arguments", "finish", "fine"),
    [
        ({"a": 1}, "length", False),
        ({}, "max_tokens", False),
        ({"a": 1}, "tool_calls", True),
        ('{"a": 1}', "length", True),
        ('{"a": ', "length", False),
        ("", "length", False),
        ("", "tool_calls", True),
    ],
)
def test_at_the_limit_only_text_that_parses_is_a_whole_call(arguments: Any, finish: str, fine: bool) -> None:
    raw = {"choices": [{"finish_reason": finish, "message": {}}]}
    assert (ResponseReader().read(response(arguments, raw)).flaw is None) == fine


def test_native_targets_have_judged_that_themselves() -> None:
    raw = {"object": NATIVE, "finish_reason": "max_tokens", "refusal": None, "usage": None, "model": None, "flaw": None}
    assert ResponseReader().read(response({"a": 1}, raw)).flaw is None


class Delta:
    def __init__(self, partial_json: str) -> None:
        self.partial_json = partial_json


@pytest.mark.parametrize(("pieces", "fine"), [(['{"a"', ": 1}"], True), (['{"a"', ": 1"], False), ([], False)])
def test_a_streamed_call_of_anthropics_may_be_whole_at_the_limit(pieces: list[str], fine: bool) -> None:
    written = WrittenArguments()
    for piece in pieces:
        written.note(response({"a": 1}, {"type": "content_block_delta", "index": 1, "delta": Delta(piece)}))
    last = response({"a": 1}, {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}})
    written.note(last)
    assert (ResponseReader().read_chunk(last).flaw is None) == fine
