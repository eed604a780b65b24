"""The `openai` SDK, and those generated alike or copying its error shape (Groq, Cerebras, xAI, DeepSeek, LiteLLM, ...).

Its errors carry `.status_code`, `.code`, `.type`, `.body`; an error inside a stream is a bare `APIError` without a
status. openai 0.x had `.http_status` and `.json_body` and its own class names. Codes:
https://platform.openai.com/docs/guides/error-codes (read 2025).
"""

from collections.abc import Mapping

from failover_core.failure import FailureKind as K

NAMES: Mapping[str, K | int] = {
    # codes and types
    "context_length_exceeded": K.CONTEXT_OVERFLOW,
    "insufficient_quota": K.QUOTA_EXHAUSTED,
    "billing_hard_limit_reached": K.BILLING,
    "billing_not_active": K.BILLING,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "tokens": 429,  # the type of a rate limit is what there was too much of
    "requests": 429,
    "slow_down": K.OVERLOADED,
    "server_is_overloaded": K.OVERLOADED,
    "server_error": 500,
    "server_had_an_error": 500,
    "cf_bad_gateway": 502,
    "cf_gateway_timeout": K.TIMEOUT,
    "cf_service_unavailable": 503,
    "invalid_request_error": 400,
    "invalid_prompt": 400,
    "invalid_api_key": K.AUTH,
    "incorrect_api_key": K.AUTH,
    "invalid_authentication": K.AUTH,
    "account_deactivated": K.AUTH,
    "invalid_organization": K.AUTH,
    "mismatched_organization": K.AUTH,
    "unsupported_country_region_territory": K.PERMISSION_OR_REGION,
    "request_forbidden": 403,
    "insufficient_permissions": K.PERMISSION_OR_REGION,
    "missing_scope": K.PERMISSION_OR_REGION,
    "ip_not_authorized": K.PERMISSION_OR_REGION,
    "model_not_found": 404,
    "content_filter": K.CONTENT_FILTERED,
    "content_policy_violation": K.CONTENT_FILTERED,
    "cyber_policy_violation": K.CONTENT_FILTERED,
    "cyber_policy": K.CONTENT_FILTERED,
    "moderation_blocked": K.CONTENT_FILTERED,
    # exception classes, by the status they stand for
    "BadRequestError": 400,
    "InvalidRequestError": 400,  # 0.x
    "AuthenticationError": 401,
    "OAuthError": K.AUTH,
    "SubjectTokenProviderError": K.AUTH,
    "PermissionDeniedError": 403,
    "NotFoundError": 404,
    "ConflictError": 409,
    "UnprocessableEntityError": 422,
    "RateLimitError": 429,
    "InternalServerError": 500,
    "ServiceUnavailableError": 503,
    "BadGatewayError": 502,
    "TryAgain": K.OVERLOADED,  # 0.x
    "APITimeoutError": K.TIMEOUT,
    "APIResponseValidationError": K.INVALID_OUTPUT,
    "LengthFinishReasonError": K.INVALID_OUTPUT,
    "ContentFilterFinishReasonError": K.CONTENT_FILTERED,
}
