"""`classify` on what the official SDKs and the frameworks' integrations really raise, over real sockets.

Only what is installed is tested, so the same file serves any version of them.
"""

from __future__ import annotations

import ast
import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import get_ident
from types import SimpleNamespace
from typing import Any

import pytest

from failover_core.classify import classify
from failover_core.failure import Failure, FailureKind
from raw_server import End, RawServer, events, http, raw_server

K = FailureKind
pytestmark = [
    # clients that are left to the garbage collector, and what old integrations say of new SDKs
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),
]
TIMEOUT_S = 0.5


# -- the clients -----------------------------------------------------------------------------------

Ask = Callable[[str, bool], Any]


@cache
def openai_client(url: str) -> Any:
    import openai

    return openai.OpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0, timeout=TIMEOUT_S)


def ask_openai(url: str, stream: bool) -> Any:
    answer = openai_client(url).chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hi"}], stream=stream
    )
    return list(answer) if stream else answer


def ask_openai_async(url: str, stream: bool) -> Any:
    import openai

    async def ask() -> Any:
        async with openai.AsyncOpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0, timeout=TIMEOUT_S) as client:
            answer: Any = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "hi"}], stream=stream
            )
            return [chunk async for chunk in answer] if stream else answer

    return asyncio.run(ask())


@cache
def anthropic_client(url: str) -> Any:
    import anthropic

    return anthropic.Anthropic(api_key="k", base_url=url, max_retries=0, timeout=TIMEOUT_S)


def ask_anthropic(url: str, stream: bool) -> Any:
    answer = anthropic_client(url).messages.create(
        model="m", max_tokens=5, messages=[{"role": "user", "content": "hi"}], stream=stream
    )
    return list(answer) if stream else answer


@cache
def google_client(url: str) -> Any:
    from google import genai

    return genai.Client(api_key="k", http_options={"base_url": url, "timeout": int(TIMEOUT_S * 1000)})  # type: ignore[arg-type]


def ask_google(url: str, stream: bool) -> Any:
    models = google_client(url).models
    if stream:
        return [chunk.text for chunk in models.generate_content_stream(model="m", contents="hi")]
    return models.generate_content(model="m", contents="hi").text


def ask_google_async(url: str, stream: bool) -> Any:
    async def ask() -> Any:
        from google import genai

        client = genai.Client(api_key="k", http_options={"base_url": url, "timeout": int(TIMEOUT_S * 1000)})  # type: ignore[arg-type]
        models = client.aio.models
        if stream:
            return [chunk.text async for chunk in await models.generate_content_stream(model="m", contents="hi")]
        return (await models.generate_content(model="m", contents="hi")).text

    return asyncio.run(ask())


def ask_langchain(model: Any, stream: bool) -> Any:
    return [chunk.content for chunk in model.stream("hi")] if stream else model.invoke("hi").content


@cache
def langchain_model(provider: str, url: str) -> Any:
    if provider == "openai":
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(model="gpt-4o", api_key="k", base_url=f"{url}/v1", max_retries=0, timeout=TIMEOUT_S)  # type: ignore[arg-type]
    if provider == "anthropic":
        from langchain_anthropic import ChatAnthropic

        return ChatAnthropic(  # type: ignore[call-arg]
            model="claude-sonnet-4-5",  # type: ignore[call-arg]
            api_key="k",  # type: ignore[arg-type]
            base_url=url,
            max_retries=0,
            timeout=TIMEOUT_S,
        )
    from langchain_google_genai import ChatGoogleGenerativeAI

    return ChatGoogleGenerativeAI(
        model="gemini-2.5-flash", google_api_key="k", base_url=url, max_retries=1, timeout=TIMEOUT_S
    )


def ask_llamaindex(llm: Any, stream: bool) -> Any:
    from llama_index.core.llms import ChatMessage

    messages = [ChatMessage(role="user", content="hi")]
    return [chunk.delta for chunk in llm.stream_chat(messages)] if stream else llm.chat(messages).message.content


