"""Attachments that LlamaIndex reads or downloads on this side: a dead link in one request is no target's fault."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from llama_index.core.base.llms.types import ChatMessage, DocumentBlock, ImageBlock, TextBlock

from failover_core import FailureKind, RequestRejected, Settings
from failover_core.testing import ProviderServer
from llamaindex_failover import FailoverLLM
from llamaindex_targets import Shop

NOBODY_THERE = "http://127.0.0.1:9/a.png"  # the port of a service that no machine runs any more


def asking(block: ImageBlock | DocumentBlock) -> list[ChatMessage]:
    return [ChatMessage(blocks=[TextBlock(text="What is this?"), block])]


@pytest.mark.parametrize("style", ["chat", "stream_chat"])
@pytest.mark.parametrize("kind", ["Anthropic", "GoogleGenAI"])
def test_a_dead_link_is_the_callers_own(
    kind: str, style: str, first: ProviderServer, second: ProviderServer, llms: Shop
) -> None:
    targets = [llms.make(kind, first), llms.make("OpenAI", second)]
    llm = FailoverLLM(targets, settings=Settings(same_target_retries=0))
    for _ in range(6):
        with pytest.raises(RequestRejected, match="an attachment of the request could not be read") as caught:
            list(getattr(llm, style)(asking(ImageBlock(url=NOBODY_THERE))))
        assert caught.value.failure is not None
        assert caught.value.failure.kind is FailureKind.LOCAL_ERROR
    health = next(iter(llm.failover.health().values()))
    assert health.state == "closed"
    assert not health.reason
    assert 0 == first.calls == second.calls
    assert list(getattr(llm, style)([ChatMessage("hello")]))
    assert first.calls == 1


def test_a_file_that_is_gone_is_the_callers_own(tmp_path: Path, first: ProviderServer, llms: Shop) -> None:
    image = tmp_path / "a.png"
    image.write_bytes(base64.b64decode("iVBORw0KGgo="))
    block = ImageBlock(path=image)
    image.unlink()
    with pytest.raises(RequestRejected, match="an attachment of the request could not be read"):
        FailoverLLM([llms.make("openai:", first)]).chat(asking(block))
    assert first.calls == 0
