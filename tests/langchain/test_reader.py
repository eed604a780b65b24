"""What the core is told of LangChain's outputs."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, ChatMessage, ChatMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_failover import ChatFailover
from langchain_failover.reader import MessageReader, as_chunk, as_result, result_as_chunk
from lc_targets import FakeModel


def result(message: AIMessage, info: dict[str, Any] | None = None, output: dict[str, Any] | None = None) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=message, generation_info=info)], llm_output=output)


def chunk(info: dict[str, Any] | None = None, **fields: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(**{"content": "", **fields}), generation_info=info)


@pytest.mark.parametrize(
    ("output", "finish"),
    [
        (result(AIMessage("a"), info={"finish_reason": "stop"}), "stop"),
        (result(AIMessage("a"), output={"stop_reason": "end_turn"}), "end_turn"),
        (result(AIMessage("a", response_metadata={"status": "completed"})), "completed"),
        (result(AIMessage("a", response_metadata={"status": "in_progress"})), None),
        (result(AIMessage("a")), None),
    ],
)
def test_finish_reasons_wherever_providers_put_them(output: ChatResult, finish: str | None) -> None:
    assert MessageReader().read(output).finish_reason == finish


@pytest.mark.parametrize(
    "output",
    [
        result(AIMessage("", additional_kwargs={"refusal": "I cannot."})),
        result(AIMessage([{"type": "refusal", "refusal": "I cannot."}])),
        result(AIMessage("half"), info={"finish_reason": "content_filter"}),
        result(AIMessage(""), output={"stop_reason": "refusal"}),
        result(AIMessage(""), info={"finish_reason": "SAFETY"}),
        result(AIMessage(""), output={"prompt_feedback": {"block_reason": "SAFETY"}}),
        result(
            AIMessage(
                "", response_metadata={"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
            )
        ),
    ],
    ids=["openai", "block", "filter", "anthropic", "google", "google prompt", "responses"],
)
def test_refusals_inside_of_successful_answers(output: ChatResult) -> None:
    assert MessageReader().read(output).refusal


@pytest.mark.parametrize("reason", ["error", "ERROR", "insufficient_system_resource", "abort"])
async def test_a_provider_that_says_it_broke_off_has_not_answered(reason: str) -> None:
    """A stream of it is cut: another target goes on, and what the caller gets has a good end."""
    words = [f"word{number} " for number in range(40)]
    broken = [*words[:25], AIMessageChunk("", response_metadata={"finish_reason": reason})]
    whole = AIMessage("".join(words[:25]), response_metadata={"finish_reason": reason})
    second = FakeModel("".join(words), finishes=True)

    for llm in (ChatFailover(targets=[FakeModel(broken), second]), ChatFailover(targets=[FakeModel(whole), second])):
        message = llm.invoke("hi") if llm.targets[0].says[0] is whole else sum_of([c async for c in llm.astream("hi")])

        assert message.text == "".join(words)
        assert message.response_metadata["finish_reason"] == "stop"
        first, last = message.response_metadata["failover"]["attempts"]
        assert repr(reason) in first["error"] and last["kind"] is None


def sum_of(chunks: list[Any]) -> Any:
    return sum(chunks[1:], chunks[0])


def test_a_whole_answer() -> None:
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3, "input_token_details": {"cache_read": 1}}
    message = AIMessage([{"type": "text", "text": "a"}, "b"], usage_metadata=usage)

    reading = MessageReader().read(result(message, info={"model_name": "m"}))

    assert (reading.text, reading.has_content, reading.has_tool_call, reading.model) == ("ab", True, False, "m")
    assert reading.usage == {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}


def test_tool_calls_and_broken_ones() -> None:
    good = AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}])
    broken = AIMessage("", invalid_tool_calls=[{"name": "f", "args": "{", "id": "1", "error": None}])

    assert MessageReader().read(result(good)).has_tool_call
    assert "'f'" in str(MessageReader().read(result(broken)).flaw)
    assert MessageReader().read(result(AIMessage(""), info={"finish_reason": "MALFORMED_FUNCTION_CALL"})).flaw


def test_thoughts_are_progress_in_a_stream_but_no_answer() -> None:
    thoughts = [{"type": "thinking", "thinking": "hm"}]

    assert MessageReader().read_chunk(chunk(content=thoughts)).has_content
    assert MessageReader().read_chunk(chunk(additional_kwargs={"reasoning_content": "hm"})).has_content
    assert not MessageReader().read(result(AIMessage(thoughts))).has_content


def test_role_markers_and_usage_are_no_content() -> None:
    reader = MessageReader()

    assert not reader.read_chunk(chunk()).has_content
    assert not reader.read_chunk(chunk(response_metadata={"model_name": "m"})).has_content
    assert not reader.read_chunk(chunk(content=[])).has_content


def test_a_piece_of_a_tool_call() -> None:
    piece = chunk(tool_call_chunks=[{"name": "f", "args": "{", "id": "1", "index": 0}])
    assert MessageReader().read_chunk(piece).has_tool_call


def test_a_model_that_has_named_a_finish_reason_is_expected_to_do_it_again() -> None:
    reader = MessageReader()
    assert not reader.expects_finish

    reader.read(result(AIMessage("a"), info={"finish_reason": "stop"}))

    assert reader.expects_finish


@pytest.mark.parametrize("content", ["old", [{"type": "text", "text": "old", "index": 0}]])
def test_the_text_of_a_chunk_is_replaced_in_its_own_form(content: Any) -> None:
    given = chunk(content=content, usage_metadata={"input_tokens": 1, "output_tokens": 1, "total_tokens": 2})

    new = MessageReader().with_text(given, "new")

    assert MessageReader().read_chunk(new).text == "new"
    assert type(new.message.content) is type(content)
    assert given.message.content == content
    assert new.message.usage_metadata == given.message.usage_metadata


def test_what_callables_may_answer() -> None:
    message = AIMessage("hi", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "1"}])

    assert as_result("hi").generations[0].message == AIMessage("hi")
    assert as_result(message).generations[0].message == message
    assert as_result(message).generations[0].message is not message
    assert as_chunk(message).message.tool_call_chunks[0]["args"] == '{"a": 1}'
    assert as_chunk("hi").text == "hi"
    assert result_as_chunk(result(AIMessage("hi"), info={"finish_reason": "stop"})).generation_info
    with pytest.raises(TypeError, match="must answer with a str"):
        as_result(42)


def test_messages_of_other_classes() -> None:
    """Old integrations answer with whatever they like."""
    odd = ChatResult(generations=[ChatGeneration(message=ChatMessage(content="hi", role="bot"))])
    piece = ChatGenerationChunk(message=ChatMessageChunk(content="hi", role="bot"))

    assert MessageReader().read(odd).text == MessageReader().read_chunk(piece).text == "hi"
    assert not MessageReader().read(ChatResult(generations=[])).has_content
