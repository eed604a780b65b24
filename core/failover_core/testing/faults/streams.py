"""Streams that say the wrong thing about themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...failure import FailureKind
from ..answers import Answer, Ask
from ..reply import Part, Reply, Role
from ..wires.base import Incoming
from .base import Fault, check_error_kind


@dataclass(frozen=True, slots=True)
class Malformed(Fault):
    """One event whose JSON is cut short, after `after_chunks` pieces; the rest follows. A plain body is cut short."""

    after_chunks: int = 1

    def change_reply(self, incoming: Incoming, reply: Reply) -> Reply:
        parts = list(reply.parts)
        content = [index for index, part in enumerate(parts) if part.role is Role.CONTENT]
        if not content:
            return reply
        at = content[min(self.after_chunks if reply.streamed else 0, len(content) - 1)]
        parts[at] = _broken(parts[at])
        return replace(reply, parts=tuple(parts))


@dataclass(frozen=True, slots=True)
class MissingTerminator(Fault):
    """A stream with its finish reason but without `[DONE]` or `message_stop`. Gemini has no such terminator."""

    def change_reply(self, incoming: Incoming, reply: Reply) -> Reply:
        return reply.without(Role.END)


@dataclass(frozen=True, slots=True)
class NoFinishReason(Fault):
    """A clean end without a finish reason.

    Args:
        after_chunks: end after so many pieces of content; None = after all of them.
        terminator: whether `[DONE]` or `message_stop` still comes.
    """

    after_chunks: int | None = None
    terminator: bool = False

    def change_answer(self, ask: Ask, answer: Answer) -> Answer:
        return replace(answer, finish=None)

    def change_reply(self, incoming: Incoming, reply: Reply) -> Reply:
        if not reply.streamed:
            return reply
        kept = reply if self.after_chunks is None else reply.up_to(self.after_chunks)
        ends = tuple(part for part in reply.parts if part.role is Role.END) if self.terminator else ()
        kept = kept.without(Role.FINISH, Role.END)
        return replace(kept, parts=kept.parts + ends)


@dataclass(frozen=True, slots=True)
class ErrorEvent(Fault):
    """An error inside a 200: first of all for `after_chunks=0`, else after so many pieces, and the stream ends.

    An answer that is not streamed is the error's JSON under a 200.
    """

    after_chunks: int = 0
    kind: FailureKind = FailureKind.OVERLOADED
    message: str | None = None

    def __post_init__(self) -> None:
        check_error_kind(self.kind)

    def change_reply(self, incoming: Incoming, reply: Reply) -> Reply:
        problem = incoming.problem_of_kind(self.kind, self.message)
        if not reply.streamed:
            return replace(incoming.wire.error(problem), status=200)
        before = reply.up_to(self.after_chunks).parts if self.after_chunks else ()
        return replace(reply, parts=(*before, incoming.wire.error_event(problem)))


def _broken(part: Part) -> Part:
    text = part.data.rstrip(b"\n")
    end = b"\n\n" if len(text) < len(part.data) else b""
    return Part(part.role, text[: len(text) * 2 // 3] + end)
