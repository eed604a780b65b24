"""What HTTP statuses mean, and what the wording of the message may make of them.

Status alone never decides: a 429 is a rate limit, a used-up quota, an empty purse or an overload; a 400 may turn out
to be a context overflow or a wrong key, but never a rate limit, whatever text it quotes.
"""

from __future__ import annotations

from collections.abc import Mapping

from failover_core.failure import FailureKind as K

_REFUSED = (
    K.CONTEXT_OVERFLOW,
    K.BILLING,
    K.QUOTA_EXHAUSTED,
    K.CONTENT_FILTERED,
    K.PERMISSION_OR_REGION,
    K.MODEL_NOT_FOUND,
    K.AUTH,
    K.INVALID_REQUEST,
)
_BROKEN = (
    *(kind for kind in _REFUSED if kind is not K.INVALID_REQUEST),
    K.RATE_LIMITED,
    K.OVERLOADED,
    K.TIMEOUT,
    K.SERVER_ERROR,
)

Rule = tuple[K, frozenset[K]]
"""What a status means, and the kinds that the wording may make of it."""


def _rule(default: K, *may_turn_out: K) -> Rule:
    return default, frozenset(may_turn_out)


_CLIENT_FAULT = _rule(K.INVALID_REQUEST, *_REFUSED)
SERVER_FAULT = _rule(K.SERVER_ERROR, *_BROKEN)

BY_STATUS: Mapping[int, Rule] = {
    401: _rule(K.AUTH, K.BILLING, K.QUOTA_EXHAUSTED, K.AUTH, K.PERMISSION_OR_REGION),
    402: _rule(K.BILLING, K.BILLING, K.QUOTA_EXHAUSTED),
    403: _rule(
        K.PERMISSION_OR_REGION,
        *(kind for kind in _REFUSED if kind not in (K.INVALID_REQUEST, K.MODEL_NOT_FOUND)),
        K.RATE_LIMITED,
    ),
    404: _rule(K.MODEL_NOT_FOUND, K.MODEL_NOT_FOUND, K.PERMISSION_OR_REGION, K.INVALID_REQUEST),
    407: _rule(K.CONNECTION),  # a proxy on the way
    408: _rule(K.TIMEOUT),
    409: _rule(K.SERVER_ERROR, K.INVALID_REQUEST, K.OVERLOADED),
    410: _rule(K.MODEL_NOT_FOUND),
    413: _rule(K.CONTEXT_OVERFLOW, K.RATE_LIMITED, K.QUOTA_EXHAUSTED),
    424: _rule(K.SERVER_ERROR, *_BROKEN, K.INVALID_OUTPUT),
    425: _rule(K.OVERLOADED),
    429: _rule(K.RATE_LIMITED, K.BILLING, K.QUOTA_EXHAUSTED, K.RATE_LIMITED, K.OVERLOADED),
    451: _rule(K.PERMISSION_OR_REGION, K.CONTENT_FILTERED),
    498: _rule(K.OVERLOADED),  # Groq: flex tier at capacity
    499: _rule(K.TIMEOUT),  # the connection was given up before there was an answer
    503: _rule(K.OVERLOADED, *_BROKEN),
    504: _rule(K.TIMEOUT, *_BROKEN),
    522: _rule(K.TIMEOUT),  # 520-526 are Cloudflare's words about the origin
    524: _rule(K.TIMEOUT),
    529: _rule(K.OVERLOADED, K.OVERLOADED),
    598: _rule(K.TIMEOUT),
    599: _rule(K.TIMEOUT),
}


def rule_for(status: int) -> Rule:
    return BY_STATUS.get(status) or (SERVER_FAULT if status >= 500 else _CLIENT_FAULT)


def weight(status: int) -> int:
    """How much a status says. The one that says most wins, so a gateway's 502 yields to the 400 inside it, and the
    generic `invalid_request_error` in a 429 to the 429."""
    if status in (402, 429):
        return 6
    if status in (401, 403):
        return 5
    if status in (400, 422):
        return 3
    if 400 <= status < 500:
        return 4
    return 2 if status in (503, 504, 522, 524, 529) else 1 if status >= 500 else 0