@cache
def llamaindex_llm(provider: str, url: str) -> Any:
    if provider == "openai":
        from llama_index.llms.openai import OpenAI

        return OpenAI(model="gpt-4o", api_key="k", api_base=f"{url}/v1", max_retries=0, timeout=TIMEOUT_S)
    if provider == "anthropic":
        from llama_index.llms.anthropic import Anthropic

        return Anthropic(model="claude-sonnet-4-5", api_key="k", base_url=url, max_retries=0, timeout=TIMEOUT_S)
    from llama_index.llms.google_genai import GoogleGenAI

    return GoogleGenAI(
        model="gemini-2.5-flash",
        api_key="k",
        max_retries=0,
        max_tokens=100,
        context_window=1000,
        http_options={"base_url": url, "timeout": int(TIMEOUT_S * 1000)},  # type: ignore[arg-type]
    )


def installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


# name: the wire it speaks, the module it needs, how to ask
CLIENTS: dict[str, tuple[str, str, Ask]] = {
    "openai": ("openai", "openai", ask_openai),
    "openai, async": ("openai", "openai", ask_openai_async),
    "anthropic": ("anthropic", "anthropic", ask_anthropic),
    "google-genai": ("google", "google.genai", ask_google),
    "google-genai, async": ("google", "google.genai", ask_google_async),
}
for wire, suffix in (("openai", "openai"), ("anthropic", "anthropic"), ("google", "google_genai")):
    CLIENTS[f"LangChain {wire}"] = (
        wire,
        f"langchain_{suffix}",
        lambda url, stream, wire=wire: ask_langchain(langchain_model(wire, url), stream),  # type: ignore[misc]
    )
    CLIENTS[f"LlamaIndex {wire}"] = (
        wire,
        f"llama_index.llms.{suffix}",
        lambda url, stream, wire=wire: ask_llamaindex(llamaindex_llm(wire, url), stream),  # type: ignore[misc]
    )
INSTALLED = [name for name, (_, module, _) in CLIENTS.items() if installed(module)]


# -- the faults ------------------------------------------------------------------------------------


def envelope(wire: str, status: int, error_type: str, message: str) -> dict[str, Any]:
    """An error in the shape of the wire. `error_type`: OpenAI's, Anthropic's and Google's name of it, with slashes."""
    openai_type, anthropic_type, google_status = error_type.split("/")
    if wire == "anthropic":
        return {"type": "error", "error": {"type": anthropic_type, "message": message}}
    if wire == "google":
        return {"error": {"code": status, "message": message, "status": google_status}}
    return {"error": {"message": message, "type": openai_type, "param": None, "code": None}}


STATUSES = [
    (400, "invalid_request_error/invalid_request_error/INVALID_ARGUMENT", "bad field x", K.INVALID_REQUEST),
    (401, "invalid_request_error/authentication_error/UNAUTHENTICATED", "bad key", K.AUTH),
    (402, "unknown_error/billing_error/UNKNOWN", "Insufficient Balance", K.BILLING),
    (403, "permission_error/permission_error/PERMISSION_DENIED", "nope", K.PERMISSION_OR_REGION),
    (404, "invalid_request_error/not_found_error/NOT_FOUND", "model m", K.MODEL_NOT_FOUND),
    (408, "x/timeout_error/DEADLINE_EXCEEDED", "slow", K.TIMEOUT),
    (413, "x/request_too_large/x", "big", K.CONTEXT_OVERFLOW),
    (422, "x/invalid_request_error/x", "bad", K.INVALID_REQUEST),
    (429, "requests/rate_limit_error/RESOURCE_EXHAUSTED", "slow down", K.RATE_LIMITED),
    (500, "server_error/api_error/INTERNAL", "oops", K.SERVER_ERROR),
    (503, "server_error/api_error/UNAVAILABLE", "busy", K.OVERLOADED),
    (529, "x/overloaded_error/UNAVAILABLE", "Overloaded", K.OVERLOADED),
]
OVERLOADED = "server_error/overloaded_error/UNAVAILABLE"
PAGE = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
LOGIN = "<html><head><title>Log in</title></head><body>Welcome</body></html>"

