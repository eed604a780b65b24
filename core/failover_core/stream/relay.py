"""Passing a stream on once it is trusted: what is done for each chunk, and until when the next one may take."""

from __future__ import annotations

from typing import Any

from .inlet import LAST_WORDS_S, Inlet


class Relay:
    """Comes with a `Wait`: until something else happens, a driver may pass chunks on by itself, without asking the
    engine about each one. That is what makes long streams cheap.

    Args:
        inlet: the stream.
        now: when the first of it was passed on, on the driver's clock.

    Attributes:
        quiet_since_s: when it last showed progress, or when the caller came back for more: a slow reader is not a slow
            target.
        stall_s: how long it may be quiet; None = as long as it likes.
        not_before_s: until then nobody could take over, so it may be quiet in any case.
        look_s: when its pace is to be looked at; None = not any more.
        deadline_s: when the caller wants to have all of it.
        hurries: `until_s` has come nearer than it was when the driver was told to wait.
    """

    __slots__ = (
        "_back_s",
        "_note",
        "_plain_text",
        "deadline_s",
        "hurries",
        "inlet",
        "look_s",
        "not_before_s",
        "quiet_since_s",
        "stall_s",
    )

    def __init__(self, inlet: Inlet, now: float) -> None:
        self.inlet = inlet
        self.quiet_since_s = self._back_s = now
        self.stall_s: float | None = None
        self.not_before_s = 0.0
        self.look_s: float | None = None
        self.deadline_s: float | None = None
        self.hurries = False
        plain_text = getattr(inlet.target.reader, "plain_text", _nothing_is_plain)
        self._plain_text = _nothing_is_plain if inlet.shown else plain_text  # where texts are joined, none is plain
        self._note = inlet.note

    @property
    def until_s(self) -> float | None:
        """When it has to be looked at although nothing has come."""
        until_s = self.deadline_s
        if self.stall_s is not None:
            stalled_s = max(self.quiet_since_s + self.stall_s, self.not_before_s)
            if until_s is None or stalled_s < until_s:
                until_s = stalled_s
        if self.look_s is not None and (until_s is None or self.look_s < until_s):
            return self.look_s
        return until_s

    def take(self, chunk: Any, now: float) -> Any | None:
        """Read a chunk; returns what the caller is to be given now, None for nothing."""
        inlet = self.inlet
        try:
            text = self._plain_text(chunk)
        except Exception:
            text = None  # its `read_chunk` will meet the same, and say so
        if text and inlet.has_content and not inlet.withholds:
            inlet.chunks += 1
            inlet.progress_s = now
            self.quiet_since_s = now if now > self._back_s else self._back_s
            self._note(text, chunk)
            return chunk
        passed = inlet.take(chunk, now)
        if inlet.finish_reason is not None:
            self.wait_for_last_words(now)
        elif inlet.progress_s == now:
            self.quiet_since_s = max(now, self._back_s)
        if inlet.withholds:
            inlet.held.append(passed)
            if inlet.bug is not None:
                self.stall_s, self.not_before_s, self.hurries = 0.0, 0.0, True  # the engine is to hear of it
            return None
        return passed

    def reader_back(self, at_s: float, now: float) -> None:
        """The caller, who was given a chunk of `at_s`, has come back for more. It may have waited in a queue, but the
        caller's time must not count twice.
        """
        self.quiet_since_s = min(now, self.quiet_since_s + now - at_s)
        self._back_s = now  # what has come while the caller was away may wait in a queue, and its target for room there

    def wait_for_last_words(self, now: float) -> None:
        """All is said, and only the usage may still come."""
        self.quiet_since_s, self.not_before_s, self.hurries = max(now, self._back_s), 0.0, True
        self.stall_s = LAST_WORDS_S if self.stall_s is None else min(self.stall_s, LAST_WORDS_S)


def _nothing_is_plain(chunk: Any) -> None:
    return None
