"""What comes back from a native target: a `ChatResponse`, or `ChatChunk`s that `accumulate` puts together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from ..health.ratelimit_headers import RateLimitFacts
from ..output import BREAKDOWNS
from ..stream.text import Text as GrowingText
from ..trace import StreamRestarted
from .chat import ChatMessage, Part, Reasoning, Text, ToolCall

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "error", "other"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens used. Providers count differently; here every part is contained in its whole.

    Args:
        input_tokens: the whole input, cached tokens included (Anthropic reports those apart; they are added).
        output_tokens: the whole output, reasoning included (Google reports it apart; it is added).
        cached_input_tokens: of the input, read from the provider's cache.
        cache_write_tokens: of the input, written to it.
        reasoning_tokens: of the output.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def as_dict(self) -> dict[str, int]:
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "total_tokens": self.total_tokens,
            "cached_input_tokens": self.cached_input_tokens,
            "cache_write_tokens": self.cache_write_tokens,
            "reasoning_tokens": self.reasoning_tokens,
        }


@dataclass(frozen=True, slots=True)
class ChatResponse:
    """A whole answer.

    Args:
        message: the assistant's message; append it to the conversation as it is.
        finish_reason: why it ended: "stop" (done, or a stop text), "length", "tool_calls", "content_filter" (a refusal
            or a filter), "error" (the model broke its own rules), "other"; None = it did not say, so it was cut off.
        raw_finish_reason: the same in the provider's own words.
        refusal: the provider's reason for a refusal, None for an answer.
        usage: token counts, None when not told.
        model: the model that says it answered.
        id: the provider's id of the answer.
        provider: "openai", "anthropic" or "google".
        rate_limit: what the response's headers said of the limits.
        raw: the SDK's own object.
    """

    message: ChatMessage
    finish_reason: FinishReason | None = None
    raw_finish_reason: str | None = None
    refusal: str | None = None
    usage: Usage | None = None
    model: str | None = None
    id: str | None = None
    provider: str | None = None
    rate_limit: RateLimitFacts | None = None
    raw: Any = field(default=None, repr=False, compare=False)

    @property
    def text(self) -> str:
        return self.message.text

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return self.message.tool_calls

    @property
    def flaw(self) -> str | None:
        """A defect of the answer that needs no knowledge of the request to be seen, None when there is none."""
        for call in self.tool_calls:
            if call.raw_arguments is not None:
                if arguments_of(call.raw_arguments) is not None:
                    return CUT_IN_CALL
                return f"the arguments of the call to {call.name!r} are not a JSON object"
        return broken_off(self.finish_reason, self.raw_finish_reason)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a tool call.

    Args:
        index: which call of the answer, from 0.
        id, name: told once, by the first piece.
        arguments: a piece of the JSON text.
        signature: as in `ToolCall`.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    signature: str | None = field(default=None, repr=False)


Delta: TypeAlias = Text | Reasoning | ToolCallDelta


@dataclass(frozen=True, slots=True)
class ChatChunk:
    """A piece of a streamed answer.

    Args:
        deltas: pieces of text, reasoning and tool calls, in order.
        finish_reason, raw_finish_reason, refusal, usage, model, id, provider, rate_limit, raw: as in `ChatResponse`,
            told as soon as the provider tells them; usage counts the whole answer.
        flaw: a defect seen when the answer was complete.
    """

    deltas: tuple[Delta, ...] = ()
    finish_reason: FinishReason | None = None
    raw_finish_reason: str | None = None
    refusal: str | None = None
    flaw: str | None = None
    usage: Usage | None = None
    model: str | None = None
    id: str | None = None
    provider: str | None = None
    rate_limit: RateLimitFacts | None = None
    raw: Any = field(default=None, repr=False, compare=False)

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.deltas if isinstance(delta, Text))

    @property
    def reasoning(self) -> str:
        return "".join(delta.text for delta in self.deltas if isinstance(delta, Reasoning))

    @property
    def tool_calls(self) -> tuple[ToolCallDelta, ...]:
        return tuple(delta for delta in self.deltas if isinstance(delta, ToolCallDelta))

    def __str__(self) -> str:
        return self.text


def accumulate(chunks: Iterable[ChatChunk | StreamRestarted]) -> ChatResponse:
    """The whole answer that the chunks make up since the last restart; without its end, `finish_reason` is None."""
    answer = GrowingAnswer()
    for chunk in chunks:
        if isinstance(chunk, StreamRestarted):
            answer = GrowingAnswer()
        else:
            answer.add(chunk)
    return answer.response()


class GrowingAnswer:
    """The sum of the chunks so far. It keeps no chunk, and takes the same time for each, however long the answer."""

    __slots__ = ("_known", "_parts", "_place", "_refusal", "_text")

    def __init__(self) -> None:
        self._parts: list[Part | ToolCallDelta] = []
        self._place: dict[int, int] = {}
        self._known: dict[str, Any] = {}
        self._refusal: str | None = None
        self._text = GrowingText()  # the text under way, not yet a part

    def add(self, chunk: ChatChunk) -> None:
        for delta in chunk.deltas:
            if isinstance(delta, Text):
                self._text.write(delta.text)
            else:
                self._end_text()
                _join(self._parts, self._place, delta)
        if chunk.refusal is not None:
            self._refusal = (self._refusal or "") + chunk.refusal
        for name in ("finish_reason", "raw_finish_reason", "usage", "model", "id", "provider", "rate_limit"):
            value = getattr(chunk, name)
            if value is not None:
                self._known[name] = value

    @property
    def text(self) -> str:
        """All the visible text so far; the very same string that the answer is made of, where that is possible."""
        pieces = [part.text for part in self._parts if isinstance(part, Text)]
        if self._text:
            pieces.append(str(self._text))
        return "".join(pieces)

    @property
    def reasoning(self) -> str:
        """All the reasoning so far."""
        return "".join([part.text for part in self._parts if isinstance(part, Reasoning)])

    def response(self) -> ChatResponse:
        self._end_text()
        provider = self._known.get("provider")
        whole = tuple(
            tool_call(p.id, p.name, p.arguments, provider=provider, signature=p.signature)
            if isinstance(p, ToolCallDelta)
            else p
            for p in self._parts
        )
        return ChatResponse(ChatMessage("assistant", whole), refusal=self._refusal, **self._known)

    def _end_text(self) -> None:
        if self._text:
            _join(self._parts, self._place, Text(str(self._text)))
            self._text = GrowingText()


def tool_call(id: str | None, name: str | None, arguments: str, **facts: Any) -> ToolCall:
    """A `ToolCall` out of JSON text as a model wrote it; "" counts as no arguments."""
    parsed = arguments_of(arguments)
    if parsed is None:
        return ToolCall(id or "", name or "", raw_arguments=arguments, **facts)
    return ToolCall(id or "", name or "", parsed, **facts)


def finish_of(raw: str, known: Mapping[str, FinishReason]) -> FinishReason:
    """A provider's finish reason in our words; gateways put those of others into any wire."""
    return known.get(raw) or ("error" if raw.lower() in BREAKDOWNS else "other")