BEGINNINGS = {
    "openai": 'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
    '{"role":"assistant","content":"Hello"},"finish_reason":null}]}\n\n',
    "anthropic": 'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message","role":'
    '"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,'
    '"output_tokens":1}}}\n\nevent: content_block_start\ndata: {"type":"content_block_start","index":0,'
    '"content_block":{"type":"text","text":""}}\n\nevent: content_block_delta\ndata: {"type":"content_block_delta",'
    '"index":0,"delta":{"type":"text_delta","text":"Hello"}}\n\n',
    "google": 'data: {"candidates":[{"content":{"parts":[{"text":"Hello"}],"role":"model"},"index":0}]}\r\n\r\n',
}


def error_event(wire: str) -> str:
    name = "event: error\n" if wire == "anthropic" else ""
    return f"{name}data: {json.dumps(envelope(wire, 503, OVERLOADED, 'The server is overloaded'))}\n\n"


# name: the bytes, the end of the connection, what it is. Where a client takes the answer for a good one (which it is
# the engine's part to check), there is nothing to classify.
Fault = tuple[Callable[[str], bytes], End, FailureKind]
PLAIN: dict[str, Fault] = {
    "a gateway's page": (lambda wire: http(502, PAGE, "text/html"), "close", K.SERVER_ERROR),
    "a page instead of JSON": (lambda wire: http(200, LOGIN, "text/html"), "close", K.INVALID_OUTPUT),
    "nothing": (lambda wire: http(200, ""), "close", K.INVALID_OUTPUT),
    "null": (lambda wire: http(200, "null"), "close", K.INVALID_OUTPUT),
    "an empty object": (lambda wire: http(200, {}), "close", K.INVALID_OUTPUT),
    "a list": (lambda wire: http(200, []), "close", K.INVALID_OUTPUT),
    "half of the JSON": (lambda wire: http(200, '{"id": "x", "choi'), "close", K.INVALID_OUTPUT),
    "silence": (lambda wire: b"", "hang", K.TIMEOUT),
    "a closed connection": (lambda wire: b"", "close", K.CONNECTION),
    "a reset connection": (lambda wire: b"", "reset", K.CONNECTION),
    "half of the body": (
        lambda wire: http(200, "x" * 500).partition(b"xxx")[0] + b'{"id":',
        "close",
        K.STREAM_BROKEN,
    ),
}
STREAMS: dict[str, Fault] = {
    "401": (
        lambda wire: http(401, envelope(wire, 401, "x/authentication_error/UNAUTHENTICATED", "bad key")),
        "close",
        K.AUTH,
    ),
    "an error event first": (lambda wire: events(error_event(wire)), "close", K.OVERLOADED),
    "an error event after text": (
        lambda wire: events(BEGINNINGS[wire], error_event(wire)),
        "close",
        K.OVERLOADED,
    ),
    "cut": (lambda wire: events(BEGINNINGS[wire], complete=False), "close", K.STREAM_BROKEN),
    "reset": (lambda wire: events(BEGINNINGS[wire], complete=False), "reset", K.STREAM_BROKEN),
    "stalled": (lambda wire: events(BEGINNINGS[wire], complete=False), "hang", K.TIMEOUT),
    "garbage": (lambda wire: events(BEGINNINGS[wire], "data: {garbage\n\n"), "close", K.INVALID_OUTPUT),
    "null": (lambda wire: events("data: null\n\n"), "close", K.INVALID_OUTPUT),
    "a page": (lambda wire: http(200, LOGIN, "text/html"), "close", K.INVALID_OUTPUT),
    "nothing": (lambda wire: events(), "close", K.INVALID_OUTPUT),
}
MAY_PASS = {"nothing", "null", "an empty object", "a list", "a page", "a page instead of JSON", "garbage"}


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    with raw_server() as running:
        yield running


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """google-genai waits some seconds before it tries a lost connection again, whatever its options say. Servers of
    other tests, in threads of their own, keep their pace: one without it takes a whole core.
    """
    sleep, caller = asyncio.sleep, get_ident()

    def hurried(seconds: float, result: Any = None) -> Any:
        return sleep(0 if get_ident() == caller else seconds, result)

    monkeypatch.setattr(asyncio, "sleep", hurried)


