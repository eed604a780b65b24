"""`ChatFailover`: a chat model made of other chat models, of which one answers."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import ConfigDict, Field, model_validator

from failover_core import ConfigError, FailoverError, Outcome, RequestInfo, StreamRestarted

from . import structured, tracing
from .assembly import assembled, misnamed
from .checks import check_for
from .counting import CountingChatModel
from .errors import raise_langchain_error
from .fields import Fit, GivenFailover, GivenPolicy, GivenSettings, GivenTargets, Trim
from .fit import common_profile, info_of
from .identity import Identity, profiles_of
from .joining import JoinedStream
from .request import ModelRequest, thread_id
from .restarts import RestartableStream, aannounce, announce
from .second_best import second_best
from .structured import StructuredOutput, structured_chain
from .tools import as_tool_dicts
from .tracing import AttemptRuns


class ChatFailover(CountingChatModel):
    """A chat model that asks the first of its targets and, when that one fails, is late or answers rubbish, another.

    It goes wherever a chat model goes: `prompt | llm | parser`, `create_agent(llm, tools)`,
    `llm.with_structured_output(Schema)`. How an answer came about is in `message.response_metadata["failover"]`, on a
    stream in its last chunk.

    Args:
        targets: chat models, models with bound options, strings such as "openai:gpt-4o-mini" (native) or
            "bedrock_converse:..." (LangChain's `init_chat_model`), `Target`s, or functions of the list of messages;
            in order of preference.
        settings: the rules; the defaults suit interactive use.
        policy: "priority", another name or a function of `failover_core.policy.ranking`.
        failover: the `failover` of another `ChatFailover`, of a `FailoverLLM`, or a `Failover`: health is shared by the
            targets' names. Its targets (of a `ChatFailover`), settings and policy hold where none are given.
        trace_attempts: make a child run of each attempt.
        fit: what to do with a conversation that is too long for a target: "skip" the target, or "trim" for it.
        trim: how to trim: options of `trim_messages`, or a function `(messages, max_tokens) -> messages`.
        temperature, max_tokens, timeout, stop: passed to the targets with each call, where the call itself does not
            say otherwise; `timeout` in seconds.
        streaming: stream also in `invoke`.
        max_retries, api_key: taken for compatibility and not used: retries are `Settings.same_target_retries`, and
            each target has its own key.

    Raises:
        ConfigError: for targets or settings that cannot work, saying what to write instead.
    """

    targets: GivenTargets = Field(default=(), exclude=True)
    settings: GivenSettings = Field(default=cast(Any, None), exclude=True)
    policy: GivenPolicy = Field(default="priority", exclude=True)
    failover: GivenFailover = Field(default=cast(Any, None), exclude=True)
    fit: Fit = "skip"
    trim: Trim = Field(default=None, exclude=True)
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: Any = None
    stop: list[str] | None = None
    streaming: bool | None = None
    max_retries: int | None = None
    api_key: Any = Field(default=None, exclude=True, repr=False)

    model_config = ConfigDict(arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _assemble(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name in values:
            if name not in cls.model_fields:
                raise ConfigError(f"ChatFailover({name}=...): {misnamed(name, cls.model_fields)}")
        failover = assembled(values)
        return {**values, "failover": failover, "settings": failover.settings, "policy": failover.policy,
                "targets": values.get("targets") or list(failover.targets)}  # fmt: skip

    @cached_property
    def _identity(self) -> Identity:
        return Identity.of(self.failover.targets)

    # -- answering ----------------------------------------------------------------------------------------------------

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request, info = self._request(messages, stop, kwargs)
        try:
            outcome = self.failover.run(request, info)
        except FailoverError as error:
            spared = second_best(error)
            if spared is None:
                raise_langchain_error(error)
            outcome = spared
        return _told(outcome)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request, info = self._request(messages, stop, kwargs)
        try:
            outcome = await self.failover.arun(request, info)
        except FailoverError as error:
            spared = second_best(error)
            if spared is None:
                raise_langchain_error(error)
            outcome = spared
        return _told(outcome)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        request, info = self._request(messages, stop, kwargs, run_manager, streaming=True)
        chunks = self.failover.stream(request, info)
        joined = self._joined()
        try:
            for chunk in chunks:
                if chunk.__class__ is StreamRestarted:
                    announce(chunk, run_manager)
                yield joined.take(chunk, chunks.trace)
            trace = chunks.trace
        except FailoverError as error:
            spared = second_best(error, joined.last)
            if spared is None:
                raise_langchain_error(error)
            for chunk in spared.value:
                yield joined.take(chunk, None)
            trace = spared.trace
        finally:
            chunks.close()
        yield joined.ending(trace)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        request, info = self._request(messages, stop, kwargs, run_manager, streaming=True)
        chunks = self.failover.astream(request, info)
        joined = self._joined()
        try:
            async for chunk in chunks:
                if chunk.__class__ is StreamRestarted:
                    await aannounce(chunk, run_manager)
                yield joined.take(chunk, chunks.trace)
            trace = chunks.trace
        except FailoverError as error:
            spared = second_best(error, joined.last)
            if spared is None:
                raise_langchain_error(error)
            for chunk in spared.value:
                yield joined.take(chunk, None)
            trace = spared.trace
        finally:
            await chunks.aclose()
        yield joined.ending(trace)

    def _joined(self) -> JoinedStream:
        return RestartableStream() if self.failover.settings.midstream == "replace" else JoinedStream()

    def _request(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        options: dict[str, Any],
        run_manager: Any = None,
        *,
        streaming: bool = False,
    ) -> tuple[ModelRequest, RequestInfo]:
        runs = options.pop(tracing.KEY, None)
        if runs is None and run_manager is not None and self.trace_attempts:
            runs = AttemptRuns.of(run_manager)
        options.pop("stream", None)
        for name in ("temperature", "max_tokens", "timeout"):
            value = getattr(self, name)
            if value is not None:
                options.setdefault(name, value)
        stop = stop or self.stop or None
        identity = self._identity
        check = check_for(options) if options and self.failover.settings.output_checks else None
        request = ModelRequest(messages, stop, options, identity.accounts, check, runs)
        info = info_of(
            messages,
            options,
            session=None if self.policy == "priority" else thread_id(),
            window_tokens=identity.window_tokens,
            thinks=identity.thinks_in_streams if streaming else identity.thinks,
        )
        return request, info

    # -- tools and structured output ----------------------------------------------------------------------------------

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | Any],
        *,
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools; each target converts them into its own format when it is asked."""
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=as_tool_dicts(tools), **kwargs)

    def with_structured_output(
        self,
        schema: Any = None,
        *,
        method: structured.Method | None = None,
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Answers as objects of `schema`. An answer that does not parse counts as failed, and the next target is asked.

        Args:
            schema: a pydantic class, a TypedDict, a JSON schema or an OpenAI tool; may be None with `json_mode`.
            method: "function_calling" (the default, which all targets understand), "json_schema" or "json_mode", which
                each target is asked for in its own way.
            include_raw: give `{"raw", "parsed", "parsing_error"}` instead of the object.
            strict: hold the model to the schema where its provider can.
            kwargs: further call options to bind.
        """
        tools = as_tool_dicts(kwargs.pop("tools", None) or ())
        beside = frozenset(tool.name for tool in tools if tool.name)
        output = StructuredOutput(schema, method or "function_calling", strict, include_raw, beside)
        asked = {"kwargs": {"method": output.method, "strict": strict}, "schema": {} if schema is None else schema}
        kwargs.update({structured.KEY: output, "ls_structured_output_format": asked})
        if strict is not None and (tools or not output.is_text):
            kwargs["strict"] = strict
        if not output.is_text:
            model = self.bind_tools([output.schema, *tools], tool_choice="any", **kwargs)
        else:
            model = self.bind_tools(tools, **kwargs) if tools else self.bind(**kwargs)
        return structured_chain(model, output, include_raw=include_raw)

    # -- identity -----------------------------------------------------------------------------------------------------

    @property
    def _llm_type(self) -> str:
        return "failover-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        params: dict[str, Any] = {"targets": self._identity.params}
        for name in ("temperature", "max_tokens", "stop", "fit"):
            value = getattr(self, name)
            if value is not None:
                params[name] = value
        return params

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        model = kwargs.get("model")
        params = LangSmithParams(
            ls_provider=self._identity.provider,
            ls_model_name=model if isinstance(model, str) else self._identity.model_name,
            ls_model_type="chat",
        )
        temperature, max_tokens = kwargs.get("temperature", self.temperature), kwargs.get("max_tokens", self.max_tokens)
        if isinstance(temperature, int | float):
            params["ls_temperature"] = temperature
        if isinstance(max_tokens, int):
            params["ls_max_tokens"] = max_tokens
        if stop or self.stop:
            params["ls_stop"] = list(stop or self.stop or ())
        return params

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        """For traces: without what only we understand."""
        if structured.KEY in kwargs or tracing.KEY in kwargs:
            kwargs.pop(tracing.KEY, None)
            output = kwargs.pop(structured.KEY, None)
            if output is not None:
                kwargs["structured_output"] = output.as_dict()
        return super()._get_invocation_params(stop=stop, **kwargs)

    def _resolve_model_profile(self) -> ModelProfile | None:
        return cast("ModelProfile | None", common_profile(profiles_of(self.failover.targets)))

    def _models(self) -> Sequence[BaseChatModel]:
        return self._identity.models

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> ChatFailover:
        """Health is shared by all copies; and most models inside could not be copied."""
        return self.model_copy()

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        yield "targets", [target.name for target in self.failover.targets]


# LangChain looks at these two signatures at every call; reading them anew takes longer than all that is done here.
for _method in (ChatFailover._generate, ChatFailover._agenerate):
    setattr(_method, "__signature__", inspect.signature(_method))  # noqa: B010  # which mypy does not know


def _told(outcome: Outcome) -> ChatResult:
    """The answer, with how it came about in its metadata."""
    result: ChatResult = outcome.value
    message = result.generations[0].message
    message.response_metadata = {**message.response_metadata, "failover": outcome.trace.as_dict()}
    return result
