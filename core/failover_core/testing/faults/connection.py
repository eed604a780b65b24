"""Connections that break, fall silent or go slowly."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..reply import Reply
from ..wires.base import Incoming
from .base import Fault


@dataclass(frozen=True, slots=True)
class Silence(Fault):
    """The request is accepted and never answered, not even with headers."""

    def instead(self, incoming: Incoming) -> Reply | None:
        return Reply(sends_headers=False, ending="hang")


@dataclass(frozen=True, slots=True)
class Reset(Fault):
    """A TCP reset (RST): before the headers for None, else after so many pieces of content."""

    after_chunks: int | None = None

    def instead(self, incoming: Incoming) -> Reply | None:
        return Reply(sends_headers=False, ending="reset") if self.after_chunks is None else None

    def change_reply(self, incoming: Incoming, reply: Reply) -> Reply:
        return reply if self.after_chunks is None else replace(reply.up_to(self.after_chunks), ending="reset")


@dataclass(frozen=True, slots=True)
class Cut(Fault):
    """The connection is closed (FIN) without the end of the body: before the headers for None."""

    after_chunks: int | None = 2

    def instead(self, incoming: Incoming) -> Reply | None:
        return Reply(sends_headers=False, ending="cut") if self.after_chunks is None else None

    def change_reply(self, incoming: Incoming, reply: Reply) -> Reply:
        return reply if self.after_chunks is None else replace(reply.up_to(self.after_chunks), ending="cut")


@dataclass(frozen=True, slots=True)
class Stall(Fault):
    """Nothing more comes after so many pieces of content, and the connection stays open."""

    after_chunks: int = 2

    def change_reply(self, incoming: Incoming, reply: Reply) -> Reply:
        return replace(reply.up_to(self.after_chunks), ending="hang")


@dataclass(frozen=True, slots=True)
class KeepAliveOnly(Fault):
    """Signs of life (comments, pings) every `interval_s` seconds, and no content after `after_chunks` pieces.

    An answer that is not streamed gets the blank lines that some providers send while a request is queued.
    """

    interval_s: float = 0.05
    after_chunks: int = 0
    heartbeat: bytes | None = None

    def change_reply(self, incoming: Incoming, reply: Reply) -> Reply:
        heartbeat = self.heartbeat or (incoming.wire.heartbeat if reply.streamed else b"\n")
        kept = reply.up_to(self.after_chunks if reply.streamed else 0)
        if not reply.streamed:
            kept = replace(kept, streamed=True)  # the blank lines come before the length is known
        return replace(kept, ending="hang", heartbeat=heartbeat, heartbeat_s=self.interval_s)


@dataclass(frozen=True, slots=True)
class SlowFirstToken(Fault):
    """The first content comes `delay_s` seconds late: after the headers and opening events, or before them."""

    delay_s: float
    headers_first: bool = True

    def change_reply(self, incoming: Incoming, reply: Reply) -> Reply:
        return replace(reply, first_delay_s=self.delay_s, headers_first=self.headers_first)


@dataclass(frozen=True, slots=True)
class SlowDecode(Fault):
    """`delay_s` seconds before each further piece of content; an answer in one piece takes as long in all."""

    delay_s: float

    def change_reply(self, incoming: Incoming, reply: Reply) -> Reply:
        return replace(reply, chunk_delay_s=self.delay_s)
