"""Gemini's generateContent and streamGenerateContent, as https://ai.google.dev/api/generate-content describes them.

Requests may spell their fields in camelCase or snake_case, as Google's JSON parser allows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from ...failure import FailureKind
from ..answers import Answer, Ask, Tool, ToolCall, Turn, arguments_object, pieces_of
from ..reply import Part, Reply, Role, event, plain_reply, stream_reply
from .base import JSON, Headers, Problem, Quota, Route, Wire, new_id
from .gemini_checks import check, field, thinks_in_signatures

_PATH = re.compile(r"^/v1(?:beta)?/models/(?P<model>[^/:]+)(?::(?P<method>\w+))?$")
_SIGNATURE = "dGVzdC10aG91Z2h0LXNpZ25hdHVyZQ=="
_FINISH = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "PROHIBITED_CONTENT",
    "refusal": "SAFETY",
    "malformed_call": "MALFORMED_FUNCTION_CALL",
}
_UNSAFE = [{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True}]


class GeminiWire(Wire):
    name = "gemini"
    heartbeat = b"\r\n"  # google-genai takes a comment for data

    def route(self, method: str, path: str, headers: Headers) -> Route | None:
        in_v1 = path == "/v1/models" and "x-goog-api-key" in headers  # where OpenAI lists its models too
        if method == "GET" and (path == "/v1beta/models" or in_v1):
            return Route("list_models")
        found = _PATH.match(path)
        if found is None:
            return None
        model = found["model"]
        if method == "GET" and path.startswith("/v1beta/") and found["method"] is None:
            return Route("get_model", model=model)
        if method == "POST" and found["method"] in ("generateContent", "streamGenerateContent"):
            return Route("answer", model=model, stream=found["method"] == "streamGenerateContent")
        return None

    def check(self, body: JSON, model: str) -> None:
        check(body, model)

    def read(self, body: JSON, model: str, stream: bool) -> Ask:
        config = field(body, "generationConfig") or {}
        calling = field(field(body, "toolConfig") or {}, "functionCallingConfig") or {}
        allowed = field(calling, "allowedFunctionNames") or []
        mode = str(calling.get("mode") or "AUTO").upper()
        tools = [_tool(f) for tool in body.get("tools") or () for f in field(tool, "functionDeclarations") or ()]
        return Ask(
            wire=self.name,
            model=model,
            system=_text(field(body, "systemInstruction") or {}),
            messages=tuple(turn for content in body["contents"] for turn in _turns(content)),
            tools=tuple(tool for tool in tools if not allowed or tool.name in allowed),
            tool_choice={"NONE": "none", "ANY": "required"}.get(mode, "auto"),  # type: ignore[arg-type]
            forced_tool=allowed[0] if mode == "ANY" and len(allowed) == 1 else None,
            stream=stream,
            schema=_schema(config),
            thinking=bool(field(field(config, "thinkingConfig") or {}, "includeThoughts")),
            max_tokens=field(config, "maxOutputTokens"),
            stop=tuple(field(config, "stopSequences") or ()),
            body=body,
        )

    def plain(self, ask: Ask, answer: Answer) -> Reply:
        parts = [_thought(answer.thinking)] if answer.thinking else []
        parts += [{"text": answer.text}] if answer.text else []
        parts += _calls(ask, answer)
        return plain_reply(_response(ask, answer, parts, answer.finish))

    def stream(self, ask: Ask, answer: Answer, words_per_chunk: int) -> Reply:
        thoughts = [_thought(piece) for piece in pieces_of(answer.thinking, words_per_chunk)]
        texts = [{"text": piece} for piece in pieces_of(answer.text, words_per_chunk)]
        so_far = replace(answer, finish=None)
        contents = [*thoughts, *texts, *_calls(ask, answer)]
        parts = [event(Role.CONTENT, _response(ask, so_far, [content], None)) for content in contents]
        if answer.finish is not None:
            # The finish reason is all the terminator that this wire has.
            last = [{"text": ""}] if answer.finish in ("stop", "length", "tool_calls") and contents else []
            parts.append(event(Role.FINISH, _response(ask, answer, last, answer.finish)))
        return stream_reply(parts)

    def error_body(self, problem: Problem) -> JSON:
        error: JSON = {"code": problem.status, "message": problem.message, "status": problem.type}
        details = [*problem.details]
        if problem.retry_after_s is not None:
            retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{problem.retry_after_s:g}s"}
            details.append(retry)
        return {"error": {**error, "details": details} if details else error}

    def error_event(self, problem: Problem) -> Part:
        return event(Role.CLOSE, self.error_body(problem))

    def error(self, problem: Problem) -> Reply:
        return plain_reply(self.error_body(problem), status=problem.status)  # RetryInfo instead of a Retry-After

    def prompt_blocked(self, stream: bool) -> Reply:
        feedback = {"blockReason": "PROHIBITED_CONTENT", "safetyRatings": _UNSAFE}
        usage = {"promptTokenCount": 8, "totalTokenCount": 8}
        body = {"promptFeedback": feedback, "usageMetadata": usage, "responseId": new_id("", 22)}
        return stream_reply([event(Role.FINISH, body)]) if stream else plain_reply(body)

    def headers(self, quota: Quota) -> dict[str, str]:
        return {"server-timing": "gfet4t7; dur=12", "x-content-type-options": "nosniff"}

    def list_models(self, names: Sequence[str]) -> JSON:
        return {"models": [self.get_model(name) for name in names]}

    def get_model(self, name: str) -> JSON:
        return {
            "name": f"models/{name}",
            "version": "001",
            "displayName": name,
            "description": "A model of the provider server",
            "inputTokenLimit": 1_048_576,
            "outputTokenLimit": 65_536,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
        }

    problems: ClassVar[Mapping[FailureKind, Problem]] = {
        FailureKind.RATE_LIMITED: Problem(
            429, "Resource has been exhausted (e.g. check quota).", type="RESOURCE_EXHAUSTED"
        ),
        FailureKind.QUOTA_EXHAUSTED: Problem(
            429,
            "You exceeded your current quota, please check your plan and billing details. For more information on "
            "this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.",
            type="RESOURCE_EXHAUSTED",
            details=(
                {
                    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                    "violations": [
                        {
                            "quotaMetric": "generativelanguage.googleapis.com/generate_requests_per_model_per_day",
                            "quotaId": "GenerateRequestsPerDayPerProjectPerModel",
                        }
                    ],
                },
            ),
        ),
        FailureKind.BILLING: Problem(
            403,
            "This API method requires billing to be enabled. Please enable billing on project #0 by visiting "
            "https://console.developers.google.com/billing/enable?project=0 then retry.",
            type="PERMISSION_DENIED",
        ),
        FailureKind.OVERLOADED: Problem(503, "The model is overloaded. Please try again later.", type="UNAVAILABLE"),
        FailureKind.SERVER_ERROR: Problem(
            500,
            "An internal error has occurred. Please retry or report in "
            "https://developers.generativeai.google/guide/troubleshooting",
            type="INTERNAL",
        ),
        FailureKind.TIMEOUT: Problem(
            504, "Deadline expired before operation could complete.", type="DEADLINE_EXCEEDED"
        ),
        FailureKind.CONTEXT_OVERFLOW: Problem(
            400,
            "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).",
            type="INVALID_ARGUMENT",
        ),
        # A filter answers with a 200 here: see prompt_blocked and the finish reasons.
        FailureKind.CONTENT_FILTERED: Problem(
            400, "The request was blocked by a content filter.", type="INVALID_ARGUMENT"
        ),
        FailureKind.AUTH: Problem(
            400,
            "API key not valid. Please pass a valid API key.",
            type="INVALID_ARGUMENT",
            details=(
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "API_KEY_INVALID",
                    "domain": "googleapis.com",
                },
            ),
        ),
        FailureKind.PERMISSION_OR_REGION: Problem(
            400, "User location is not supported for the API use.", type="FAILED_PRECONDITION"
        ),
        FailureKind.MODEL_NOT_FOUND: Problem(
            404,
            "models/{model} is not found for API version v1beta, or is not supported for generateContent. Call "
            "ListModels to see the list of available models and their supported methods.",
            type="NOT_FOUND",
        ),
        FailureKind.INVALID_REQUEST: Problem(400, "Request contains an invalid argument.", type="INVALID_ARGUMENT"),
    }


def _turns(content: JSON) -> list[Turn]:
    """A content as turns: function responses become turns of their own."""
    responses = [found for part in content["parts"] if (found := field(part, "functionResponse"))]
    results = [Turn("tool", _result(response.get("response"))) for response in responses]
    found = [field(part, "functionCall") for part in content["parts"]]
    calls = tuple(ToolCall(call["name"], call.get("args") or {}, call.get("id") or "") for call in found if call)
    text = _text(content)
    role = content.get("role") or "user"
    turn = Turn("assistant" if role == "model" else "user", text, calls)
    return [*results, turn] if text or calls or not results else [*results]


def _result(response: Any) -> str:
    """Frameworks wrap a result in an object of one entry: its value is the result."""
    if isinstance(response, dict) and len(response) == 1:
        response = next(iter(response.values()))
    return response if isinstance(response, str) else str(response)


def _text(content: JSON) -> str:
    return "\n".join(p["text"] for p in content.get("parts") or () if p.get("text") and not p.get("thought"))


def _tool(declaration: JSON) -> Tool:
    schema = field(declaration, "parametersJsonSchema") or declaration.get("parameters") or {}
    return Tool(declaration["name"], schema, declaration.get("description") or "")


def _schema(config: JSON) -> JSON | None:
    schema = field(config, "responseJsonSchema") or field(config, "responseSchema")
    if schema is None and field(config, "responseMimeType") == "application/json":
        return {"type": "object"}
    return schema if isinstance(schema, dict) else None


def _thought(text: str) -> JSON:
    return {"text": text, "thought": True}


def _calls(ask: Ask, answer: Answer) -> list[JSON]:
    parts: list[JSON] = []
    if answer.finish == "malformed_call":
        return parts  # this wire never shows a call that it could not parse
    for call in answer.tool_calls:
        part: JSON = {"functionCall": {"name": call.name, "args": arguments_object(call)}}
        if thinks_in_signatures(ask.model):
            part["functionCall"]["id"] = call.id or new_id("", 8)
            part |= {"thoughtSignature": _SIGNATURE} if not parts else {}
        parts.append(part)
    return parts


def _response(ask: Ask, answer: Answer, parts: list[JSON], finish: str | None) -> JSON:
    candidate: JSON = {"index": 0}
    if parts or finish in (None, "stop"):
        candidate["content"] = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    if finish is not None:
        candidate["finishReason"] = _FINISH[finish]
        if finish in ("content_filter", "refusal"):
            candidate["safetyRatings"] = _UNSAFE
            candidate["finishMessage"] = answer.refusal or "The response was blocked."
    prompt, total = ask.prompt_tokens, ask.prompt_tokens + answer.output_tokens
    usage = {"promptTokenCount": prompt, "candidatesTokenCount": answer.output_tokens, "totalTokenCount": total}
    if answer.thinking:
        usage["thoughtsTokenCount"] = answer.thinking_tokens
        usage["candidatesTokenCount"] -= answer.thinking_tokens
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": ask.model,
        "responseId": new_id("", 22),
    }
