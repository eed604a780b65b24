"""From the arguments of `ChatFailover` to the core's `Failover`, new or shared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any
from weakref import WeakKeyDictionary

from failover_core import ConfigError, Failover, Settings, Target
from failover_core.settings import SETTING_NAMES

from .callee import Callee
from .fit import checked_fit
from .targets import made_targets, trimming

_given: WeakKeyDictionary[Failover, list[Any]] = WeakKeyDictionary()
"""What the targets of a failover were made of: LangChain builds configured copies of a model from its fields."""


def assembled(values: Mapping[str, Any]) -> Failover:
    """The failover for these arguments of `ChatFailover`.

    Raises:
        ConfigError: for targets, settings or a `failover=` that cannot work.
    """
    given, shared = values.get("targets"), values.get("failover")
    if shared is not None and not isinstance(shared, Failover):
        raise ConfigError(f"failover={shared!r}: pass the .failover of another ChatFailover")
    _refuse_cycles(shared, given)
    if shared is not None and _unchanged(shared, values):
        return shared
    if given is None:
        given = shared.targets if shared is not None else ()
    fit, trim = values.get("fit", "skip"), values.get("trim")
    checked_fit(fit, trim)
    targets = made_targets(given)
    if fit == "trim":
        targets = tuple(trimming(target, trim) for target in targets)
    settings = _settings(values.get("settings"))
    policy = values.get("policy", "priority" if shared is None else shared.policy)
    if settings is None and shared is not None:
        settings = shared.settings
    failover = Failover(targets, settings, policy, health_of=shared)
    _given[failover] = list(given)
    return failover


def misnamed(name: str, fields: Iterable[str]) -> str:
    """What to write instead of an argument that `ChatFailover` does not have."""
    if name in SETTING_NAMES:
        return f"this is a setting, write settings=Settings({name}=...)"
    near = get_close_matches(name, list(fields), n=1)
    if near:
        return f"there is no such argument, did you mean {near[0]}=?"
    return f"there is no such argument; options of the models go to the models themselves, or to .bind({name}=...)"


def _unchanged(shared: Failover, values: Mapping[str, Any]) -> bool:
    """Would a new failover be the same as the one to share?"""
    if not all(isinstance(target.source, Callee) for target in shared.targets):
        return False  # it belongs to the core or to another framework, and takes other requests than ours
    if values.get("settings") not in (None, shared.settings):
        return False
    if values.get("policy", shared.policy) != shared.policy:
        return False
    given = values.get("targets")
    return given is None or _same(given, _given.get(shared, ())) or _same(given, shared.targets)


def _same(given: Sequence[Any], known: Sequence[Any]) -> bool:
    return len(given) == len(known) and all(new is old or new == old for new, old in zip(given, known, strict=True))


def _settings(settings: Any) -> Settings | None:
    if settings is not None and not isinstance(settings, Settings):
        raise ConfigError(f"settings={settings!r}: pass Settings(...), such as Settings(deadline_s=20)")
    return settings


def _refuse_cycles(shared: Any, given: Any) -> None:
    """Only a failover that exists already can be inside of its own targets."""
    if shared is None or not isinstance(given, Sequence):
        return
    if any(inner is shared for item in given for inner in _failovers_in(item)):
        raise ConfigError("A target of this ChatFailover is this failover itself: give it targets of its own")


def _failovers_in(item: Any) -> Iterator[Failover]:
    """The failovers inside of a target or a model, at any depth."""
    if isinstance(item, Target):
        item = getattr(item.source, "given", None)
    while hasattr(item, "bound"):
        item = item.bound
    inner = getattr(item, "failover", None)
    if isinstance(inner, Failover):
        yield inner
        for target in inner.targets:
            yield from _failovers_in(target)
