"""Native targets behind LangChain's types: messages and options become a `ChatRequest`. (Back: `native_answers`.)

Signatures of thoughts and tool calls travel in `additional_kwargs["failover_native"]`, so that a conversation can go on
where it came from; every other target ignores them.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from math import ceil
from typing import Any, cast

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from failover_core import Target
from failover_core.providers import (
    CallTool,
    ChatMessage,
    ChatRequest,
    File,
    Image,
    Reasoning,
    ResponseFormat,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
)
from failover_core.providers.chat import Part
from failover_core.providers.native import attempt_timeout_s

from .callee import Callee
from .dialects import Dialect, Wire
from .fit import foreign_server_tools
from .media import standard_content
from .native_answers import KEY, Ending, as_chat_result
from .options import options_for, output_limit, silence_s
from .reader import MessageReader
from .request import ModelRequest
from .structured import KEY as STRUCTURED
from .tools import BINDING_OPTIONS, as_tool_dicts, neutral_choice

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
        return as_chat_result(self.target.call(self._asked(request)))

    async def _acall(self, request: ModelRequest) -> ChatResult:
        assert self.target.acall is not None
        return as_chat_result(await self.target.acall(self._asked(request)))

    def _stream(self, request: ModelRequest) -> Iterator[ChatGenerationChunk]:
        assert self.target.stream is not None
        chunks = self.target.stream(self._asked(request))
        ending = Ending()
        try:
            for chunk in chunks:
                if (message := ending.take(chunk)) is not None:
                    yield message
                if (facts := ending.due(chunk)) is not None:
                    yield facts
        except Exception as error:
            if not ending.outlives(error):
                raise
        finally:
            chunks.close()  # type: ignore[attr-defined]
        if (facts := ending.rest()) is not None:
            yield facts

    async def _astream(self, request: ModelRequest) -> AsyncIterator[ChatGenerationChunk]:
        assert self.target.astream is not None
        chunks = self.target.astream(self._asked(request))
        ending = Ending()
        try:
            async for chunk in chunks:
                if (message := ending.take(chunk)) is not None:
                    yield message
                if (facts := ending.due(chunk)) is not None:
                    yield facts
        except Exception as error:
            if not ending.outlives(error):
                raise
        finally:
            await chunks.aclose()  # type: ignore[attr-defined]
        if (facts := ending.rest()) is not None:
            yield facts

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
        timeout_s = silence_s(options.get("timeout"))
        if timeout_s is not None:
            rest = _limited(rest, attempt_timeout_s(timeout_s), google=provider == "google")
        messages = [_message(message) for message in request.messages]
        return ChatRequest(messages, stop=tuple(request.stop or ()), options={provider: rest} if rest else {}, **asked)


def _limited(options: dict[str, Any], timeout_s: float, *, google: bool) -> dict[str, Any]:
    if google:
        return {**options, "http_options": {"timeout": ceil(1000 * timeout_s), **(options.get("http_options") or {})}}
    return {**options, "timeout": timeout_s}


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
