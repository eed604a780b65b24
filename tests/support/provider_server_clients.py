"""The three official SDKs behind one small face, so that a test says once what each wire must do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx
import openai
from google import genai
from google.genai import types

from failover_core.testing import Behaviour, ProviderServer, default_script
from failover_core.testing.answers import Script

TIMEOUT_S = 5.0
SHORT_TIMEOUT_S = 0.1

ADD = {
    "name": "add",
    "description": "Add two numbers.",
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
}
CITY = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["name", "people"],
    "additionalProperties": False,
}


@dataclass
class Seen:
    """What a user of the SDK got."""

    text: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    finish: str | None = None
    refusal: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    model: str | None = None
    chunks: int = 0


@dataclass
class SDK:
    """One wire through its official SDK. `ask` takes a prompt, or a history in the wire's own words."""

    name: str
    model: str
    ask: Callable[..., Seen]


def _openai(server: ProviderServer, model: str) -> Iterator[SDK]:
    with openai.OpenAI(base_url=server.openai_url, api_key="sk-secret", max_retries=0, timeout=TIMEOUT_S) as client:

        def ask(prompt: Any, *, stream: bool = False, tools: Sequence[Any] = (), schema: Any = None, **options: Any):
            if tools:
                options["tools"] = [{"type": "function", "function": tool} for tool in tools]
            if schema:
                wanted = {"name": "answer", "schema": schema, "strict": True}
                options["response_format"] = {"type": "json_schema", "json_schema": wanted}
            messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
            if stream:
                options["stream_options"] = {"include_usage": True}
                with client.chat.completions.create(model=model, messages=messages, stream=True, **options) as chunks:
                    return _openai_stream(chunks)
            answer = client.chat.completions.create(model=model, messages=messages, **options)
            choice = answer.choices[0]
            calls = [(c.function.name, json.loads(c.function.arguments)) for c in choice.message.tool_calls or ()]
            return Seen(
                text=choice.message.content or "",
                calls=calls,
                finish=choice.finish_reason,
                refusal=choice.message.refusal,
                input_tokens=answer.usage.prompt_tokens,
                output_tokens=answer.usage.completion_tokens,
                model=answer.model,
            )

        yield SDK("openai", model, ask)


def _openai_stream(chunks: Any) -> Seen:
    seen = Seen()
    calls: dict[int, list[str]] = {}
    for chunk in chunks:
        seen.model = chunk.model
        if chunk.usage:
            seen.input_tokens, seen.output_tokens = chunk.usage.prompt_tokens, chunk.usage.completion_tokens
        for choice in chunk.choices:
            delta = choice.delta
            seen.chunks += bool(delta.content)
            seen.text += delta.content or ""
            seen.refusal = (seen.refusal or "") + delta.refusal if delta.refusal else seen.refusal
            seen.finish = choice.finish_reason or seen.finish
            for call in delta.tool_calls or ():
                made = calls.setdefault(call.index, ["", ""])
                made[0] += call.function.name or ""
                made[1] += call.function.arguments or ""
    seen.calls = [(name, json.loads(arguments)) for name, arguments in calls.values()]
    return seen


