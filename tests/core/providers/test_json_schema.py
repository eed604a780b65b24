from __future__ import annotations

from failover_core.providers.json_schema import anthropic_strict, openai_strict

SCHEMA = {
    "type": "object",
    "properties": {
        "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}, "minItems": 2},
        "required": {
            "type": ["object", "null"],
            "properties": {"x": {"type": "integer", "minimum": 0}},
            "default": None,
        },
        "choice": {
            "oneOf": [{"type": "object", "properties": {"a": {"type": "string", "maxLength": 3}}}, {"type": "null"}]
        },
    },
    "required": ["items"],
    "$defs": {"Item": {"type": "object", "properties": {"name": {"type": "string"}}, "additionalProperties": True}},
}


def test_openai_closes_objects_and_requires_everything() -> None:
    assert openai_strict(SCHEMA) == {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}, "minItems": 2},
            "required": {
                "type": ["object", "null"],
                "properties": {"x": {"type": "integer", "minimum": 0}},
                "additionalProperties": False,
                "required": ["x"],
            },
            "choice": {
                "anyOf": [
                    {
                        "type": "object",
                        "properties": {"a": {"type": "string", "maxLength": 3}},
                        "additionalProperties": False,
                        "required": ["a"],
                    },
                    {"type": "null"},
                ]
            },
        },
        "required": ["items", "required", "choice"],
        "additionalProperties": False,
        "$defs": {
            "Item": {
                "type": "object",
                "properties": {"name": {"type": "string"}},
                "additionalProperties": False,
                "required": ["name"],
            }
        },
    }


def test_a_reference_stands_alone_for_openai() -> None:
    assert openai_strict({"$ref": "#/$defs/A", "description": "an A"}) == {"$ref": "#/$defs/A"}


def test_anthropic_closes_objects_and_tells_limits_in_words() -> None:
    strict = anthropic_strict(SCHEMA)
    assert strict["required"] == ["items"]
    assert strict["additionalProperties"] is False
    assert strict["properties"]["items"] == {
        "type": "array",
        "items": {"$ref": "#/$defs/Item"},
        "description": "minItems: 2",
    }
    assert strict["properties"]["required"]["properties"]["x"] == {"type": "integer", "description": "minimum: 0"}
    assert strict["properties"]["choice"]["anyOf"][0]["properties"]["a"]["description"] == "maxLength: 3"
    assert strict["$defs"]["Item"]["additionalProperties"] is False


def test_the_original_is_not_touched() -> None:
    before = repr(SCHEMA)
    openai_strict(SCHEMA)
    anthropic_strict(SCHEMA)
    assert repr(SCHEMA) == before
