"""botocore (Amazon Bedrock). A `ClientError` keeps everything in a dict, `.response`; the code is the exception's name.

Codes: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors
"""

from __future__ import annotations

from collections.abc import Mapping

from failover_core.failure import FailureKind as K

from .evidence import Evidence, as_status, peek

NAMES: Mapping[str, K | int] = {
    "ThrottlingException": 429,
    "ThrottledException": 429,
    "TooManyRequestsException": 429,
    "RequestLimitExceeded": 429,
    "ProvisionedThroughputExceededException": 429,
    "ServiceQuotaExceededException": K.QUOTA_EXHAUSTED,
    "ModelNotReadyException": K.OVERLOADED,
    "ModelTimeoutException": K.TIMEOUT,
    "ModelErrorException": 424,
    "ModelStreamErrorException": 424,
    "ServiceUnavailableException": 503,
    "InternalServerException": 500,
    "InternalFailure": 500,
    "ValidationException": 400,
    "ResourceNotFoundException": 404,
    "ResourceNotFound": 404,
    "AccessDeniedException": 403,
    "OptInRequired": K.PERMISSION_OR_REGION,
    "UnrecognizedClientException": K.AUTH,
    "InvalidClientTokenId": K.AUTH,
    "InvalidSignatureException": K.AUTH,
    "SignatureDoesNotMatch": K.AUTH,
    "IncompleteSignature": K.AUTH,
    "MissingAuthenticationToken": K.AUTH,
    "MissingAuthenticationTokenException": K.AUTH,
    "ExpiredToken": K.AUTH,
    "ExpiredTokenException": K.AUTH,
    "RequestExpired": K.AUTH,
    # raised before anything is sent
    "NoCredentialsError": K.AUTH,
    "PartialCredentialsError": K.AUTH,
    "CredentialRetrievalError": K.AUTH,
    "TokenRetrievalError": K.AUTH,
    "NoAuthTokenError": K.AUTH,
    "SSOTokenLoadError": K.AUTH,
    "UnauthorizedSSOTokenError": K.AUTH,
    "ParamValidationError": K.INVALID_REQUEST,
    "NoRegionError": K.PERMISSION_OR_REGION,
}


def read(error: BaseException, evidence: Evidence) -> None:
    """Read `.response`, a plain dict here."""
    response = peek(error, "response")
    if not isinstance(response, Mapping):
        return
    details, metadata = response.get("Error"), response.get("ResponseMetadata")
    if isinstance(details, Mapping):
        code, message = details.get("Code"), details.get("Message")
        if isinstance(code, str) and code:
            evidence.names.insert(0, code[:100])
            evidence.code = code[:100]
        if isinstance(message, str) and message:
            evidence.messages.insert(0, message)
    if isinstance(metadata, Mapping):
        evidence.status = as_status(metadata.get("HTTPStatusCode")) or evidence.status
        evidence.add_headers(metadata.get("HTTPHeaders"))
