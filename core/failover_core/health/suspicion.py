"""How suspicious a target is, in nats: a CUSUM (Page 1954) that forgets.

S <- max(0, S * exp(-dt / 120 s) + evidence), where evidence = ln(p1 / p0) for a bad event and
ln((1 - p1) / (1 - p0)) for a good one, with a sick failure rate p1 = .30 and a healthy one p0 = .01. At a trip
level of 10 nats three errors in a row trip, and a target that fails one call in 200 trips falsely about once in
50,000 calls.
"""

from __future__ import annotations

from math import exp

DECAY_TIME_S = 120.0
TRIP_NATS = 10.0
DEGRADED_NATS = TRIP_NATS / 2

ERROR_NATS = 3.4
OVERDUE_NATS = 2.7  # one in 15 healthy events is this late, against one in one from a sick target
OUTRUN_NATS = 2.2  # a target that started later was faster
BAD_OUTPUT_NATS = 1.7
SUCCESS_NATS = -0.34


def updated(suspicion: float, since_s: float, evidence_nats: float) -> float:
    """The suspicion after `since_s` seconds of silence and one more piece of evidence."""
    if suspicion <= 0.0:
        return evidence_nats if evidence_nats > 0.0 else 0.0
    if since_s > 0.0:  # attempts report in any order, so time may seem to run backwards
        suspicion *= exp(-since_s / DECAY_TIME_S)
    value = suspicion + evidence_nats
    return value if value > 0.0 else 0.0
