"""From what users give to targets of the core: chat models, bindings, strings, `Target`s, plain callables."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables.base import RunnableBindingBase

from failover_core import ConfigError, Target
from failover_core.client import as_target, checked_targets
from failover_core.model import CALL_STYLES, TARGET_FACTS

from .callee import Callee
from .calling import WrappedModel
from .dialects import model_name_of, provider_of
from .fit import lacks_of, trimmed, window_of
from .free_call import health_check_of
from .quiet import aquietly, quiet_aiterator, quiet_iterator, quietly
from .reader import MessageReader, as_achunks, as_chunks, as_only_chunk, as_result, result_as_chunk
from .request import ModelRequest, resumed

NATIVE_PREFIXES = ("openai", "anthropic", "google", "google_genai", "gemini")


def wrap(model: BaseChatModel | RunnableBindingBase[Any, Any], **facts: Any) -> Target:
    """A target out of a LangChain chat model: `wrap(ChatOpenAI(...), name="eu", region="eu-west-1", tier=1)`.

    Args:
        model: a chat model, or a binding around one.
        facts: `name`, `provider`, `model`, `region`, `tier`, `weight`, `tags`, `lacks`, `context_window_tokens` and
            the prices of `Target`, its `max_concurrent` and `health_check`. What is left out is taken from the model
            and its `profile`.

    Raises:
        ConfigError: for anything but a chat model, or facts that `Target` refuses.
    """
    return _wrapped(model, facts)


def made_targets(given: Sequence[Any]) -> tuple[Target, ...]:
    """The core's targets for what a user gave.

    Raises:
        ConfigError: for nothing at all, for what cannot be a target, and for two explicit names that are the same.
    """
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ConfigError(f"targets={given!r}: pass a list, such as ChatFailover(targets=[ChatOpenAI(...), ...])")
    if not given:
        raise ConfigError("There are no targets: pass at least one, two to have something to fail over to")
    taken = {target.name for target in given if isinstance(target, Target)}
    return checked_targets([_target(item, taken) for item in given])


def _target(given: Any, taken: set[str]) -> Target:
    """One target; `taken` are the names in use, to which a derived name is added."""
    if isinstance(given, Target):
        return given if isinstance(given.source, Callee) else _served_by(_callee_for(given), given)
    if isinstance(given, str):
        target = _of_string(given)
    elif isinstance(given, BaseChatModel | RunnableBindingBase):
        target = _wrapped(given, {})
    elif callable(given) and not hasattr(given, "invoke"):
        target = as_target(given)
        target = _served_by(PlainCallable(target), target)
    else:
        raise ConfigError(
            f"{type(given).__name__} is not a chat model: pass a BaseChatModel, a model with bound options, a string "
            "such as 'openai:gpt-4o-mini', or Target('name', call=chain.invoke)"
        )
    name, number = target.name, 2
    while target.name in taken:
        target = replace(target, name=f"{name}#{number}")
        number += 1
    taken.add(target.name)
    return target


def _wrapped(given: Any, facts: dict[str, Any]) -> Target:
    inner = given
    while isinstance(inner, RunnableBindingBase):
        inner = inner.bound
    if not isinstance(inner, BaseChatModel):
        raise ConfigError(f"{type(inner).__name__} is not a chat model: pass a BaseChatModel or a binding around one")
    unknown = sorted(facts.keys() - TARGET_FACTS)
    if unknown:
        raise ConfigError(f"wrap(..., {unknown[0]}=...): there is no such fact; use {', '.join(sorted(TARGET_FACTS))}")
    callee = WrappedModel(given)
    model = model_name_of(inner)
    derived = Target(
        name=f"{type(inner).__name__}:{model}" if model else type(inner).__name__,
        call=callee.call,
        provider=provider_of(inner),
        model=model,
        context_window_tokens=window_of(inner, callee.dialect.wire),
        lacks=lacks_of(inner, callee.dialect.wire),
        health_check=health_check_of(callee.model, callee.dialect.wire),
    )
    return _served_by(callee, replace(derived, **facts))


def _of_string(spec: str) -> Target:
    prefix, colon, _ = spec.partition(":")
    if colon and prefix.strip().lower() in NATIVE_PREFIXES:
        native = Target.native(spec)
        return _served_by(_callee_for(native), native)
    try:
        from langchain.chat_models import init_chat_model
    except ImportError:
        known = ", ".join(f"'{name}:MODEL'" for name in NATIVE_PREFIXES[:3])
        raise ConfigError(
            f"{spec!r} is not a native target: write one of {known}, pass a chat model instance, or install "
            "`langchain`, whose init_chat_model knows more prefixes"
        ) from None
    try:
        model = init_chat_model(spec)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{spec!r}: {error}") from error
    return _wrapped(model, {"name": spec})


def _callee_for(target: Target) -> Callee:
    if type(target.source).__module__.startswith("llamaindex_failover"):
        raise ConfigError(
            f"The target {target.name!r} does not speak LangChain: give targets=[...] that do as well, under the same "
            "names; then failover= shares their health"
        )
    if type(target.source).__module__.startswith("failover_core.providers"):
        from .native import NativeCallee

        return NativeCallee(target)
    return PlainCallable(target)


def _served_by(callee: Callee, target: Target) -> Target:
    """The same target, called through `callee`."""
    return replace(
        target,
        call=callee.call if "call" in callee.styles else None,
        acall=callee.acall if "acall" in callee.styles else None,
        stream=callee.stream if "stream" in callee.styles else None,
        astream=callee.astream if "astream" in callee.styles else None,
        reader=callee.reader,
        resume=resumed,
        source=callee,
        lacks=target.lacks | callee.lacks,
    )


class PlainCallable(Callee):
    """A target of plain callables: they get the list of messages, and may answer with a str, a message or a result.

    Where there is nothing to stream from, the whole answer is the only chunk.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.reader = MessageReader()
        given = {style for style in CALL_STYLES if getattr(target, style) is not None}
        if "call" in given:
            given.add("stream")
        if "acall" in given and "stream" not in given:
            given.add("astream")
        self.styles = frozenset(given)

    def identifying_params(self) -> dict[str, Any]:
        functions = (getattr(self.target, style) for style in CALL_STYLES)
        return {"functions": [_qualified_name(function) for function in functions if function is not None]}

    def _call(self, request: ModelRequest) -> ChatResult:
        assert self.target.call is not None
        return as_result(quietly(self.target.call, request.messages))

    async def _acall(self, request: ModelRequest) -> ChatResult:
        assert self.target.acall is not None
        return as_result(await aquietly(self.target.acall, request.messages))

    def _stream(self, request: ModelRequest) -> Iterator[ChatGenerationChunk]:
        if self.target.stream is None:
            yield result_as_chunk(self._call(request))
        else:
            yield from as_chunks(quiet_iterator(self.target.stream, request.messages))

    def _astream(self, request: ModelRequest) -> AsyncIterator[ChatGenerationChunk]:
        if self.target.astream is None:
            return as_only_chunk(self._acall(request))
        return as_achunks(quiet_aiterator(self.target.astream, request.messages))


