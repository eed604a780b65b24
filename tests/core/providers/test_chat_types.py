from __future__ import annotations

from dataclasses import replace

import pytest

from failover_core.failure import ConfigError
from failover_core.providers import (
    CallTool,
    ChatChunk,
    ChatMessage,
    ChatReader,
    ChatRequest,
    ChatResponse,
    File,
    Image,
    Reasoning,
    ResponseFormat,
    Text,
    Thinking,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    ToolSpec,
    Usage,
    accumulate,
    as_chat_request,
    request_info,
    resume_chat,
)
from failover_core.stream.anchor import Joiner

READER = ChatReader()


class Trip:
    """Looks like a pydantic class."""

    @classmethod
    def model_json_schema(cls) -> dict:
        return {"type": "object"}


# --- media -----------------------------------------------------------------------------------------------------------


def test_a_data_url_is_content() -> None:
    picture = Image("data:image/png;base64,aGk=")
    assert (picture.url, picture.data, picture.media_type) == (None, b"hi", "image/png")
    note = File("data:text/plain;charset=utf-8,hi%20there")
    assert (note.data, note.media_type) == (b"hi there", "text/plain")


@pytest.mark.parametrize(
    ("media", "mime"),
    [
        (Image("https://example.com/a.webp?x=1"), "image/webp"),
        (Image("https://example.com/a"), "image/jpeg"),
        (Image("https://example.com/a", mime="image/gif"), "image/gif"),
        (Image(data=b"\xff\xd8\xff"), "image/jpeg"),
        (Image(data=b"RIFF1234WEBPVP8 "), "image/webp"),
        (Image(data=b"GIF89a"), "image/gif"),
        (File(data=b"x", name="notes.txt"), "text/plain"),
        (File(data=b"x"), "application/pdf"),
    ],
)
def test_media_types_are_guessed(media: Image | File, mime: str) -> None:
    assert media.media_type == mime


@pytest.mark.parametrize("arguments", [{}, {"url": "https://x", "data": b"x"}])
def test_media_have_one_source(arguments: dict) -> None:
    with pytest.raises(ConfigError, match="either url= or data="):
        Image(**arguments)


# --- from what people write ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "messages"),
    [
        ("hi", [ChatMessage("user", "hi")]),
        (ChatMessage("user", "hi"), [ChatMessage("user", "hi")]),
        ([("system", "s"), ("user", "hi")], [ChatMessage("system", "s"), ChatMessage("user", "hi")]),
        ([{"role": "user", "content": "hi"}], [ChatMessage("user", "hi")]),
        (["look:", Image("https://x")], [ChatMessage("user", [Text("look:"), Image("https://x")])]),
        ([("user", [Text("hi")])], [ChatMessage("user", "hi")]),
    ],
)
def test_prompts(prompt: object, messages: list[ChatMessage]) -> None:
    assert list(as_chat_request(prompt).messages) == messages


def test_options_are_put_into_their_proper_types() -> None:
    openai_tool = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
    request = as_chat_request(
        "hi",
        system="be brief",
        tools=[openai_tool, {"name": "g", "input_schema": {"type": "object"}}],
        tool_choice="f",
        response_format=Trip,
        thinking="low",
        stop="END",
    )
    assert request.messages[0] == ChatMessage("system", "be brief")
    assert [tool.name for tool in request.tools] == ["f", "g"]
    assert request.tool_choice == CallTool("f")
    assert request.response_format == ResponseFormat({"type": "object"}, name="Trip")
    assert request.thinking == Thinking("low")
    assert request.stop == ("END",)
    assert as_chat_request(request) is request
    assert as_chat_request(request, seed=1) == replace(request, seed=1)


