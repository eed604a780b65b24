"""A `FailoverLLM` as plain data and back, without its secrets.

LlamaIndex's own `to_dict` of an LLM shows its API key, and its `from_dict` knows no LLM inside another.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from llama_index.core.llms import LLM

from failover_core import ConfigError, Settings, Target
from failover_core.redact import redact

from .families import FUNCTION, GEMINI, NATIVE, family_of
from .targets import adapter_of, default_settings, wrap

if TYPE_CHECKING:
    from .llm import FailoverLLM

TARGETS, SETTINGS = "failover_targets", "failover_settings"
_SECRET = re.compile(r"key|token(?!s)|secret|passw|auth|credential|header|cookie|signature|session", re.I)
_PRICES = ("input_usd_per_million", "output_usd_per_million")
_FACTS = ("region", "context_window_tokens", "weight", "tier", "max_concurrent", *_PRICES)
_NATIVE_OPTIONS = ("base_url", "timeout_s")


def as_data(llm: FailoverLLM) -> dict[str, Any]:
    """Targets and settings as data: no secret, and nothing that JSON has no word for."""
    data: dict[str, Any] = {TARGETS: [_target_as_data(target) for target in llm.failover.targets]}
    if llm.settings != default_settings(llm.failover.targets):
        data[SETTINGS] = {name: value for name, value in asdict(llm.settings).items() if name != "validators"}
    if isinstance(llm.policy, str):
        data["policy"] = llm.policy
    return data


def from_data(data: Mapping[str, Any], *, with_targets: bool = True) -> dict[str, Any]:
    """Arguments of a `FailoverLLM` out of its data.

    Raises:
        ConfigError: for a target that was a function, or an LLM that was not built when its data were made.
    """
    arguments = {name: value for name, value in data.items() if name not in (TARGETS, SETTINGS, "class_name")}
    if data.get(SETTINGS) is not None:
        arguments["settings"] = Settings(**data[SETTINGS])
    if with_targets:
        arguments["targets"] = [_target_from_data(target) for target in data.get(TARGETS, ())]
    return arguments


def _target_as_data(target: Target) -> dict[str, Any]:
    adapter = adapter_of(target)
    facts = {name: getattr(target, name) for name in _FACTS}
    data = {"name": target.name, **facts, "tags": sorted(target.tags), "lacks": sorted(target.lacks)}
    llm: Any = adapter.llm
    if adapter.family is NATIVE:
        options = llm.target.source.options
        told = {name: getattr(options, name) for name in _NATIVE_OPTIONS}
        return {**data, "native": f"{target.provider}:{target.model}", "config": without_secrets(told)}
    if llm is None or adapter.family is FUNCTION:
        return data
    return {**data, "llm": f"{type(llm).__module__}:{type(llm).__qualname__}", "config": _config_of(llm)}


def _config_of(llm: LLM) -> dict[str, Any]:
    config: dict[str, Any] = without_secrets(llm.to_dict())
    if family_of(llm) is GEMINI:  # without these its constructor asks the provider
        config.update(max_tokens=llm.metadata.num_output, context_window=llm.metadata.context_window)
    return config


def _target_from_data(data: Mapping[str, Any]) -> Target:
    config = dict(data.get("config") or {})
    options = {name: data[name] for name in (*_FACTS, "tags", "lacks") if data.get(name) is not None}
    if "native" in data:
        return Target.native(data["native"], name=data["name"], **options, **config)
    if "llm" not in data:
        raise ConfigError(f"The target {data['name']!r} cannot be made of data: pass from_dict(..., targets=[...])")
    cls = _class_named(data["llm"])
    try:
        return wrap(cls.from_dict(config), data["name"], **options)
    except Exception:  # some want a key, or their provider, at once: that is the target's failure, at its first call
        return wrap(lambda: cls.from_dict(config), data["name"], **options)


def _class_named(path: str) -> type[LLM]:
    module, _, name = path.partition(":")
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    if not (isinstance(found, type) and issubclass(found, LLM)):
        raise ConfigError(f"{path!r} is not an LLM of LlamaIndex")
    return found


def picklable(arguments: dict[str, Any]) -> dict[str, Any]:
    """The same arguments of a `FailoverLLM` where all of them can be pickled.

    An error would not be heard: the LlamaIndex component that holds the LLM drops what cannot be pickled, and is given
    OpenAI's default LLM where it is loaded. So the LLM arrives, and each of its targets fails with what went wrong.

    Warns:
        RuntimeWarning: for arguments that cannot be pickled.
    """
    try:
        pickle.dumps(arguments)
    except Exception as error:
        told = f"a FailoverLLM that cannot be pickled was pickled ({error}): use functions at the top level of a module"
        warnings.warn(told, RuntimeWarning, stacklevel=3)
        return {"targets": [_lost(target, told) for target in arguments["targets"]]}
    return arguments


def _lost(target: Target, told: str) -> Target:
    facts = {name: getattr(target, name) for name in ("model", "lacks", *_FACTS)}
    return wrap(partial(_fail, told), target.name, **facts)


def _fail(told: str) -> LLM:
    raise ConfigError(told)


def without_secrets(value: Any) -> Any:
    """Data without whatever is named like a secret or looks like one, and without what JSON has no word for."""
    if isinstance(value, Mapping):
        kept = {name: item for name, item in value.items() if not _SECRET.search(str(name)) and _is_data(item)}
        return {name: without_secrets(item) for name, item in kept.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(item) for item in value if _is_data(item)]
    return redact(value) if type(value) is str else value


def _is_data(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool | list | tuple | Mapping)