def broken_off(finish: FinishReason | None, raw: str | None) -> str | None:
    """The flaw of an answer that ended like this, None for a good end."""
    return f"the model broke off: {raw}" if finish == "error" else None


CUT_IN_CALL = "the output limit was reached in the middle of a tool call"


def doubted(parts: list[Part], finish: FinishReason | None) -> list[Part]:
    """The parts of a whole answer whose wire has tool arguments as objects. Where it ended at its limit, a call at its
    end was cut off: what the provider has made of half a text, mostly `{}`, are not the arguments.
    """
    if finish == "length" and parts and isinstance(parts[-1], ToolCall) and parts[-1].raw_arguments is None:
        call = parts[-1]
        parts[-1] = replace(call, arguments={}, raw_arguments=json.dumps(dict(call.arguments), ensure_ascii=False))
    return parts


def arguments_of(text: str) -> dict[str, Any] | None:
    """The JSON object in `text`, None when there is none."""
    if not text.strip():
        return {}
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _join(parts: list[Part | ToolCallDelta], place: dict[int, int], delta: Delta) -> None:
    """Add a delta to the part that it continues, or begin a new one."""
    last = parts[-1] if parts else None
    if isinstance(delta, ToolCallDelta):
        at = place.setdefault(delta.index, len(parts))
        if at == len(parts):
            parts.append(delta)
            return
        known = parts[at]
        assert isinstance(known, ToolCallDelta)
        parts[at] = ToolCallDelta(
            known.index,
            known.id or delta.id,
            known.name or delta.name,
            known.arguments + delta.arguments,
            known.signature or delta.signature,
        )
    elif isinstance(delta, Text) and isinstance(last, Text):
        parts[-1] = Text(last.text + delta.text)
    elif isinstance(delta, Reasoning) and isinstance(last, Reasoning) and not last.signature and not delta.redacted:
        parts[-1] = replace(delta, text=last.text + delta.text)  # a signature ends a block of reasoning
    else:
        parts.append(delta)
