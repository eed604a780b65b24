"""The `anthropic` SDK. Its errors carry `.status_code` and `.body`, the type in `body["error"]["type"]`.

An error event inside a stream is a bare `APIStatusError` with the stream's status, 200: only the type tells. Types:
https://docs.anthropic.com/en/api/errors (read 2025).
"""

from collections.abc import Mapping

from failover_core.failure import FailureKind as K

NAMES: Mapping[str, K | int] = {
    "authentication_error": 401,
    "billing_error": K.BILLING,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": K.TIMEOUT,
    "overloaded_error": K.OVERLOADED,
    # exception classes
    "RequestTooLargeError": 413,
    "OverloadedError": K.OVERLOADED,
    "DeadlineExceededError": K.TIMEOUT,
}

NO_KEY = "could not resolve authentication method"
"""The SDK says so in a `TypeError` when it has no key at all."""
