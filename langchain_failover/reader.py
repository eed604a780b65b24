"""What is in LangChain's outputs, told to the core: text, tool calls, endings, refusals.

Targets answer with `ChatResult` and stream `ChatGenerationChunk`; both carry a message and the provider's own words in
`response_metadata`, `generation_info` and `llm_output`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from failover_core.output import BREAKDOWNS, Reading

from .dialects import Wire

_FINISH_KEYS = ("finish_reason", "stop_reason", "status", "done_reason")
_REFUSALS = frozenset(
    {"content_filter", "content_filtered", "refusal", "guardrail_intervened"}
    | {"safety", "recitation", "blocklist", "prohibited_content", "spii"}
    | {"image_safety", "image_prohibited_content", "image_recitation"}
)
_FLAWS = BREAKDOWNS | {"malformed_function_call", "malformed_response", "unexpected_tool_call", "failed"}
_REASONING = frozenset({"thinking", "reasoning", "reasoning_content", "redacted_thinking"})


class MessageReader:
    """Reads the outputs of one target.

    Args:
        expects_finish: the model is known to name a finish reason, so that an answer without one was cut off. Of a
            model that is not, it is expected from the first time it does.
    """

    __slots__ = ("expects_finish",)
    usage_adds_up = True  # as `AIMessageChunk`s do when they are added

    def __init__(self, *, expects_finish: bool = False) -> None:
        self.expects_finish = expects_finish

    def read(self, output: ChatResult) -> Reading:
        if not output.generations:
            return Reading()
        generation = output.generations[0]
        message: Any = generation.message
        places = (generation.generation_info, message.response_metadata, output.llm_output)
        reading = self._read(message, places, whole=True)
        broken = getattr(message, "invalid_tool_calls", None)
        if broken or getattr(message, "tool_calls", None):
            reading.has_tool_call = reading.has_content = True
        if broken:
            reading.flaw = f"the arguments of tool call {broken[0].get('name')!r} are not valid JSON"
        return reading

    def read_chunk(self, chunk: ChatGenerationChunk) -> Reading:
        message: Any = chunk.message
        reading = self._read(message, (chunk.generation_info, message.response_metadata), whole=False)
        if getattr(message, "tool_call_chunks", None):
            reading.has_tool_call = reading.has_content = True
            reading.only_thoughts = False
        return reading

    def plain_text(self, chunk: ChatGenerationChunk) -> str | None:
        """All of a chunk, where it is nothing but text; see `OutputReader`."""
        message: Any = chunk.message
        content, facts = message.content, message.response_metadata
        if (
            content.__class__ is not str
            or chunk.__class__ is not ChatGenerationChunk
            or message.__class__ is not AIMessageChunk
            or (facts and (len(facts) > 1 or "model_provider" not in facts))
            or chunk.generation_info
            or message.additional_kwargs
            or message.tool_call_chunks
            or message.usage_metadata
        ):
            return None
        text: str = content
        return text

    def with_text(self, chunk: ChatGenerationChunk, text: str) -> ChatGenerationChunk:
        message = chunk.message
        content: Any = text
        if isinstance(message.content, list):
            first = next(
                (b for b in message.content if isinstance(b, dict) and b.get("type") == "text"), {"type": "text"}
            )
            content = [{**first, "text": text}] if text else []
        copy = message.model_copy(update={"content": content})
        return ChatGenerationChunk(message=copy, generation_info=chunk.generation_info)

    def _read(self, message: BaseMessage, places: Iterable[Mapping[str, Any] | None], *, whole: bool) -> Reading:
        content = message.content
        reading = Reading()
        if isinstance(content, str):
            reading.text = content
            reading.has_content = bool(content.strip() if whole else content)
        else:
            _read_blocks(content, reading, whole=whole)
        extras = message.additional_kwargs
        if extras:
            if extras.get("audio"):
                reading.has_content = True
            elif extras.get("reasoning_content") and not whole and not reading.has_content:
                reading.has_content = reading.only_thoughts = True
            if extras.get("refusal"):
                reading.refusal = str(extras["refusal"])
        for facts in places:
            if facts:
                self._read_facts(facts, reading)
        usage = getattr(message, "usage_metadata", None)
        if usage:
            reading.usage = {key: value for key, value in usage.items() if isinstance(value, int)}
        return reading

    def _read_facts(self, facts: Mapping[str, Any], reading: Reading) -> None:
        for key in _FINISH_KEYS:
            value = facts.get(key)
            if isinstance(value, str) and value and value != "in_progress":
                reading.finish_reason = value
                self.expects_finish = True
                if value.lower() in _REFUSALS and reading.refusal is None:
                    reading.refusal = f"the provider ended the answer with {value!r}"
                elif value.lower() in _FLAWS:
                    reading.flaw = f"the provider ended the answer with {value!r}"
                    if value.lower() in BREAKDOWNS:
                        reading.finish_reason = None  # that is no end: another target may go on
                break
        reason = _blocked(facts)
        if reason is not None and reading.refusal is None:
            reading.refusal = reason
        model = facts.get("model_name") or facts.get("model")
        if isinstance(model, str) and model:
            reading.model = model


def reader_for(model: BaseChatModel, wire: Wire) -> MessageReader:
    """A reader for the outputs of `model`. (Anthropic's finish reason comes with the usage and is lost without it.)"""
    return MessageReader(expects_finish=wire is not Wire.OTHER and getattr(model, "stream_usage", True) is not False)


def without_breakdown(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts of a chunk, other than that its target broke off there: another one may go on."""
    return {
        key: value
        for key, value in facts.items()
        if not (key in _FINISH_KEYS and isinstance(value, str) and value.lower() in BREAKDOWNS)
    }


def as_result(output: Any) -> ChatResult:
    """What a callable returned, a str, a message or a `ChatResult`, as a result of our own that may be written to."""
    if isinstance(output, ChatResult):
        generations = [g.model_copy(update={"message": g.message.model_copy()}) for g in output.generations]
        return output.model_copy(update={"generations": generations})
    message = output.model_copy() if isinstance(output, AIMessage) else AIMessage(content=_text_of(output))
    return ChatResult(generations=[ChatGeneration(message=without_run_id(message))])


def as_chunk(output: Any) -> ChatGenerationChunk:
    """A chunk of any kind, or a whole message that came instead of a stream, as a chunk."""
    if isinstance(output, ChatGenerationChunk):
        return output
    if isinstance(output, AIMessageChunk):
        return ChatGenerationChunk(message=output)
    if isinstance(output, AIMessage):
        return ChatGenerationChunk(message=_as_message_chunk(output))
    return ChatGenerationChunk(message=AIMessageChunk(content=_text_of(output)))


def as_chunks(messages: Iterator[Any]) -> Iterator[ChatGenerationChunk]:
    """`as_chunk` of everything in a generator."""
    try:
        for message in messages:
            yield as_chunk(without_run_id(message))
    finally:
        messages.close()  # type: ignore[attr-defined]


async def as_achunks(messages: AsyncIterator[Any]) -> AsyncIterator[ChatGenerationChunk]:
    """`as_chunk` of everything in an async generator."""
    try:
        async for message in messages:
            yield as_chunk(without_run_id(message))
    finally:
        await messages.aclose()  # type: ignore[attr-defined]


async def as_only_chunk(result: Awaitable[ChatResult]) -> AsyncIterator[ChatGenerationChunk]:
    """A stream of one chunk out of a whole answer."""
    yield result_as_chunk(await result)


def result_as_chunk(result: ChatResult) -> ChatGenerationChunk:
    """A whole answer as the only chunk of a stream."""
    generation = result.generations[0]
    assert isinstance(generation.message, AIMessage)
    info = {**(result.llm_output or {}), **(generation.generation_info or {})}
    message = without_run_id(_as_message_chunk(generation.message))
    return ChatGenerationChunk(message=message, generation_info=info or None)


def without_run_id(message: Any) -> Any:
    """The inner run's id makes way for the outer one's, and an inner failover's trace for the outer one's."""
    if isinstance(message, AIMessage):
        if message.id is not None and message.id.startswith("lc_run-"):
            message.id = None
        if "failover" in message.response_metadata:
            message.response_metadata = {k: v for k, v in message.response_metadata.items() if k != "failover"}
    return message


def _as_message_chunk(message: AIMessage) -> AIMessageChunk:
    if isinstance(message, AIMessageChunk):
        return message
    return AIMessageChunk(
        content=message.content,
        additional_kwargs=message.additional_kwargs,
        response_metadata=message.response_metadata,
        id=message.id,
        name=message.name,
        usage_metadata=message.usage_metadata,
        tool_calls=message.tool_calls,
        invalid_tool_calls=message.invalid_tool_calls,
        chunk_position="last",
    )


def _text_of(output: Any) -> str:
    if isinstance(output, str):
        return output
    raise TypeError(
        f"a target must answer with a str, an AIMessage or a ChatResult, not with {type(output).__name__}: "
        "convert the answer in the target's callable"
    )


def _read_blocks(blocks: Iterable[Any], reading: Reading, *, whole: bool) -> None:
    """Thoughts show progress inside a stream, but an answer of nothing else is empty."""
    texts: list[str] = []
    for block in blocks:
        if isinstance(block, str):
            texts.append(block)
            continue
        kind = block.get("type")
        if kind == "text":
            texts.append(block.get("text") or "")
        elif kind == "refusal":
            reading.refusal = str(block.get("refusal") or "the provider refused")
        elif kind in _REASONING:
            reading.only_thoughts = not whole
        elif kind is not None:
            reading.has_content = True
    reading.text = "".join(texts)
    if reading.text.strip() if whole else reading.text:
        reading.has_content = True
    reading.only_thoughts = reading.only_thoughts and not reading.has_content
    reading.has_content = reading.has_content or reading.only_thoughts


def _blocked(facts: Mapping[str, Any]) -> str | None:
    """Google's verdict on a prompt, and OpenAI's reason for a Responses answer that was cut."""
    feedback = facts.get("prompt_feedback")
    if isinstance(feedback, Mapping) and feedback.get("block_reason"):
        reason = feedback["block_reason"]
        return f"the prompt was blocked: {getattr(reason, 'name', reason)}"
    details = facts.get("incomplete_details")
    if isinstance(details, Mapping) and details.get("reason") == "content_filter":
        return "the provider ended the answer with 'content_filter'"
    return None
