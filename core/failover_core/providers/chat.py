"""The neutral chat types: what is asked of a native target, whoever serves it, and what comes back.

A `ChatRequest` holds `ChatMessage`s made of parts (`Text`, `Image`, `File`, `ToolCall`, `ToolResult`, `Reasoning`).
`openai_wire.py`, `anthropic_wire.py` and `google_wire.py` translate it into each provider's own shape; a provider's
answer comes back as a `ChatResponse` or as `ChatChunk`s (`answers.py`). Everything is frozen: one request is safely
sent to several targets at once.

Field names and meanings follow the providers' own references:
https://platform.openai.com/docs/api-reference/chat, https://docs.anthropic.com/en/api/messages and
https://ai.google.dev/api/generate-content.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ..failure import ConfigError
from .media import File as File
from .media import Image as Image

Role = Literal["system", "user", "assistant", "tool"]
ROLES = ("system", "user", "assistant", "tool")
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


@dataclass(frozen=True, slots=True)
class Text:
    """Visible text; in a `ChatChunk`, a piece of it."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks to run a tool.

    Args:
        id: pairs the call with its result; rewritten for a provider with narrower rules than its author's.
        name: the tool.
        arguments: the parsed arguments.
        raw_arguments: what the model wrote, only when it is no JSON object or was cut off; `arguments` is then empty.
        signature: opaque proof of the reasoning behind the call (Gemini's `thought_signature`, in base64).
        provider: who made the call; its signature means something to that provider only.
    """

    id: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    raw_arguments: str | None = None
    signature: str | None = field(default=None, repr=False)
    provider: str | None = None


@dataclass(frozen=True, slots=True, init=False)
class ToolResult:
    """What a tool gave back.

    Args:
        id: the `ToolCall.id` that it answers.
        parts: text and pictures; a plain str counts as one `Text`.
        name: the tool; found through the call when left out.
        is_error: the tool failed, and the parts say how.
    """

    id: str
    parts: tuple[Text | Image | File, ...]
    name: str | None
    is_error: bool

    def __init__(
        self,
        id: str,
        parts: str | Iterable[Text | Image | File] = (),
        name: str | None = None,
        is_error: bool = False,
    ) -> None:
        object.__setattr__(self, "id", id)
        object.__setattr__(self, "parts", (Text(parts),) if isinstance(parts, str) else tuple(parts))
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "is_error", is_error)

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The model's thoughts: shown by some providers, and given back only to the one that signed them.

    Args:
        text: readable thoughts, often a summary; may be empty.
        signature: opaque proof or encrypted content that the provider wants back unchanged; base64 for Google.
        provider: who thought it.
        redacted: `signature` is Anthropic's encrypted `redacted_thinking`.
    """

    text: str = ""
    signature: str | None = field(default=None, repr=False)
    provider: str | None = None
    redacted: bool = False


Part: TypeAlias = Text | Image | File | ToolCall | ToolResult | Reasoning


@dataclass(frozen=True, slots=True, init=False)
class ChatMessage:
    """One message. `ChatMessage("user", "hi")` is enough for text.

    Args:
        role: "system" instructs, "user" asks, "assistant" is the model, "tool" carries `ToolResult`s.
        parts: in the order in which the model wrote, or shall read, them; a plain str counts as one `Text`.
    """

    role: Role
    parts: tuple[Part, ...]

    def __init__(self, role: Role, parts: str | Iterable[Part] = ()) -> None:
        if role not in ROLES:
            raise ConfigError(f"ChatMessage({role!r}, ...): the role must be one of {', '.join(ROLES)}")
        object.__setattr__(self, "role", role)
        object.__setattr__(self, "parts", (Text(parts),) if isinstance(parts, str) else tuple(parts))

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolCall))


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool on offer.

    Args:
        name: at most 64 letters, digits, "_" and "-": what all providers take.
        description: when and how to use it.
        parameters: JSON schema of the arguments, an object.
        strict: hold the model to the schema where the provider can (OpenAI, newer Claude models).
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool = False


@dataclass(frozen=True, slots=True)
class CallTool:
    """A `ToolChoice`: the model must call this tool."""

    name: str


ToolChoice: TypeAlias = Literal["auto", "none", "required"] | CallTool


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """The answer must be JSON that fits this schema.

    Args:
        schema: a JSON schema, an object at its root.
        name: a name for it, letters, digits, "_" and "-".
        strict: let the provider enforce it; only OpenAI knows the difference.
    """

    schema: Mapping[str, Any]
    name: str = "answer"
    strict: bool = True


@dataclass(frozen=True, slots=True)
class Thinking:
    """How much the model may reason first. Either measure is translated for providers that know only the other.

    Args:
        effort: "none" to "max"; a level that a provider lacks becomes the nearest one it has.
        budget_tokens: reasoning tokens allowed; they count as output tokens.
        show: ask for readable thoughts where they are not shown anyway.
    """

    effort: Effort | None = None
    budget_tokens: int | None = None
    show: bool = False


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """Everything that is asked of a model. A parameter left at None is not sent; one that a provider does not know
    is left out for that provider (each `*_wire.py` says which).

    Args:
        messages: the conversation, oldest first.
        tools: tools on offer.
        tool_choice: must, may or must not a tool be called; None = the provider's default, "auto".
        parallel_tool_calls: False = at most one call in an answer.
        response_format: "json" for any JSON object, or a `ResponseFormat`.
        temperature: 0 to 2 (Anthropic: 0 to 1; more is cut to 1).
        top_p: nucleus sampling, 0 to 1.
        top_k: sample from the k likeliest tokens.
        max_output_tokens: limit of the answer in tokens, reasoning included.
        stop: the answer ends before any of these texts.
        seed: the same seed asks for the same answer.
        presence_penalty, frequency_penalty: -2 to 2.
        thinking: how much to reason.
        options: provider name -> further keyword arguments of that provider's own call, passed on untouched
            (`{"openai": {"service_tier": "flex"}}`). None as a value takes out what would have been sent.
    """

    messages: Sequence[ChatMessage]
    tools: Sequence[ToolSpec] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | Literal["json"] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_output_tokens: int | None = None
    stop: Sequence[str] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    thinking: Thinking | None = None
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "messages", tuple(self.messages))
        object.__setattr__(self, "tools", tuple(self.tools))
        object.__setattr__(self, "stop", (self.stop,) if isinstance(self.stop, str) else tuple(self.stop))

    @property
    def json_schema(self) -> ResponseFormat | None:
        return self.response_format if isinstance(self.response_format, ResponseFormat) else None
