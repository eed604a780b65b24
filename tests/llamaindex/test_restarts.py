"""`midstream="replace"`: the answer starts over at a marked response, and what is accumulated starts anew."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse

from failover_core import Settings
from failover_core.testing import ProviderServer, faults
from llamaindex_failover import FailoverLLM
from llamaindex_targets import KINDS, FakeLLM, Shop

OLD = " ".join(f"old{number}" for number in range(60))
NEW = " ".join(f"new{number}" for number in range(60))
MESSAGES = [ChatMessage("Tell a story.")]
REPLACE = Settings(same_target_retries=0, hold_back_tokens=0, hold_back_s=0.0, midstream="replace")
OTHERS = {"OpenAI": "Anthropic", "Anthropic": "GoogleGenAI", "GoogleGenAI": "openai:"}
OTHERS |= {"openai:": "anthropic:", "anthropic:": "google:", "google:": "OpenAI"}
STYLES = ("stream_chat", "stream_complete")


def asked(llm: FailoverLLM, style: str) -> Any:
    return getattr(llm, style)(MESSAGES if style.endswith("chat") else "Tell a story.")


def content(chunk: Any) -> str | None:
    return chunk.message.content if isinstance(chunk, ChatResponse) else chunk.text


def pictures(chunks: Any) -> list[Any]:
    """Each chunk with its accumulated text as it came: LlamaIndex's classes go on writing to the same message."""
    return [(chunk, content(chunk)) for chunk in chunks]


def followed(pictures: list[Any]) -> tuple[str, list[dict[str, Any]]]:
    """What somebody has in the end who drops the text at each marker; and the markers."""
    text, restarts = "", []
    for chunk, whole in pictures:
        restart = chunk.additional_kwargs.get("failover_restart")
        if restart is not None:
            assert (chunk.delta, whole, restart["void_chars"]) == ("", "", len(text))
            restarts.append(restart)
            text = ""
        text += chunk.delta or ""
        assert not restarts or "old" not in (whole or "")
    assert text == pictures[-1][1]
    return text, restarts


def assert_told(pictures: list[Any]) -> None:
    text, restarts = followed(pictures)
    assert text == NEW
    assert [restart["kind"] for restart in restarts] == ["stream_broken"]
    route = pictures[-1][0].additional_kwargs["failover"]
    assert [attempt["verdict"] for attempt in route["attempts"]] == ["replaced", "answered"]
    assert [seam["kind"] for seam in route["seams"]] == ["replace"]
    assert len({type(chunk) for chunk, _ in pictures} & {ChatResponse, CompletionResponse}) == 1


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("one", KINDS)
def test_who_follows_the_marker_gets_the_whole_answer_once(one: str, style: str, llms: Shop) -> None:
    with ProviderServer(OLD) as first, ProviderServer(NEW) as second:
        first.always(faults.Cut(after_chunks=40))
        llm = FailoverLLM([llms.make(one, first), llms.make(OTHERS[one], second)], settings=REPLACE)
        assert_told(pictures(asked(llm, style)))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("one", KINDS)
async def test_the_same_on_asyncio(one: str, style: str, allms: Shop) -> None:
    with ProviderServer(OLD) as first, ProviderServer(NEW) as second:
        first.always(faults.Cut(after_chunks=40))
        llm = FailoverLLM([allms.make(one, first), allms.make(OTHERS[one], second)], settings=REPLACE)
        assert_told([(chunk, content(chunk)) async for chunk in await asked(llm, f"a{style}")])


@pytest.mark.parametrize("style", STYLES)
def test_twice(style: str) -> None:
    targets = [
        FakeLLM(says=["One ", "day ", ConnectionResetError()]),
        FakeLLM(says=["Once ", "upon ", "a ", ConnectionResetError()]),
        FakeLLM(says=["In ", "the ", "beginning."]),
    ]
    seen = pictures(asked(FailoverLLM(targets, settings=REPLACE), style))
    text, restarts = followed(seen)
    assert [whole for _, whole in seen[-4:]] == ["", "In ", "In the ", "In the beginning."]
    assert text == "In the beginning."
    assert [restart["void_chars"] for restart in restarts] == [len("One day "), len("Once upon a ")]
