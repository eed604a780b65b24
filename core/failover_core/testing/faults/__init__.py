"""What can go wrong with a provider, as small frozen values: `server.always(faults.Cut(after_chunks=3))`.

A fault has three places to act: instead of an answer, on what the model says, and on how that is sent. Most use
one of them; `first + second` applies both. Write your own by subclassing `Fault`.

`after_chunks` counts pieces of content in a stream: text, reasoning, (pieces of) tool calls. An answer that is not
streamed has no pieces: such faults strike in the middle of its body, or before it for `after_chunks=0`.
"""

from __future__ import annotations

from collections.abc import Mapping

from .base import Both, Fault
from .connection import Cut, KeepAliveOnly, Reset, Silence, SlowDecode, SlowFirstToken, Stall
from .output import BadToolArguments, ContentFilter, CutInToolCall, Empty, Looping, Refusal, Truncated
from .responses import HTML_PAGE, ApiError, PromptBlocked, Status, empty_body, html
from .streams import ErrorEvent, Malformed, MissingTerminator, NoFinishReason

PRESETS: Mapping[str, Fault | None] = {
    "healthy": None,
    "slow": SlowFirstToken(6.0) + SlowDecode(0.2),
    "silent": Silence(),
    "503": Status(503),
    "429": Status(429, retry_after_s=2),
    "reset": Reset(),
    "cut": Cut(),
    "stall": Stall(),
}
"""Incidents as people call them; `server.always(PRESETS["503"])`."""

__all__ = [
    "HTML_PAGE",
    "PRESETS",
    "ApiError",
    "BadToolArguments",
    "Both",
    "ContentFilter",
    "Cut",
    "CutInToolCall",
    "Empty",
    "ErrorEvent",
    "Fault",
    "KeepAliveOnly",
    "Looping",
    "Malformed",
    "MissingTerminator",
    "NoFinishReason",
    "PromptBlocked",
    "Refusal",
    "Reset",
    "Silence",
    "SlowDecode",
    "SlowFirstToken",
    "Stall",
    "Status",
    "Truncated",
    "empty_body",
    "html",
]
