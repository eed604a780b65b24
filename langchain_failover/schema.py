"""Does a value fit a JSON schema? As much of the standard as tool arguments use, as lenient as pydantic's default mode.

Keywords that are not known here are not checked: a doubt speaks for the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]


def misfit(value: Any, schema: Schema, root: Schema | None = None, at: str = "") -> str | None:
    """What is wrong with `value`, in words, or None when it fits.

    Args:
        value: parsed JSON.
        schema: what it should look like.
        root: where `$ref` points into; the schema itself by default.
        at: the path to `value`, for the words.
    """
    root = schema if root is None else root
    if "$ref" in schema:
        target = _resolved(schema["$ref"], root)
        return None if target is None else misfit(value, target, root, at)
    for keyword in ("anyOf", "oneOf"):
        if schema.get(keyword):
            found = [misfit(value, option, root, at) for option in schema[keyword]]
            return None if None in found else found[0]
    for part in schema.get("allOf", ()):
        problem = misfit(value, part, root, at)
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
        return _object_misfit(value, schema, root, at)
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        problems = (misfit(item, schema["items"], root, f"{at}[{i}]") for i, item in enumerate(value))
        return next((problem for problem in problems if problem is not None), None)
    return None


def _object_misfit(value: Mapping[str, Any], schema: Schema, root: Schema, at: str) -> str | None:
    prefix = f"{at}." if at else ""
    for name in schema.get("required", ()):
        if name not in value:
            return f"{prefix}{name} is missing"
    properties = schema.get("properties") or {}
    for name, item in value.items():
        if name in properties:
            problem = misfit(item, properties[name], root, f"{prefix}{name}")
            if problem is not None:
                return problem
        elif schema.get("additionalProperties") is False:
            return f"{prefix}{name} is not expected"
    return None


def _is(value: Any, kind: str) -> bool:
    match kind:
        case "object":
            return isinstance(value, Mapping)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool) or value in ("true", "false", 0, 1)
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


def _resolved(pointer: str, root: Schema) -> Schema | None:
    found: Any = root
    for part in pointer.removeprefix("#/").split("/"):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found if isinstance(found, Mapping) else None