@pytest.mark.parametrize(
    ("prompt", "options", "words"),
    [
        ("hi", {"temprature": 1}, "no temprature="),
        ([], {}, "not empty"),
        (7, {}, "a str or a list of messages"),
        ([("robot", "hi")], {}, "is not a message"),
        ([{"role": "user"}], {}, "is not a message"),
        ("hi", {"tools": ["weather"]}, "is not a tool"),
    ],
)
def test_mistakes_are_explained(prompt: object, options: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        as_chat_request(prompt, **options)


# --- what the engine is told -----------------------------------------------------------------------------------------


def test_what_a_request_needs() -> None:
    request = ChatRequest(
        [ChatMessage("user", [Text("x" * 400), Image("https://x"), File(data=b"y" * 80, mime="text/plain")])],
        tools=[ToolSpec("f", "")],
        tool_choice="required",
        response_format=ResponseFormat({"type": "object"}),
        max_output_tokens=50,
        stop=["a"],
        thinking=Thinking("low"),
    )
    info = request_info(request)
    assert info.needs == {
        "tools", "forced_tool", "json_schema", "tools_with_json_schema", "images", "image_urls", "files", "stop",
    }  # fmt: skip
    assert info.structured and info.thinking and info.max_output_tokens == 50
    assert 1_120 <= info.prompt_tokens <= 1_150  # 100 of text, 20 of the file, 1,000 of the picture, some for the rest


def test_a_plain_request_needs_nothing() -> None:
    info = request_info(as_chat_request("hello", thinking="none"))
    assert (info.needs, info.structured, info.thinking, info.prompt_tokens) == (frozenset(), False, False, 2)


def test_reading_chunks() -> None:
    assert READER.expects_finish
    assert not READER.read_chunk(ChatChunk()).has_content
    assert not READER.read_chunk(ChatChunk((Text(""),))).has_content
    thought = READER.read_chunk(ChatChunk((Reasoning("hm"),)))
    assert thought.has_content and thought.text == ""
    call = READER.read_chunk(ChatChunk((ToolCallDelta(0, "1", "f"),)))
    assert call.has_content and call.has_tool_call
    end = READER.read_chunk(ChatChunk((), "stop", "end_turn", usage=Usage(1, 2), model="m"))
    assert (end.finish_reason, end.usage["output_tokens"], end.model) == ("end_turn", 2, "m")


def test_text_is_replaced_where_streams_are_joined() -> None:
    chunk = ChatChunk((Text("ab"), ToolCallDelta(0), Text("c")), finish_reason="stop")
    assert READER.with_text(chunk, "b").deltas == (Text("b"), ToolCallDelta(0))
    assert READER.with_text(chunk, "").deltas == (ToolCallDelta(0),)
    assert READER.with_text(chunk, "").finish_reason == "stop"


def test_reading_answers() -> None:
    empty = READER.read(ChatResponse(ChatMessage("assistant")))
    assert (empty.has_content, empty.finish_reason) == (False, None)
    broken = ToolCall("1", "f", raw_arguments="{")
    flawed = READER.read(ChatResponse(ChatMessage("assistant", [broken]), "tool_calls"))
    assert "'f'" in flawed.flaw
    assert READER.read(ChatResponse(ChatMessage("assistant"), "error", "MALFORMED")).flaw


def test_chunks_add_up_in_order() -> None:
    chunks = [
        ChatChunk((Reasoning("I "),), model="m", id="1", provider="p"),
        ChatChunk((Reasoning("think", provider="p"), Reasoning("", "sig", "p"))),
        ChatChunk((Reasoning("", "secret", "p", redacted=True), Text("a"))),
        ChatChunk((Text("b"), ToolCallDelta(0, "x", "f", '{"n"'), ToolCallDelta(1, "y", "g"))),
        ChatChunk((ToolCallDelta(0, arguments=":1}"), ToolCallDelta(1, arguments="oops"))),
        ChatChunk((), "tool_calls", "tool_use", usage=Usage(1, 2)),
    ]
    whole = accumulate(chunks)
    assert whole.message.parts == (
        Reasoning("I think", "sig", "p"),
        Reasoning("", "secret", "p", redacted=True),
        Text("ab"),
        ToolCall("x", "f", {"n": 1}, provider="p"),
        ToolCall("y", "g", raw_arguments="oops", provider="p"),
    )
    assert (whole.finish_reason, whole.raw_finish_reason, whole.usage) == ("tool_calls", "tool_use", Usage(1, 2))
    assert (whole.model, whole.id, whole.provider) == ("m", "1", "p")
    assert accumulate([]).finish_reason is None


# --- going on after a break ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shown",
    [
        "Once upon a time there was a provider that answered every question it was asked, until one day it did n",
        "短い文章です。" * 20,
        "short",
        "words   with \n\n much     white     space   between    them   so   that   they    are    far    apart",
    ],
)
def test_an_obedient_answer_can_be_joined(shown: str) -> None:
    request = resume_chat(as_chat_request("Tell me."), shown)
    before, partial, instruction = request.messages
    assert (before.text, partial) == ("Tell me.", ChatMessage("assistant", shown))
    assert instruction.role == "user"
    tail = instruction.text.split("<tail>")[-1].removesuffix("</tail>")
    assert shown.endswith(tail)
    joiner = Joiner(shown)
    assert joiner.feed(tail + " and so on") == " and so on"


def test_a_tool_result_may_be_plain_text() -> None:
    assert ToolResult("1", "fine").parts == (Text("fine"),)


def test_a_role_must_be_known() -> None:
    with pytest.raises(ConfigError, match="system, user, assistant, tool"):
        ChatMessage("robot", "hi")  # type: ignore[arg-type]