def failure_of(client: str, url: str, stream: bool = False) -> Failure | None:
    try:
        CLIENTS[client][2](url, stream)
    except Exception as error:
        return classify(error)
    return None


@pytest.mark.parametrize(("status", "error_type", "message", "kind"), STATUSES, ids=[str(row[0]) for row in STATUSES])
@pytest.mark.parametrize("client", INSTALLED)
def test_error_responses(
    server: RawServer, client: str, status: int, error_type: str, message: str, kind: FailureKind
) -> None:
    wire = CLIENTS[client][0]
    server.answer(http(status, envelope(wire, status, error_type, message), retry_after="7"))
    failure = failure_of(client, server.url)
    assert failure is not None
    assert failure.kind is kind
    assert failure.status == status
    assert message in failure.message
    assert failure.provider == wire
    if "google" not in client:  # google-genai keeps the headers of synchronous calls only, LlamaIndex' not even these
        assert failure.retry_after_s == 7


@pytest.mark.parametrize("fault", PLAIN)
@pytest.mark.parametrize("client", INSTALLED)
def test_broken_answers(server: RawServer, client: str, fault: str) -> None:
    make, end, kind = PLAIN[fault]
    server.answer(make(CLIENTS[client][0]), end)
    failure = failure_of(client, server.url)
    assert (failure.kind if failure else None) in ({kind, None} if fault in MAY_PASS else {kind})


@pytest.mark.parametrize("fault", STREAMS)
@pytest.mark.parametrize("client", INSTALLED)
def test_broken_streams(server: RawServer, client: str, fault: str) -> None:
    make, end, kind = STREAMS[fault]
    server.answer(make(CLIENTS[client][0]), end)
    failure = failure_of(client, server.url, stream=True)
    assert (failure.kind if failure else None) in ({kind, None} if fault in MAY_PASS else {kind})


@pytest.mark.parametrize("client", INSTALLED)
def test_a_refused_connection(client: str) -> None:
    with raw_server() as gone:
        url = gone.url
    failure = failure_of(client, url)
    assert failure is not None
    assert failure.kind is K.CONNECTION


@pytest.mark.parametrize("client", [name for name in INSTALLED if name in ("openai", "anthropic")])
def test_a_value_misread_by_the_callers_own_code_is_no_ones_garbage(server: RawServer, client: str) -> None:
    server.answer(http(200, LOGIN, "text/html"))
    answer = CLIENTS[client][2](server.url, False)
    with pytest.raises((TypeError, AttributeError)) as caught:
        answer.choices[0]
    assert classify(caught.value).kind is K.LOCAL_ERROR


# -- errors that are easier built than provoked ----------------------------------------------------


def response(status: int, **headers: str) -> Any:
    request = SimpleNamespace(method="POST", url="https://api.example.com/v1/x", headers={})
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return SimpleNamespace(status_code=status, headers=named, request=request)


