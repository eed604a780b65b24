"""Messages, tools and answers translated between LlamaIndex and the core's neutral chat types."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from typing import Any, cast

from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    ChatResponse,
    CitableBlock,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.tools import BaseTool

from failover_core.providers import (
    ChatChunk,
    File,
    Image,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
)
from failover_core.providers import ChatMessage as NeutralMessage
from failover_core.providers import ChatResponse as NeutralResponse
from failover_core.providers.answers import GrowingAnswer
from failover_core.providers.chat import Part

from .history import arguments_of, with_tool_blocks
from .reader import NATIVE

_ROLES: dict[MessageRole, Any] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.TOOL: "tool",
    MessageRole.FUNCTION: "tool",
}


def tool_spec(tool: BaseTool) -> ToolSpec:
    """A LlamaIndex tool as the neutral types have it."""
    metadata = tool.metadata
    return ToolSpec(metadata.get_name(), metadata.description, metadata.get_parameters_dict())


# -- to neutral -----------------------------------------------------------------------------------------------


def neutral_message(message: ChatMessage) -> NeutralMessage:
    """A LlamaIndex message, from any integration, as the neutral types have it."""
    message = with_tool_blocks(message)
    role = _ROLES[message.role]
    signatures = message.additional_kwargs.get("thought_signatures") or []
    parts: list[Part] = []
    for position, block in enumerate(message.blocks):
        parts += _neutral_parts(block, signatures[position] if position < len(signatures) else None)
    if role == "tool":
        told = message.additional_kwargs
        call_id = told.get("tool_call_id") or told.get("call_id") or told.get("name") or ""
        plain = [part for part in parts if isinstance(part, Text | Image | File)]
        return NeutralMessage("tool", [ToolResult(call_id, plain, name=told.get("name"))])
    return NeutralMessage(role, parts)


def _neutral_parts(block: ContentBlock, signature: bytes | None) -> Iterable[Part]:
    match block:
        case TextBlock(text=text):
            yield Text(text)
        case ImageBlock():
            yield _image(block)
        case DocumentBlock(title=title):
            yield _file(block.url, block.resolve_document, block.document_mimetype, title)
        case AudioBlock():
            yield _file(block.url, block.resolve_audio, f"audio/{block.format or 'mpeg'}")
        case VideoBlock():
            yield _file(block.url, block.resolve_video, block.video_mimetype)
        case CitableBlock(content=content):
            for part in content:
                yield from _neutral_parts(part, None)
        case ThinkingBlock():
            yield _reasoning(block)
        case ToolCallBlock(tool_call_id=call_id, tool_name=name, tool_kwargs=arguments):
            proof = base64.b64encode(signature).decode() if signature else None
            yield ToolCall(
                call_id or name, name, arguments_of(arguments), signature=proof, provider="google" if proof else None
            )
        case _:  # cache marks, citations of what was said: nothing that a model must read
            return


def _image(block: ImageBlock) -> Image:
    if block.url and not block.image and not block.path:
        return Image(url=str(block.url), mime=block.image_mimetype, detail=cast(Any, block.detail))
    return Image(data=block.resolve_image().read(), mime=block.image_mimetype, detail=cast(Any, block.detail))


def _file(url: Any, resolve: Callable[[], Any], mime: str | None, name: str | None = None) -> File:
    if url and not str(url).startswith("data:"):
        return File(url=str(url), mime=mime, name=name)
    return File(data=resolve().read(), mime=mime, name=name)


def _reasoning(block: ThinkingBlock) -> Reasoning:
    told = block.additional_information
    signature, provider = told.get("signature"), told.get("provider")
    if signature and not provider:
        provider = "anthropic"
    if isinstance(told.get("thought_signature"), bytes):
        signature, provider = base64.b64encode(told["thought_signature"]).decode(), "google"
    return Reasoning(block.content or "", signature, provider, redacted=bool(told.get("redacted")))


# -- from neutral ---------------------------------------------------------------------------------------------


def response_of(answer: NeutralResponse) -> ChatResponse:
    """A native target's answer as a LlamaIndex response."""
    return ChatResponse(
        message=_message_of(answer),
        raw=_raw(answer, answer.id),
        additional_kwargs=_token_counts(answer),
    )


