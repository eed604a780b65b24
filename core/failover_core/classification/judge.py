"""From the evidence of one error to its kind, and how certain that is."""

from __future__ import annotations

from itertools import takewhile

from failover_core.failure import FailureKind as K

from . import google, python_errors, transport, wording
from .evidence import Evidence
from .statuses import SERVER_FAULT, rule_for, weight
from .tables import TRANSPORT, meaning_of, normal

CERTAIN, LIKELY, GUESSED, HINTED, UNTOLD = 4, 3, 2, 1, 0
"""A code that says it; a status and its wording; wording or a wrapper's name alone; circumstances; nothing."""

_ANSWER_BROKE = (K.CONNECTION, K.STREAM_BROKEN)
_VAGUE = (None, K.INVALID_REQUEST)


def kind_of(facts: Evidence, error: BaseException | None) -> tuple[K, int]:
    """The kind of one error, not of its causes, and the certainty of it."""
    words = facts.words
    return _by_name(facts, words) or _by_status(facts, words) or _by_words(facts, words, error) or (K.UNKNOWN, UNTOLD)


def _by_name(facts: Evidence, words: str) -> tuple[K, int] | None:
    if (kind := google.quota_kind(facts.quotas)) is not None and "limit: 0" not in words:
        return kind, CERTAIN
    kind = next((m for m in map(meaning_of, facts.names) if isinstance(m, K)), None)
    if kind is K.QUOTA_EXHAUSTED and wording.meaning_of(words, {K.BILLING}):
        kind = K.BILLING  # "exceeded_current_quota_error: your account is suspended, please recharge"
    return (kind, CERTAIN) if kind is not None else None


def _by_status(facts: Evidence, words: str) -> tuple[K, int] | None:
    # Only up to the name of a connection error: openai's APIConnectionError is an APIError as well.
    names = takewhile(lambda name: normal(name) not in TRANSPORT, facts.names)
    named = [m for m in map(meaning_of, names) if isinstance(m, int)]
    status = max([*named, *facts.inner_statuses, facts.status or 0], key=weight)
    if not weight(status):
        return None
    default, allowed = rule_for(status)
    real = facts.status is not None or bool(facts.inner_statuses)
    if not real or (facts.status or 0) >= 500:
        # Only a name says 400, or a gateway's 5xx holds one: the wording may know better.
        allowed |= SERVER_FAULT[1]
    elif default is K.INVALID_REQUEST:
        words = wording.unquoted(words)
    kind = wording.meaning_of(words, allowed)
    if kind is None and default is K.INVALID_REQUEST and wording.says_nothing(facts.messages or [words]):
        return K.UNKNOWN, GUESSED  # a gateway's "400 Provider returned error" is no evidence against the request
    return kind or default, LIKELY if real else GUESSED


def _by_words(facts: Evidence, words: str, error: BaseException | None) -> tuple[K, int] | None:
    if facts.page and facts.status == 200:
        return wording.meaning_of(words, (K.PERMISSION_OR_REGION,)) or K.INVALID_OUTPUT, LIKELY
    connection = next((k for k in map(TRANSPORT.get, map(normal, facts.names)) if k is not None), None)
    if connection is not None and error is not None and transport.is_library(type(error)):
        return transport.refine(connection, error, words), LIKELY
    kind = wording.meaning_of(words)
    if kind in _ANSWER_BROKE and facts.status == 200:
        kind = K.STREAM_BROKEN
    if kind not in _VAGUE:
        return kind, CERTAIN if kind is K.LOCAL_ERROR else GUESSED
    if connection is not None:
        return transport.refine(connection, error, words), GUESSED
    return _by_class(facts, error) or ((kind, GUESSED) if kind is not None else None)


def _by_class(facts: Evidence, error: BaseException | None) -> tuple[K, int] | None:
    if error is not None:
        kind = python_errors.last_resort(error)
    else:
        kind = python_errors.reported(facts.names, answered=facts.status is not None)
    return (kind, LIKELY) if kind is not None else None
