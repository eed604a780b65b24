"""In which order are targets asked? A policy is a function, and users can pass their own.

`policy(candidates, snapshot, request) -> candidates in order`: `candidates` are the targets that can take the request,
in the order of the configuration; `snapshot` is what is believed of them now; `request` is a `RequestInfo`. What a
policy leaves out is not asked. Whatever the policy, tiers come first, and a target that is not available is passed over
when its turn comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from math import exp, inf, log
from operator import attrgetter

from ..failure import ConfigError, Failure, FailureKind, in_words
from ..health.state import TargetState
from ..model import RequestInfo, Target, is_async

FORGET_PACE_S = 60.0
COMPARED, DRAWN = 16, 8
MAX_LOOKED_AT = 10_000  # of what a policy returns: it may be an iterator that never ends
USUAL_PROMPT_TOKENS = 1000
USUAL_OUTPUT_TOKENS = 500

_tier = attrgetter("tier")


@dataclass(slots=True, eq=False)
class Snapshot(Mapping[str, TargetState]):
    """What is believed of all targets at one moment: a mapping from names to `TargetState`.

    Args:
        states: the states.
        now_s: the time they are looked at, in seconds on the health book's clock.
        draw: gives uniform random numbers in [0, 1).
        doubted: the names of targets whose failure domain is in trouble, see `health.domains`.
    """

    states: Mapping[str, TargetState]
    now_s: float
    draw: Callable[[], float]
    doubted: Set[str] = frozenset()

    def __getitem__(self, name: str) -> TargetState:
        return self.states[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.states)

    def __len__(self) -> int:
        return len(self.states)


Policy = Callable[[Sequence[Target], Snapshot, RequestInfo], Sequence[Target]]


def priority(candidates: Sequence[Target], snapshot: Snapshot, request: RequestInfo) -> Sequence[Target]:
    """By tier, then as configured."""
    return _doubted_last(sorted(candidates, key=_tier), snapshot)


def weighted(candidates: Sequence[Target], snapshot: Snapshot, request: RequestInfo) -> Sequence[Target]:
    """By tier, then at random so that each target comes first in proportion to its weight.

    Keys ln(u) / weight, largest first (Efraimidis & Spirakis 2006).
    """
    if request.session is not None:
        return _sticky(candidates, request.session)
    draw = snapshot.draw
    return _doubted_last(
        sorted(candidates, key=lambda target: (target.tier, -log(1.0 - draw()) / target.weight)), snapshot
    )


def fastest(candidates: Sequence[Target], snapshot: Snapshot, request: RequestInfo) -> Sequence[Target]:
    """By tier, then by expected wait: the pace of late (peak-EWMA) times the requests in the queue, over the weight.

    The load measure of Finagle's and Linkerd's balancers, on first-token times: total times would punish long answers.
    A pace that has not been refreshed for a minute or more counts for less and less, so a target that was slow is tried
    again.
    """
    if request.session is not None:
        return _sticky(candidates, request.session)
    states, now_s = snapshot.states, snapshot.now_s

    def wait(target: Target) -> tuple[int, float]:
        state = states[target.name]
        pace_s = state.pace_s
        if pace_s and now_s > state.paced_s:
            pace_s *= exp((state.paced_s - now_s) / FORGET_PACE_S)
        return target.tier, pace_s * (state.in_flight + 1) / target.weight

    return _least(candidates, snapshot, wait)


def least_busy(candidates: Sequence[Target], snapshot: Snapshot, request: RequestInfo) -> Sequence[Target]:
    """By tier, then by attempts under way for each unit of weight."""
    if request.session is not None:
        return _sticky(candidates, request.session)
    states = snapshot.states

    def load(target: Target) -> tuple[int, float]:
        return target.tier, states[target.name].in_flight / target.weight

    return _least(candidates, snapshot, load)


def cheapest(candidates: Sequence[Target], snapshot: Snapshot, request: RequestInfo) -> Sequence[Target]:
    """By tier, then by what the request is expected to cost; targets without prices come last."""
    return _doubted_last(sorted(candidates, key=lambda target: (target.tier, expected_usd(target, request))), snapshot)


def expected_usd(target: Target, request: RequestInfo) -> float:
    """The request's price at a target in US dollars; infinite when a price is unknown."""
    if target.input_usd_per_million is None or target.output_usd_per_million is None:
        return inf
    prompt_tokens = USUAL_PROMPT_TOKENS if request.prompt_tokens is None else request.prompt_tokens
    output_tokens = USUAL_OUTPUT_TOKENS if request.max_output_tokens is None else request.max_output_tokens
    return (prompt_tokens * target.input_usd_per_million + output_tokens * target.output_usd_per_million) / 1e6


