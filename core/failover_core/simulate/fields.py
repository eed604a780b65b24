"""Checks of what people write in a scenario, so that a mistake is named and not simulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from math import isfinite
from typing import Any, TypeVar

from ..failure import ConfigError

T = TypeVar("T")


def made(kind: type[T], data: object, what: str) -> T:
    """An object of a dataclass from plain data.

    Args:
        what: how to call it in an error, such as "scenario 'brown-out': incident 1".

    Raises:
        ConfigError: for data that is no object, a field that does not exist, one that is missing, or a wrong value.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{what}: {data!r} is no object; write {{...}} with fields of {kind.__name__}")
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    unknown = [repr(name) for name in data if name not in known]
    if unknown:
        raise ConfigError(f"{what} has no field {', '.join(unknown)}: write some of {', '.join(known)}")
    try:
        return kind(**data)
    except TypeError as error:  # only a missing field is left
        raise ConfigError(f"{what}: {str(error).partition(' ')[2]}") from error
    except ConfigError as error:
        raise ConfigError(f"{what}: {error}") from error


def need(of: object, name: str, fits: bool, wanted: str) -> None:
    """Refuse the value of a field, unless it `fits`.

    Raises:
        ConfigError: naming the field and what to write instead.
    """
    if not fits:
        raise ConfigError(f"{type(of).__name__}({name}={getattr(of, name)!r}): write {wanted}")


def number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def need_numbers(of: object, *names: str, above: float | None = None) -> None:
    """At least 0, or above `above`."""
    for name in names:
        value = getattr(of, name)
        fits = number(value) and (value >= 0 if above is None else value > above)
        need(of, name, fits, "a number of at least 0" if above is None else f"a number above {above:g}")


def need_shares(of: object, *names: str) -> None:
    for name in names:
        need(of, name, number(getattr(of, name)) and 0 <= getattr(of, name) <= 1, "a share from 0 to 1")


def need_flags(of: object, *names: str) -> None:
    for name in names:
        need(of, name, isinstance(getattr(of, name), bool), "true or false")


def need_choice(of: object, name: str, choices: tuple[str, ...]) -> None:
    need(of, name, getattr(of, name) in choices, "one of " + ", ".join(map(repr, choices)))


def need_name(of: object, name: str) -> None:
    value = getattr(of, name)
    need(of, name, isinstance(value, str) and bool(value.strip()), "a name")
