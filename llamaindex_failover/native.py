"""Native targets as LlamaIndex LLMs: what a user gets for `"anthropic:..."` and the other strings.

A native target calls a provider's official SDK, without any LlamaIndex integration, and makes every history legal for
its provider itself. `translation` has the messages, tools and answers.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, LLMMetadata
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools import BaseTool

from failover_core import Target
from failover_core.providers import TARGET_OPTIONS, CallTool, ChatRequest, ResponseFormat, as_chat_request
from failover_core.providers.native import OPTION_NAMES

from .chat_only import ChatOnly
from .tools import selections, understood
from .translation import StreamedMessage, neutral_message, response_of, tool_spec

# Every chat model that OpenAI, Anthropic and Google have brought out since 2024 takes at least this much; say it
# yourself with Target.native(..., context_window_tokens=...). LlamaIndex cuts prompts to fit, so its own default of
# 3,900 would do harm.
ASSUMED_WINDOW_TOKENS = 128_000

_OTHER_NAMES = {"max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens"}
_REQUEST_FIELDS = frozenset(ChatRequest.__dataclass_fields__) - {"messages"}


class NativeLLM(ChatOnly, FunctionCallingLLM):
    """A native target behind LlamaIndex's interface. Made by `FailoverLLM` for each native string or target."""

    _target: Target = PrivateAttr()

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._target = target

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by what `Target.native` takes: connections stay where they are."""
        chat, target = self._target.source, self._target
        options = {name: getattr(target, name) for name in TARGET_OPTIONS}
        if target.health_check == chat.health_check:
            del options["health_check"]
        options.update({name: getattr(chat.options, name) for name in OPTION_NAMES})
        return _native_again, (f"{chat.provider}:{chat.model}", options)

    @property
    def target(self) -> Target:
        """The target behind it, as it was given."""
        return self._target

    def health_check(self) -> None:
        """The target's; see `Target.health_check`."""
        if self._target.health_check is not None:
            self._target.health_check()

    @classmethod
    def class_name(cls) -> str:
        return "failover_native_llm"

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(
            context_window=self._target.context_window_tokens or ASSUMED_WINDOW_TOKENS,
            num_output=-1,
            is_chat_model=True,
            is_function_calling_model="tools" not in self._target.lacks,
            model_name=self._target.model or self._target.name,
        )

    # -- chat -------------------------------------------------------------------------------------------------
    # An attempt at structured output learns from these reports how the answer behind an object has ended.

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return response_of(self._done(self._target.call)(self._request(messages, kwargs)))

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return response_of(await self._done(self._target.acall)(self._request(messages, kwargs)))

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Generator[ChatResponse, None, None]:
        source = self._done(self._target.stream)(self._request(messages, kwargs))
        built = StreamedMessage()
        try:
            for chunk in source:
                yield built.taking(chunk)
        finally:
            source.close()

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> AsyncGenerator[ChatResponse, None]:
        source = self._done(self._target.astream)(self._request(messages, kwargs))

        async def gen() -> AsyncGenerator[ChatResponse, None]:
            built = StreamedMessage()
            try:
                async for chunk in source:
                    yield built.taking(chunk)
            finally:
                await source.aclose()

        return gen()

    @staticmethod
    def _done(method: Callable[..., Any] | None) -> Callable[..., Any]:
        assert method is not None, "a native target serves all four call styles"
        return method

    def _request(self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> ChatRequest:
        known: dict[str, Any] = {}
        unknown: dict[str, Any] = {}
        for name, value in kwargs.items():
            name = _OTHER_NAMES.get(name, name)
            if value is not None:
                (known if name in _REQUEST_FIELDS else unknown)[name] = value
        if unknown:  # further arguments of the provider's own call
            known["options"] = {**known.get("options", {}), str(self._target.provider): unknown}
        return as_chat_request([neutral_message(message) for message in messages], **known)

    # -- tools ------------------------------------------------------------------------------------------------

    def _prepare_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        messages = list(chat_history or [])
        if user_msg:
            messages.append(ChatMessage(user_msg) if isinstance(user_msg, str) else user_msg)
        if not tools:
            return {"messages": messages, **kwargs}
        mode, name = understood(tool_choice or ("required" if tool_required else "auto"))
        return {
            "messages": messages,
            "tools": [tool_spec(tool) for tool in tools],
            "tool_choice": CallTool(name) if name else mode,
            "parallel_tool_calls": allow_parallel_tool_calls,
            **kwargs,
        }

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        return selections(response, None, error_on_no_tool_call=error_on_no_tool_call)

    # -- structured output ------------------------------------------------------------------------------------

    @property
    def takes_schemas(self) -> bool:
        """The provider itself holds the answer to a JSON schema. (Else a forced tool call does it.)"""
        return "json_schema" not in self._target.lacks

    def structured_predict(
        self, output_cls: Any, prompt: Any, llm_kwargs: dict[str, Any] | None = None, **prompt_args: Any
    ) -> Any:
        if not self.takes_schemas:
            return super().structured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
        messages, kwargs = _with_schema(output_cls, prompt, llm_kwargs, prompt_args)
        return output_cls.model_validate_json(self.chat(messages, **kwargs).message.content or "")

    async def astructured_predict(
        self, output_cls: Any, prompt: Any, llm_kwargs: dict[str, Any] | None = None, **prompt_args: Any
    ) -> Any:
        if not self.takes_schemas:
            return await super().astructured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
        messages, kwargs = _with_schema(output_cls, prompt, llm_kwargs, prompt_args)
        return output_cls.model_validate_json((await self.achat(messages, **kwargs)).message.content or "")

    def _structured_stream_call(
        self, output_cls: Any, prompt: Any, llm_kwargs: dict[str, Any] | None = None, **prompt_args: Any
    ) -> Generator[Any, None, None]:
        from llama_index.core.program.streaming_utils import process_streaming_content_incremental

        if not self.takes_schemas:  # LlamaIndex reads streamed tool calls of OpenAI's class only
            yield self.structured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
            return
        messages, kwargs = _with_schema(output_cls, prompt, llm_kwargs, prompt_args)
        current: Any = None
        for response in self.stream_chat(messages, **kwargs):
            current = process_streaming_content_incremental(response, output_cls, current)
            yield current

    async def _structured_astream_call(
        self, output_cls: Any, prompt: Any, llm_kwargs: dict[str, Any] | None = None, **prompt_args: Any
    ) -> AsyncGenerator[Any, None]:
        from llama_index.core.program.streaming_utils import process_streaming_content_incremental

        async def gen() -> AsyncGenerator[Any, None]:
            if not self.takes_schemas:
                yield await self.astructured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
                return
            messages, kwargs = _with_schema(output_cls, prompt, llm_kwargs, prompt_args)
            current: Any = None
            async for response in await self.astream_chat(messages, **kwargs):
                current = process_streaming_content_incremental(response, output_cls, current)
                yield current

        return gen()


def _native_again(spec: str, options: dict[str, Any]) -> NativeLLM:
    return NativeLLM(Target.native(spec, **options))


def _with_schema(
    output_cls: Any, prompt: Any, llm_kwargs: dict[str, Any] | None, prompt_args: dict[str, Any]
) -> tuple[list[ChatMessage], dict[str, Any]]:
    kwargs = {name: value for name, value in (llm_kwargs or {}).items() if name not in ("tool_choice", "tools")}
    kwargs["response_format"] = ResponseFormat(output_cls.model_json_schema(), name=_identifier(output_cls.__name__))
    return prompt.format_messages(**prompt_args), kwargs


def _identifier(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in name)[:64]
