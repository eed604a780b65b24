"""How suspicious a target is, in nats: a CUSUM (Page 1954) that forgets.

S <- max(0, S * exp(-dt / 120 s) + evidence), where evidence = ln(p1 / p0) for a bad event and ln((1 - p1) / (1 - p0))
for a good one, with a sick failure rate p1 = .30 and a healthy one p0 = .01, or what is usual for this target where
that is more: how often it fails or is late without anything coming of it. At a trip level of 10 nats three errors in a
row trip, and a target trips falsely less than once in 50,000 calls, whether it fails one call in 200 or in 20.

An attempt that has said nothing yet is evidence too, and its silence weighs more with time: of the healthy attempts a
share s(t) is as late as this, of the sick ones p1 + (1 - p1) * s(t), so it weighs ln((1 - p1) + p1 / s(t)). It is
weighed at a few moments (`LOOKS`), and taken back when the attempt says something after all.

A target that answers in time, but takes longer than it used to, is a sum of its own: `latency.slowness_nats`. The same
levels hold for it.
"""

from __future__ import annotations

from math import erfc, exp, log, sqrt

DECAY_TIME_S = 120.0
TRIP_NATS = 10.0
DEGRADED_NATS = TRIP_NATS / 2
CALM_NATS = 1.0

SICK_RATE = 0.30
HEALTHY_RATE = 0.01
MAX_HEALTHY_RATE = 0.10
PRIOR_CALLS = 100
RATE_MEMORY_CALLS = 1000

ERROR_NATS = 3.4
OVERDUE_NATS = 2.7  # one in 15 healthy events is this late, against one in one from a sick target
OUTRUN_NATS = 2.2  # a target that began later was quicker, and too little is known to say how late this one was
MAX_SILENCE_NATS = 3.4
BAD_OUTPUT_NATS = 1.7
SUCCESS_NATS = -0.34
MAX_QUIET_NATS = 3.0  # nobody is raced before nine in ten healthy attempts would have answered
REMEMBERED_NATS = 2.0  # who was silent a moment ago is waited for less long

RACE_NATS = 4.0
"""An attempt is raced when the suspicion of its target and its own silence add up to this. A healthy target has until
its limit, where silence alone weighs about as much; one that has just failed twice has not much longer than usual.
"""


def silence_nats(z: float) -> float:
    """What the silence of an attempt weighs `z` deviations after the usual time."""
    as_late = max(1e-9, 0.5 * erfc(z / sqrt(2.0)))
    return min(MAX_SILENCE_NATS, log((1.0 - SICK_RATE) + SICK_RATE / as_late))


LOOKS = tuple((z, silence_nats(z)) for z in (0.0, 0.67, 1.28, 1.88))
"""(deviations above the usual time, nats): half, a quarter, a tenth and 3 % of healthy attempts are as late as this."""


def updated(suspicion: float, since_s: float, evidence_nats: float) -> float:
    """The suspicion after `since_s` seconds of silence and one more piece of evidence."""
    if suspicion <= 0.0:
        return evidence_nats if evidence_nats > 0.0 else 0.0
    if since_s > 0.0:  # attempts report in any order, so time may seem to run backwards
        suspicion *= exp(-since_s / DECAY_TIME_S)
    value = suspicion + evidence_nats
    return value if value > 0.0 else 0.0


def weighed(evidence_nats: float, usual_rate: float) -> float:
    """What a failure weighs at a target that fails this share of its calls when it is well."""
    if usual_rate <= HEALTHY_RATE:
        return evidence_nats
    return evidence_nats * log(SICK_RATE / min(MAX_HEALTHY_RATE, usual_rate)) / log(SICK_RATE / HEALTHY_RATE)
