"""Whatever may be given for a target, as a core `Target` that answers `Request`s."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from llama_index.core.llms import LLM

from failover_core import ConfigError, Failover, Settings, Target
from failover_core.model import CALL_STYLES, TARGET_FIELDS

from .adapter import LLMAdapter
from .families import OTHER
from .free_call import health_check_of

OPTIONS = TARGET_FIELDS - {"name", *CALL_STYLES, "reader", "resume", "source"}
# LlamaIndex has blocks for these, but the providers' APIs have no place for them.
_NOT_NATIVE = {"openai": frozenset({"video"}), "anthropic": frozenset({"audio", "video"})}


def wrap(llm: LLM | Callable[[], LLM], name: str | None = None, **options: Any) -> Target:
    """A LlamaIndex LLM, or a function that makes one, as a target with facts of its own.

    Args:
        llm: the LLM, or a function without arguments that makes it at the first call. It may fail: that is the
            target's failure, and it is tried again at the next call.
        name: under which health is kept; None = from the class and the model, such as "OpenAI:gpt-4o".
        options: fields of `Target`: `provider`, `model`, `region`, `context_window_tokens`, `lacks`, `tags`,
            `weight`, `tier`, `max_concurrent`, the prices, `health_check`. They go before what the LLM says of itself,
            and are all that is known of a function's LLM.

    Raises:
        ConfigError: for anything else, an unknown option, or an LLM of a model that its class does not know.

    Warns:
        RuntimeWarning: when the LLM's own retries cannot be switched off.
    """
    unknown = sorted(set(options) - OPTIONS)
    if unknown:
        raise ConfigError(f"wrap(..., {unknown[0]}=...) is not an option; use name, {', '.join(sorted(OPTIONS))}")
    if isinstance(llm, LLM):
        _refuse_failover(llm)
        return _target_of(LLMAdapter(name or _derived_name(llm), llm), options)
    if _is_factory(llm):
        return _target_of(LLMAdapter(name or _name_of_factory(llm, options), factory=llm), options)
    raise ConfigError(
        f"{llm!r:.80} is not a LlamaIndex LLM, nor a function without arguments that makes one: write OpenAI(...), "
        "lambda: OpenAI(...), 'openai:MODEL', or Target('name', call=...) for a function of your own"
    )


def as_targets(specs: Sequence[Any]) -> list[Target]:
    """Targets made of LLMs, factories, native strings and core targets. Derived names are made unique; names that were
    given are left alone.

    Raises:
        ConfigError: for none, for a failover of failovers, for anything that is not a target.
    """
    if isinstance(specs, str) or not isinstance(specs, Sequence):
        raise ConfigError(
            f"targets={specs!r:.80}: pass a list, such as FailoverLLM(targets=[OpenAI(...), Anthropic(...)])"
        )
    if not specs:
        raise ConfigError("There are no targets: pass at least one, two to have something to fail over to")
    taken = {spec.name for spec in specs if isinstance(spec, Target)}
    targets: list[Target] = []
    for spec in specs:
        target = as_target(spec)
        if not isinstance(spec, Target):
            target = _renamed(target, _unique(target.name, taken))
            taken.add(target.name)
        targets.append(target)
    return targets


def as_target(spec: Any) -> Target:
    """One target; see `as_targets`."""
    _refuse_failover(spec)
    target = Target.native(spec) if isinstance(spec, str) else spec
    if not isinstance(target, Target):
        return wrap(target)
    if isinstance(target.source, LLMAdapter):
        return target
    if type(target.source).__module__.startswith("langchain_failover"):
        raise _not_ours(target)
    return _of_native(target) if _is_native(target) else _of_functions(target)


def _is_native(target: Target) -> bool:
    providers = sys.modules.get("failover_core.providers")  # loaded by the first native target
    return providers is not None and isinstance(target.source, providers.NativeChat)


def _of_native(target: Target) -> Target:
    from .native import NativeLLM

    llm = NativeLLM(target)
    lacks = target.lacks | _NOT_NATIVE.get(target.provider or "", frozenset())
    health_check = llm.health_check if target.health_check is not None else None
    return _adapted(replace(target, lacks=lacks, health_check=health_check), LLMAdapter(target.name, llm), CALL_STYLES)


def _of_functions(target: Target) -> Target:
    from .functions import FunctionLLM, serves

    adapter = LLMAdapter(target.name, FunctionLLM(target))
    styles = [style for style in CALL_STYLES if serves(target, style)]
    return _adapted(replace(target, lacks=target.lacks | {"tools"}), adapter, styles)


def adapter_of(target: Target) -> LLMAdapter:
    """The adapter behind a target of this package.

    Raises:
        ConfigError: for a target of another kind.
    """
    if isinstance(target.source, LLMAdapter):
        return target.source
    raise _not_ours(target)


def default_settings(targets: Sequence[Target]) -> Settings:
    """The usual ones. But what the only target says is passed on as it comes where nothing is known of its class:
    nobody else could be asked, and an answer that looks empty may be all it has to say.
    """
    if len(targets) == 1 and adapter_of(targets[0]).family is OTHER:
        return Settings(output_checks=False, hold_back_tokens=0, hold_back_s=0.0)
    return Settings()


def _not_ours(target: Target) -> ConfigError:
    return ConfigError(
        f"The target {target.name!r} does not speak LlamaIndex: give targets=[...] that do as well, under the same "
        "names; then failover= shares their health"
    )


def _target_of(adapter: LLMAdapter, options: dict[str, Any]) -> Target:
    facts = adapter.facts
    known: dict[str, Any] = {"provider": adapter.family.provider, "health_check": health_check_of(adapter)}
    if facts is not None:
        known.update(model=facts.model, context_window_tokens=facts.context_window_tokens, lacks=facts.lacks)
    known.update(options)
    known.update({name: frozenset(known[name]) for name in ("lacks", "tags") if name in known})
    return _adapted(Target(adapter.name, call=adapter.call, **known), adapter, CALL_STYLES)


def _adapted(target: Target, adapter: LLMAdapter, styles: Sequence[str]) -> Target:
    """`target` with the callables of `adapter` in the call styles that it can serve."""
    callables: dict[str, Any] = {style: getattr(adapter, style) if style in styles else None for style in CALL_STYLES}
    return replace(target, **callables, reader=adapter.reader, resume=adapter.resume, source=adapter)


def _renamed(target: Target, name: str) -> Target:
    if name == target.name:
        return target
    adapter_of(target).name = name
    return replace(target, name=name)


def _unique(name: str, taken: set[str]) -> str:
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name}#{number}"
    return unique


def _derived_name(llm: LLM) -> str:
    model = getattr(llm, "model", None)
    cls = type(llm).__name__
    return f"{cls}:{model}" if isinstance(model, str) and model else cls


def _name_of_factory(factory: Callable[..., Any], options: dict[str, Any]) -> str:
    name = getattr(factory, "__name__", type(factory).__name__)
    name = "LLM" if name == "<lambda>" else name
    return f"{name}:{options['model']}" if options.get("model") else name


def _is_factory(spec: Any) -> bool:
    """Can it be called without arguments?"""
    if not callable(spec):
        return False
    try:
        parameters = inspect.signature(spec).parameters.values()
    except (TypeError, ValueError):
        return True
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return all(p.default is not inspect.Parameter.empty or p.kind in optional for p in parameters)


def _refuse_failover(spec: Any) -> None:
    if isinstance(spec, Failover) or isinstance(getattr(spec, "failover", None), Failover):
        raise ConfigError(
            "A failover cannot be a target of a failover: list its targets instead, or share it with failover=..."
        )