def test_openais_exceptions() -> None:
    openai = pytest.importorskip("openai")
    quota = {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": "insufficient_quota"}
    failure = classify(openai.RateLimitError("x", response=response(429, retry_after_ms="1500"), body=quota))
    assert (failure.kind, failure.code, failure.status) == (K.QUOTA_EXHAUSTED, "insufficient_quota", 429)
    assert (failure.retry_after_s, failure.provider, failure.message) == (1.5, "openai", quota["message"])
    assert classify(openai.BadRequestError("x", response=response(400), body=None)).kind is K.INVALID_REQUEST
    long = {"message": "too many", "code": "context_length_exceeded"}
    assert classify(openai.BadRequestError("x", response=response(400), body=long)).kind is K.CONTEXT_OVERFLOW
    request = response(0).request
    assert classify(openai.APITimeoutError(request=request)).kind is K.TIMEOUT
    assert classify(openai.APIConnectionError(request=request)).kind is K.CONNECTION
    assert classify(openai.APIError("The server is busy", request=request, body=None)).kind is K.OVERLOADED
    with pytest.raises(openai.OpenAIError) as caught:
        openai.OpenAI(api_key=None)
    assert classify(caught.value).kind is K.AUTH


def test_openais_parse_helper() -> None:
    openai = pytest.importorskip("openai")
    completion = SimpleNamespace(usage=None)
    assert classify(openai.LengthFinishReasonError(completion=completion)).kind is K.INVALID_OUTPUT
    assert classify(openai.ContentFilterFinishReasonError()).kind is K.CONTENT_FILTERED


def test_anthropics_exceptions() -> None:
    anthropic = pytest.importorskip("anthropic")
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    inside_200 = anthropic.APIStatusError("Overloaded", response=response(200), body=body)
    assert classify(inside_200).kind is K.OVERLOADED
    low = {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "Your credit balance is too low to access the API"},
    }
    assert classify(anthropic.BadRequestError("x", response=response(400), body=low)).kind is K.BILLING
    request = response(0).request
    assert classify(anthropic.APITimeoutError(request=request)).kind is K.TIMEOUT
    assert classify(anthropic.APIConnectionError(request=request)).kind is K.CONNECTION


