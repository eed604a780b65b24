"""How a wrapped LangChain model is called.

`_generate` and its three siblings are called directly where the outer model already does all that the public methods
would do: that halves the cost. A model with a cache, callbacks, tags or a rate limiter of its own is called through its
public methods, where nobody hears it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.config import merge_configs

from failover_core.context import current_attempt
from failover_core.stale import PastStale, past_stale

from .callee import Callee
from .dialects import Dialect, Wire, dialect_of, wire_for
from .fit import foreign_server_tools
from .history import portable
from .options import options_for, silence_s
from .quiet import aquietly, quiet_aiterator, quiet_iterator, quietly
from .reader import as_achunks, as_chunks, as_only_chunk, as_result, reader_for, result_as_chunk
from .request import ModelRequest
from .retries import without_retries
from .structured import KEY as STRUCTURED
from .tools import BINDING_OPTIONS, bind_late

Style = Literal["call", "acall", "stream", "astream"]

GRACE_S = 0.25
"""The socket gives up this much after the deadline, so that it is the core which says that time is up."""
LONGEST_SILENCE_S = 600.0
"""For blocking calls of models that would wait for ever, as most do that have `timeout=None`. It is the default
of the openai and anthropic SDKs.
"""

_PUBLIC_METHODS: dict[Style, tuple[str, ...]] = {
    "call": ("invoke", "generate", "generate_prompt", "_generate_with_cache"),
    "acall": ("ainvoke", "agenerate", "agenerate_prompt", "_agenerate_with_cache"),
    "stream": ("stream",),
    "astream": ("astream",),
}
_OWN_AFFAIRS = ("rate_limiter", "callbacks", "tags", "cache")


@dataclass(slots=True)
class _Prepared:
    """One call in the model's own words.

    Args:
        runnable: what to call.
        direct: its inner methods may be called.
        messages, options: to call it with.
    """

    runnable: Any
    direct: bool
    messages: list[BaseMessage]
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Binding:
    """The tools of one call, converted; kept for the next call, which mostly brings the same ones."""

    model: BaseChatModel
    tools: Any
    wanted: dict[str, Any]
    runnable: Runnable[Any, Any]
    options: dict[str, Any]


class WrappedModel(Callee):
    """A LangChain model as the callables of a target.

    Args:
        runnable: a chat model, or a binding around one: `model.bind_tools(...)`, `model.with_config(...)`,
            `model.with_listeners(...)`. Of `model.with_retry()` only the model counts.
    """

    def __init__(self, runnable: BaseChatModel | RunnableBindingBase[Any, Any]) -> None:
        self.given = runnable
        self._bound: dict[str, Any] = {}
        self._configs: list[RunnableConfig] = []  # of the bindings, the outermost first
        self._listeners: list[Any] = []
        inner: Any = runnable
        while isinstance(inner, RunnableBindingBase):
            self._bound = {**inner.kwargs, **self._bound}
            self._configs.append(inner.config)
            self._listeners += inner.config_factories
            inner = inner.bound
        self.model: BaseChatModel = without_retries(inner)
        self.dialect = dialect_of(inner)
        self.reader = reader_for(inner, self.dialect.wire)
        self.lacks = foreign_server_tools(self.dialect.wire)
        self._direct: dict[Style, bool] = {style: self._may_be_direct(style) for style in _PUBLIC_METHODS}
        self._unthinking: BaseChatModel | None = None
        self._binding: _Binding | None = None

    def identifying_params(self) -> dict[str, Any]:
        bound = {"bound": self._bound} if self._bound else {}
        return {"type": self.model._llm_type, "params": dict(self.model._identifying_params), **bound}

    def _call(self, request: ModelRequest) -> ChatResult:
        call = self._prepare(request, "call")
        if call.direct:
            result: ChatResult = call.runnable._generate(call.messages, **call.options)
            return result
        return as_result(quietly(self._publicly, call, "invoke"))

    async def _acall(self, request: ModelRequest) -> ChatResult:
        return await past_stale(self._answered, self._prepare(request, "acall"))

    async def _answered(self, call: _Prepared) -> ChatResult:
        if call.direct:
            result: ChatResult = await call.runnable._agenerate(call.messages, **call.options)
            return result
        return as_result(await aquietly(self._publicly, call, "ainvoke"))

    def _stream(self, request: ModelRequest) -> Iterator[ChatGenerationChunk]:
        call = self._prepare(request, "stream")
        if not call.direct:
            return as_chunks(quiet_iterator(self._publicly, call, "stream"))
        if call.runnable._should_stream(async_api=False, **{**call.options, "stream": True}):
            source: Iterator[ChatGenerationChunk] = call.runnable._stream(call.messages, **call.options)
            return source
        return iter([result_as_chunk(call.runnable._generate(call.messages, **call.options))])

    def _astream(self, request: ModelRequest) -> AsyncIterator[ChatGenerationChunk]:
        return PastStale(self._opened, self._prepare(request, "astream"))

    def _opened(self, call: _Prepared) -> AsyncIterator[ChatGenerationChunk]:
        if not call.direct:
            return as_achunks(quiet_aiterator(self._publicly, call, "astream"))
        if call.runnable._should_stream(async_api=True, **{**call.options, "stream": True}):
            source: AsyncIterator[ChatGenerationChunk] = call.runnable._astream(call.messages, **call.options)
            return source
        return as_only_chunk(call.runnable._agenerate(call.messages, **call.options))

    def _publicly(self, call: _Prepared, method: str) -> Any:
        """Runs where the surrounding config has no callbacks; those of the model's own binding are its own affair."""
        config = merge_configs(*reversed(self._configs))
        config = merge_configs(config, *(factory(config) for factory in self._listeners))
        return getattr(call.runnable, method)(call.messages, config, **call.options)

    # -- preparing ----------------------------------------------------------------------------------------------------

    def _prepare(self, request: ModelRequest, style: Style) -> _Prepared:
        """The call in the model's own words: options, tools, history."""
        model, wire = self.model, self.dialect.wire
        runnable: Runnable[Any, Any] = model
        options: dict[str, Any] = dict(self._bound)
        history = portable(request.messages, self.dialect_for(request), request.accounts)
        if history.unsigned_tool_loop and wire is Wire.ANTHROPIC:
            runnable = model = self._without_thinking()
        if request.options:
            said = options_for(request.options, wire)
            structured = said.pop(STRUCTURED, None)
            if structured is not None and structured.is_text:
                options.update(structured.binding_for(model, wire))
            tools = said.pop("tools", None)
            wanted = {name: said.pop(name) for name in BINDING_OPTIONS if name in said}
            form = wanted.pop("response_format", None)
            if form is not None and not (wire is Wire.ANTHROPIC and _is_without_schema(form)):
                (wanted if tools and not _is_without_schema(form) else options)["response_format"] = form
            if tools:
                runnable, tool_options = self._bind(model, tools, wanted)
                options.update(tool_options)
            options.update(said)
        if history.unsigned_tool_loop and _has_budget(options.get("thinking")):
            del options["thinking"]
        if request.stop is not None:
            options["stop"] = request.stop
        self._limit_time(options, blocking=style in ("call", "stream"))
        direct = self._direct[style] and runnable is model and not options.get("stream")
        return _Prepared(runnable, direct, history.messages, options)

    def dialect_for(self, request: ModelRequest) -> Dialect:
        """OpenAI's models choose between two wires by the options of a call."""
        dialect = self.dialect
        if dialect.wire.is_openai and (request.options or self._bound):
            wire = wire_for(self.model, {**self._bound, **request.options})
            return dialect if wire is dialect.wire else replace(dialect, wire=wire)
        return dialect

    def _bind(self, model: BaseChatModel, tools: Any, wanted: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        known = self._binding
        if known is None or known.model is not model or known.tools is not tools or known.wanted != wanted:
            runnable, options = bind_late(model, tools, wanted, self.dialect.wire)
            known = self._binding = _Binding(model, tools, wanted, runnable, options)
        return known.runnable, known.options

    def _limit_time(self, options: dict[str, Any], *, blocking: bool) -> None:
        """The caller's deadline is the socket's, too: a thread that waits for a silent peer cannot be stopped."""
        attempt = current_attempt()
        if attempt is None or self.dialect.wire is Wire.OTHER:
            return
        given_s = silence_s(options.get("timeout", _own_timeout(self.model)))
        if attempt.remaining_s is not None:
            limit_s = max(attempt.remaining_s, 0.0) + GRACE_S
            if given_s is None or given_s > limit_s:
                options["timeout"] = limit_s
        elif blocking and given_s is None:
            options["timeout"] = LONGEST_SILENCE_S

    def _without_thinking(self) -> BaseChatModel:
        """For a tool loop that was begun without the signed thoughts that Anthropic would insist on."""
        if not _has_budget(getattr(self.model, "thinking", None)):
            return self.model
        if self._unthinking is None:
            self._unthinking = self.model.model_copy(update={"thinking": None})
        return self._unthinking

    def _may_be_direct(self, style: Style) -> bool:
        """Would the public method add anything to the inner one that the outer model has not already done?"""
        model, cls = self.model, type(self.model)
        return (
            not any(self._configs)
            and not self._listeners
            and all(getattr(cls, name) is getattr(BaseChatModel, name) for name in _PUBLIC_METHODS[style])
            and not any(getattr(model, name, None) for name in _OWN_AFFAIRS)
            and not set(model.metadata or ()) - {"lc_versions"}  # which every model has
            and model.output_version != "v1"
            and (style in ("stream", "astream") or not model._should_stream(async_api=style == "acall"))
        )


def _has_budget(thinking: Any) -> bool:
    """Does Claude think as it is told to, rather than where it sees fit? (Then it need not have thought.)"""
    return isinstance(thinking, Mapping) and thinking.get("type") == "enabled"


def _is_without_schema(response_format: Any) -> bool:
    """Plain text, or any JSON object: Anthropic's class refuses the names, and `bind_tools` takes them for schemas."""
    return isinstance(response_format, Mapping) and response_format.get("type") in ("text", "json_object")


def _own_timeout(model: BaseChatModel) -> Any:
    for name in ("request_timeout", "default_request_timeout", "timeout"):
        if hasattr(model, name):
            return getattr(model, name)
    return None
