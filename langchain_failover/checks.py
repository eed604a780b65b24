"""Is the answer what was asked for? Tool calls with arguments that fit, and output that parses.

Raised inside of a target's call, so that the core sees an attempt that failed (`invalid_output`) and goes on. What
parses but does not fit may as well be the fault of the schema, so nobody is blamed for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from failover_core import OutputRejected

from .reader import MessageReader
from .schema import misfit
from .structured import KEY, StructuredOutput
from .tools import as_tool_dicts

Answer: TypeAlias = ChatResult | list[ChatGenerationChunk]
"""A whole one, or all the chunks of a stream."""


class AnswerRejected(OutputRejected):
    """An answer that is not what was asked for.

    Attributes:
        answer: what was rejected, where it still is of use when nobody does better; None where it is not.
    """

    def __init__(self, message: str, *, output: AIMessage, blames_target: bool, answer: Answer | None) -> None:
        super().__init__(message, output=output, blames_target=blames_target)
        self.answer = answer


class Flaw(NamedTuple):
    """What is wrong with an answer.

    Args:
        reason: in words.
        parses: it is what was asked for, but for the schema.
        error: of the parser.
    """

    reason: str
    parses: bool = False
    error: Exception | None = None


class OutputCheck:
    """Judges the answers to one call.

    Args:
        tools: those on offer.
        structured: what `with_structured_output` asked for, if it did.
        schema: the JSON schema of `response_format`, if there is one.
    """

    def __init__(self, tools: Sequence[Any], structured: StructuredOutput | None, schema: Mapping[str, Any] | None):
        self._tools = {tool.name: tool for tool in as_tool_dicts(tools)}
        self._structured = structured
        self._schema = schema

    def result(self, result: ChatResult, reader: MessageReader) -> None:
        """Raises `AnswerRejected` when a whole answer is not what was asked for."""
        message = result.generations[0].message
        if isinstance(message, AIMessage) and reader.read(result).refusal is None:
            self._judge(message, result)

    def stream(self, chunks: list[ChatGenerationChunk], reader: MessageReader) -> None:
        """The same for a stream that has come to its end."""
        readings = [reader.read_chunk(chunk) for chunk in chunks]
        if not chunks or any(reading.refusal is not None for reading in readings):
            return
        if self._structured is None and self._schema is None and not any(r.has_tool_call for r in readings):
            return
        message = _merged(chunk.message for chunk in chunks)
        if message is not None:
            self._judge(message, chunks)

    def _judge(self, message: AIMessage, answer: Answer) -> None:
        try:
            flaw = self._flaw_in(message)
        except Exception:
            return  # a validator of the caller's has a bug; the caller's own parser will meet it, too
        if flaw is None:
            return
        structured = self._structured
        of_use = flaw.parses and bool(message.tool_calls) if structured is None else structured.include_raw
        raise AnswerRejected(
            flaw.reason, output=message, blames_target=not flaw.parses, answer=answer if of_use else None
        ) from flaw.error

    def _flaw_in(self, message: AIMessage) -> Flaw | None:
        for broken in _broken_calls(message):
            return Flaw(f"the arguments of tool call {broken['name']!r} are not valid JSON")
        for call in message.tool_calls:
            tool = self._tools.get(call["name"])
            problem = tool.misfit(call["args"]) if tool is not None else None
            if problem is not None:
                return Flaw(f"the arguments of tool call {call['name']!r} do not fit: {problem}", parses=True)
        if self._structured is not None:
            return _unparsed(message, self._structured)
        if self._schema is not None and not message.tool_calls:
            return _unparsed(message, ANY_OBJECT) or _unfit(message, self._schema)
        return None


ANY_OBJECT = StructuredOutput(None)


def _broken_calls(message: AIMessage) -> Iterator[Mapping[str, Any]]:
    """Calls without arguments that parse. LangChain completes what it has of a stream, as if it had not been cut."""
    yield from message.invalid_tool_calls
    for call in getattr(message, "tool_call_chunks", ()):
        if (call["args"] or "").strip():
            try:
                json.loads(call["args"], strict=False)
            except ValueError:
                yield call


def _unparsed(message: AIMessage, wanted: StructuredOutput) -> Flaw | None:
    try:
        wanted.parse(message)
    except ValueError as error:  # OutputParserException and both generations' ValidationError
        reason = f"the structured output does not parse: {_first_line(error)}"
        return Flaw(reason, wanted.found_in(message) is not None, error)
    return None


def _unfit(message: AIMessage, schema: Mapping[str, Any]) -> Flaw | None:
    problem = misfit(ANY_OBJECT.parse(message), schema)
    return None if problem is None else Flaw(f"the answer does not fit its schema: {problem}", parses=True)


def check_for(options: Mapping[str, Any]) -> OutputCheck | None:
    """A check for a call with these options, None where everything goes."""
    tools, structured, schema = options.get("tools"), options.get(KEY), _schema_of(options.get("response_format"))
    if not tools and structured is None and schema is None:
        return None
    return OutputCheck(tools or (), structured, schema)


def _schema_of(response_format: Any) -> Mapping[str, Any] | None:
    if not isinstance(response_format, Mapping):
        return None
    wanted = response_format.get("json_schema")
    schema = wanted.get("schema") if isinstance(wanted, Mapping) else None
    return schema if isinstance(schema, Mapping) else None


def _merged(messages: Iterable[Any]) -> AIMessage | None:
    chunks = [message for message in messages if isinstance(message, AIMessageChunk)]
    return add_ai_message_chunks(*chunks, AIMessageChunk(content="", chunk_position="last")) if chunks else None


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if not line.startswith("For troubleshooting")]
    return " ".join(lines[:3]) or type(error).__name__
