"""OpenAI chat completions, as https://platform.openai.com/docs/api-reference/chat describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ...failure import FailureKind
from ..answers import Answer, Ask, Tool, ToolCall, Turn, argument_pieces, arguments_text, pieces_of
from ..reply import Part, Reply, Role, event, plain_reply, sse, stream_reply
from .base import JSON, Headers, Problem, Quota, Route, Wire, new_id, now, with_ids
from .openai_checks import check

_FINISH = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "content_filter": "content_filter"}


class OpenAIWire(Wire):
    name = "openai"
    heartbeat = b": keep-alive\n\n"

    def route(self, method: str, path: str, headers: Headers) -> Route | None:
        if method == "POST" and path == "/v1/chat/completions":
            return Route("answer")
        if method == "GET" and path == "/v1/models":
            return Route("list_models")
        if method == "GET" and path.startswith("/v1/models/"):
            return Route("get_model", model=path.removeprefix("/v1/models/"))
        return None

    def check(self, body: JSON, model: str) -> None:
        check(body)

    def read(self, body: JSON, model: str, stream: bool) -> Ask:
        messages = body["messages"]
        choice: Any = body.get("tool_choice") or "auto"
        forced = choice["function"]["name"] if isinstance(choice, dict) else None
        stop = body.get("stop") or ()
        return Ask(
            wire=self.name,
            model=model,
            system="\n".join(_text(m.get("content")) for m in messages if m["role"] in ("system", "developer")),
            messages=tuple(_turn(m) for m in messages if m["role"] not in ("system", "developer")),
            tools=tuple(_tool(t["function"]) for t in body.get("tools") or () if "function" in t),
            tool_choice="required" if forced else choice,
            forced_tool=forced,
            stream=stream,
            schema=_schema(body.get("response_format") or {}),
            max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            body=body,
        )

    def plain(self, ask: Ask, answer: Answer) -> Reply:
        answer = with_ids(answer, "call_")
        message: JSON = {"role": "assistant", "content": answer.text, "refusal": answer.refusal, "annotations": []}
        if answer.tool_calls:
            message["tool_calls"] = [_call(call) for call in answer.tool_calls]
        if answer.refusal or (answer.tool_calls and not answer.text):
            message["content"] = None
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(ask, answer)}
        return plain_reply({**_head(ask, "chat.completion"), "choices": [choice], "usage": _usage(ask, answer)})

    def stream(self, ask: Ask, answer: Answer, words_per_chunk: int) -> Reply:
        answer = with_ids(answer, "call_")
        head = _head(ask, "chat.completion.chunk")
        with_usage = bool((ask.body.get("stream_options") or {}).get("include_usage"))

        def chunk(role: Role, delta: JSON, finish: str | None = None) -> Part:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return event(role, {**head, "choices": [choice], **({"usage": None} if with_usage else {})})

        content = None if answer.tool_calls and not answer.text else ""
        parts = [chunk(Role.OPEN, {"role": "assistant", "content": content, "refusal": None})]
        parts += [chunk(Role.CONTENT, {"content": piece}) for piece in pieces_of(answer.text, words_per_chunk)]
        parts += [chunk(Role.CONTENT, {"refusal": p}) for p in pieces_of(answer.refusal or "", words_per_chunk)]
        for index, call in enumerate(answer.tool_calls):
            whole = _call(call)
            arguments = whole["function"]["arguments"]
            whole["function"]["arguments"] = ""
            parts.append(chunk(Role.CONTENT, {"tool_calls": [{"index": index, **whole}]}))
            for piece in argument_pieces(arguments):
                delta = {"index": index, "function": {"arguments": piece}}
                parts.append(chunk(Role.CONTENT, {"tool_calls": [delta]}))
        if answer.finish is not None:
            parts.append(chunk(Role.FINISH, {}, _finish(ask, answer)))
            if with_usage:
                parts.append(event(Role.FINISH, {**head, "choices": [], "usage": _usage(ask, answer)}))
        return stream_reply([*parts, Part(Role.END, sse(b"[DONE]"))])

    def error_body(self, problem: Problem) -> JSON:
        error: JSON = {"message": problem.message, "type": problem.type, "param": problem.param, "code": problem.code}
        return {"error": error}

    def error_event(self, problem: Problem) -> Part:
        return event(Role.CLOSE, self.error_body(problem))

    def prompt_blocked(self, stream: bool) -> Reply:
        return self.error(self.problems[FailureKind.CONTENT_FILTERED])

    def headers(self, quota: Quota) -> dict[str, str]:
        reset = f"{quota.reset_s:.3f}".rstrip("0").rstrip(".") + "s"
        return {
            "x-request-id": new_id("req_", 32),
            "openai-version": "2020-10-01",
            "openai-processing-ms": "12",
            "x-ratelimit-limit-requests": str(quota.limit_requests),
            "x-ratelimit-limit-tokens": str(quota.limit_tokens),
            "x-ratelimit-remaining-requests": str(quota.remaining_requests),
            "x-ratelimit-remaining-tokens": str(quota.remaining_tokens),
            "x-ratelimit-reset-requests": reset,
            "x-ratelimit-reset-tokens": reset,
        }

    def list_models(self, names: Sequence[str]) -> JSON:
        return {"object": "list", "data": [self.get_model(name) for name in names]}

    def get_model(self, name: str) -> JSON:
        return {"id": name, "object": "model", "created": 1_735_689_600, "owned_by": "system"}

    problems: ClassVar[Mapping[FailureKind, Problem]] = {
        FailureKind.RATE_LIMITED: Problem(
            429,
            "Rate limit reached for {model} in organization org-test on requests per min (RPM): Limit 500, Used 500, "
            "Requested 1. Please try again in 120ms. Visit https://platform.openai.com/account/rate-limits to learn "
            "more.",
            type="requests",
            code="rate_limit_exceeded",
        ),
        FailureKind.QUOTA_EXHAUSTED: Problem(
            429,
            "You exceeded your current quota, please check your plan and billing details. For more information on "
            "this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
            type="insufficient_quota",
            code="insufficient_quota",
        ),
        FailureKind.BILLING: Problem(
            429,
            "Billing hard limit has been reached",
            type="insufficient_quota",
            code="billing_hard_limit_reached",
        ),
        FailureKind.OVERLOADED: Problem(
            503,
            "That model is currently overloaded with other requests. You can retry your request, or contact us "
            "through our help center at help.openai.com if the error persists.",
            type="server_error",
        ),
        FailureKind.SERVER_ERROR: Problem(
            500,
            "The server had an error while processing your request. Sorry about that!",
            type="server_error",
        ),
        FailureKind.TIMEOUT: Problem(504, "Gateway timeout.", type="cf_gateway_timeout"),
        FailureKind.CONTEXT_OVERFLOW: Problem(
            400,
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 202868 tokens. "
            "Please reduce the length of the messages.",
            type="invalid_request_error",
            code="context_length_exceeded",
            param="messages",
        ),
        FailureKind.CONTENT_FILTERED: Problem(
            400,
            "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please "
            "modify your prompt and retry.",
            code="content_filter",
            param="prompt",
        ),
        FailureKind.AUTH: Problem(
            401,
            "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.",
            type="invalid_request_error",
            code="invalid_api_key",
        ),
        FailureKind.PERMISSION_OR_REGION: Problem(
            403,
            "Country, region, or territory not supported",
            type="request_forbidden",
            code="unsupported_country_region_territory",
        ),
        FailureKind.MODEL_NOT_FOUND: Problem(
            404,
            "The model `{model}` does not exist or you do not have access to it.",
            type="invalid_request_error",
            code="model_not_found",
        ),
        FailureKind.INVALID_REQUEST: Problem(
            400,
            "Invalid value for parameter.",
            type="invalid_request_error",
            code="invalid_value",
        ),
    }


def _turn(message: JSON) -> Turn:
    role = message["role"]
    calls = tuple(
        ToolCall(call["function"]["name"], call["function"]["arguments"], call["id"])
        for call in message.get("tool_calls") or ()
        if "function" in call
    )
    return Turn("tool" if role in ("tool", "function") else role, _text(message.get("content")), calls)


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(str(block["text"]) for block in content if block.get("type") == "text")
    return content or ""


def _tool(function: JSON) -> Tool:
    return Tool(function["name"], function.get("parameters") or {}, function.get("description") or "")


def _schema(response_format: JSON) -> JSON | None:
    if response_format.get("type") == "json_object":
        return {"type": "object"}
    schema = response_format.get("json_schema", {}).get("schema")
    return schema if isinstance(schema, dict) else None


def _call(call: ToolCall) -> JSON:
    function = {"name": call.name, "arguments": arguments_text(call)}
    return {"id": call.id, "type": "function", "function": function}


def _finish(ask: Ask, answer: Answer) -> str | None:
    # A call of the one function that was forced ends with "stop", as the API reference says.
    if answer.finish in ("tool_calls", "malformed_call"):
        return "stop" if ask.forced_tool else "tool_calls"
    return _FINISH.get(answer.finish, "stop") if answer.finish else None


def _head(ask: Ask, kind: str) -> JSON:
    return {
        "id": new_id("chatcmpl-"),
        "object": kind,
        "created": now(),
        "model": ask.model,
        "service_tier": "default",
        "system_fingerprint": "fp_test",
    }


def _usage(ask: Ask, answer: Answer) -> JSON:
    prompt, completion = ask.prompt_tokens, answer.output_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": answer.thinking_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
