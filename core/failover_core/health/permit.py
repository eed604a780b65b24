"""Leave to make one attempt, and what the attempt adds to the belief in its target while it is under way."""

from __future__ import annotations

from dataclasses import dataclass

from .breaker import Admission
from .ratelimit import answered
from .ratelimit_headers import RateLimitFacts
from .state import TargetState
from .suspicion import weighed


@dataclass(slots=True, eq=False)
class Permit:
    """Leave to make one attempt.

    Args:
        name: the target.
        epoch: of its circuit when the attempt was let in.
        how: it was let in.
        at_s: when.
        asked, asked_tokens: how much had been asked of the target by then, this attempt included.
        noted_nats: lasting evidence given while the attempt was in flight.
        pending_nats: evidence that holds only as long as the attempt says nothing.
        late: it has passed its limit without a word.
        odd: it has been counted among those that failed or were late.
        settled: its end is known.
    """

    name: str
    epoch: int
    how: Admission
    at_s: float = 0.0
    asked: int = 0
    asked_tokens: int = 0
    noted_nats: float = 0.0
    pending_nats: float = 0.0
    late: bool = False
    odd: bool = False
    settled: bool = False

    def leave(self, new: TargetState) -> None:
        """The attempt is over: it is taken out of a state that is being made."""
        self.settled = True
        if new.in_flight:  # a forked child has forgotten those of its parent
            new.in_flight -= 1
        if self.pending_nats:
            self.end_silence(new)

    def report(self, new: TargetState, facts: RateLimitFacts | None) -> None:
        """What came with its answer about the provider's rate limits goes into a state that is being made."""
        asked_since = (new.asked - self.asked, new.asked_tokens - self.asked_tokens)
        new.limit = answered(new.limit, facts, self.at_s, asked_since)

    def weigh(self, new: TargetState, nats: float) -> float:
        """What evidence from this attempt weighs. The target has one more oddity in a state that is being made."""
        if nats <= 0.0:
            return nats
        if not self.odd:
            self.odd = True
            new.odd_lately += 1
        return weighed(nats, new.usual_rate)

    def keep_silence(self, new: TargetState, evidence_nats: float) -> None:
        """It has said nothing yet, which by now weighs this much. Said of a state that is being made."""
        weight = weighed(evidence_nats, new.usual_rate)
        new.pending += weight - self.pending_nats
        self.pending_nats = weight

    def end_silence(self, new: TargetState) -> None:
        """What its silence has added is taken out of a state that is being made."""
        if self.pending_nats:
            if self.epoch >= new.heeds_epoch:
                new.pending = max(0.0, new.pending - self.pending_nats)  # sums of fractions may miss zero by a hair
            self.pending_nats = 0.0
