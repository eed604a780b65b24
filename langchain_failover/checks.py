"""Is the answer what was asked for? Tool calls with arguments that fit, and output that parses.

Raised inside of a target's call, so that the core sees an attempt that failed (`invalid_output`) and goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from failover_core import OutputRejected

from .reader import MessageReader
from .schema import misfit
from .structured import KEY, StructuredOutput
from .tools import as_tool_dicts


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
        """Raises `OutputRejected` when a whole answer is not what was asked for."""
        message = result.generations[0].message
        if isinstance(message, AIMessage) and reader.read(result).refusal is None:
            self._judge(message)

    def stream(self, chunks: Sequence[ChatGenerationChunk], reader: MessageReader) -> None:
        """The same for a stream that has come to its end."""
        readings = [reader.read_chunk(chunk) for chunk in chunks]
        if not chunks or any(reading.refusal is not None for reading in readings):
            return
        if self._structured is None and self._schema is None and not any(r.has_tool_call for r in readings):
            return
        self._judge(_merged(chunk.message for chunk in chunks))

    def _judge(self, message: AIMessage) -> None:
        if message.invalid_tool_calls:
            broken = message.invalid_tool_calls[0]
            raise _rejected(f"the arguments of tool call {broken.get('name')!r} are not valid JSON", message)
        for call in message.tool_calls:
            tool = self._tools.get(call["name"])
            problem = tool.misfit(call["args"]) if tool is not None else None
            if problem is not None:
                raise _rejected(f"the arguments of tool call {call['name']!r} do not fit: {problem}", message)
        if self._structured is not None:
            self._parse(self._structured, message)
        elif self._schema is not None and not message.tool_calls:
            problem = misfit(self._parse(StructuredOutput(None), message), self._schema)
            if problem is not None:
                raise _rejected(f"the answer does not fit its schema: {problem}", message)

    @staticmethod
    def _parse(structured: StructuredOutput, message: AIMessage) -> Any:
        try:
            return structured.parse(message)
        except ValueError as error:  # OutputParserException and both generations' ValidationError
            raise _rejected(f"the structured output does not parse: {_first_line(error)}", message) from error


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


def _merged(messages: Iterable[Any]) -> AIMessage:
    first, *rest = [message for message in messages if isinstance(message, AIMessageChunk)]
    return add_ai_message_chunks(first, *rest, AIMessageChunk(content="", chunk_position="last"))


def _rejected(reason: str, message: AIMessage) -> OutputRejected:
    return OutputRejected(reason, output=message)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if not line.startswith("For troubleshooting")]
    return " ".join(lines[:3]) or type(error).__name__
