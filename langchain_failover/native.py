"""Native targets behind LangChain's types: messages and options become a `ChatRequest`, answers become messages.

Signatures of thoughts and tool calls travel in `additional_kwargs["failover_native"]`, so that a conversation can go on
where it came from; every other target ignores them.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, cast

from failover_core import OutputRejected, Target
from failover_core.providers import (
    CallTool,
    ChatChunk,
    ChatMessage,
    ChatRequest,
    ChatResponse,
    File,
    Image,
    Reasoning,
    ResponseFormat,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
)
from failover_core.providers.chat import Part
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, SystemMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from .callee import Callee
from .dialects import Dialect, Wire
from .fit import foreign_server_tools
from .media import standard_content
from .options import options_for, output_limit
from .reader import MessageReader
from .request import ModelRequest
from .structured import KEY as STRUCTURED
from .tools import BINDING_OPTIONS, as_tool_dicts, neutral_choice

KEY = "failover_native"
_WIRES = {"openai": Wire.OPENAI_CHAT, "anthropic": Wire.ANTHROPIC, "google": Wire.GOOGLE}
_SAME_NAME = ("temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty", "parallel_tool_calls")
_OWN_WORDS = {"max_tokens", "max_completion_tokens", "max_output_tokens", "tools", "thinking", "reasoning_effort",
              "effort", "thinking_level", "thinking_budget", "include_thoughts", "timeout", "stream_usage"}  # fmt: skip


class NativeCallee(Callee):
    """The callables of a native target, in LangChain's types."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.reader = MessageReader(expects_finish=True)
        # No account: its messages are rebuilt for wrapped targets, which keep signatures in other places.
        self.dialect = Dialect(_WIRES[str(target.provider)], None, None)
        self.lacks = foreign_server_tools(None)

    def identifying_params(self) -> dict[str, Any]:
        options = self.target.source.options
        return {"type": "native", "base_url": options.base_url, "defaults": dict(options.defaults)}

    def _call(self, request: ModelRequest) -> ChatResult:
        assert self.target.call is not None
        return _result(self.target.call(self._asked(request)))

    async def _acall(self, request: ModelRequest) -> ChatResult:
        assert self.target.acall is not None
        return _result(await self.target.acall(self._asked(request)))

    def _stream(self, request: ModelRequest) -> Iterator[ChatGenerationChunk]:
        assert self.target.stream is not None
        chunks = self.target.stream(self._asked(request))
        ending = _Ending()
        try:
            for chunk in chunks:
                if (message := ending.take(chunk)) is not None:
                    yield message
        finally:
            chunks.close()  # type: ignore[attr-defined]
        yield ending.chunk()

    async def _astream(self, request: ModelRequest) -> AsyncIterator[ChatGenerationChunk]:
        assert self.target.astream is not None
        chunks = self.target.astream(self._asked(request))
        ending = _Ending()
        try:
            async for chunk in chunks:
                if (message := ending.take(chunk)) is not None:
                    yield message
        finally:
            await chunks.aclose()  # type: ignore[attr-defined]
        yield ending.chunk()

    def _asked(self, request: ModelRequest) -> ChatRequest:
        provider = str(self.target.provider)
        options = options_for(request.options, self.dialect.wire)
        structured = options.pop(STRUCTURED, None)
        asked: dict[str, Any] = {name: options[name] for name in _SAME_NAME if options.get(name) is not None}
        asked["tools"] = tuple(_tools(options.get("tools") or (), options.get("strict")))
        asked["tool_choice"] = _tool_choice(options.get("tool_choice"))
        asked["response_format"] = _response_format(options.get("response_format"), structured, self.dialect.wire)
        asked["max_output_tokens"] = output_limit(options)
        asked["thinking"] = _thinking(options)
        known = {*_SAME_NAME, *_OWN_WORDS, *BINDING_OPTIONS}
        rest = {name: value for name, value in options.items() if name not in known}
        messages = [_message(message) for message in request.messages]
        return ChatRequest(messages, stop=tuple(request.stop or ()), options={provider: rest} if rest else {}, **asked)


# -- there ------------------------------------------------------------------------------------------------------------


def _message(message: BaseMessage) -> ChatMessage:
    if isinstance(message, AIMessage):
        return ChatMessage("assistant", _assistant_parts(message))
    if isinstance(message, ToolMessage):
        parts = cast("list[Text | Image | File]", list(_parts(message.content)))
        return ChatMessage("tool", [ToolResult(message.tool_call_id, parts, message.name, message.status == "error")])
    return ChatMessage("system" if isinstance(message, SystemMessage) else "user", list(_parts(message.content)))


