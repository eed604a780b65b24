"""How good a trial of a target would a request make?

The best ones are smaller than usual, so that a trial in vain costs little, and streams, which tell within seconds how
the target is, while a whole answer that is late might just be long. The others stand back, where a better one is
likely to come soon.
"""

from __future__ import annotations

from dataclasses import dataclass

STAND_BACK_S = 10.0
STAND_BACK_REQUESTS = 8.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One request as a trial.

    Args:
        large: it is larger than usual for the target.
        stream_within_s: it asks for a whole answer, and a stream is likely to come within so many seconds; 0 = it is a
            stream itself, or none is likely.
        boost: factor on the share of streams that a ramp lets through first, to make up for those who stand back.
    """

    large: bool = False
    stream_within_s: float = 0.0
    boost: float = 1.0

    @property
    def stands_back_s(self) -> float:
        """How long it leaves a probe to a better one."""
        return STAND_BACK_S if self.large else self.stream_within_s


GOOD_TRIAL = Trial()


def trial_of(tokens: int, usual_tokens: float, *, streaming: bool, streams: float, request_every_s: float) -> Trial:
    """What a request is good for as a trial.

    Args:
        tokens, usual_tokens: the size of the request, and of the target's requests.
        streams: share of the target's requests that are streams.
        request_every_s: mean time between requests.
    """
    large, within_s = tokens > usual_tokens, STAND_BACK_REQUESTS * request_every_s
    if streams * STAND_BACK_REQUESTS < 1.0 or within_s > STAND_BACK_S:  # no stream is likely to come soon
        return Trial(large)
    return Trial(large, boost=1.0 / streams) if streaming else Trial(large, within_s)
