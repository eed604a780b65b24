"""Options of a call that not every wrapped class takes in the form in which they were given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest
from pydantic import BaseModel

from failover_core import AllTargetsFailed, FailureKind, Settings, Target
from failover_core.testing import ProviderServer, faults
from langchain_failover import ChatFailover
from langchain_failover.options import silence_s
from lc_targets import KINDS, FakeModel, down, make

QUICK = Settings(same_target_retries=0, backoff_s=0.01)


class Joke(BaseModel):
    """A joke."""

    setup: str


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tools", [False, True], ids=["alone", "with tools"])
@pytest.mark.parametrize("wanted", ["json_object", "text"])
def test_a_response_format_without_a_schema_can_fail_over(
    wanted: str, tools: bool, kind: str, first: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anthropic's class refuses the name of a mode that it does not have."""
    monkeypatch.setattr(first.behaviour, "answer", '{"a": 1}')
    llm = ChatFailover(targets=[FakeModel(down()), make(kind, first)], settings=QUICK)
    options = {"response_format": {"type": wanted}}
    bound = llm.bind_tools([Joke], strict=True, **options) if tools else llm.bind(**options)

    assert bound.invoke("Answer in JSON.").text == '{"a": 1}'


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("timeout", [0.2, (5.0, 0.2), httpx.Timeout(5.0, read=0.2)], ids=["number", "tuple", "httpx"])
def test_a_timeout_holds_in_every_form(timeout: Any, kind: str, first: ProviderServer) -> None:
    first.always(faults.Silence())
    llm = ChatFailover(targets=[make(kind, first)], settings=Settings(same_target_retries=0, deadline_s=5.0))

    with pytest.raises(AllTargetsFailed) as caught:
        llm.invoke("hi", timeout=timeout)

    assert caught.value.failure is not None and caught.value.failure.kind is FailureKind.TIMEOUT


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [(None, None), (3, 3), ((1.0, 2.0), 2.0), ((1.0, 2.0, 3.0, 4.0), 2.0), (httpx.Timeout(None), None)],
)
def test_how_long_a_timeout_lets_the_network_be_silent(timeout: Any, seconds: float | None) -> None:
    assert silence_s(timeout) == seconds


async def test_a_function_s_stream_may_hold_a_cancel_scope_from_chunk_to_chunk() -> None:
    async def scoped(messages: Any) -> AsyncIterator[str]:
        with anyio.fail_after(60):
            for number in range(40):
                await asyncio.sleep(0)
                yield f"word{number} "

    chunks = [chunk async for chunk in ChatFailover(targets=[Target("scoped", astream=scoped)]).astream("hi")]

    assert "".join(chunk.text for chunk in chunks) == "".join(f"word{number} " for number in range(40))
