"""google-genai, google-api-core (Vertex AI, the older SDKs) and gRPC.

google-genai's errors carry `.code` (the HTTP status), `.status` (the canonical code as a string) and `.details` (the
whole body). Canonical codes: https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto; reasons and
details: error_details.proto beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from failover_core.failure import FailureKind as K

from .evidence import Evidence, peek

NAMES: Mapping[str, K | int] = {
    # canonical codes; the classes of google-api-core are named after them
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "DATA_LOSS": 500,
    "UNKNOWN": 500,
    "UNIMPLEMENTED": 400,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": K.TIMEOUT,
    # reasons of google.rpc.ErrorInfo and of the older JSON errors
    "API_KEY_INVALID": K.AUTH,
    "API_KEY_EXPIRED": K.AUTH,
    "ACCESS_TOKEN_EXPIRED": K.AUTH,
    "ACCESS_TOKEN_TYPE_UNSUPPORTED": K.AUTH,
    "CREDENTIALS_MISSING": K.AUTH,
    "ACCOUNT_STATE_INVALID": K.AUTH,
    "keyInvalid": K.AUTH,
    "RATE_LIMIT_EXCEEDED": 429,
    "rateLimitExceeded": 429,
    "userRateLimitExceeded": 429,
    "quotaExceeded": 429,
    "dailyLimitExceeded": K.QUOTA_EXHAUSTED,
    "MODEL_CAPACITY_EXHAUSTED": K.OVERLOADED,
    "BILLING_DISABLED": K.BILLING,
    "billingNotEnabled": K.BILLING,
    "SERVICE_DISABLED": K.PERMISSION_OR_REGION,
    "accessNotConfigured": K.PERMISSION_OR_REGION,
    "API_KEY_SERVICE_BLOCKED": K.PERMISSION_OR_REGION,
    "API_KEY_HTTP_REFERRER_BLOCKED": K.PERMISSION_OR_REGION,
    "API_KEY_IP_ADDRESS_BLOCKED": K.PERMISSION_OR_REGION,
    "CONSUMER_SUSPENDED": K.PERMISSION_OR_REGION,
    "CONSUMER_INVALID": K.PERMISSION_OR_REGION,
    "IAM_PERMISSION_DENIED": K.PERMISSION_OR_REGION,
    "SECURITY_POLICY_VIOLATED": K.PERMISSION_OR_REGION,
    # finish and block reasons
    "SAFETY": K.CONTENT_FILTERED,
    "RECITATION": K.CONTENT_FILTERED,
    "BLOCKLIST": K.CONTENT_FILTERED,
    "PROHIBITED_CONTENT": K.CONTENT_FILTERED,
    "SPII": K.CONTENT_FILTERED,
    "IMAGE_SAFETY": K.CONTENT_FILTERED,
    "MALFORMED_FUNCTION_CALL": K.INVALID_OUTPUT,
    # exception classes
    "UnknownApiResponseError": K.INVALID_OUTPUT,
    "BlockedPromptException": K.CONTENT_FILTERED,
    "StopCandidateException": K.CONTENT_FILTERED,
    "ResponseBlockedError": K.CONTENT_FILTERED,
    "ResponseValidationError": K.CONTENT_FILTERED,
    "ServerError": 500,
    "DefaultCredentialsError": K.AUTH,
    "RefreshError": K.AUTH,
}

_LONG = re.compile(r"per_?(?:day|week|month)", re.I)
_SHORT = re.compile(r"per_?(?:minute|min|second|sec)", re.I)


def quota_kind(quotas: Iterable[str]) -> K | None:
    """What the violations of a google.rpc.QuotaFailure say: gone for the day, or back in a minute."""
    told = " ".join(quotas)
    if _LONG.search(told):
        return K.QUOTA_EXHAUSTED
    return K.RATE_LIMITED if _SHORT.search(told) else None


def read(error: BaseException, evidence: Evidence) -> None:
    """gRPC errors answer `code()` and `details()` instead of carrying attributes."""
    for method in ("code", "details"):
        told = peek(error, method)
        if not callable(told):
            continue
        try:
            told = told()
        except Exception:  # not a call's error after all
            continue
        if isinstance(name := peek(told, "name"), str):
            evidence.names.insert(0, name)
        elif isinstance(told, str):
            evidence.messages.insert(0, told)
