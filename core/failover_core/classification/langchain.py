"""LangChain's neutral errors (langchain-core 1.6 and later) and its integrations' own ones.

The neutral classes are mixed into the SDK's own (`OpenAIRateLimitError` is an `openai.RateLimitError`), or stand alone
with the SDK's error as `__cause__` (Google). They are coarse: an exhausted quota is a `ModelRateLimitError`. So most
count as no more than the status they stand for, and the SDK's details decide.
"""

from collections.abc import Mapping

from failover_core.failure import FailureKind as K

NAMES: Mapping[str, K | int] = {
    "ContextOverflowError": K.CONTEXT_OVERFLOW,
    "ModelAuthenticationError": 401,
    "ModelPermissionDeniedError": 403,
    "ModelInvalidRequestError": 400,
    "ModelNotFoundError": 404,
    "ModelRateLimitError": 429,
    "ModelAPIError": 500,
    "ModelTimeoutError": K.TIMEOUT,
    "ModelRefusalError": K.CONTENT_FILTERED,
    "OpenAIRefusalError": K.CONTENT_FILTERED,
    "OpenAIModerationError": K.CONTENT_FILTERED,
    "StreamChunkTimeoutError": K.TIMEOUT,
    "OutputParserException": K.INVALID_OUTPUT,
    "StructuredOutputError": K.INVALID_OUTPUT,
    "StructuredOutputValidationError": K.INVALID_OUTPUT,
    "MultipleStructuredOutputsError": K.INVALID_OUTPUT,
}