class StreamedMessage:
    """A native target's chunks as LlamaIndex has them: each holds the whole message so far, and `delta` what is new."""

    def __init__(self) -> None:
        self._answer = GrowingAnswer()
        self._calls: dict[int, list[str]] = {}
        self._id: str | None = None

    def taking(self, chunk: ChatChunk) -> ChatResponse:
        """The response after another chunk."""
        self._answer.add(chunk)
        self._id = self._id or chunk.id
        for delta in chunk.tool_calls:
            call = self._calls.setdefault(delta.index, ["", "", ""])
            call[0] = call[0] or delta.id or ""
            call[1] = call[1] or delta.name or ""
            call[2] += delta.arguments
        ended = chunk.finish_reason is not None
        extra: dict[str, Any] = {"thinking_delta": chunk.reasoning} if chunk.reasoning else {}
        return ChatResponse(
            message=_message_of(self._answer.response()) if ended else self._so_far(),
            delta=chunk.text,
            raw=_raw(chunk, self._id),
            additional_kwargs={**_token_counts(chunk), **extra},
        )

    def _so_far(self) -> ChatMessage:
        reasoning = self._answer.reasoning
        blocks: list[ContentBlock] = [ThinkingBlock(content=reasoning)] if reasoning else []
        blocks.append(TextBlock(text=self._answer.text))
        blocks += [
            ToolCallBlock(tool_call_id=call_id, tool_name=name, tool_kwargs=arguments)
            for call_id, name, arguments in self._calls.values()
        ]
        return ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks)


def _message_of(answer: NeutralResponse) -> ChatMessage:
    blocks: list[ContentBlock] = []
    signatures: list[bytes | None] = []
    for part in answer.message.parts:
        signature = None
        if isinstance(part, Text):
            blocks.append(TextBlock(text=part.text))
        elif isinstance(part, Reasoning):
            blocks.append(ThinkingBlock(content=part.text or None, additional_information=_proof_of(part)))
        elif isinstance(part, ToolCall):
            arguments = dict(part.arguments) if part.raw_arguments is None else part.raw_arguments
            blocks.append(ToolCallBlock(tool_call_id=part.id, tool_name=part.name, tool_kwargs=arguments))
            signature = base64.b64decode(part.signature) if part.signature else None
        elif isinstance(part, Image) and part.data is not None:
            blocks.append(ImageBlock(image=part.data, image_mimetype=part.mime))
        else:
            continue
        signatures.append(signature)
    message = ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks)
    if any(signatures):  # where the class GoogleGenAI keeps them, so that either can go on with the other's history
        message.additional_kwargs["thought_signatures"] = signatures
    return message


def _proof_of(part: Reasoning) -> dict[str, Any]:
    """A thought's signature where its provider's LlamaIndex class keeps it: each can read the other's history."""
    if part.provider == "google":
        return {"thought": True, "thought_signature": base64.b64decode(part.signature) if part.signature else None}
    return {"signature": part.signature, "provider": part.provider, "redacted": part.redacted}


def _raw(said: NeutralResponse | ChatChunk, answer_id: str | None) -> dict[str, Any]:
    """What is known of an answer beside its content. A dict, since LlamaIndex's token counters make one of it."""
    return {
        "object": NATIVE,
        "id": answer_id,
        "provider": said.provider,
        "model": said.model,
        "finish_reason": said.raw_finish_reason or said.finish_reason,
        "refusal": said.refusal,
        "flaw": said.flaw,
        "usage": said.usage.as_dict() if said.usage else None,
    }


def _token_counts(said: NeutralResponse | ChatChunk) -> dict[str, Any]:
    if said.usage is None:
        return {}
    return {
        "prompt_tokens": said.usage.input_tokens,
        "completion_tokens": said.usage.output_tokens,
        "total_tokens": said.usage.total_tokens,
    }
