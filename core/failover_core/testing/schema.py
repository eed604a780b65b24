"""Values that fit a JSON schema: what a well-behaved model would put into tool arguments and structured output.

`fill` is deterministic. It takes numbers and quoted strings from the text that it is given, in order, so that
"add 3 and 4" calls `add(a=3, b=4)`; what the text does not offer gets a plain placeholder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w])")
_QUOTED = re.compile(r"\"([^\"\n]{1,200})\"|(?<!\w)'([^'\n]{1,200})'(?!\w)")
_FORMATS = {
    "date": "2025-01-15",
    "date-time": "2025-01-15T12:00:00Z",
    "time": "12:00:00",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_DEEPEST = 5  # below it, optional and repeated parts are left out, so that recursive schemas end


def fill(schema: Mapping[str, Any], text: str = "") -> Any:
    """A value that is valid under `schema` (JSON schema, or Gemini's dialect with upper-case types).

    Args:
        schema: understood are type, properties, required, items, enum, const, default, anyOf, oneOf, allOf, $ref,
            nullable, format, and the limits on numbers, lengths and items.
        text: where numbers and quoted strings are taken from.
    """
    return _Filler(schema, text).value(schema, name="value", depth=0)


class _Filler:
    def __init__(self, root: Mapping[str, Any], text: str) -> None:
        self.root = root
        self.text = text
        self.numbers: Iterator[str] = iter(_NUMBER.findall(text))
        self.strings: Iterator[str] = (a or b for a, b in _QUOTED.findall(text))

    def value(self, schema: Mapping[str, Any] | bool, name: str, depth: int) -> Any:
        if isinstance(schema, bool):
            return f"example {name}"
        schema = self._resolved(schema, depth)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return next((v for v in schema["enum"] if str(v).lower() in self.text.lower()), schema["enum"][0])
        kind = _type_of(schema)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, name, depth)
        if kind in ("integer", "number"):
            return self._number(schema, whole=kind == "integer")
        if kind == "boolean":
            return True
        if kind == "null":
            return None
        return self._string(schema, name)

    def _resolved(self, schema: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
        """Follow references and choose one of the alternatives, until nothing is left to choose."""
        for _ in range(50):
            if "$ref" in schema:
                rest = {key: value for key, value in schema.items() if key != "$ref"}
                schema = {**self._target(str(schema["$ref"])), **rest}
            elif "allOf" in schema:
                schema = _merged(schema, [self._resolved(part, depth) for part in schema["allOf"]])
            elif "anyOf" in schema or "oneOf" in schema:
                options = schema.get("anyOf") or schema.get("oneOf") or [{}]
                concrete = [option for option in options if option.get("type") != "null"]
                chosen = options[-1] if depth > _DEEPEST and len(concrete) < len(options) else (concrete or options)[0]
                rest = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
                schema = {**rest, **chosen}
            else:
                break
        return schema

    def _target(self, reference: str) -> Mapping[str, Any]:
        node: Any = self.root
        for step in reference.removeprefix("#").strip("/").split("/"):
            node = node.get(step.replace("~1", "/").replace("~0", "~"), {}) if step else node
        return node if isinstance(node, Mapping) else {}

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        required = schema.get("required")
        values = {}
        for name, child in schema.get("properties", {}).items():
            wanted = required is None or name in required
            has_default = isinstance(child, Mapping) and "default" in child
            if wanted or not (has_default or depth >= _DEEPEST):
                values[name] = self.value(child, name, depth + 1)
        return values

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        count = int(schema.get("minItems", 0 if depth >= _DEEPEST else 1))
        heads = schema.get("prefixItems", [])
        count = max(count, len(heads))
        items = schema.get("items", {})
        return [self.value(heads[i] if i < len(heads) else items, name, depth + 1) for i in range(count)]

    def _number(self, schema: Mapping[str, Any], *, whole: bool) -> int | float:
        found = float(next(self.numbers, 1))
        low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
        if low is not None and found <= low:
            found = low + 1 if "exclusiveMinimum" in schema else low
        if high is not None and found > high:
            found = high
        return int(found) if whole or float(found).is_integer() else found

    def _string(self, schema: Mapping[str, Any], name: str) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        text = next(self.strings, f"example {name.replace('_', ' ')}")
        text = text.ljust(int(schema.get("minLength", 0)), ".")
        return text[: int(schema["maxLength"])] if "maxLength" in schema else text


def _type_of(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if kind is None:
        kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(kind).lower()


def _merged(schema: Mapping[str, Any], parts: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    whole: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
    for part in parts:
        properties = {**whole.get("properties", {}), **part.get("properties", {})}
        required = [*whole.get("required", []), *part.get("required", [])]
        whole = {**part, **whole}
        if properties:
            whole["properties"] = properties
        if required:
            whole["required"] = required
    return whole
