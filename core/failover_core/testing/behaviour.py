"""What the provider server does with one request, without any I/O: judge it, answer it, and apply the fault."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

from .answers import Ask, Script, answer_to, pieces_of
from .faults import Fault
from .reply import Reply
from .wires import Incoming, Rejected

_log = logging.getLogger("failover.testing")


@dataclass(slots=True)
class Behaviour:
    """How a provider answers when it is well. The fields are arguments of `ProviderServer`."""

    answer: Script
    words_per_chunk: int = 3
    chunk_delay_s: float = 0.0
    first_chunk_delay_s: float = 0.0
    continuation: bool = True
    check_requests: bool = True
    models: tuple[str, ...] | None = None

    def has(self, model: str) -> bool:
        return self.models is None or model in self.models

    def reply_to(self, incoming: Incoming, body: Any, fault: Fault) -> tuple[Reply, int]:
        """The reply, and the tokens that it costs."""
        try:
            return self._reply_to(incoming, body, fault)
        except Rejected as rejected:
            return incoming.wire.error(rejected.problem), 0
        except Exception as error:
            _log.exception("The answer= function or a fault of a ProviderServer raised")
            text = f"The answer= function or the fault {fault!r} raised {error!r}"
            return incoming.wire.error(incoming.problem_of_status(500, text)), 0

    def _reply_to(self, incoming: Incoming, body: Any, fault: Fault) -> tuple[Reply, int]:
        reply = fault.instead(incoming)
        if reply is not None:
            return reply, 0
        wire = incoming.wire
        ask = self._understood(incoming, body)
        answer = fault.change_answer(ask, answer_to(ask, self.answer, continuation=self.continuation))
        reply = wire.stream(ask, answer, self.words_per_chunk) if ask.stream else wire.plain(ask, answer)
        paced = replace(
            reply,
            pieces=max(1, len(pieces_of(answer.text, self.words_per_chunk))),
            first_delay_s=self.first_chunk_delay_s,
            chunk_delay_s=self.chunk_delay_s,
        )
        return fault.change_reply(incoming, paced), ask.prompt_tokens + answer.output_tokens

    def _understood(self, incoming: Incoming, body: Any) -> Ask:
        if not isinstance(body, dict):
            raise Rejected(incoming.problem_of_status(400, "We could not parse the JSON body of your request."))
        if incoming.model and not self.has(incoming.model):
            raise Rejected(incoming.problem_of_status(404))
        try:
            if self.check_requests:
                incoming.wire.check(body, incoming.model)
            return incoming.wire.read(body, incoming.model, incoming.stream)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            # A shape that the checks do not know; the real API would not take it either.
            raise Rejected(incoming.problem_of_status(400, f"Invalid request: {error!r}")) from error
