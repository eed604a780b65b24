"""Native tool calls that the output limit has cut off, where the wire has their arguments as objects."""

from __future__ import annotations

import pytest

from failover_core.output import Reading
from failover_core.providers import ChatRequest, ToolSpec, as_chat_request
from failover_core.providers.answers import accumulate
from failover_core.providers.reading import ChatReader
from failover_core.testing import Ask, ProviderServer, ToolCall, faults
from native_targets import answer, chunks, native

PROVIDERS = ("openai", "anthropic", "google")
NUMBERS = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}


def adding(ask: Ask) -> ToolCall:
    return ToolCall("add", {"a": 1, "b": 2})


def asked() -> ChatRequest:
    return as_chat_request("Add 1 and 2.", tools=[ToolSpec("add", "Adds.", NUMBERS)])


def flaws(readings: list[Reading]) -> list[str]:
    return [reading.flaw for reading in readings if reading.flaw is not None]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_call_that_was_cut_off_is_flawed(provider: str) -> None:
    with ProviderServer(adding) as server:
        target, reader = native(provider, server), ChatReader()
        whole = await answer(target, asked(), "call")
        assert reader.read(whole).flaw is None
        pieces = await chunks(target, asked(), "stream")
        assert not flaws([reader.read_chunk(piece) for piece in pieces])
        assert accumulate(pieces).tool_calls[0].arguments == {"a": 1, "b": 2}
        server.always(faults.Truncated())
        cut = await answer(target, asked(), "call")
        assert reader.read(cut).flaw is not None
        assert cut.tool_calls[0].arguments == {}
        assert cut.tool_calls[0].raw_arguments is not None
        assert flaws([reader.read_chunk(piece) for piece in await chunks(target, asked(), "stream")])


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_text_at_its_limit_is_none(provider: str) -> None:
    with ProviderServer("A text of a few more words than there may be.") as server:
        server.always(faults.Truncated(words=3))
        target, reader = native(provider, server), ChatReader()
        assert reader.read(await answer(target, asked(), "call")).flaw is None
        assert not flaws([reader.read_chunk(piece) for piece in await chunks(target, asked(), "stream")])