def _qualified_name(function: Any) -> str:
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


class Trimmed(Callee):
    """A target that gets as much of the conversation as fits.

    Args:
        callee: of the target.
        window_tokens: the target's context window.
        rule: see `fit.trimmed`.
    """

    def __init__(self, callee: Callee, window_tokens: int, rule: Any) -> None:
        self.callee = callee
        self.reader, self.dialect, self.styles, self.lacks = callee.reader, callee.dialect, callee.styles, callee.lacks
        self._window_tokens = window_tokens
        self._rule = rule

    def identifying_params(self) -> dict[str, Any]:
        return {**self.callee.identifying_params(), "trimmed_to_tokens": self._window_tokens}

    def _call(self, request: ModelRequest) -> ChatResult:
        return self.callee._call(self._fitting(request))

    async def _acall(self, request: ModelRequest) -> ChatResult:
        return await self.callee._acall(self._fitting(request))

    def _stream(self, request: ModelRequest) -> Iterator[ChatGenerationChunk]:
        return self.callee._stream(self._fitting(request))

    def _astream(self, request: ModelRequest) -> AsyncIterator[ChatGenerationChunk]:
        return self.callee._astream(self._fitting(request))

    def _fitting(self, request: ModelRequest) -> ModelRequest:
        messages = trimmed(request.messages, self._window_tokens, request.options, self._rule)
        return request if messages is request.messages else replace(request, messages=messages)


def trimming(target: Target, rule: Any) -> Target:
    """`target`, which now trims the conversation instead of being skipped when it is too long."""
    if target.context_window_tokens is None:
        return target
    trimmed_target = _served_by(Trimmed(target.source, target.context_window_tokens, rule), target)
    return replace(trimmed_target, context_window_tokens=None)