def _assistant_parts(message: AIMessage) -> list[Part]:
    """Thoughts first: a provider that signs them wants them there."""
    kept = message.additional_kwargs.get(KEY) or {}
    parts: list[Part] = [Reasoning(**thought) for thought in kept.get("reasoning", ())]
    if text := str(message.text):
        parts.append(Text(text))
    signatures, provider = kept.get("signatures", {}), kept.get("provider")
    for call in message.tool_calls:
        id_ = call["id"] or ""
        parts.append(ToolCall(id_, call["name"], call["args"], signature=signatures.get(id_), provider=provider))
    broken = message.invalid_tool_calls
    return parts + [ToolCall(call["id"] or "", call["name"] or "", raw_arguments=call["args"] or "") for call in broken]


def _parts(content: Any) -> Iterable[Text | Image | File]:
    if isinstance(content, str):
        yield Text(content)
        return
    for block in standard_content(content, Wire.OTHER):
        if isinstance(block, str):
            yield Text(block)
        elif (part := _part(block)) is not None:
            yield part


def _part(block: Mapping[str, Any]) -> Text | Image | File | None:
    kind = block.get("type")
    if kind in ("text", "text-plain"):
        return Text(str(block.get("text", "")))
    if kind == "image_url":
        image = block["image_url"]
        url, detail = (image.get("url"), image.get("detail")) if isinstance(image, Mapping) else (image, None)
        return Image(url=url, detail=detail)
    if kind not in ("image", "file", "audio", "video"):
        return None
    data = block.get("base64") or (block.get("data") if block.get("source_type") == "base64" else None)
    mime, name = block.get("mime_type"), block.get("filename")
    if data is not None:
        raw = base64.b64decode(data)
        return Image(data=raw, mime=mime) if kind == "image" else File(data=raw, mime=mime, name=name)
    if block.get("url"):
        return Image(url=block["url"], mime=mime) if kind == "image" else File(url=block["url"], mime=mime, name=name)
    raise ValueError(f"a {kind} by id belongs to one provider's account: pass its content (base64=) or its url")


def _tools(tools: Iterable[Any], strict: Any) -> Iterable[ToolSpec]:
    for tool in as_tool_dicts(list(tools)):
        function = tool.get("function") or {}
        schema = function.get("parameters") or {"type": "object", "properties": {}}
        wanted = bool(function.get("strict")) if strict is None else bool(strict)
        yield ToolSpec(str(tool.name), function.get("description") or "", schema, wanted)


def _tool_choice(choice: Any) -> Any:
    choice = neutral_choice(choice, Wire.OTHER)
    if choice is None or choice in ("auto", "none"):
        return choice
    return "required" if choice == "any" else CallTool(str(choice))


def _response_format(wanted: Any, structured: Any, wire: Wire) -> Any:
    if structured is not None and structured.is_text:
        if not structured.function or (structured.method == "json_mode" and wire is Wire.OPENAI_CHAT):
            return "json"  # the others have no such mode without a schema, as LangChain's classes see it
        schema, name = structured.function["parameters"], structured.function["name"]
        return ResponseFormat(schema, name, structured.strict is not False)
    if hasattr(wanted, "model_json_schema"):
        return ResponseFormat(wanted.model_json_schema(), wanted.__name__)
    if not isinstance(wanted, Mapping):
        return None
    if wanted.get("type") == "json_object":
        return "json"
    spec = wanted.get("json_schema") or {}
    return ResponseFormat(spec["schema"], spec.get("name", "answer"), spec.get("strict") is not False) if spec else None


def _thinking(options: Mapping[str, Any]) -> Thinking | None:
    effort = options.get("reasoning_effort") or options.get("effort") or options.get("thinking_level")
    wanted = options.get("thinking")
    budget = wanted.get("budget_tokens") if isinstance(wanted, Mapping) else options.get("thinking_budget")
    show = bool(options.get("include_thoughts"))
    if isinstance(wanted, Mapping) and wanted.get("type") == "disabled":
        return Thinking(effort="none")
    if effort is None and budget is None and not show:
        return None
    return Thinking(effort=effort, budget_tokens=budget, show=show)


# -- and back ---------------------------------------------------------------------------------------------------------


def _result(response: ChatResponse) -> ChatResult:
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


class _Ending:
    """Collects what is to be said once, at the end of a stream: sums of chunks would add it up."""

    def __init__(self) -> None:
        self._facts: dict[str, Any] = {}
        self._thoughts: list[Reasoning] = []
        self._signatures: dict[int, ToolCall] = {}
        self._ids: dict[int, str] = {}
        self._refusal: str | None = None

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

    def chunk(self) -> ChatGenerationChunk:
        whole = ChatResponse(ChatMessage("assistant", ()), **self._facts)
        extras = _extras(whole.provider, _joined(self._thoughts), self._signatures.values(), self._refusal)
        extras.pop("reasoning_content", None)
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                additional_kwargs=extras,
                response_metadata=_metadata(whole),
                usage_metadata=_usage(whole.usage),
                id=whole.id,
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
