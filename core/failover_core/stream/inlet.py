"""One attempt's stream as it arrives: held back until it has shown that it works, and read as it passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..failure import Failure, own_bug
from ..model import Target
from ..output import CHARS_PER_TOKEN, Finished
from .anchor import Joiner
from .text import Text

if TYPE_CHECKING:
    from ..health.ratelimit_headers import RateLimitFacts


LAST_WORDS_S = 2.0  # the usage comes right after the finish reason; some servers never close the connection then


class Inlet:
    """Reads chunks, holds the first ones back, and joins them to text already shown when there is any.

    Args:
        target: whose reader is used.
        hold_back_tokens, hold_back_s, hold_tool_calls: see `Settings`.
        shown: the text that the caller has seen of a broken stream; "" for a fresh one.

    Attributes:
        withholds: nothing more is shown before the stream's good end: a tool call has begun, or JSON was asked for.
        bug: the target's reader could not read a chunk; nothing is shown after it.
        opaque: there was content of unknown kind in it.
        texts: the text of this stream, so far.
        said_all_s: when the finish reason had come, or what came after it; None before.
        idle_s: how long the target was not asked for more, since the caller was busy with what it had.
    """

    __slots__ = (
        "_adds_usage",
        "_hold_chars",
        "_hold_s",
        "_joiner",
        "_read",
        "_text_so_far",
        "_visible",
        "bug",
        "chunks",
        "finish_reason",
        "first_content_s",
        "flaw",
        "has_content",
        "has_tool_call",
        "held",
        "idle_s",
        "model",
        "opaque",
        "progress_s",
        "rate_limit",
        "refusal",
        "said_all_s",
        "shown",
        "target",
        "texts",
        "usage",
        "withholds",
    )

    def __init__(
        self,
        target: Target,
        hold_back_tokens: int,
        hold_back_s: float,
        shown: str = "",
        *,
        hold_tool_calls: bool = True,
    ) -> None:
        self.target = target
        self.withholds = False
        self.bug: Failure | None = None
        self.shown = shown
        self.held: list[Any] = []
        self.texts = Text()
        self.idle_s = 0.0
        self.chunks = 0
        self.has_content = False
        self.has_tool_call = False
        self.finish_reason: str | None = None
        self.refusal: str | None = None
        self.flaw: str | None = None
        self.opaque = False
        self.usage: Mapping[str, int] | None = None
        self.model: str | None = None
        self.rate_limit: RateLimitFacts | None = None
        self.first_content_s: float | None = None
        self.progress_s: float | None = None
        self.said_all_s: float | None = None
        self._read = target.reader.read_chunk
        self._adds_usage = target.reader.usage_adds_up
        self._visible: int | None = None if hold_tool_calls else -1
        self._hold_chars = hold_back_tokens * CHARS_PER_TOKEN
        self._hold_s = hold_back_s
        self._joiner = Joiner(shown) if shown else None
        self._text_so_far = None if shown else getattr(target.reader, "text_so_far", None)

    def take(self, chunk: Any, now: float) -> Any | None:
        """Read a chunk; returns what may be passed on of it, None for nothing."""
        self.chunks += 1
        try:
            reading = self._read(chunk)
            text = reading.text
            blank = str.isspace(text) and not self.has_content  # neither an answer nor progress on its own
            if reading.usage is not None:
                self.usage = added(self.usage, reading.usage) if self._adds_usage else reading.usage
        except Exception as error:
            self._misread("its reader's read_chunk", error)
            return None
        if reading.has_content and not (blank and not reading.has_tool_call and not reading.opaque):
            self.has_content = self.has_content or not reading.only_thoughts
            self.progress_s = now
            if self.first_content_s is None:
                self.first_content_s = now
        if reading.has_tool_call:
            self.has_tool_call = True
            if self._visible is None:
                self.withhold()
        if reading.finish_reason is not None:
            self.finish_reason = reading.finish_reason
        if self.finish_reason is not None:
            self.said_all_s = now
        if reading.refusal is not None:
            self.refusal = (self.refusal or "") + reading.refusal
        if reading.flaw is not None:
            self.flaw = reading.flaw
        if reading.opaque:
            self.opaque = True
        if reading.model is not None:
            self.model = reading.model
        if reading.rate_limit is not None:
            self.rate_limit = reading.rate_limit
        if self._joiner is not None and not self._joiner.settled:
            text = self._joiner.feed(text)
            if not self._joiner.joined:
                return None
            try:
                chunk = self.target.reader.with_text(chunk, text)
            except Exception as error:
                self._misread("its reader's with_text", error)
                return None
        if text:
            self.note(text, chunk)
        return chunk

    def note(self, text: str, chunk: Any) -> None:
        """Keep the text of a chunk; not a second time where the chunk itself has all of it so far."""
        texts = self.texts
        if self._text_so_far is not None and texts.is_gathered:
            try:
                if texts.becomes(self._text_so_far(chunk), text):
                    return
            except Exception:
                self._text_so_far = None  # then it is kept here
        texts.write(text)

    def _misread(self, what: str, error: Exception) -> None:
        self.bug = own_bug(self.target.name, what, error)
        self.withhold()

    def withhold(self) -> None:
        """From here on nothing is shown before the stream's good end."""
        self.withholds, self._visible = True, len(self.texts)

    def release_at_s(self) -> float | None:
        """When what is held may be shown even if it is little; None before there is anything to show."""
        if self.first_content_s is None or self.withholds or self.refusal is not None or not self.joined:
            return None
        return self.first_content_s + self._hold_s

    def ready(self, now: float) -> bool:
        """Has the stream shown enough to be trusted?"""
        release_s = self.release_at_s()
        return release_s is not None and (self.text_chars >= self._hold_chars or now >= release_s)

    @property
    def joined(self) -> bool:
        return self._joiner is None or self._joiner.joined

    @property
    def hopeless(self) -> bool:
        return self._joiner is not None and self._joiner.hopeless

    @property
    def text_chars(self) -> int:
        return len(self.texts)

    @property
    def text(self) -> str:
        """All the text up to here, that before a join included."""
        return self.shown + str(self.texts)

    @property
    def seen(self) -> str:
        """The part of `text` that the caller has seen when everything that is not withheld has been passed on."""
        return self.shown + str(self.texts)[: self._visible if self.withholds else None]

    def finished(self) -> Finished:
        return Finished(
            text=self.text,
            has_content=self.has_content,
            has_tool_call=self.has_tool_call,
            finish_reason=self.finish_reason,
            refusal=self.refusal,
            flaw=self.flaw,
            reader=self.target.reader,
            streamed=True,
        )


def added(usage: Mapping[str, int] | None, more: Mapping[str, int]) -> Mapping[str, int]:
    """Token counts by name, summed up."""
    return {name: usage.get(name, 0) + more.get(name, 0) for name in {**usage, **more}} if usage else more
