"""Anthropic messages, as https://docs.claude.com/en/api/messages and the streaming page beside it describe them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from ...failure import FailureKind
from ..answers import Answer, Ask, Tool, ToolCall, Turn, argument_pieces, arguments_object, arguments_text, pieces_of
from ..reply import Part, Reply, Role, event, plain_reply, stream_reply
from .anthropic_checks import check
from .base import JSON, Headers, Problem, Quota, Route, Wire, new_id, with_ids

_SIGNATURE = "EqQBCgIYAhIMdGVzdC1zaWduYXR1cmUaDHRlc3Q="
_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "malformed_call": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
}


class AnthropicWire(Wire):
    name = "anthropic"
    heartbeat = b'event: ping\ndata: {"type": "ping"}\n\n'

    def __init__(self, *, accepts_prefill: bool = False) -> None:
        self.accepts_prefill = accepts_prefill

    def route(self, method: str, path: str, headers: Headers) -> Route | None:
        if method == "POST" and path == "/v1/messages":
            return Route("answer")
        if method == "GET" and "anthropic-version" in headers:  # OpenAI lists its models under the same path
            if path == "/v1/models":
                return Route("list_models")
            if path.startswith("/v1/models/"):
                return Route("get_model", model=path.removeprefix("/v1/models/"))
        return None

    def check(self, body: JSON, model: str) -> None:
        check(body, accepts_prefill=self.accepts_prefill)

    def read(self, body: JSON, model: str, stream: bool) -> Ask:
        choice = body.get("tool_choice") or {"type": "auto"}
        output_format = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
        tools = [tool for tool in body.get("tools") or () if "input_schema" in tool]
        return Ask(
            wire=self.name,
            model=model,
            system=_text(body.get("system")),
            messages=tuple(turn for message in body["messages"] for turn in _turns(message)),
            tools=tuple(Tool(t["name"], t["input_schema"], t.get("description") or "") for t in tools),
            tool_choice=choice["type"] if choice["type"] in ("auto", "none") else "required",
            forced_tool=choice.get("name"),
            stream=stream,
            schema=output_format.get("schema"),
            thinking=(body.get("thinking") or {}).get("type") in ("enabled", "adaptive"),
            max_tokens=body["max_tokens"],
            stop=tuple(body.get("stop_sequences") or ()),
            body=body,
        )

    def plain(self, ask: Ask, answer: Answer) -> Reply:
        answer = with_ids(answer, "toolu_")
        message = _message(ask)
        message |= {"content": _blocks(answer), **_stop(answer), "usage": _usage(ask, answer.output_tokens)}
        return plain_reply(message)

    def stream(self, ask: Ask, answer: Answer, words_per_chunk: int) -> Reply:
        answer = with_ids(answer, "toolu_")
        start = {"type": "message_start", "message": {**_message(ask), "usage": _usage(ask, 1)}}
        parts = [_event(Role.OPEN, start), _event(Role.OPEN, {"type": "ping"})]
        for index, block in enumerate(_blocks(answer)):
            # A call is news as soon as its name is known; a text block is not.
            role = Role.CONTENT if block["type"] == "tool_use" else Role.OPEN
            shell = {**block, **_EMPTY[block["type"]]}
            parts.append(_event(role, {"type": "content_block_start", "index": index, "content_block": shell}))
            parts += [
                _event(Role.CONTENT, {"type": "content_block_delta", "index": index, "delta": delta})
                for delta in _deltas(block, answer, words_per_chunk)
            ]
            parts.append(_event(Role.CLOSE, {"type": "content_block_stop", "index": index}))
        if answer.finish is not None:
            usage = _usage(ask, answer.output_tokens)
            parts.append(_event(Role.FINISH, {"type": "message_delta", "delta": _stop(answer), "usage": usage}))
        return stream_reply([*parts, _event(Role.END, {"type": "message_stop"})])

    def error_body(self, problem: Problem) -> JSON:
        error = {"type": problem.type, "message": problem.message}
        return {"type": "error", "error": error, "request_id": new_id("req_")}

    def error_event(self, problem: Problem) -> Part:
        error = {"details": None, "type": problem.type, "message": problem.message}
        return _event(Role.CLOSE, {"type": "error", "error": error, "request_id": new_id("req_")})

    def prompt_blocked(self, stream: bool) -> Reply:
        return self.error(self.problems[FailureKind.CONTENT_FILTERED])

    def headers(self, quota: Quota) -> dict[str, str]:
        reset = (datetime.now(UTC) + timedelta(seconds=quota.reset_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
        headers = {"request-id": new_id("req_"), "anthropic-organization-id": "org-test"}
        for what, limit, remaining in (
            ("requests", quota.limit_requests, quota.remaining_requests),
            ("tokens", quota.limit_tokens, quota.remaining_tokens),
            ("input-tokens", quota.limit_tokens, quota.remaining_tokens),
            ("output-tokens", quota.limit_tokens, quota.remaining_tokens),
        ):
            headers[f"anthropic-ratelimit-{what}-limit"] = str(limit)
            headers[f"anthropic-ratelimit-{what}-remaining"] = str(remaining)
            headers[f"anthropic-ratelimit-{what}-reset"] = reset
        return headers

    def list_models(self, names: Sequence[str]) -> JSON:
        models = [self.get_model(name) for name in names]
        first, last = (names[0], names[-1]) if names else (None, None)
        return {"data": models, "has_more": False, "first_id": first, "last_id": last}

    def get_model(self, name: str) -> JSON:
        return {"type": "model", "id": name, "display_name": name, "created_at": "2025-01-01T00:00:00Z"}

    problems: ClassVar[Mapping[FailureKind, Problem]] = {
        FailureKind.RATE_LIMITED: Problem(
            429,
            "This request would exceed the rate limit for your organization of 30,000 input tokens per minute. For "
            "details, refer to: https://docs.claude.com/en/api/rate-limits. You can see the response headers for "
            "current usage. Please reduce the prompt length or the maximum tokens requested, or try again later.",
            type="rate_limit_error",
        ),
        FailureKind.QUOTA_EXHAUSTED: Problem(
            400,
            "You have reached your specified API usage limits. You will regain access on 2099-01-01 at 00:00 UTC.",
            type="invalid_request_error",
        ),
        FailureKind.BILLING: Problem(
            400,
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or "
            "purchase credits.",
            type="invalid_request_error",
        ),
        FailureKind.OVERLOADED: Problem(529, "Overloaded", type="overloaded_error"),
        FailureKind.SERVER_ERROR: Problem(500, "Internal server error", type="api_error"),
        FailureKind.TIMEOUT: Problem(504, "Request timed out", type="timeout_error"),
        FailureKind.CONTEXT_OVERFLOW: Problem(
            400, "prompt is too long: 208310 tokens > 200000 maximum", type="invalid_request_error"
        ),
        FailureKind.CONTENT_FILTERED: Problem(
            400, "Output blocked by content filtering policy", type="invalid_request_error"
        ),
        FailureKind.AUTH: Problem(401, "invalid x-api-key", type="authentication_error"),
        FailureKind.PERMISSION_OR_REGION: Problem(403, "Request not allowed", type="permission_error"),
        FailureKind.MODEL_NOT_FOUND: Problem(404, "model: {model}", type="not_found_error"),
        FailureKind.INVALID_REQUEST: Problem(400, "Invalid request", type="invalid_request_error"),
    }


_EMPTY: Mapping[str, JSON] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
}


def _turns(message: JSON) -> list[Turn]:
    """A message as turns: tool results become turns of their own."""
    content = message["content"]
    if isinstance(content, str):
        return [Turn(message["role"], content)]
    results = [Turn("tool", _text(block.get("content"))) for block in content if block["type"] == "tool_result"]
    calls = tuple(ToolCall(b["name"], b["input"], b["id"]) for b in content if b["type"] == "tool_use")
    text = _text(content)
    return [*results, Turn(message["role"], text, calls)] if text or calls or not results else [*results]


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(block["text"] for block in content if block.get("type") == "text")
    return content or ""


def _message(ask: Ask) -> JSON:
    return {
        "id": new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _blocks(answer: Answer) -> list[JSON]:
    blocks: list[JSON] = []
    if answer.thinking:
        blocks.append({"type": "thinking", "thinking": answer.thinking, "signature": _SIGNATURE})
    if answer.text:
        blocks.append({"type": "text", "text": answer.text})
    uses = [{"id": call.id, "name": call.name, "input": arguments_object(call)} for call in answer.tool_calls]
    return [*blocks, *({"type": "tool_use", **use} for use in uses)]


def _deltas(block: JSON, answer: Answer, words_per_chunk: int) -> list[JSON]:
    if block["type"] == "text":
        return [{"type": "text_delta", "text": piece} for piece in pieces_of(block["text"], words_per_chunk)]
    if block["type"] == "thinking":
        pieces = pieces_of(block["thinking"], words_per_chunk)
        thoughts = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
        return [*thoughts, {"type": "signature_delta", "signature": _SIGNATURE}]
    arguments = next(arguments_text(call) for call in answer.tool_calls if call.id == block["id"])
    return [{"type": "input_json_delta", "partial_json": piece} for piece in argument_pieces(arguments)]


def _stop(answer: Answer) -> JSON:
    reason = _STOP_REASONS[answer.finish] if answer.finish else None
    if answer.stop_sequence is not None:
        reason = "stop_sequence"
    stop: JSON = {"stop_reason": reason, "stop_sequence": answer.stop_sequence}
    if reason == "refusal":
        stop["stop_details"] = {"type": "refusal", "category": None, "explanation": answer.refusal}
    return stop


def _usage(ask: Ask, output_tokens: int) -> JSON:
    return {
        "input_tokens": ask.prompt_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def _event(role: Role, data: JSON) -> Part:
    return event(role, data, name=data["type"])
