"""Attachments that LlamaIndex reads or downloads on this side: a dead link in one request is no target's fault, and
others may do with the link alone.
"""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from llama_index.core.base.llms.types import ChatMessage, DocumentBlock, ImageBlock, TextBlock

from failover_core import AllTargetsFailed, FailureKind, Settings
from failover_core.testing import ProviderServer
from llamaindex_failover import FailoverLLM
from llamaindex_targets import Shop

NOBODY_THERE = "http://127.0.0.1:9/a.png"  # the port of a service that no machine runs any more
UNREADABLE = r"an attachment of the request could not be read here: .*/a\.png"


def asking(block: ImageBlock | DocumentBlock) -> list[ChatMessage]:
    return [ChatMessage(blocks=[TextBlock(text="What is this?"), block])]


@pytest.mark.parametrize("style", ["chat", "stream_chat"])
@pytest.mark.parametrize("kind", ["Anthropic", "GoogleGenAI"])
@pytest.mark.parametrize("backup", ["OpenAI", "openai:"])
def test_a_link_that_is_dead_here_goes_to_the_next_and_nobody_is_blamed(
    backup: str, kind: str, style: str, first: ProviderServer, second: ProviderServer, llms: Shop
) -> None:
    llm = FailoverLLM([llms.make(kind, first), llms.make(backup, second)], settings=Settings(backoff_s=0.0))
    for _ in range(6):
        answer = getattr(llm, style)(asking(ImageBlock(url=NOBODY_THERE)))
        last = answer if style == "chat" else list(answer)[-1]
        failed, answered = last.additional_kwargs["failover"]["attempts"]
        assert (failed["verdict"], failed["kind"], answered["verdict"]) == ("next", "unknown", "answered")
    assert (first.calls, second.calls) == (0, 6)
    health = next(iter(llm.failover.health().values()))
    assert health.state == "closed"
    assert not health.reason
    assert list(getattr(llm, style)([ChatMessage("hello")]))
    assert first.calls == 1


@pytest.mark.parametrize("kind", ["Anthropic", "GoogleGenAI"])
async def test_and_on_asyncio(kind: str, first: ProviderServer, second: ProviderServer, allms: Shop) -> None:
    llm = FailoverLLM([allms.make(kind, first), allms.make("OpenAI", second)])
    answer = await llm.achat(asking(ImageBlock(url=NOBODY_THERE)))
    assert answer.additional_kwargs["failover"]["target"] == llm.failover.targets[1].name
    assert first.calls == 0


def test_where_nobody_can_read_it_the_error_says_which_and_why(
    first: ProviderServer, second: ProviderServer, llms: Shop
) -> None:
    llm = FailoverLLM([llms.make("Anthropic", first), llms.make("GoogleGenAI", second)])
    with pytest.raises(AllTargetsFailed, match=UNREADABLE) as caught:
        llm.chat(asking(ImageBlock(url=NOBODY_THERE)))
    assert len(caught.value.attempts) == 2


def test_a_file_that_is_gone_is_told_and_nobody_is_blamed(tmp_path: Path, first: ProviderServer, llms: Shop) -> None:
    image = tmp_path / "a.png"
    image.write_bytes(base64.b64decode("iVBORw0KGgo="))
    block = ImageBlock(path=image)
    image.unlink()
    llm = FailoverLLM([llms.make("openai:", first)])
    with pytest.raises(AllTargetsFailed, match=UNREADABLE) as caught:
        llm.chat(asking(block))
    assert [attempt.failure.kind for attempt in caught.value.attempts if attempt.failure] == [FailureKind.UNKNOWN]
    assert not next(iter(llm.failover.health().values())).reason
    assert first.calls == 0