def _anthropic(server: ProviderServer, model: str) -> Iterator[SDK]:
    with anthropic.Anthropic(
        base_url=server.anthropic_url, api_key="sk-secret", max_retries=0, timeout=TIMEOUT_S
    ) as client:

        def ask(prompt: Any, *, stream: bool = False, tools: Sequence[Any] = (), schema: Any = None, **options: Any):
            if tools:
                options["tools"] = [
                    {"name": t["name"], "description": t["description"], "input_schema": t["parameters"]} for t in tools
                ]
            if schema:
                options["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
            options.setdefault("max_tokens", 1000)
            messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
            if not stream:
                return _anthropic_seen(client.messages.create(model=model, messages=messages, **options))
            with client.messages.stream(model=model, messages=messages, **options) as events:
                chunks = sum(event.type == "text" for event in events)
                seen = _anthropic_seen(events.get_final_message())
            seen.chunks = chunks
            return seen

        yield SDK("anthropic", model, ask)


def _anthropic_seen(message: anthropic.types.Message) -> Seen:
    details = message.stop_details
    return Seen(
        text="".join(block.text for block in message.content if block.type == "text"),
        calls=[(block.name, block.input) for block in message.content if block.type == "tool_use"],
        finish=message.stop_reason,
        refusal=details.explanation if details else None,
        input_tokens=message.usage.input_tokens,
        output_tokens=message.usage.output_tokens,
        model=message.model,
    )


def _gemini(server: ProviderServer, model: str) -> Iterator[SDK]:
    options = {"base_url": server.gemini_url, "timeout": int(TIMEOUT_S * 1000)}
    with genai.Client(api_key="secret", http_options=types.HttpOptions(**options)) as client:

        def ask(prompt: Any, *, stream: bool = False, tools: Sequence[Any] = (), schema: Any = None, **config: Any):
            if tools:
                declared = [{**tool, "parameters_json_schema": tool["parameters"]} for tool in tools]
                declared = [{k: v for k, v in tool.items() if k != "parameters"} for tool in declared]
                config["tools"] = [{"function_declarations": declared}]
                config["automatic_function_calling"] = {"disable": True}
            if schema:
                config |= {"response_mime_type": "application/json", "response_json_schema": schema}
            wanted = types.GenerateContentConfig(**config)
            if stream:
                return _gemini_seen(client.models.generate_content_stream(model=model, contents=prompt, config=wanted))
            return _gemini_seen([client.models.generate_content(model=model, contents=prompt, config=wanted)])

        yield SDK("gemini", model, ask)


def _gemini_seen(responses: Any) -> Seen:
    seen = Seen()
    for response in responses:
        seen.model = response.model_version or seen.model
        if response.usage_metadata:
            seen.input_tokens = response.usage_metadata.prompt_token_count
            seen.output_tokens = response.usage_metadata.candidates_token_count
        if response.prompt_feedback:
            seen.refusal = response.prompt_feedback.block_reason.value
        for candidate in response.candidates or ():
            if candidate.finish_reason:
                seen.finish = candidate.finish_reason.value
                seen.refusal = candidate.finish_message
            for part in candidate.content.parts or () if candidate.content else ():
                if part.function_call:
                    seen.calls.append((part.function_call.name, part.function_call.args))
                if part.text and not part.thought:
                    seen.text += part.text
                    seen.chunks += 1
    return seen


MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5", "gemini": "gemini-2.5-flash"}


class Raw:
    """The smallest valid request of each wire through httpx, for what no SDK shows."""

    def __init__(self, server: ProviderServer, http: httpx.Client) -> None:
        self.server = server
        self.http = http

    def request(self, wire: str, *, stream: bool = False, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        messages = [{"role": "user", "content": "hello"}]
        model = MODELS[wire]
        if wire == "openai":
            url = f"{self.server.openai_url}/chat/completions"
            body: dict[str, Any] = {"model": model, "messages": messages, "stream": stream}
        elif wire == "anthropic":
            url = f"{self.server.anthropic_url}/v1/messages"
            body = {"model": model, "messages": messages, "stream": stream, "max_tokens": 1000}
        else:
            method = "streamGenerateContent?alt=sse" if stream else "generateContent"
            url = f"{self.server.gemini_url}/v1beta/models/{model}:{method}"
            body = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
        return {"method": "POST", "url": url, "json": body, "timeout": httpx.Timeout(timeout_s)}

    def ask(self, wire: str, *, stream: bool = False) -> httpx.Response:
        return self.http.request(**self.request(wire, stream=stream))

    def stream(
        self, wire: str, *, stream: bool = True, timeout_s: float = TIMEOUT_S
    ) -> AbstractContextManager[httpx.Response]:
        return self.http.stream(**self.request(wire, stream=stream, timeout_s=timeout_s))


@contextmanager
def raw_http() -> Iterator[httpx.Client]:
    """A client that loads no certificates: most of the time that a new one takes."""
    with httpx.Client(verify=False) as http:
        yield http


def texts_in(line: str) -> list[str]:
    """The visible text in one line of any wire's stream."""
    if not line.startswith("data: {"):
        return []
    data = json.loads(line.removeprefix("data: "))
    openai_text = [choice["delta"].get("content") for choice in data.get("choices", ())]
    anthropic_text = [data.get("delta", {}).get("text")]
    gemini_text = [p.get("text") for c in data.get("candidates", ()) for p in c.get("content", {}).get("parts", ())]
    return [text for text in (*openai_text, *anthropic_text, *gemini_text) if text]


def read(raw: Raw, wire: str, *, stream: bool) -> tuple[list[str], Exception | None]:
    """Read a response as far as it goes: the pieces of text, and what ended it."""
    texts: list[str] = []
    try:
        with raw.stream(wire, stream=stream, timeout_s=SHORT_TIMEOUT_S) as response:
            if not stream:
                response.read()
            for line in response.iter_lines() if stream else ():
                texts += texts_in(line)
    except httpx.TransportError as error:
        return texts, error
    return texts, None


# What test modules make their fixtures of: one server and one set of clients a module, as good as new for each test.


def run_server() -> Iterator[ProviderServer]:
    with ProviderServer() as server:
        yield server


def open_sdks(running: ProviderServer) -> Iterator[dict[str, SDK]]:
    """The three SDKs, without retries, closed at the end."""
    with ExitStack() as stack:
        opened = {"openai": _openai, "anthropic": _anthropic, "gemini": _gemini}
        yield {
            wire: stack.enter_context(contextmanager(open_)(running, MODELS[wire])) for wire, open_ in opened.items()
        }


def open_raw(running: ProviderServer) -> Iterator[Raw]:
    with raw_http() as http:
        yield Raw(running, http)


def renew(running: ProviderServer, answer: Script = default_script) -> ProviderServer:
    running.heal()
    running.accept()
    running.wait_until_idle()
    running.clear()
    running.behaviour = Behaviour(answer=answer)
    return running
