"""Errors of the connection, known by class name and MRO: none of these libraries needs to be installed.

httpx and httpx2 (same names), httpcore, h11, aiohttp, urllib3, requests, http.client, ssl, socket, anyio, botocore and
Python's own. These names decide only where nothing else does: a wrapper such as LiteLLM's `APIConnectionError`
may hold a provider's plain refusal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from failover_core.failure import FailureKind as K

# fmt: off
LIBRARIES = frozenset((
    "httpx", "httpx2", "httpcore", "httpcore2", "h11", "h2", "aiohttp", "urllib3", "requests", "anyio", "trio",
    "websockets", "ssl", "_ssl", "socket", "http", "urllib", "asyncio", "concurrent",
))
# fmt: on

NAMES: Mapping[str, K] = {
    # httpx, httpx2, httpcore, requests, aiohttp, urllib3, botocore
    "TimeoutException": K.TIMEOUT,
    "ConnectTimeout": K.TIMEOUT,
    "ReadTimeout": K.TIMEOUT,
    "WriteTimeout": K.TIMEOUT,
    "PoolTimeout": K.TIMEOUT,
    "Timeout": K.TIMEOUT,
    "TimeoutError": K.TIMEOUT,
    "ServerTimeoutError": K.TIMEOUT,
    "ConnectionTimeoutError": K.TIMEOUT,
    "SocketTimeoutError": K.TIMEOUT,
    "ReadTimeoutError": K.TIMEOUT,
    "ConnectTimeoutError": K.TIMEOUT,
    "timeout": K.TIMEOUT,
    # the answer had begun
    "ReadError": K.STREAM_BROKEN,
    "RemoteProtocolError": K.STREAM_BROKEN,
    "ClientPayloadError": K.STREAM_BROKEN,
    "ChunkedEncodingError": K.STREAM_BROKEN,
    "IncompleteRead": K.STREAM_BROKEN,
    "InvalidChunkLength": K.STREAM_BROKEN,
    "IncompleteReadError": K.STREAM_BROKEN,
    "ResponseStreamingError": K.STREAM_BROKEN,
    "TransferEncodingError": K.STREAM_BROKEN,
    "ContentLengthError": K.STREAM_BROKEN,
    "PayloadEncodingError": K.STREAM_BROKEN,
    "EventStreamError": K.STREAM_BROKEN,
    "EndOfStream": K.STREAM_BROKEN,
    # it had not
    "NewConnectionError": K.CONNECTION,  # urllib3 calls it a ConnectTimeoutError too
    "NameResolutionError": K.CONNECTION,
    "ConnectError": K.CONNECTION,
    "ConnectionError": K.CONNECTION,
    "APIConnectionError": K.CONNECTION,
    "ModelConnectionError": K.CONNECTION,
    "WriteError": K.CONNECTION,
    "CloseError": K.CONNECTION,
    "NetworkError": K.CONNECTION,
    "ProxyError": K.CONNECTION,
    "ProtocolError": K.CONNECTION,
    "UnsupportedProtocol": K.CONNECTION,
    "InvalidURL": K.CONNECTION,
    "MissingSchema": K.CONNECTION,
    "InvalidSchema": K.CONNECTION,
    "TransportError": K.CONNECTION,
    "ConnectionFailed": K.CONNECTION,
    "BrokenResourceError": K.CONNECTION,
    "ClosedResourceError": K.CONNECTION,
    "ServerDisconnectedError": K.CONNECTION,
    "RemoteDisconnected": K.CONNECTION,
    "BadStatusLine": K.CONNECTION,
    "ClientOSError": K.CONNECTION,
    "ClientConnectionError": K.CONNECTION,
    "ClientConnectorError": K.CONNECTION,
    "MaxRetryError": K.CONNECTION,
    "EndpointConnectionError": K.CONNECTION,
    "ConnectionClosedError": K.CONNECTION,
    "ConnectionClosed": K.CONNECTION,
    "HTTPClientError": K.CONNECTION,
    "SSLError": K.CONNECTION,
    "SSLCertVerificationError": K.CONNECTION,
    "gaierror": K.CONNECTION,
    "herror": K.CONNECTION,
    "URLError": K.CONNECTION,
    "ConnectionRefusedError": K.CONNECTION,
    "ConnectionResetError": K.CONNECTION,
    "ConnectionAbortedError": K.CONNECTION,
    "BrokenPipeError": K.CONNECTION,
    "TooManyRedirects": K.CONNECTION,
    "StreamError": K.LOCAL_ERROR,  # httpx: a response read twice or not at all
    # it came, and could not be read
    "DecodingError": K.INVALID_OUTPUT,
    "ContentDecodingError": K.INVALID_OUTPUT,
    "DecodeError": K.INVALID_OUTPUT,
    "ContentTypeError": K.INVALID_OUTPUT,  # aiohttp: JSON was expected, an HTML page came
    "InvalidJSONError": K.INVALID_OUTPUT,
}

_BEFORE_ANSWER = ("without sending a response", "server disconnected", "without response")
_READS_ANSWER = re.compile(r"a?iter_(?:raw|bytes|text|lines|chunked|any|content)|a?read|iter_stream|stream")


def is_library(cls: type) -> bool:
    """Whether a class belongs to a connection library rather than to a wrapper."""
    return cls.__module__.partition(".")[0] in LIBRARIES


def refine(kind: K, error: BaseException | None, words: str) -> K:
    """What the words and the traceback make of a class name: the same `ReadError` comes before and inside an answer."""
    lower = words.lower()
    if "illegal header value" in lower:
        return K.AUTH  # h11 refuses to send a key that is empty or holds a line break
    if kind is K.CONNECTION and ("timed out" in lower or "timeout" in lower):
        return K.TIMEOUT
    if kind is K.STREAM_BROKEN and (any(hint in lower for hint in _BEFORE_ANSWER) or _never_read(error)):
        return K.CONNECTION
    return kind


def _never_read(error: BaseException | None) -> bool:
    """Whether the traceback shows that no answer was being read yet."""
    if error is None or type(error).__name__ not in ("ReadError", "RemoteProtocolError"):
        return False
    step = error.__traceback__
    seen = False
    for _ in range(200):
        if step is None:
            break
        if str(step.tb_frame.f_globals.get("__name__", "")).partition(".")[0] in LIBRARIES:
            seen = True
            if _READS_ANSWER.fullmatch(step.tb_frame.f_code.co_name):
                return False
        step = step.tb_next
    return seen