def test_googles_exceptions() -> None:
    errors = pytest.importorskip("google.genai.errors")
    details = [
        {
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
        },
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"},
    ]
    body = {
        "error": {
            "code": 429,
            "message": "You exceeded your quota",
            "status": "RESOURCE_EXHAUSTED",
            "details": details,
        }
    }
    failure = classify(errors.ClientError(429, body))
    assert (failure.kind, failure.status, failure.code) == (K.QUOTA_EXHAUSTED, 429, "RESOURCE_EXHAUSTED")
    assert (failure.retry_after_s, failure.provider) == (34.5, "google")
    details[0]["violations"] = [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}]
    assert classify(errors.ClientError(429, body)).kind is K.RATE_LIMITED
    key = {"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}
    assert classify(errors.ClientError(400, key)).kind is K.AUTH


def test_aws_exceptions() -> None:
    exceptions = pytest.importorskip("botocore.exceptions")
    told = {
        "Error": {"Code": "ThrottlingException", "Message": "Too many requests"},
        "ResponseMetadata": {"HTTPStatusCode": 429, "HTTPHeaders": {"retry-after": "3"}},
    }
    failure = classify(exceptions.ClientError(told, "Converse"))
    assert (failure.kind, failure.status, failure.code) == (K.RATE_LIMITED, 429, "ThrottlingException")
    assert failure.retry_after_s == 3
    assert classify(exceptions.ReadTimeoutError(endpoint_url="https://x")).kind is K.TIMEOUT
    assert classify(exceptions.EndpointConnectionError(endpoint_url="https://x")).kind is K.CONNECTION
    assert classify(exceptions.NoCredentialsError()).kind is K.AUTH


def test_langchains_tree_of_model_errors() -> None:
    exceptions = pytest.importorskip("langchain_core.exceptions")
    kinds = {
        "ModelAuthenticationError": K.AUTH,
        "ModelPermissionDeniedError": K.PERMISSION_OR_REGION,
        "ModelNotFoundError": K.MODEL_NOT_FOUND,
        "ModelRateLimitError": K.RATE_LIMITED,
        "ModelTimeoutError": K.TIMEOUT,
        "ModelConnectionError": K.CONNECTION,
        "ContextOverflowError": K.CONTEXT_OVERFLOW,
        "OutputParserException": K.INVALID_OUTPUT,
    }
    known = {name: kind for name, kind in kinds.items() if hasattr(exceptions, name)}
    assert {"ContextOverflowError", "OutputParserException"} <= known.keys()
    assert {name: classify(getattr(exceptions, name)("no")).kind for name in known} == known


def test_langchains_empty_stream() -> None:
    pytest.importorskip("langchain_core")
    from langchain_core.language_models.fake_chat_models import GenericFakeChatModel

    class Silent(GenericFakeChatModel):
        def _stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
            yield from ()

    with pytest.raises(ValueError) as caught:
        list(Silent(messages=iter([])).stream("hi"))
    assert classify(caught.value).kind is K.INVALID_OUTPUT


GOOGLE_ANSWERS: list[tuple[str, dict[str, Any], FailureKind]] = [
    ("SAFETY", {"candidates": [{"finishReason": "SAFETY"}]}, K.CONTENT_FILTERED),
    ("RECITATION", {"candidates": [{"finishReason": "RECITATION"}]}, K.CONTENT_FILTERED),
    ("MAX_TOKENS", {"candidates": [{"finishReason": "MAX_TOKENS"}]}, K.INVALID_OUTPUT),
    ("a blocked prompt", {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, K.CONTENT_FILTERED),
    ("no candidates", {"candidates": []}, K.INVALID_OUTPUT),
]


@pytest.mark.skipif("LlamaIndex google" not in INSTALLED, reason="needs llama-index-llms-google-genai")
@pytest.mark.parametrize(("name", "answer", "kind"), GOOGLE_ANSWERS, ids=[row[0] for row in GOOGLE_ANSWERS])
def test_llamaindex_raises_for_googles_finish_reasons(
    server: RawServer, name: str, answer: dict[str, Any], kind: FailureKind
) -> None:
    server.answer(http(200, answer))
    failure = failure_of("LlamaIndex google", server.url)
    assert failure is not None
    assert failure.kind is kind


TRANSPORT = {
    "httpx": {
        "ConnectTimeout": K.TIMEOUT,
        "ReadTimeout": K.TIMEOUT,
        "PoolTimeout": K.TIMEOUT,
        "ConnectError": K.CONNECTION,
        "ProxyError": K.CONNECTION,
        "RemoteProtocolError": K.STREAM_BROKEN,
        "ReadError": K.STREAM_BROKEN,
        "DecodingError": K.INVALID_OUTPUT,
    },
    "requests.exceptions": {
        "ConnectTimeout": K.TIMEOUT,
        "ReadTimeout": K.TIMEOUT,
        "ConnectionError": K.CONNECTION,
        "ChunkedEncodingError": K.STREAM_BROKEN,
    },
    "aiohttp": {
        "ServerTimeoutError": K.TIMEOUT,
        "SocketTimeoutError": K.TIMEOUT,
        "ServerDisconnectedError": K.CONNECTION,
        "ClientConnectionError": K.CONNECTION,
        "ClientPayloadError": K.STREAM_BROKEN,
    },
    "urllib3.exceptions": {"IncompleteRead": K.STREAM_BROKEN, "ProtocolError": K.CONNECTION},
    "http.client": {"IncompleteRead": K.STREAM_BROKEN, "RemoteDisconnected": K.CONNECTION},
    "anyio": {"EndOfStream": K.STREAM_BROKEN, "BrokenResourceError": K.CONNECTION},
}
TRANSPORT["httpx2"] = TRANSPORT["httpx"]
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "httpx": ("no",),
    "httpx2": ("no",),
    "IncompleteRead": (b"", 3),
    "BrokenResourceError": (),
    "EndOfStream": (),
}


@pytest.mark.parametrize(
    ("module", "name", "kind"), [(m, n, k) for m, names in TRANSPORT.items() for n, k in names.items()]
)
def test_connection_errors_of_every_library(module: str, name: str, kind: FailureKind) -> None:
    library = pytest.importorskip(module)
    error = getattr(library, name)(*ARGUMENTS.get(name, ARGUMENTS.get(module, ("no",))))
    assert classify(error).kind is kind


# -- the package itself ----------------------------------------------------------------------------

IMPURE = {"time", "random", "threading", "asyncio", "logging", "socket", "os", "subprocess"}


def imported_by(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_it_imports_neither_sdks_nor_anything_impure() -> None:
    folder = Path(import_module("failover_core").__file__ or "").parent
    sources = [*sorted((folder / "classification").glob("*.py")), folder / "redact.py"]
    assert len(sources) > 10
    for source in sources:
        imports = imported_by(source)
        assert not imports & IMPURE, source.name
        assert imports <= {*sys.stdlib_module_names, "failover_core"}, source.name
