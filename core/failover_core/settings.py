"""What users can set, checked when it is set. The defaults are the ones that `README.md` explains."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from math import isfinite
from typing import Any, Literal, get_args

from .failure import ConfigError
from .model import is_async
from .output import Validator

Hedge = Literal["off", "overdue", "budgeted"]
Midstream = Literal["resume", "replace", "raise"]
OnRejection = Literal["raise", "next"]
Recovery = Literal["staged", "fast"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Rules for every request of a `Failover`. All durations are in seconds.

    Args:
        deadline_s: the whole call, over all attempts; None = no limit.
        first_token_s: a stream without content after this long is overdue; None = learned, 10 until then.
        stall_s: a stream silent for this long is stalled; None = learned, 10 until then, and 120 where no other target
            may take over.
        answer_s: a non-streamed answer is overdue after this long; None = learned, 30 until then (60 where
            thinking or more than 4,096 output tokens are asked for).
        same_target_retries: how often a passing fault is tried again on the same, healthy target.
        retry_after_patience_s: wait for a Retry-After up to this long rather than leave the target.
        max_attempts: for one request, everything counted.
        backoff_s: upper bound of the first jittered wait before a same-target retry; doubles with each one.
        hedge: "overdue" races the next target against one that is late, "off" waits for it. "budgeted" also races a
            target of another failure domain before that, once an attempt has said nothing for longer than 97 % of its
            target's good ones: at most 3 % more calls, which are billed ("The Tail at Scale", Dean & Barroso 2013).
            Never for requests with side effects or prompts known to exceed 8,000 tokens.
        midstream: what to do when a stream breaks after text was shown: "resume" asks the next target to go on right
            there, "replace" starts over with it and puts a `StreamRestarted` in place of a chunk, "raise" does neither.
            Inside tool calls and structured output it is always "raise".
        on_content_filter: "raise" shows the provider's refusal to the caller, "next" asks another target.
        on_invalid_request: the same for requests that a provider calls invalid.
        hold_back_tokens, hold_back_s: hold the start of a stream back until that many tokens (counted as 4
            characters each) or that long after the first content, so that early faults stay invisible. A synchronous
            stream that runs in the caller's own thread (a single target, or `hedge="off"` without `first_token_s`, and
            no `deadline_s` or `stall_s`) cannot be left alone while its target says nothing: there, what is held is
            shown with the first chunk that comes after `hold_back_s`. Where targets pause after a few words, 0 shows
            everything at once.
        hold_tool_calls: show tool calls of a stream, and JSON that was asked for, only when they are whole and the
            stream has ended well, so that a fault inside them stays invisible.
        retry_budget_tokens, retry_budget_refill: a shared bucket pays 1 for each same-target retry, each third
            or later attempt and each attempt on an unhealthy target; every request puts `refill` back, and again
            each time that it has waited in vain.
            (Finagle's RetryBudget; 20 and .25 keep a full outage at 1.25 attempts a request.)
        recovery: "staged" gives a target that was down its traffic back in stages, so that what has just come up is not
            run over; "fast" all of it after one good answer, which suits providers much larger than your traffic.
        park_s: how long a target rests after auth, billing, quota and missing-model errors.
        health_check_s: how often a target that has no traffic is checked with its free call (`Target.health_check`), on
            a thread off the hot path; None = never. 30 is a good value. A check sees an outage of the network, the
            gateway or the key before a request does, and its end before the cooldown's; not one of the model alone.
        validators: judges of finished output, in addition to the built-in ones (`output_checks=False` drops these).

    Raises:
        ConfigError: naming the field and what to write instead.
    """

    deadline_s: float | None = None
    first_token_s: float | None = None
    stall_s: float | None = None
    answer_s: float | None = None
    same_target_retries: int = 1
    retry_after_patience_s: float = 2.0
    max_attempts: int = 4
    backoff_s: float = 0.5
    hedge: Hedge = "overdue"
    midstream: Midstream = "resume"
    on_content_filter: OnRejection = "raise"
    on_invalid_request: OnRejection = "raise"
    hold_back_tokens: int = 16
    hold_back_s: float = 0.3
    hold_tool_calls: bool = True
    retry_budget_tokens: float = 20.0
    retry_budget_refill: float = 0.25
    recovery: Recovery = "staged"
    park_s: float = 300.0
    health_check_s: float | None = None
    output_checks: bool = True
    validators: tuple[Validator, ...] = ()

    def __post_init__(self) -> None:
        for name in ("deadline_s", "first_token_s", "stall_s", "answer_s", "health_check_s"):
            _check(self, name, lambda v: v is None or (_number(v) and v > 0), "a number of seconds above 0, or None")
        for name in ("retry_after_patience_s", "backoff_s", "hold_back_s", "retry_budget_refill", "park_s"):
            _check(self, name, lambda v: _number(v) and v >= 0, "a number that is not negative")
        _check(self, "retry_budget_tokens", lambda v: _number(v) and v >= 0, "a number that is not negative")
        for name, low in (("same_target_retries", 0), ("max_attempts", 1), ("hold_back_tokens", 0)):
            _check(self, name, lambda v, low=low: _whole(v) and v >= low, f"a whole number of at least {low}")
        for name, choice in (
            ("hedge", Hedge),
            ("midstream", Midstream),
            ("on_content_filter", OnRejection),
            ("on_invalid_request", OnRejection),
            ("recovery", Recovery),
        ):
            words = get_args(choice)
            _check(self, name, lambda v, words=words: v in words, "one of " + ", ".join(map(repr, words)))
        for name in ("hold_tool_calls", "output_checks"):
            _check(self, name, lambda v: isinstance(v, bool), "True or False")
        if not isinstance(self.validators, Iterable):
            raise ConfigError(f"Settings(validators={self.validators!r}): pass a sequence of functions of Finished")
        object.__setattr__(self, "validators", tuple(self.validators))
        for validator in self.validators:
            if not callable(validator) or is_async(validator):
                wrong = "is async, and nobody would await it" if callable(validator) else "is not callable"
                raise ConfigError(f"Settings(validators=...): {validator!r} {wrong}; pass functions of Finished")


SETTING_NAMES = frozenset(f.name for f in fields(Settings))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check(settings: Settings, name: str, fits: Callable[..., bool], wanted: str) -> None:
    value = getattr(settings, name)
    if not fits(value):
        raise ConfigError(f"Settings({name}={value!r}): write {wanted}")
