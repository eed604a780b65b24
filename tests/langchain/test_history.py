"""Conversations that other targets took part in become legal for the target that is asked now; its own stay."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_failover.dialects import Dialect, Wire
from langchain_failover.history import LEGAL_TOOL_ID, portable

OPENAI = Dialect(Wire.OPENAI_CHAT, "openai", "account-o")
RESPONSES = Dialect(Wire.OPENAI_RESPONSES, "openai", "account-o")
ANTHROPIC = Dialect(Wire.ANTHROPIC, "anthropic", "account-a", has_system_anywhere=False)
GOOGLE = Dialect(Wire.GOOGLE, "google_genai", "account-g")
GROQ = Dialect(Wire.OTHER, "groq", "account-q")
ALL = [OPENAI, RESPONSES, ANTHROPIC, GOOGLE, GROQ]
ACCOUNTS = {"o": "account-o", "a": "account-a", "g": "account-g", "o2": "account-of-somebody-else"}

CALL = {"name": "get_weather", "args": {"city": "Paris"}, "id": "call_1"}

BY_OPENAI = AIMessage(
    content="Sunny.",
    additional_kwargs={"refusal": None},
    response_metadata={"model_provider": "openai", "finish_reason": "stop", "id": "chatcmpl-1"},
)
BY_RESPONSES = AIMessage(
    content=[
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "xx"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "text", "text": "Sunny.", "id": "msg_1"},
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "get_weather", "arguments": "{}"},
    ],
    tool_calls=[CALL],
    id="resp_1",
    response_metadata={"model_provider": "openai", "id": "resp_1", "status": "completed"},
)
BY_ANTHROPIC = AIMessage(
    content=[
        {"type": "thinking", "thinking": "hmm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "zz"},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "text", "text": "Sunny."},
        {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {"city": "Paris"}},
    ],
    tool_calls=[CALL],
    response_metadata={"model_provider": "anthropic", "stop_reason": "tool_use"},
)
BY_GOOGLE = AIMessage(
    content=[{"type": "thinking", "thinking": "hmm"}, {"type": "text", "text": "Sunny."}],
    additional_kwargs={"__gemini_function_call_thought_signatures__": {"call_1": "c2ln"}},
    tool_calls=[CALL],
    response_metadata={"model_provider": "google_genai", "finish_reason": "STOP"},
)
AUTHORS = {"openai": BY_OPENAI, "responses": BY_RESPONSES, "anthropic": BY_ANTHROPIC, "google": BY_GOOGLE}
HOMES = {"openai": OPENAI, "responses": RESPONSES, "anthropic": ANTHROPIC, "google": GOOGLE}


def made_portable(messages: list[BaseMessage], dialect: Dialect) -> list[BaseMessage]:
    return portable(messages, dialect, ACCOUNTS).messages


def v1(message: AIMessage) -> AIMessage:
    """The same message as `output_version="v1"` stores it."""
    metadata = {**message.response_metadata, "output_version": "v1"}
    return message.model_copy(update={"content": message.content_blocks, "response_metadata": metadata})


@pytest.mark.parametrize("author", AUTHORS)
@pytest.mark.parametrize("version", ["v0", "v1"])
def test_a_message_stays_the_same_object_at_home(author: str, version: str) -> None:
    message = AUTHORS[author] if version == "v0" else v1(AUTHORS[author])
    history = [HumanMessage("hi"), message]

    assert made_portable(history, HOMES[author]) is history


ABROAD = [(author, dialect) for author in AUTHORS for dialect in ALL if HOMES[author] is not dialect]


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize(("author", "dialect"), ABROAD, ids=lambda value: str(getattr(value, "wire", value)))
def test_elsewhere_it_becomes_text_and_tool_calls(author: str, version: str, dialect: Dialect) -> None:
    message = AUTHORS[author] if version == "v0" else v1(AUTHORS[author])
    before = message.model_copy(deep=True)

    (new,) = made_portable([message], dialect)

    assert isinstance(new, AIMessage)
    assert new.content == "Sunny."
    assert [(c["name"], c["args"], c["id"]) for c in new.tool_calls] == [
        (c["name"], c["args"], c["id"]) for c in message.tool_calls
    ]
    assert not new.additional_kwargs and not new.response_metadata and new.id is None
    assert message == before, "the caller's own message was changed"


@pytest.mark.parametrize(
    ("target", "stays"), [("o", True), ("o2", False), ("a stranger", False)], ids=["same account", "other", "unknown"]
)
def test_the_same_provider_under_another_account_is_foreign(target: str, stays: bool) -> None:
    metadata = {**BY_RESPONSES.response_metadata, "failover": {"target": target}}
    message = BY_RESPONSES.model_copy(update={"response_metadata": metadata})

    (new,) = made_portable([message], RESPONSES)

    assert (new is message) is stays


def test_a_message_joined_from_two_targets_is_foreign_to_both() -> None:
    metadata = {"model_provider": "openai", "failover": {"target": "o", "seams": [{"offset_chars": 3}]}}

    (new,) = made_portable([AIMessage("joined", response_metadata=metadata)], OPENAI)

    assert new.response_metadata == {}


def test_a_message_that_was_started_over_is_its_last_author_s() -> None:
    seams = [{"offset_chars": 3, "broken": "a", "resumed": "o", "kind": "replace"}]
    metadata = {"model_provider": "openai", "failover": {"target": "o", "seams": seams}}
    message = AIMessage("new", response_metadata=metadata)

    (new,) = made_portable([message], OPENAI)

    assert new is message


def test_messages_written_by_hand_are_left_alone() -> None:
    history: list[BaseMessage] = [
        SystemMessage("Be brief."),
        HumanMessage("hi", name="bob"),
        AIMessage("", tool_calls=[CALL]),
        ToolMessage("18 C", tool_call_id="call_1"),
        AIMessage("18 C"),
    ]

    for dialect in ALL:
        assert made_portable(history, dialect) is history


@pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: str(dialect.wire))
def test_tool_ids_are_made_legal_for_call_and_result_alike(dialect: Dialect) -> None:
    long_id = "functions.get_weather:0|" + "x" * 60
    call = AIMessage("", tool_calls=[{**CALL, "id": long_id}], response_metadata={"model_provider": "exotic"})

    new_call, new_result = made_portable([call, ToolMessage("18 C", tool_call_id=long_id)], dialect)

    assert isinstance(new_call, AIMessage) and isinstance(new_result, ToolMessage)
    assert new_call.tool_calls[0]["id"] == new_result.tool_call_id
    assert LEGAL_TOOL_ID.fullmatch(new_result.tool_call_id)


def test_a_malformed_call_survives_only_with_its_result() -> None:
    bad = {"type": "invalid_tool_call", "name": "f", "args": "{oops", "id": "call_9", "error": None}
    message = AIMessage("text", invalid_tool_calls=[bad], response_metadata={"model_provider": "openai"})

    (alone,) = made_portable([message], ANTHROPIC)
    (answered, _) = made_portable([message, ToolMessage("error", tool_call_id="call_9")], ANTHROPIC)

    assert isinstance(alone, AIMessage) and not alone.tool_calls and not alone.invalid_tool_calls
    assert isinstance(answered, AIMessage)
    assert answered.tool_calls[0]["args"] == {"invalid_arguments": "{oops"}


def test_a_message_of_nothing_but_thoughts_disappears_and_a_picture_leaves_a_trace() -> None:
    thoughts = AIMessage([{"type": "thinking", "thinking": "hm", "signature": "s"}], **_by("anthropic"))
    picture = AIMessage([{"type": "image", "base64": "aGk=", "mime_type": "image/png"}], **_by("google_genai"))

    assert made_portable([HumanMessage("hi"), thoughts], OPENAI) == [HumanMessage("hi")]
    assert made_portable([picture], OPENAI)[0].content == "[image]"


def test_names_are_made_legal() -> None:
    history = [HumanMessage("hi", name="bob smith"), AIMessage("yo", name="the böt", **_by("exotic"))]

    assert [message.name for message in made_portable(history, OPENAI)] == ["bob_smith", "the_b_t"]


def test_system_messages_stand_where_the_target_takes_them() -> None:
    history = [SystemMessage("a"), HumanMessage("hi"), SystemMessage("b")]

    assert made_portable(history, OPENAI) is history
    assert made_portable(history, ANTHROPIC)[2] == HumanMessage("<system>\nb\n</system>")
    assert made_portable([SystemMessage("a")], ANTHROPIC) == [HumanMessage("a")]
    assert made_portable([SystemMessage("a")], GOOGLE) == [HumanMessage("a")]
    assert made_portable([SystemMessage("a")], OPENAI) == [SystemMessage("a")]


def test_cache_marks_stay_with_anthropic() -> None:
    marked = {"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}
    history: list[BaseMessage] = [HumanMessage([marked])]

    assert made_portable(history, ANTHROPIC) is history
    assert made_portable(history, OPENAI)[0].content == [{"type": "text", "text": "long"}]


MEDIA: list[tuple[dict[str, Any], dict[str, Any], Wire]] = [
    (
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        {"type": "image", "base64": "aGk=", "mime_type": "image/png"},
        Wire.ANTHROPIC,
    ),
    (
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
            "title": "t",
        },
        {"type": "file", "base64": "aGk=", "mime_type": "application/pdf", "filename": "t"},
        Wire.ANTHROPIC,
    ),
    (
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
        {"type": "text", "text": "words"},
        Wire.ANTHROPIC,
    ),
    (
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "image", "url": "https://example.com/a.png"},
        Wire.ANTHROPIC,
    ),
    (
        {"type": "media", "mime_type": "audio/wav", "data": "aGk="},
        {"type": "audio", "base64": "aGk=", "mime_type": "audio/wav"},
        Wire.GOOGLE,
    ),
    (
        {"type": "media", "mime_type": "application/pdf", "file_uri": "https://example.com/f"},
        {"type": "file", "url": "https://example.com/f", "mime_type": "application/pdf"},
        Wire.GOOGLE,
    ),
    (
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}},
        {"type": "audio", "base64": "aGk=", "mime_type": "audio/mp3"},
        Wire.OPENAI_CHAT,
    ),
    (
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "f.pdf"}},
        {"type": "file", "base64": "aGk=", "mime_type": "application/pdf", "filename": "f.pdf"},
        Wire.OPENAI_CHAT,
    ),
]


@pytest.mark.parametrize(("block", "standard", "home"), MEDIA)
def test_media_of_one_provider_are_said_in_standard_words_to_the_others(
    block: dict[str, Any], standard: dict[str, Any], home: Wire
) -> None:
    for dialect in (OPENAI, ANTHROPIC, GOOGLE):
        (message,) = made_portable([HumanMessage([block])], dialect)
        assert message.content == [block if dialect.wire is home else standard]


def test_pictures_in_tool_results_follow_them_for_chat_completions() -> None:
    picture = {"type": "image", "base64": "aGk=", "mime_type": "image/png"}
    calls = [{**CALL, "id": "1"}, {**CALL, "id": "2"}]
    history: list[BaseMessage] = [
        AIMessage("", tool_calls=calls),
        ToolMessage([picture], tool_call_id="1", name="camera"),
        ToolMessage("18 C", tool_call_id="2"),
        HumanMessage("And now?"),
    ]

    new = made_portable(history, OPENAI)

    assert [message.type for message in new] == ["ai", "tool", "tool", "human", "human"]
    assert new[1].content == "(see below)"
    assert new[3].content == [{"type": "text", "text": "From the result of camera:"}, picture]
    assert made_portable(history, ANTHROPIC) is history


RESULT = ToolMessage("18 C", tool_call_id="call_1")
PLAIN_CALL = AIMessage("", tool_calls=[CALL])
REDACTED = AIMessage(
    [{"type": "redacted_thinking", "data": "zz"}, {"type": "tool_use", "id": "call_1", "name": "get_weather"}],
    tool_calls=[CALL],
    response_metadata={"model_provider": "anthropic"},
)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([BY_GOOGLE, RESULT], True),
        ([BY_GOOGLE, RESULT, HumanMessage("next")], True),  # Anthropic reads the two as one turn
        ([PLAIN_CALL, RESULT], True),
        ([PLAIN_CALL, RESULT, HumanMessage("next")], True),
        ([PLAIN_CALL, RESULT, AIMessage("18 C."), HumanMessage("next")], False),
        ([BY_ANTHROPIC, RESULT], False),
        ([v1(BY_ANTHROPIC), RESULT], False),
        ([REDACTED, RESULT], False),
        ([v1(REDACTED), RESULT], False),
        ([AIMessage("Yes?"), HumanMessage("next")], False),
    ],
    ids=["another provider's", "interrupted", "nobody's", "nobody's, interrupted", "over", "own", "own, v1",
         "own, redacted", "own, redacted, v1", "none"],
)  # fmt: skip
def test_a_tool_loop_without_signed_thoughts_is_noticed(history: list[BaseMessage], expected: bool) -> None:
    asked: list[BaseMessage] = [HumanMessage("q"), *history]
    assert portable(asked, ANTHROPIC, ACCOUNTS).unsigned_tool_loop is expected


def _by(provider: str) -> dict[str, Any]:
    return {"response_metadata": {"model_provider": provider}}
