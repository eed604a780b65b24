"""Native targets: `openai:`, `anthropic:` and `google:` models through their official SDKs, with no framework.

`native_target` makes a `Target`; it takes what `front.as_chat_request` takes, and answers with `ChatResponse` and
`ChatChunk`. One subclass of `NativeChat` a provider calls the SDK, its `*_wire.py` and `*_answers.py` translate, and
`portable.py` makes any conversation legal for it.
"""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from typing import Any

from ..failure import ConfigError
from ..model import Target
from .answers import ChatChunk, ChatResponse, ToolCallDelta, Usage, accumulate
from .chat import (
    CallTool,
    ChatMessage,
    ChatRequest,
    File,
    Image,
    Reasoning,
    ResponseFormat,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
)
from .front import as_chat_request
from .native import OPTION_NAMES, NativeChat, NativeOptions
from .reading import ChatReader, request_info, resume_chat

ALIASES = {"google_genai": "google", "gemini": "google"}
CLASSES = {"openai": "OpenAIChat", "anthropic": "AnthropicChat", "google": "GoogleChat"}
TARGET_OPTIONS = frozenset(
    {"name", "region", "tags", "weight", "tier", "max_concurrent", "context_window_tokens", "lacks", "health_check"}
    | {"input_usd_per_million", "output_usd_per_million"}
)
READER = ChatReader()


def parse_spec(spec: str) -> tuple[str, str]:
    """("google", "gemini-3-flash") for "gemini:gemini-3-flash". The model's name may hold colons ("llama3:8b").

    Raises:
        ConfigError: for anything else than PROVIDER:MODEL.
    """
    provider, colon, model = spec.partition(":") if isinstance(spec, str) else ("", "", "")
    provider, model = provider.strip().lower(), model.strip()
    provider = ALIASES.get(provider, provider)
    if not colon or not model or provider not in CLASSES:
        known = ", ".join(f"'{name}:MODEL'" for name in CLASSES)
        raise ConfigError(f"{spec!r} is not a native target; write one of {known}, such as 'openai:gpt-4o-mini'")
    return provider, model


def native_target(spec: str, /, **options: Any) -> Target:
    """A target that calls a provider's official SDK.

    Args:
        spec: "openai:MODEL", "anthropic:MODEL" or "google:MODEL" (aliases "google_genai:", "gemini:").
        options: `name` (the spec by default), `region`, `tags`, `weight`, `tier`, `max_concurrent`,
            `input_usd_per_million`, `output_usd_per_million`, `context_window_tokens`, `lacks` and `health_check` (in
            place of what is known of the model, and of the SDK's free call) as in `Target`;
            `api_key`, `base_url`, `timeout_s`, `client_options` and `defaults` as in `NativeOptions`.

    Raises:
        ConfigError: for a spec of another form or an unknown option.
        ImportError: naming the extra, when that provider's SDK is not installed.
    """
    provider, model = parse_spec(spec)
    _check_options(spec, options)
    module = importlib.import_module(f"{__name__}.{provider}")
    own = {name: value for name, value in options.items() if name in OPTION_NAMES}
    chat: NativeChat = getattr(module, CLASSES[provider])(NativeOptions(model, **own))
    facts = {name: value for name, value in options.items() if name in TARGET_OPTIONS}
    facts = {"name": spec, "lacks": chat.known_lacks(), "health_check": chat.health_check, **facts}
    return Target(
        **{**facts, "tags": frozenset(facts.get("tags", ())), "lacks": frozenset(facts["lacks"])},
        call=chat.call,
        acall=chat.acall,
        stream=chat.stream,
        astream=chat.astream,
        provider=provider,
        model=model,
        reader=READER,
        resume=lambda request, shown_text: resume_chat(as_chat_request(request), shown_text),
        source=chat,
    )


def _check_options(spec: str, options: dict[str, Any]) -> None:
    known = sorted(TARGET_OPTIONS | OPTION_NAMES)
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}=?" if near else "options of the SDK's client go in client_options=."
            raise ConfigError(f"Target.native({spec!r}, {name}=...): {hint} It takes {', '.join(known)}")


__all__ = [
    "CallTool",
    "ChatChunk",
    "ChatMessage",
    "ChatReader",
    "ChatRequest",
    "ChatResponse",
    "File",
    "Image",
    "NativeChat",
    "Reasoning",
    "ResponseFormat",
    "Text",
    "Thinking",
    "ToolCall",
    "ToolCallDelta",
    "ToolResult",
    "ToolSpec",
    "Usage",
    "accumulate",
    "as_chat_request",
    "native_target",
    "parse_spec",
    "request_info",
    "resume_chat",
]
