"""Failures that LlamaIndex passes on without a word, or disguises: none of them is taken for an answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage, CompletionResponse
from llama_index.core.tools import FunctionTool

from failover_core import RequestRejected, Settings
from failover_core.testing import ProviderServer, ToolCall, faults
from llamaindex_failover import FailoverLLM
from llamaindex_failover.reader import ResponseReader, ending_of
from llamaindex_targets import WRAPPED, Shop

ONCE = Settings(same_target_retries=0)
MESSAGES = [ChatMessage("What is the answer?")]
SECOND = "The second provider says that the answer is forty-two, and that there is nothing to add."


def kinds(response: Any) -> list[str | None]:
    return [attempt["kind"] for attempt in response.additional_kwargs["failover"]["attempts"]]


def pair(kind: str, first: ProviderServer, second: ProviderServer, shop: Shop) -> FailoverLLM:
    other = "Anthropic" if kind != "Anthropic" else "OpenAI"
    return FailoverLLM([shop.make(kind, first), shop.make(other, second)], settings=ONCE)


BROKEN = [
    faults.NoFinishReason(),
    faults.Empty(),
    faults.Cut(after_chunks=0),
    faults.ErrorEvent(after_chunks=0),
    faults.html(200),
    faults.Malformed(after_chunks=1),
]


@pytest.mark.parametrize("fault", BROKEN, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("kind", WRAPPED)
def test_what_is_not_a_whole_answer_goes_to_the_next(
    kind: str, fault: Any, first: ProviderServer, second: ProviderServer, llms: Shop
) -> None:
    llm = pair(kind, first, second, llms)
    first.always(fault)
    assert llm.chat(MESSAGES).message.content == SECOND
    if isinstance(fault, faults.NoFinishReason):
        first.behaviour.answer = SECOND  # all of it has been shown when it turns out that its end is missing
    *_, last = llm.stream_chat(MESSAGES)
    assert last.message.content == SECOND
    assert last.additional_kwargs["failover"]["switched"]


@pytest.mark.parametrize("reason", ["error", "ERROR", "insufficient_system_resource", "abort"])
def test_a_provider_that_says_it_broke_off_has_not_answered(reason: str) -> None:
    said = {"choices": [{"finish_reason": reason, "message": {"content": "half"}}]}

    ending = ending_of(said)

    assert ending.finish is None and reason in str(ending.flaw)
    half = CompletionResponse(text="half", delta="half", raw=said)
    assert ResponseReader().read(half).flaw == ResponseReader().read_chunk(half).flaw == ending.flaw


@pytest.mark.parametrize("kind", WRAPPED)
def test_a_healthy_answer_is_never_taken_for_a_broken_one(kind: str, first: ProviderServer, llms: Shop) -> None:
    llm = FailoverLLM([llms.make(kind, first)])
    assert kinds(llm.chat(MESSAGES)) == [None]
    *_, last = llm.stream_chat(MESSAGES)
    assert kinds(last) == [None]
    *_, last = llm.stream_complete("What is the answer?")
    assert kinds(last) == [None]
    assert last.additional_kwargs["failover"]["attempts"][0]["usage"] or kind == "OpenAI"


@pytest.mark.parametrize("fault", [faults.ContentFilter(), faults.Refusal()], ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("kind", WRAPPED)
def test_a_refusal_inside_a_success_is_shown_or_sent_on_as_the_settings_say(
    kind: str, fault: Any, first: ProviderServer, second: ProviderServer, llms: Shop
) -> None:
    first.always(fault)
    for style in ("chat", "stream_chat"):
        llm = pair(kind, first, second, llms)
        with pytest.raises(RequestRejected, match="content_filtered"):
            list(getattr(llm, style)(MESSAGES))
        targets = [target.source.llm for target in llm.failover.targets]
        lenient = FailoverLLM(targets, settings=Settings(on_content_filter="next"))
        response = lenient.chat(MESSAGES) if style == "chat" else list(lenient.stream_chat(MESSAGES))[-1]
        assert response.message.content == SECOND


def test_a_blocked_gemini_prompt_is_a_refusal_whole_and_streamed(
    first: ProviderServer, second: ProviderServer, llms: Shop
) -> None:
    llm = pair("GoogleGenAI", first, second, llms)
    first.always(faults.PromptBlocked())
    for style in ("chat", "stream_chat"):
        with pytest.raises(RequestRejected, match="the prompt was blocked"):
            list(getattr(llm, style)(MESSAGES))


@pytest.mark.parametrize("kind", WRAPPED)
def test_an_answer_at_its_token_limit_is_an_answer(kind: str, first: ProviderServer, llms: Shop) -> None:
    llm = FailoverLLM([llms.make(kind, first, max_tokens=5)])
    said = llm.chat(MESSAGES).message.content
    assert said
    assert len(said) <= 20
    *_, last = llm.stream_chat(MESSAGES)
    assert said == last.message.content


@pytest.mark.parametrize("kind", WRAPPED)
def test_tool_arguments_that_do_not_parse_go_to_the_next(kind: str, llms: Shop) -> None:
    tool = FunctionTool.from_defaults(lambda a: a, name="tool", description="A tool.")

    def calls(ask: Any) -> ToolCall:
        return ToolCall("tool", {"a": "one and two and three"})

    with ProviderServer(calls) as first, ProviderServer(calls) as second:
        first.always(faults.BadToolArguments())
        llm = pair(kind, first, second, llms)
        for response in (
            llm.chat_with_tools([tool], user_msg="call it"),
            list(llm.stream_chat_with_tools([tool], user_msg="call it"))[-1],
        ):
            (call,) = llm.get_tool_calls_from_response(response)
            # Where the wire has no place for broken arguments, the first one's empty ones are all there is to see.
            assert (
                call.tool_kwargs == {"a": "one and two and three"}
                or not response.additional_kwargs["failover"]["switched"]
            )


# -- OpenAI's Responses API, which the provider server does not speak ----------------------------------------------


def response_object(status: str, text: str = "", **more: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content}
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    return {
        "id": "resp_1", "object": "response", "created_at": 0, "model": "gpt-4o-mini", "status": status, "usage": usage,
        "output": [message] if text else [], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], **more,
    }  # fmt: skip


ERROR = {"code": "server_error", "message": "The model failed."}
CREATED = {"type": "response.created", "response": response_object("in_progress")}


def delta(text: str) -> dict[str, Any]:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    return {"type": "response.output_text.delta", "delta": text, "logprobs": [], **place}


WHOLE = "Forty-two."
FINE = [
    CREATED,
    delta("Forty-"),
    delta("two."),
    {"type": "response.completed", "response": response_object("completed", WHOLE)},
]
FAILED = [CREATED, {"type": "response.failed", "response": response_object("failed", error=ERROR)}]
ERRED = [CREATED, {"type": "error", **ERROR, "param": None}]
CUT = [CREATED, delta("Forty-")]
FILTERED = [
    CREATED,
    {
        "type": "response.incomplete",
        "response": response_object("incomplete", incomplete_details={"reason": "content_filter"}),
    },
]


@contextmanager
def responses_server(whole: dict[str, Any], events: list[dict[str, Any]]) -> Iterator[str]:
    """A server that gives one answer of the Responses API, whole and streamed."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            numbered = [event | {"sequence_number": n} for n, event in enumerate(events)]
            lines = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in numbered)
            sent = (lines if body.get("stream") else json.dumps(whole)).encode()
            self.send_response(200)
            self.send_header("content-type", "text/event-stream" if body.get("stream") else "application/json")
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("whole", "events", "kind"),
    [
        (response_object("failed", error=ERROR), FAILED, "server_error"),
        (response_object("failed", error=ERROR), ERRED, "server_error"),
        (response_object("completed"), CUT, "stream_broken"),
        (response_object("completed"), [], "stream_broken"),
    ],
    ids=["response.failed", "error event", "cut", "nothing"],
)
def test_openai_responses(whole: Any, events: Any, kind: str, second: ProviderServer, llms: Shop) -> None:
    from llama_index.llms.openai import OpenAIResponses

    with responses_server(whole, events) as url:
        silent = OpenAIResponses("gpt-4o-mini", api_base=url, api_key="x")
        llm = FailoverLLM([silent, llms.make("Anthropic", second)], settings=ONCE)
        response = llm.chat(MESSAGES)
        assert response.message.content == SECOND
        assert kinds(response)[0] in ("server_error", "invalid_output")
        *_, last = llm.stream_chat(MESSAGES)
        assert last.message.content == SECOND
        assert kind == kinds(last)[0]
        silent._client.close()


def test_openai_responses_that_are_fine_or_filtered(llms: Shop) -> None:
    from llama_index.llms.openai import OpenAIResponses

    with responses_server(response_object("completed", WHOLE), FINE) as url:
        fine = OpenAIResponses("gpt-4o-mini", api_base=url, api_key="x")
        llm = FailoverLLM([fine])
        assert llm.chat(MESSAGES).message.content == WHOLE
        chunks = list(llm.stream_chat(MESSAGES))
        assert "".join(chunk.delta or "" for chunk in chunks) == WHOLE
        assert (chunks[-1].additional_kwargs["failover"]["attempts"][0]["usage"]) == {
            "input_tokens": 3,
            "output_tokens": 4,
            "total_tokens": 7,
        }
        fine._client.close()
    filtered = response_object("incomplete", incomplete_details={"reason": "content_filter"})
    with responses_server(filtered, FILTERED) as url:
        llm = FailoverLLM([OpenAIResponses("gpt-4o-mini", api_base=url, api_key="x")])
        for style in ("chat", "stream_chat"):
            with pytest.raises(RequestRejected, match="content_filter"):
                list(getattr(llm, style)(MESSAGES))
        llm.failover.targets[0].source.llm._client.close()
