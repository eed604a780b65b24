"""Does a value fit a JSON schema? As much of the standard as tool arguments use, as lenient as pydantic's default mode.

Keywords that are not known here are not checked, and what cannot be read is passed: a doubt speaks for the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import is_typeddict

Schema = Any
"""A mapping of keywords; JSON Schema allows `true` and `false` in its place, and users write stranger things."""


def misfit(value: Any, schema: Schema, made_from: Any = None) -> str | None:
    """What is wrong with `value`, in words, or None when it fits.

    Args:
        value: parsed JSON.
        schema: what it should look like.
        made_from: what the schema was made from. LangChain's conversion of a `TypedDict` forgets `total=False`, and
            `Optional`: anything may be null then.
    """
    try:
        optional: frozenset[str] = getattr(made_from, "__optional_keys__", frozenset())
        return _Check(schema, is_typeddict(made_from), optional).misfit(value, schema, "")
    except Exception:  # also a RecursionError, of a reference to itself
        return None


@dataclass(frozen=True, slots=True)
class _Check:
    """One check. `at` is the path to a value, for the words.

    Args:
        root: where `$ref` points into.
        nulls: null is allowed everywhere.
        optional: keys of the whole that may be left out, whatever the schema says.
    """

    root: Schema
    nulls: bool
    optional: frozenset[str]

    def misfit(self, value: Any, schema: Schema, at: str) -> str | None:
        if schema is False:
            return f"{at or 'it'} is not expected"
        if not isinstance(schema, Mapping) or (value is None and (self.nulls or schema.get("nullable") is True)):
            return None
        if "$ref" in schema:
            return self.misfit(value, _resolved(schema["$ref"], self.root), at)
        for keyword in ("anyOf", "oneOf"):
            if schema.get(keyword):
                found = [self.misfit(value, option, at) for option in schema[keyword]]
                return None if None in found else found[0]
        for part in schema.get("allOf") or ():
            problem = self.misfit(value, part, at)
            if problem is not None:
                return problem
        if "enum" in schema and value not in schema["enum"]:
            return f"{at or 'it'} is {value!r}, not one of {schema['enum']!r}"
        if "const" in schema and value != schema["const"]:
            return f"{at or 'it'} is {value!r}, not {schema['const']!r}"
        kinds = schema.get("type")
        if kinds is not None:
            allowed = [kinds] if isinstance(kinds, str) else list(kinds)
            if not any(_is(value, kind) for kind in allowed):
                return f"{at or 'it'} is {value!r}, not {' or '.join(allowed)}"
        if isinstance(value, Mapping):
            return self._object_misfit(value, schema, at)
        if isinstance(value, list) and isinstance(schema.get("items"), Mapping) and "prefixItems" not in schema:
            problems = (self.misfit(item, schema["items"], f"{at}[{i}]") for i, item in enumerate(value))
            return next((problem for problem in problems if problem is not None), None)
        return None

    def _object_misfit(self, value: Mapping[str, Any], schema: Mapping[str, Any], at: str) -> str | None:
        prefix = f"{at}." if at else ""
        required = schema.get("required") or ()
        for name in required:
            if name not in value and (at or name not in self.optional):
                return f"{prefix}{name} is missing"
        properties = schema.get("properties") or {}
        for name, item in value.items():
            if name in properties:
                if item is None and name not in required:
                    continue  # models say null for what they leave out, and converted schemas forget `Optional`
                problem = self.misfit(item, properties[name], f"{prefix}{name}")
                if problem is not None:
                    return problem
            elif schema.get("additionalProperties") is False and not schema.get("patternProperties"):
                return f"{prefix}{name} is not expected"
        return None


_BOOLEANS = frozenset({"true", "false", "1", "0", "yes", "no", "y", "n", "on", "off", "t", "f"})  # pydantic's


def _is(value: Any, kind: str) -> bool:
    match kind:
        case "object":
            return isinstance(value, Mapping)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool) or str(value).lower() in _BOOLEANS
        case "null":
            return value is None
        case "integer" | "number":
            return _is_number(value, whole=kind == "integer")
        case _:
            return True


def _is_number(value: Any, *, whole: bool) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return False
    return isinstance(value, int | float) and (not whole or float(value).is_integer())


def _resolved(pointer: str, root: Schema) -> Schema:
    """What a reference means; None, which everything fits, where that is not found."""
    found: Any = root
    for part in pointer.removeprefix("#/").split("/"):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found
