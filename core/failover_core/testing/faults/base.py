"""What a fault is: a frozen value with three places to act."""

from __future__ import annotations

from dataclasses import dataclass

from ...failure import FailureKind
from ..answers import Answer, Ask
from ..reply import Reply
from ..wires.base import ERROR_KINDS, Incoming


@dataclass(frozen=True, slots=True)
class Fault:
    """A provider that does nothing wrong; the base of all faults."""

    def instead(self, incoming: Incoming) -> Reply | None:
        """A reply in place of any answer: the request is not even looked at."""
        return None

    def change_answer(self, ask: Ask, answer: Answer) -> Answer:
        """What the model says in place of `answer`."""
        return answer

    def change_reply(self, incoming: Incoming, reply: Reply) -> Reply:
        """How it is sent."""
        return reply

    def __add__(self, other: Fault) -> Fault:
        return Both(self, other)


@dataclass(frozen=True, slots=True)
class Both(Fault):
    """Two faults at once, such as `SlowDecode(0.1) + Cut(3)`."""

    first: Fault
    second: Fault

    def instead(self, incoming: Incoming) -> Reply | None:
        reply = self.first.instead(incoming)
        if reply is None:
            reply = self.second.instead(incoming)
        # Delays still apply to a reply that one of the two puts in place of the answer.
        return None if reply is None else self.change_reply(incoming, reply)

    def change_answer(self, ask: Ask, answer: Answer) -> Answer:
        return self.second.change_answer(ask, self.first.change_answer(ask, answer))

    def change_reply(self, incoming: Incoming, reply: Reply) -> Reply:
        return self.second.change_reply(incoming, self.first.change_reply(incoming, reply))


def check_error_kind(kind: FailureKind) -> None:
    """Raise ValueError for a kind that does not come as an error response."""
    if kind not in ERROR_KINDS:
        known = ", ".join(sorted(ERROR_KINDS))
        raise ValueError(f"{kind!r} does not come as an error response; use one of: {known}")
