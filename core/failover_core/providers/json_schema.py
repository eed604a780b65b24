"""JSON schemas in the narrower dialects that providers enforce. Pure: a new schema is returned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_MAPS = ("properties", "$defs", "definitions")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLES = ("items", "not", "additionalProperties")

# Not enforced, and refused: platform.claude.com/docs/en/build-with-claude/structured-outputs
_ANTHROPIC_REFUSES = (
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems",
    "uniqueItems", "minProperties", "maxProperties",
)  # fmt: skip


def openai_strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI's strict mode: every object is closed and all of its properties are required.

    https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
    """

    def strict(node: dict[str, Any]) -> dict[str, Any]:
        if _is_object(node):
            node["additionalProperties"] = False
            node["required"] = list(node.get("properties", {}))
        if node.get("default", ...) is None:
            del node["default"]
        if "oneOf" in node:
            node["anyOf"] = node.pop("oneOf")
        if "$ref" in node:  # a reference must stand alone
            return {"$ref": node["$ref"]}
        return node

    return _walked(schema, strict)


def anthropic_strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Anthropic's structured outputs: closed objects; limits that they refuse are told in the description instead."""

    def strict(node: dict[str, Any]) -> dict[str, Any]:
        if _is_object(node):
            node["additionalProperties"] = False
        told = {key: node.pop(key) for key in _ANTHROPIC_REFUSES if key in node}
        if node.get("minItems", 0) > 1:
            told["minItems"] = node.pop("minItems")
        if "oneOf" in node:
            node["anyOf"] = node.pop("oneOf")
        if told:
            limits = ", ".join(f"{key}: {value}" for key, value in told.items())
            node["description"] = f"{node['description']} ({limits})" if node.get("description") else limits
        return node

    return _walked(schema, strict)


def _is_object(node: Mapping[str, Any]) -> bool:
    kind = node.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind) or (kind is None and "properties" in node)


def _walked(schema: Mapping[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """A copy with every subschema changed, the inner ones first. Names of properties are not mistaken for keywords."""
    node = dict(schema)
    for key in _MAPS:
        if isinstance(node.get(key), Mapping):
            node[key] = {name: _sub(inner, change) for name, inner in node[key].items()}
    for key in _LISTS:
        if isinstance(node.get(key), list):
            node[key] = [_sub(inner, change) for inner in node[key]]
    for key in _SINGLES:
        if key in node:
            node[key] = _sub(node[key], change)
    return change(node)


def _sub(inner: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    return _walked(inner, change) if isinstance(inner, Mapping) else inner
