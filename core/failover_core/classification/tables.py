"""What codes mean: the table that most decisions of `classify` come from.

`MEANINGS` knows the names by which providers and SDKs call their errors: codes, types, reasons and exception classes,
compared without case, punctuation and an "Error" or "Exception" at the end. A name either says what happened
(`insufficient_quota`) or is no more than an HTTP status in letters (`invalid_request_error` = 400).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from failover_core.failure import FailureKind

from . import anthropic, aws, google, langchain, llamaindex, openai, transport

K = FailureKind

Meaning = FailureKind | int
"""A kind, or the HTTP status that a name stands for."""

_SHARED: Mapping[str, Meaning] = {
    # HTTP reason phrases and what everybody calls them
    "bad_request": 400,
    "unauthorized": 401,
    "payment_required": K.BILLING,
    "forbidden": 403,
    "access_denied": 403,
    "not_found": 404,
    "request_timeout": K.TIMEOUT,
    "too_many_requests": 429,
    "rate_limited": 429,
    "rate_limit_reached": 429,
    "internal_server_error": 500,
    "bad_gateway": 502,
    "upstream_error": 502,
    "service_unavailable": 503,
    "gateway_timeout": K.TIMEOUT,
    "timeout": K.TIMEOUT,
    # Azure OpenAI
    "DeploymentNotFound": K.MODEL_NOT_FOUND,
    "OperationNotSupported": 400,
    "ResponsibleAIPolicyViolation": K.CONTENT_FILTERED,
    "NoCapacity": K.OVERLOADED,
    "InvalidSubscriptionKey": K.AUTH,
    "DeploymentNotReady": K.OVERLOADED,
    # Groq
    "model_decommissioned": K.MODEL_NOT_FOUND,
    "model_not_active": K.MODEL_NOT_FOUND,
    "model_terms_required": K.PERMISSION_OR_REGION,
    "model_permission_blocked_org": K.PERMISSION_OR_REGION,
    "model_permission_blocked_project": K.PERMISSION_OR_REGION,
    "tool_use_failed": K.INVALID_OUTPUT,  # the model wrote a broken tool call; another one may not
    "json_validate_failed": K.INVALID_OUTPUT,
    "blocked_api_access": K.PERMISSION_OR_REGION,
    "organization_restricted": K.PERMISSION_OR_REGION,
    "capacity_exceeded": K.OVERLOADED,
    # Mistral
    "service_tier_capacity_exceeded": K.OVERLOADED,
    "3505": K.OVERLOADED,
    # DeepSeek, Moonshot, MiniMax, Volcengine
    "insufficient_balance": K.BILLING,
    "exceeded_current_quota": K.QUOTA_EXHAUSTED,
    "engine_overloaded": K.OVERLOADED,
    "AccountOverdue": K.BILLING,
    "SensitiveContentDetected": K.CONTENT_FILTERED,
    "InputTextSensitiveContentDetected": K.CONTENT_FILTERED,
    "OutputTextSensitiveContentDetected": K.CONTENT_FILTERED,
    "1008": K.BILLING,
    "1026": K.CONTENT_FILTERED,
    "1027": K.CONTENT_FILTERED,
    "1039": K.CONTEXT_OVERFLOW,
    "2013": 400,
    "2049": K.AUTH,
    "2056": K.QUOTA_EXHAUSTED,
    # DashScope (Qwen)
    "Arrearage": K.BILLING,
    "DataInspectionFailed": K.CONTENT_FILTERED,
    "AllocationQuota.FreeTierOnly": K.QUOTA_EXHAUSTED,
    "Throttling.AllocationQuota": 429,
    "Throttling.RateQuota": 429,
    "Throttling.BurstRate": 429,
    "limit_requests": 429,
    "limit_burst_rate": 429,
    "CommodityNotPurchased": K.BILLING,
    "PrepaidBillOverdue": K.BILLING,
    "PostpaidBillOverdue": K.BILLING,
    "InvalidApiKey": K.AUTH,
    # Zhipu (GLM)
    "1113": K.BILLING,
    "1211": K.MODEL_NOT_FOUND,
    "1261": K.CONTEXT_OVERFLOW,
    "1301": K.CONTENT_FILTERED,
    "1302": 429,
    "1303": 429,
    "1304": K.QUOTA_EXHAUSTED,
    "1305": K.OVERLOADED,
    "1308": K.QUOTA_EXHAUSTED,
    # One API and New API, gateways that many resellers run
    "insufficient_user_quota": K.QUOTA_EXHAUSTED,
    "pre_consume_token_quota_failed": K.QUOTA_EXHAUSTED,
    "sensitive_words_detected": K.CONTENT_FILTERED,
    # LiteLLM
    "ContextWindowExceeded": K.CONTEXT_OVERFLOW,
    "ContentPolicyViolation": K.CONTENT_FILTERED,
    "BudgetExceeded": K.QUOTA_EXHAUSTED,
    "RejectedRequest": K.CONTENT_FILTERED,
    # local servers: llama.cpp, vLLM, TGI, Ollama, LM Studio
    "exceed_context_size": K.CONTEXT_OVERFLOW,
    "overloaded": K.OVERLOADED,
    "generation": 500,
    "AsyncEngineDead": 500,
    "EngineDead": 500,
    "incomplete_generation": K.INVALID_OUTPUT,
    "model_not_loaded": K.MODEL_NOT_FOUND,
    # GitHub Models, Copilot
    "tokens_limit_reached": K.CONTEXT_OVERFLOW,
    "model_max_prompt_tokens_exceeded": K.CONTEXT_OVERFLOW,
    "unknown_model": K.MODEL_NOT_FOUND,
    "model_not_supported": K.MODEL_NOT_FOUND,
    "unavailable_model": K.MODEL_NOT_FOUND,
    "quota_exceeded": K.QUOTA_EXHAUSTED,
    # Cerebras, SambaNova, Together, Fireworks, Perplexity, Cohere, Hugging Face, Replicate
    "too_many_requests_error": 429,
    "request_quota_exceeded": 429,
    "token_quota_exceeded": 429,
    "queue_exceeded": K.OVERLOADED,
    "model_not_available": K.MODEL_NOT_FOUND,
    "insufficient_credits": K.BILLING,
    "insufficient_funds": K.BILLING,
    "GatedRepo": K.PERMISSION_OR_REGION,
    "RepositoryNotFound": K.MODEL_NOT_FOUND,
    "unprocessable_entity": 422,
    "ClientClosedRequest": 499,
    "InferenceTimeout": K.TIMEOUT,
}


def normal(name: str) -> str:
    """The form in which names are compared: "RateLimitError", "rate_limit_error" and "RATE_LIMIT" are the same."""
    letters = re.sub(r"[^a-z0-9]+", "", name.rpartition("#")[2].lower())
    # One ending only: AWS' ModelErrorException is not LangChain's ModelError.
    return letters.removesuffix("exception") if letters.endswith("exception") else letters.removesuffix("error")


MEANINGS: Mapping[str, Meaning] = {
    normal(name): meaning
    for table in (_SHARED, aws.NAMES, google.NAMES, langchain.NAMES, llamaindex.NAMES, anthropic.NAMES, openai.NAMES)
    for name, meaning in table.items()
}

TRANSPORT: Mapping[str, FailureKind] = {normal(name): kind for name, kind in transport.NAMES.items()}


@lru_cache(maxsize=1024)
def meaning_of(name: str) -> Meaning | None:
    return MEANINGS.get(normal(name))
