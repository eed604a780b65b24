"""Health checks: when a target is checked with its free call, and what a check's result may change.

A check asks for no answer: it proves the network, the gateway and the key, not the model. So it is weak evidence:

1. A check that fails weighs as a failed attempt does, as long as no attempt shows that the target answers after all.
2. While the circuit is open, failing checks put the next probe off: no request is spent. Once a minute one is spent all
   the same, for it may be the free call that is broken.
3. A good check never closes a circuit and never counts as an answer. Only where checks had failed does it say something
   new: the cooldown is over, the next request may probe. Where they had been good all along (the model hangs behind a
   gateway that is well) it says nothing.
4. A target whose requests are heard of is not checked: they say more.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..failure import Failure, FailureKind
from . import breaker as circuits
from .breaker import CircuitState
from .state import TargetState

TIMEOUT_S = 5.0
CONFIRM_S = 1.0  # three failures open a circuit: the second and third check need not wait for their turn
FIRST_LOOK_S = 3.0  # after a circuit has opened: jittered, still before the shortest cooldown ends
OPEN_CHECK_S = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What a health check has found.

    Args:
        failure: None = the provider answered.
        evidence_nats, parks: what the failure table says of such a failure.
        failing_since_s: when the first check of the run of failed ones began that this one goes on or ends; None = the
            one before was good as well.
    """

    failure: Failure | None = None
    evidence_nats: float = 0.0
    parks: bool = False
    failing_since_s: float | None = None

    @property
    def reason(self) -> str:
        return "" if self.failure is None else f"health check: {self.failure.kind}: {self.failure.message}"


def due_s(state: TargetState, last_s: float, interval_s: float, *, hurry: bool, jitter: float) -> float:
    """When a target is to be checked next.

    Args:
        last_s: when its last check ended.
        interval_s: between the checks of a target that has no traffic.
        hurry: the last check failed, and the next one should soon confirm it or see its end.
        jitter: factor on the waiting time, uniform in [.8, 1.2).
    """
    circuit = state.breaker
    if circuit.state is CircuitState.PROBING:  # a request is on its way to it
        return circuit.until_s
    if circuit.state is CircuitState.OPEN:
        if last_s <= circuit.since_s:
            return circuit.since_s + jitter * min(interval_s, FIRST_LOOK_S)
        return last_s + jitter * (min(interval_s, OPEN_CHECK_S) if hurry else interval_s)
    if hurry:
        return last_s + jitter * min(interval_s, CONFIRM_S)
    return max(last_s, state.updated_s) + jitter * interval_s


def after_check(
    state: TargetState, finding: Finding, now: float, *, heard_s: float, jitter: float, park_s: float
) -> TargetState:
    """The state after a health check; the same one when the check changes nothing.

    Args:
        heard_s: when the newest attempt began that has said something.
        jitter: factor on the cooldown, uniform in [.8, 1.2).
        park_s: how long a target rests until a person has acted.
    """
    circuit, failure, since_s = state.breaker, finding.failure, finding.failing_since_s
    if failure is None:
        after = circuit if since_s is None else circuits.rested(circuit, now)
    elif circuit.state is CircuitState.PROBING or (since_s is not None and heard_s > since_s):
        return state
    elif circuit.state is CircuitState.OPEN:
        after = circuits.held(circuit, now)
    elif finding.parks:
        after = circuits.parked(circuit, circuit.epoch, now, park_s=park_s, reason=finding.reason)
    else:
        return _with_evidence(state, finding, now, jitter, silent=failure.kind is FailureKind.TIMEOUT)
    if after is circuit:
        return state
    new = state.copy()
    new.breaker = after
    return new


def _with_evidence(state: TargetState, finding: Finding, now: float, jitter: float, *, silent: bool) -> TargetState:
    new = state.copy()
    new.weigh(now, finding.evidence_nats, silence=silent)
    new.judge(state.breaker.epoch, now, finding.reason, irreplaceable=False, jitter=jitter, request_every_s=0.0)
    return new