def _sticky(candidates: Sequence[Target], session: str) -> Sequence[Target]:
    """Requests of one session go to one target as long as it is there (prompt caches live there), by weighted
    rendezvous hashing (Thaler & Ravishankar 1998): when a target goes or comes, only its own sessions move.
    """

    def score(target: Target) -> tuple[int, float]:
        digest = blake2b(f"{session}\0{target.name}".encode(), digest_size=8).digest()
        uniform = (int.from_bytes(digest, "big") + 1) / (2**64 + 1)
        return target.tier, -target.weight / -log(uniform)

    return sorted(candidates, key=score)


def _least(
    candidates: Sequence[Target], snapshot: Snapshot, load: Callable[[Target], tuple[int, float]]
) -> Sequence[Target]:
    """By `load`: tier, then load. Few targets are all compared. Of many, a few drawn at random are compared and come
    first: that is nearly as good ("The power of two choices", Mitzenmacher 2001), and the cost of a request does not
    grow.
    """
    if len(candidates) > COMPARED:
        drawn = {int(snapshot.draw() * len(candidates)) for _ in range(DRAWN)}
        others = [target for number, target in enumerate(candidates) if number not in drawn]
        order = sorted(sorted((candidates[number] for number in drawn), key=load) + others, key=_tier)
    else:
        order = sorted(candidates, key=load)
    return _doubted_last(order, snapshot)


def _doubted_last(order: Sequence[Target], snapshot: Snapshot) -> Sequence[Target]:
    """Within a tier, those whose failure domain is in trouble come after the others. The order is kept otherwise."""
    doubted = snapshot.doubted
    return sorted(order, key=lambda target: (target.tier, target.name in doubted)) if doubted else order


def _checked(policy: Policy) -> Policy:
    """A user's function, of which anything may come back, and which may do as it likes with the list it is given."""

    def ranked(candidates: Sequence[Target], snapshot: Snapshot, request: RequestInfo) -> Sequence[Target]:
        order = policy(list(candidates), snapshot, request)
        if not isinstance(order, Iterable):
            raise TypeError(f"a policy must return the candidates in order, not {order!r:.80}")
        known, chosen = {target.name: target for target in candidates}, dict[str, Target]()
        for one in islice(order, MAX_LOOKED_AT):
            name = one.name if isinstance(one, Target) else None
            if name in known:
                chosen[name] = known[name]  # once, where it was named first
            elif name not in snapshot.states:  # else it cannot take this request
                raise ValueError(f"a policy must return candidates that it was given, not {name or one!r:.80}")
        return sorted(chosen.values(), key=_tier)

    ranked.__name__ = getattr(policy, "__name__", type(policy).__name__)
    return ranked


def policy_failure(policy: Policy, error: Exception) -> Failure:
    """A policy has raised: a mistake of the application, like one in a reader."""
    name = getattr(policy, "__name__", type(policy).__name__)
    return Failure(FailureKind.LOCAL_ERROR, f"the policy {name} failed: {in_words(error)}", exception=error)


POLICIES: dict[str, Policy] = {
    "priority": priority,
    "weighted": weighted,
    "fastest": fastest,
    "least_busy": least_busy,
    "cheapest": cheapest,
}


def named(policy: str | Policy) -> Policy:
    """The policy of this name, or the function itself, its answers checked.

    Raises:
        ConfigError: for a name that does not exist, listing those that do; for an async function.
    """
    if callable(policy):
        if is_async(policy):
            raise ConfigError(f"policy={policy!r} is async, and nobody would await it: pass a plain function")
        return policy if policy in POLICIES.values() else _checked(policy)
    if policy in POLICIES:
        return POLICIES[policy]
    raise ConfigError(
        f"policy={policy!r} does not exist: write one of {', '.join(map(repr, POLICIES))}, or pass a function "
        "of (candidates, snapshot, request)"
    )
