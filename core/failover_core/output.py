"""Reading outputs: how the engine sees text, tool calls and endings in values that it does not understand.

A target's `OutputReader` tells what is in a chunk or in an answer. Plain callables need none: `PLAIN` takes
every value for content and expects no finish marker. Validators judge what a reader has read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .health.ratelimit_headers import RateLimitFacts

CHARS_PER_TOKEN = 4  # OpenAI's rule of thumb for English, help.openai.com/en/articles/4936856
BREAKDOWNS = frozenset({"error", "insufficient_system_resource", "abort"})
"""Finish reasons, in lower case, by which Mistral and OpenRouter, DeepSeek, vLLM and SGLang say that they broke off."""


@dataclass(slots=True)
class Reading:
    """What one chunk, or one whole answer, holds.

    Args:
        text: visible text (a delta for a chunk).
        has_content: True when it shows progress: text, a tool call, an image. Keep-alives, role markers and
            empty deltas are False. Reasoning counts as progress, but not as text.
        only_thoughts: all the progress is reasoning: an answer of nothing else is empty.
        has_tool_call: a tool call, whole or in parts.
        finish_reason: the provider's terminal marker in its own words; None when this value carries none.
        refusal: the provider's own reason when the answer is a refusal or was filtered.
        flaw: a defect that the reader itself sees, such as tool arguments that do not parse.
        usage: token counts by name ("input_tokens", "output_tokens", ...).
        model: the model that says it answered.
        opaque: content that is no text, reasoning or tool call, such as an image or a value of unknown type. A
            stream that has shown such content is never continued by another target.
        rate_limit: what the response's headers say of the provider's limits.
    """

    text: str = ""
    has_content: bool = False
    has_tool_call: bool = False
    finish_reason: str | None = None
    refusal: str | None = None
    flaw: str | None = None
    usage: Mapping[str, int] | None = None
    model: str | None = None
    opaque: bool = False
    rate_limit: RateLimitFacts | None = None
    only_thoughts: bool = False

    @property
    def tokens(self) -> float:
        """How long a whole answer is: as the provider counts, or else by its text; 0 = unknown."""
        counted = self.usage.get("output_tokens") if self.usage else None
        return float(counted or len(self.text) / CHARS_PER_TOKEN)


class OutputReader(Protocol):
    """Adapters and native targets implement it for their own output types.

    A reader may also have `plain_text(chunk) -> str | None`: all of a chunk, when it is nothing but visible text. It
    spares the engine a `Reading` for each of the thousands of chunks of a long stream. And where each chunk holds all
    the text up to its own, `text_so_far(chunk) -> str | None` gives that: the engine keeps no copy beside it, and lets
    no queue of such chunks pile up.
    """

    @property
    def expects_finish(self) -> bool:
        """True when an answer of this kind without a finish reason was cut off."""

    @property
    def usage_adds_up(self) -> bool:
        """True when each chunk of a stream tells what it adds to the usage, False when it tells the sum so far."""

    def read(self, output: Any) -> Reading:
        """Read a whole, non-streamed answer."""

    def read_chunk(self, chunk: Any) -> Reading:
        """Read one chunk of a stream."""

    def with_text(self, chunk: Any, text: str) -> Any:
        """A copy of `chunk` whose visible text is `text`: used where a resumed stream is joined."""


class PlainReader:
    """Reads values of unknown type: a str is text, everything else is opaque content; nothing marks the end."""

    expects_finish = False
    usage_adds_up = False

    def read(self, output: Any) -> Reading:
        if isinstance(output, str):  # a chunk of white space may be part of an answer, but is none
            return Reading(text=output, has_content=output != "" and not output.isspace())
        return Reading(has_content=True, opaque=True)

    def read_chunk(self, chunk: Any) -> Reading:
        if isinstance(chunk, str):
            return Reading(text=chunk, has_content=bool(chunk))
        return Reading(has_content=True, opaque=True)

    def plain_text(self, chunk: Any) -> str | None:
        return chunk if isinstance(chunk, str) else None

    def with_text(self, chunk: Any, text: str) -> Any:
        return text


PLAIN: OutputReader = PlainReader()


@dataclass(slots=True)
class Finished:
    """A finished output as validators see it: the sum of its readings.

    Args:
        output: the answer itself; None for a stream.
        text: the whole visible text.
        has_content, has_tool_call, finish_reason, refusal, flaw: as in `Reading`, over everything read.
        reader: the target's reader.
        streamed: whether it came as a stream.
    """

    output: Any = None
    text: str = ""
    has_content: bool = False
    has_tool_call: bool = False
    finish_reason: str | None = None
    refusal: str | None = None
    flaw: str | None = None
    reader: OutputReader = field(default=PLAIN)
    streamed: bool = False

    @classmethod
    def of(cls, output: Any, reading: Reading, reader: OutputReader) -> Finished:
        """A whole answer that has been read.

        Raises:
            TypeError, AttributeError: the reader has returned no `Reading`, or one whose text is none.
        """
        text = reading.text
        if not isinstance(text, str):
            raise TypeError(f"the text of a Reading must be a str, not {text!r:.80}")
        return cls(
            output,
            text,
            reading.has_content,
            reading.has_tool_call,
            reading.finish_reason,
            reading.refusal,
            reading.flaw,
            reader,
        )


Validator = Callable[[Finished], None]
"""Judges a finished output: raises `OutputRejected` to refuse it, returns None to accept it."""
