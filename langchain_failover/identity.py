"""Who a `ChatFailover` is: what traces, cache keys and middlewares want to know of its targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.language_models import BaseChatModel

from failover_core import Target

from .callee import Callee
from .calling import WrappedModel
from .fit import thinks
from .targets import Trimmed

FAILOVER = "failover"


@dataclass(frozen=True, slots=True)
class Identity:
    """Computed once, since LangChain asks at every call.

    Args:
        accounts: target name -> account, None for an unknown one.
        window_tokens: the smallest known context window, None where none is known.
        thinks, thinks_in_streams: some model reasons without being asked; see `fit.thinks`.
        params: one dict a target, for traces and cache keys; no secrets.
        provider: the provider, if all targets have the same one, else "failover".
        model_name: the models' names, joined by "+".
        models: the wrapped models.
    """

    accounts: Mapping[str, str | None]
    window_tokens: int | None
    thinks: bool
    thinks_in_streams: bool
    params: list[dict[str, Any]]
    provider: str
    model_name: str
    models: tuple[BaseChatModel, ...]

    @classmethod
    def of(cls, targets: Sequence[Target]) -> Identity:
        models = [_model(target) for target in targets]
        providers = {_ls_provider(model, target) for model, target in zip(models, targets, strict=True)}
        return cls(
            accounts={target.name: target.source.dialect.account for target in targets},
            window_tokens=min((t.context_window_tokens for t in targets if t.context_window_tokens), default=None),
            thinks=_any_thinks(models, targets, streaming=False),
            thinks_in_streams=_any_thinks(models, targets, streaming=True),
            params=[_params(target) for target in targets],
            provider=(providers.pop() if len(providers) == 1 else None) or FAILOVER,
            model_name="+".join(dict.fromkeys(target.model or target.name for target in targets)),
            models=tuple(model for model in models if model is not None),
        )


def profiles_of(targets: Iterable[Target]) -> list[Mapping[str, Any] | None]:
    """Each target's profile, None for one that has none."""
    return [_profile(target) for target in targets]


def _profile(target: Target) -> Mapping[str, Any] | None:
    model = _model(target)
    if model is None or model.profile is None or "tools_with_json_schema" not in target.lacks:
        return None if model is None else model.profile
    return {**model.profile, "structured_output": False}  # agents ask for it together with tools


def _model(target: Target) -> BaseChatModel | None:
    callee: Callee = target.source
    while isinstance(callee, Trimmed):
        callee = callee.callee
    return callee.model if isinstance(callee, WrappedModel) else None


def _ls_provider(model: BaseChatModel | None, target: Target) -> str | None:
    return target.provider if model is None else model._get_ls_params().get("ls_provider")


def _params(target: Target) -> dict[str, Any]:
    callee: Callee = target.source
    return {"name": target.name, "provider": target.provider, "model": target.model, **callee.identifying_params()}


def _any_thinks(models: Sequence[BaseChatModel | None], targets: Sequence[Target], *, streaming: bool) -> bool:
    return any(
        model is not None and thinks(model, target.source.dialect.wire, streaming=streaming)
        for model, target in zip(models, targets, strict=True)
    )
