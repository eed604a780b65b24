"""What the real APIs would not take is not taken here: histories that are not portable, in each provider's words."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from failover_core.testing import ProviderServer
from failover_core.testing.wires import AnthropicWire, GeminiWire, OpenAIWire, Rejected, Wire

WIRES: dict[str, Wire] = {"openai": OpenAIWire(), "anthropic": AnthropicWire(), "gemini": GeminiWire()}


def user(text: Any = "hi") -> dict[str, Any]:
    return {"role": "user", "content": text}


# --- OpenAI ------------------------------------------------------------------------------------------------------


def openai_call(id: str = "call_1", arguments: Any = "{}") -> dict[str, Any]:
    call = {"id": id, "type": "function", "function": {"name": "add", "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def openai_result(id: str = "call_1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": "3"}


def openai(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": list(messages), **more}


OPEN_OBJECT = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
OPENAI_TOOL = {"type": "function", "function": {"name": "add", "parameters": OPEN_OBJECT}}
STRICT = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": OPEN_OBJECT}}

OPENAI_REFUSES = {
    "no messages": ({"model": "m"}, "Missing required parameter: 'messages'"),
    "empty messages": (openai(), "Invalid 'messages': empty array"),
    "no model": ({"messages": [user()]}, "you must provide a model parameter"),
    "foreign parameter": (openai(user(), top_k=3), "Unknown parameter: 'top_k'"),
    "foreign thinking": (openai(user(), thinking={"type": "enabled"}), "Unknown parameter: 'thinking'"),
    "unknown role": (openai({"role": "model", "content": "x"}), "Invalid value: 'model'"),
    "null content": (openai(user(None)), "expected a string, got null"),
    "nothing said": (openai(user(), {"role": "assistant", "content": None}, user()), "expected a string, got null"),
    "bad name": (openai({**user(), "name": "bob smith"}), r"Invalid 'messages\[0\].name'"),
    "anthropic tool_use block": (
        openai(user(), {"role": "assistant", "content": [{"type": "tool_use"}]}, user()),
        "Invalid value: 'tool_use'. Supported values are: 'text', 'refusal'",
    ),
    "thinking block": (
        openai(user(), {"role": "assistant", "content": [{"type": "thinking", "thinking": "x"}]}, user()),
        "Invalid value: 'thinking'",
    ),
    "anthropic image": (openai(user([{"type": "image", "source": {}}])), "Invalid value: 'image'"),
    "long tool id": (
        openai(user(), openai_call("x" * 41), openai_result("x" * 41)),
        "maximum length 40, but got a string with length 41",
    ),
    "arguments as an object": (openai(user(), openai_call(arguments={}), openai_result()), "expected a string"),
    "orphan result": (openai(user(), openai_result()), "must be a response to a preceeding message"),
    "result of another call": (openai(user(), openai_call("call_2"), openai_result("call_1")), "preceeding message"),
    "call without result": (openai(user(), openai_call(), user()), "did not have response messages: call_1"),
    "call at the end": (openai(user(), openai_call()), "did not have response messages: call_1"),
    "empty tools": (openai(user(), tools=[]), "Invalid 'tools': empty array"),
    "tool of Anthropic's shape": (openai(user(), tools=[{"name": "add", "input_schema": {}}]), "Invalid value: 'None'"),
    "tool name": (
        openai(user(), tools=[{"type": "function", "function": {"name": "a b"}}]),
        r"Invalid 'tools\[0\].function.name'",
    ),
    "choice without tools": (openai(user(), tool_choice="auto"), "only allowed when 'tools' are specified"),
    "choice of Anthropic's": (openai(user(), tools=[OPENAI_TOOL], tool_choice="any"), "Invalid value: 'any'"),
    "choice of no tool": (
        openai(user(), tools=[OPENAI_TOOL], tool_choice={"type": "function", "function": {"name": "nope"}}),
        "Tool choice 'nope' not found",
    ),
    "json mode unmentioned": (openai(user(), response_format={"type": "json_object"}), "must contain the word 'json'"),
    "loose strict schema": (openai(user(), response_format=STRICT), "'additionalProperties' is required"),
}
OPENAI_TAKES = {
    "a tool loop": openai(user(), openai_call(), openai_result(), {"role": "assistant", "content": "3"}, user()),
    "two results": openai(
        user(),
        {
            **openai_call("call_1"),
            "tool_calls": openai_call("call_1")["tool_calls"] + openai_call("call_2")["tool_calls"],
        },
        openai_result("call_2"),
        openai_result("call_1"),
    ),
    "blocks": openai(user([{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "data:"}}])),
    "roles": openai({"role": "developer", "content": "Be brief."}, user(), user()),
    "an assistant at the end": openai(user(), {"role": "assistant", "content": "so far"}),
}

# --- Anthropic ---------------------------------------------------------------------------------------------------


def use(id: str = "toolu_1", **more: Any) -> dict[str, Any]:
    block = {"type": "tool_use", "id": id, "name": "add", "input": {}, **more}
    return {"role": "assistant", "content": [block]}


def result(id: str = "toolu_1", *after: Any) -> dict[str, Any]:
    return user([{"type": "tool_result", "tool_use_id": id, "content": "3"}, *after])


def anthropic(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"model": "claude-haiku-4-5", "max_tokens": 2000, "messages": list(messages), **more}


def says(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


TEXT = {"type": "text", "text": "hm"}
THINKING = {"type": "enabled", "budget_tokens": 1024}
ANTHROPIC_TOOL = {"name": "add", "input_schema": {"type": "object"}}

ANTHROPIC_REFUSES = {
    "no max_tokens": ({"model": "m", "messages": [user()]}, "max_tokens: Field required"),
    "no messages": (anthropic(), "at least one message is required"),
    "system role": (anthropic({"role": "system", "content": "x"}, user()), 'Unexpected role "system"'),
    "tool role": (anthropic(user(), {"role": "tool", "content": "x"}), 'Unexpected role "tool"'),
    "prefill": (anthropic(user(), says(TEXT)), "does not support assistant message prefill"),
    "empty content": (anthropic(user("")), "must have non-empty content"),
    "empty text block": (anthropic(user([{"type": "text", "text": ""}])), "text content blocks must be non-empty"),
    "blank text": (anthropic(user("  ")), "must contain non-whitespace text"),
    "foreign block": (anthropic(user([{"type": "image_url"}])), "Input tag 'image_url'"),
    "thinking unsigned": (
        anthropic(user(), says({"type": "thinking", "thinking": "x"}, TEXT), user()),
        "signature: Field required",
    ),
    "thinking with an empty signature": (
        anthropic(user(), says({"type": "thinking", "thinking": "x", "signature": ""}, TEXT), user()),
        "Invalid `signature` in `thinking` block",
    ),
    "tool id": (anthropic(user(), use("call.1"), result("call.1")), "String should match pattern"),
    "input as a string": (anthropic(user(), use(input="{}"), result()), "Input should be a valid dictionary"),
    "use without result": (anthropic(user(), use(), user()), "without `tool_result` blocks immediately after: toolu_1"),
    "text before the result": (
        anthropic(user(), use(), user([TEXT, result()["content"][0]])),
        "without `tool_result` blocks immediately after",
    ),
    "orphan result": (anthropic(user(), says(TEXT), result()), "unexpected `tool_use_id`"),
    "result first": (anthropic(result()), "unexpected `tool_use_id`"),
    "one id twice": (anthropic(user(), use(), result(), use(), result()), "ids must be unique"),
    "choice as a word": (anthropic(user(), tools=[ANTHROPIC_TOOL], tool_choice="any"), "tool_choice: Input should be"),
    "choice without tools": (anthropic(user(), tool_choice={"type": "any"}), "only be specified while providing tools"),
    "choice of no tool": (
        anthropic(user(), tools=[ANTHROPIC_TOOL], tool_choice={"type": "tool", "name": "nope"}),
        "Tool 'nope' not found",
    ),
    "tool of OpenAI's shape": (anthropic(user(), tools=[OPENAI_TOOL]), "Input tag 'function'"),
    "tool without a name": (anthropic(user(), tools=[{"input_schema": {"type": "object"}}]), "custom.name"),
    "tool without a schema": (anthropic(user(), tools=[{"name": "add"}]), "custom.input_schema"),
    "budget over the limit": (
        anthropic(user(), thinking={"type": "enabled", "budget_tokens": 3000}),
        "must be greater than `thinking.budget_tokens`",
    ),
    "thinking with a forced tool": (
        anthropic(user(), thinking=THINKING, tools=[ANTHROPIC_TOOL], tool_choice={"type": "any"}),
        "Thinking may not be enabled when tool_choice forces tool use",
    ),
    "thinking over a loop begun elsewhere": (
        anthropic(user(), use(), result(), thinking=THINKING, tools=[ANTHROPIC_TOOL]),
        "Expected `thinking` or `redacted_thinking`, but found `tool_use`",
    ),
}
SIGNED = {"type": "thinking", "thinking": "x", "signature": "abc"}
ANTHROPIC_TAKES = {
    "neighbours of one role": anthropic(user(), user(), says(TEXT), says(TEXT), user()),
    "results in two messages": anthropic(
        user(), says(use("a")["content"][0], use("b")["content"][0]), result("a"), result("b")
    ),
    "text after the result": anthropic(user(), use(), result("toolu_1", TEXT)),
    "signed thinking in a loop": anthropic(
        user(), says(SIGNED, use()["content"][0]), result(), thinking=THINKING, tools=[ANTHROPIC_TOOL]
    ),
    "thinking after a finished turn": anthropic(user(), says(TEXT), user(), thinking=THINKING),
}

# --- Gemini ------------------------------------------------------------------------------------------------------


def content(role: str, *parts: Any) -> dict[str, Any]:
    return {"role": role, "parts": list(parts)}


def gemini(*contents: Any, **more: Any) -> dict[str, Any]:
    return {"contents": list(contents), **more}


HI = content("user", {"text": "hi"})
CALL = {"functionCall": {"name": "add", "args": {}}}
RESPONSE = {"functionResponse": {"name": "add", "response": {"result": 3}}}
DECLARED = [{"functionDeclarations": [{"name": "add"}]}]

GEMINI_REFUSES = {
    "no contents": (gemini(), "contents is not specified"),
    "unknown role": (gemini(content("assistant", {"text": "x"})), "valid role: user, model"),
    "no parts": (gemini(content("user")), "parts must not be empty"),
    "empty part": (gemini(content("user", {})), "must have one initialized field"),
    "arguments as a string": (
        gemini(HI, content("model", {"functionCall": {"name": "add", "args": "{}"}}), content("user", RESPONSE)),
        "function_call.args",
    ),
    "fewer responses than calls": (
        gemini(HI, content("model", CALL, CALL), content("user", RESPONSE)),
        "number of function response parts is equal",
    ),
    "no response": (gemini(HI, content("model", CALL), HI), "number of function response parts is equal"),
    "call at the end": (gemini(HI, content("model", CALL)), "number of function response parts is equal"),
    "orphan response": (gemini(HI, content("user", RESPONSE)), "immediately after a function call turn"),
    "call after a model turn": (
        gemini(HI, content("model", {"text": "x"}), content("model", CALL), content("user", RESPONSE)),
        "immediately after a user turn",
    ),
    "function name": (gemini(HI, tools=[{"functionDeclarations": [{"name": "1 add"}]}]), "Invalid function name"),
    "name twice": (
        gemini(HI, tools=[{"functionDeclarations": [{"name": "add"}, {"name": "add"}]}]),
        "Duplicate function declaration found: add",
    ),
    "any without functions": (
        gemini(HI, toolConfig={"functionCallingConfig": {"mode": "ANY"}}),
        "without function_declarations",
    ),
    "allowed in auto": (
        gemini(HI, tools=DECLARED, tool_config={"function_calling_config": {"allowed_function_names": ["add"]}}),
        "only be set when the function calling mode is ANY",
    ),
}
GEMINI_TAKES = {
    "a tool loop": gemini(HI, content("model", CALL), content("user", RESPONSE)),
    "snake case": gemini(
        HI,
        content("model", {"function_call": {"name": "add", "args": {}}}),
        content("user", {"function_response": {"name": "add", "response": {}}}),
    ),
    "no role": gemini({"parts": [{"text": "hi"}]}),
    "an unsigned call before Gemini 3": gemini(HI, content("model", CALL), content("user", RESPONSE)),
}


def cases(**tables: dict[str, Any]) -> list[Any]:
    return [pytest.param(w, case, id=f"{w}: {name}") for w, table in tables.items() for name, case in table.items()]


@pytest.mark.parametrize(
    ("wire", "case"), cases(openai=OPENAI_REFUSES, anthropic=ANTHROPIC_REFUSES, gemini=GEMINI_REFUSES)
)
def test_refused_in_the_words_of_the_provider(wire: str, case: tuple[dict[str, Any], str]) -> None:
    body, words = case
    with pytest.raises(Rejected, match=words) as refused:
        WIRES[wire].check(body, "gemini-2.5-flash")
    assert refused.value.problem.status == 400
    assert refused.value.problem.type in ("invalid_request_error", "INVALID_ARGUMENT")


@pytest.mark.parametrize(("wire", "case"), cases(openai=OPENAI_TAKES, anthropic=ANTHROPIC_TAKES, gemini=GEMINI_TAKES))
def test_taken(wire: str, case: dict[str, Any]) -> None:
    WIRES[wire].check(case, "gemini-2.5-flash")
    ask = WIRES[wire].read(case, "a-model", stream=False)
    assert ask.messages
    assert ask.model == "a-model"


def test_gemini_3_wants_the_signatures_of_its_calls_back() -> None:
    body = gemini(HI, content("model", CALL), content("user", RESPONSE))
    with pytest.raises(Rejected, match="missing a thought_signature"):
        WIRES["gemini"].check(body, "gemini-3-pro")
    body["contents"][1]["parts"][0] = {**CALL, "thoughtSignature": "skip_thought_signature_validator"}
    WIRES["gemini"].check(body, "gemini-3-pro")
    earlier = [HI, content("model", CALL), content("user", RESPONSE), content("model", {"text": "3"}), HI]
    WIRES["gemini"].check(gemini(*earlier), "gemini-3-pro")  # only the turn under way counts


def test_prefill_where_it_is_taken() -> None:
    AnthropicWire(accepts_prefill=True).check(anthropic(user(), says(TEXT)), "m")
    with pytest.raises(Rejected, match="trailing whitespace"):
        AnthropicWire(accepts_prefill=True).check(anthropic(user(), says({"type": "text", "text": "so "})), "m")


@pytest.mark.parametrize("check_requests", [True, False])
def test_the_server_checks_unless_told_not_to(check_requests: bool) -> None:
    with (
        ProviderServer("ok", check_requests=check_requests) as server,
        httpx.Client(base_url=server.base_url, verify=False) as http,
    ):
        response = http.post("/v1/messages", json=anthropic(user(), use(), user("well?")))
        assert response.status_code == (400 if check_requests else 200)
        # A shape that nobody foresaw is the caller's fault as well.
        odd = http.post("/v1/chat/completions", json={"model": "m", "messages": [user()], "tools": [3]})
        assert odd.status_code == 400
        assert odd.json()["error"]["type"] == "invalid_request_error"
