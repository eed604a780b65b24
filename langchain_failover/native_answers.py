"""What native targets answer, as LangChain's messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from failover_core import FailureKind, OutputRejected, classify
from failover_core.providers import ChatChunk, ChatMessage, ChatResponse, Reasoning, ToolCall, Usage

KEY = "failover_native"
"""In `additional_kwargs`: what a provider wants to see again, and LangChain has no place for."""


def as_chat_result(response: ChatResponse) -> ChatResult:
    if response.flaw is not None and not any(call.raw_arguments is not None for call in response.tool_calls):
        raise OutputRejected(response.flaw, output=response)
    thoughts = [part for part in response.message.parts if isinstance(part, Reasoning)]
    message = AIMessage(
        content=response.text,
        tool_calls=[
            tool_call(name=call.name, args=dict(call.arguments), id=call.id)
            for call in response.tool_calls
            if call.raw_arguments is None
        ],
        invalid_tool_calls=[
            invalid_tool_call(name=call.name, args=call.raw_arguments, id=call.id, error=None)
            for call in response.tool_calls
            if call.raw_arguments is not None
        ],
        additional_kwargs=_extras(response.provider, thoughts, response.tool_calls, response.refusal),
        response_metadata=_metadata(response),
        usage_metadata=_usage(response.usage),
        id=response.id,
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


class Ending:
    """Collects what is to be said once, near the end of a stream: sums of chunks would add it up.

    The finish reason goes out when it comes, since some servers say nothing more and never close the connection; the
    usage together with it or when it comes later.
    """

    def __init__(self) -> None:
        self._facts: dict[str, Any] = {}
        self._thoughts: list[Reasoning] = []
        self._signatures: dict[int, ToolCall] = {}
        self._ids: dict[int, str] = {}
        self._refusal: str | None = None
        self._told = False
        self._counted = False

    def due(self, chunk: ChatChunk) -> ChatGenerationChunk | None:
        """What is to be said now that `chunk` has been taken."""
        if "finish_reason" not in self._facts:
            return None
        usage = None if self._counted else chunk.usage
        return None if self._told and usage is None else self._telling(usage)

    def rest(self) -> ChatGenerationChunk | None:
        """What has not been said when the stream ends."""
        usage = None if self._counted else self._facts.get("usage")
        return None if self._told and usage is None else self._telling(usage)

    def outlives(self, error: Exception) -> bool:
        """All had been said: a connection lost after the finish reason takes nothing away."""
        lost = (FailureKind.CONNECTION, FailureKind.STREAM_BROKEN)
        return "finish_reason" in self._facts and classify(error).kind in lost

    def take(self, chunk: ChatChunk) -> ChatGenerationChunk | None:
        if chunk.flaw is not None:
            raise OutputRejected(chunk.flaw)
        for name in ("finish_reason", "raw_finish_reason", "usage", "model", "id", "provider"):
            if (value := getattr(chunk, name)) is not None:
                self._facts[name] = value
        if chunk.refusal is not None:
            self._refusal = (self._refusal or "") + chunk.refusal
        thought = chunk.reasoning
        for delta in chunk.deltas:
            if isinstance(delta, Reasoning):
                self._thoughts.append(delta)
        for call in chunk.tool_calls:
            if call.id:
                self._ids[call.index] = call.id
            if call.signature:
                self._signatures[call.index] = ToolCall(self._ids.get(call.index, ""), "", signature=call.signature)
        if not chunk.deltas or not (chunk.text or thought or chunk.tool_calls):
            return None
        message = AIMessageChunk(
            content=chunk.text,
            additional_kwargs={"reasoning_content": thought} if thought else {},
            tool_call_chunks=[
                tool_call_chunk(index=call.index, id=call.id, name=call.name, args=call.arguments)
                for call in chunk.tool_calls
            ],
        )
        return ChatGenerationChunk(message=message)

    def _telling(self, usage: Usage | None) -> ChatGenerationChunk:
        extras: dict[str, Any] = {}
        metadata: dict[str, Any] = {}
        if not self._told:
            whole = ChatResponse(ChatMessage("assistant", ()), **self._facts)
            extras = _extras(whole.provider, _joined(self._thoughts), self._signatures.values(), self._refusal)
            extras.pop("reasoning_content", None)
            metadata = _metadata(whole)
        self._told, self._counted = True, self._counted or usage is not None
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                additional_kwargs=extras,
                response_metadata=metadata,
                usage_metadata=_usage(usage),
            )
        )


def _joined(thoughts: Iterable[Reasoning]) -> list[Reasoning]:
    """Pieces of a thought, up to the signature that ends it."""
    whole: list[Reasoning] = []
    for piece in thoughts:
        last = whole[-1] if whole else None
        if last is not None and not last.signature and not piece.redacted:
            whole[-1] = Reasoning(last.text + piece.text, piece.signature, piece.provider or last.provider)
        else:
            whole.append(piece)
    return whole


def _extras(
    provider: str | None, thoughts: Iterable[Reasoning], calls: Iterable[ToolCall], refusal: str | None
) -> dict[str, Any]:
    thoughts = list(thoughts)
    extras: dict[str, Any] = {}
    if text := "".join(thought.text for thought in thoughts):
        extras["reasoning_content"] = text
    signed = [thought for thought in thoughts if thought.signature]
    signatures = {call.id: call.signature for call in calls if call.signature}
    if signed or signatures:
        extras[KEY] = {
            "provider": provider,
            "reasoning": [
                {"text": t.text, "signature": t.signature, "provider": t.provider, "redacted": t.redacted}
                for t in signed
            ],
            "signatures": signatures,
        }
    if refusal is not None:
        extras["refusal"] = refusal
    return extras


def _metadata(response: ChatResponse) -> dict[str, Any]:
    """Without `model_provider`: with it, LangChain would look for the provider's own blocks in the content."""
    facts = {
        "finish_reason": response.raw_finish_reason or response.finish_reason,
        "model_name": response.model,
        "id": response.id,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _usage(usage: Usage | None) -> UsageMetadata | None:
    if usage is None:
        return None
    return UsageMetadata(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
        input_token_details={"cache_read": usage.cached_input_tokens, "cache_creation": usage.cache_write_tokens},
        output_token_details={"reasoning": usage.reasoning_tokens},
    )
