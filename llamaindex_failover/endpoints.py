"""The endpoints of a `FailoverLLM`, chat, complete and tool calls in four styles each, as requests for the core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
)
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools import BaseTool
from llama_index_instrumentation import get_dispatcher

from failover_core import Failover, RequestInfo

from .attempt import producer_of
from .calls import Call, ChatCall, CompletionCall, is_heard
from .requests import Endpoint, Request
from .targets import adapter_of
from .tools import selections

_NO_PROMPT: Any = object()
_dispatcher = get_dispatcher(__name__)


class Endpoints(FunctionCallingLLM):
    """What `FailoverLLM` can be asked. Each method only names the endpoint; who answers is the core's business."""

    @property
    def failover(self) -> Failover:
        raise NotImplementedError

    def _request(self, endpoint: Endpoint, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request:
        raise NotImplementedError

    def _info(self, request: Request) -> RequestInfo:
        raise NotImplementedError

    def _chat(self, request: Request) -> Call:
        cls = ChatCall if is_heard(self) else Call
        return cls(self, self.failover, request, self._info(request))

    def _completion(self, request: Request) -> Call:
        cls = CompletionCall if is_heard(self) else Call
        return cls(self, self.failover, request, self._info(request))

    # -- chat -------------------------------------------------------------------------------------------------

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        request = self._request("chat", (list(messages),), kwargs)
        response: ChatResponse = self._chat(request).answer(messages, **kwargs)
        return response

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        request = self._request("chat", (list(messages),), kwargs)
        response: ChatResponse = await self._chat(request).aanswer(messages, **kwargs)
        return response

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        request = self._request("chat", (list(messages),), kwargs)
        chunks: ChatResponseGen = self._chat(request).stream(messages, **kwargs)
        return chunks

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        call = self._chat(self._request("chat", (list(messages),), kwargs))
        return call.closing(await call.astream(messages, **kwargs))

    # -- complete ---------------------------------------------------------------------------------------------

    def complete(self, prompt: str = _NO_PROMPT, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        request = self._completing(prompt, formatted, kwargs)
        response: CompletionResponse = self._completion(request).answer(prompt, **kwargs)
        return response

    async def acomplete(self, prompt: str = _NO_PROMPT, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        request = self._completing(prompt, formatted, kwargs)
        response: CompletionResponse = await self._completion(request).aanswer(prompt, **kwargs)
        return response

    def stream_complete(
        self, prompt: str = _NO_PROMPT, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        request = self._completing(prompt, formatted, kwargs)
        chunks: CompletionResponseGen = self._completion(request).stream(prompt, **kwargs)
        return chunks

    async def astream_complete(
        self, prompt: str = _NO_PROMPT, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        call = self._completion(self._completing(prompt, formatted, kwargs))
        return call.closing(await call.astream(prompt, **kwargs))

    def _completing(self, prompt: str, formatted: bool, kwargs: dict[str, Any]) -> Request:
        if prompt is _NO_PROMPT:  # a TypeError elsewhere; LlamaIndex's own LLMs raise this
            raise ValueError("No prompt provided in positional or keyword arguments")
        told = {"formatted": formatted} if formatted else {}
        return self._request("complete", (prompt,), {**told, **kwargs})

    # -- tools ------------------------------------------------------------------------------------------------

    @_dispatcher.span
    def chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> ChatResponse:
        request = self._with_tools(
            tools, user_msg, chat_history, verbose, allow_parallel_tool_calls, tool_required, kwargs
        )
        call = self._chat(request)
        response: ChatResponse = call.answer(request.messages, **call.shown(tools, kwargs))
        return response

    @_dispatcher.span
    async def achat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> ChatResponse:
        request = self._with_tools(
            tools, user_msg, chat_history, verbose, allow_parallel_tool_calls, tool_required, kwargs
        )
        call = self._chat(request)
        response: ChatResponse = await call.aanswer(request.messages, **call.shown(tools, kwargs))
        return response

    @_dispatcher.span
    def stream_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> ChatResponseGen:
        request = self._with_tools(
            tools, user_msg, chat_history, verbose, allow_parallel_tool_calls, tool_required, kwargs
        )
        call = self._chat(request)
        chunks: ChatResponseGen = call.stream(request.messages, **call.shown(tools, kwargs))
        return chunks

    @_dispatcher.span
    async def astream_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> ChatResponseAsyncGen:
        request = self._with_tools(
            tools, user_msg, chat_history, verbose, allow_parallel_tool_calls, tool_required, kwargs
        )
        call = self._chat(request)
        return call.closing(await call.astream(request.messages, **call.shown(tools, kwargs)))

    def _with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None,
        chat_history: list[ChatMessage] | None,
        verbose: bool,
        allow_parallel_tool_calls: bool,
        tool_required: bool,
        kwargs: dict[str, Any],
    ) -> Request:
        """The raw request: every target prepares it in its own way. Arguments that say nothing are left out, for the
        sake of classes with a narrower signature.
        """
        told = {
            "user_msg": user_msg,
            "chat_history": None if chat_history is None else list(chat_history),
            "verbose": verbose,
            "allow_parallel_tool_calls": allow_parallel_tool_calls,
            "tool_required": tool_required,
        }
        said = {name: value for name, value in told.items() if value or name == "chat_history"}
        return self._request("chat_with_tools", (list(tools),), {**said, **kwargs})

    def _prepare_chat_with_tools(self, tools: Sequence[BaseTool], *args: Any, **kwargs: Any) -> dict[str, Any]:
        raise NotImplementedError("each target prepares its own tools: call chat_with_tools or one of its twins")

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool | None = None, **kwargs: Any
    ) -> list[ToolSelection]:
        """The tool calls in a response, read by the target that made it.

        Args:
            response: an answer, or a chunk of one.
            error_on_no_tool_call: raise a ValueError when there is none; None = as that target does by default.
        """
        targets = self.failover.targets
        producer = producer_of(response) if len(targets) > 1 else targets[0].name
        llm = next((adapter_of(target).llm for target in targets if target.name == producer), None)
        if error_on_no_tool_call is not None:
            kwargs["error_on_no_tool_call"] = error_on_no_tool_call
        return selections(response, llm, **kwargs)
