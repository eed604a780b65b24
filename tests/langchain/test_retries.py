"""The SDKs try once; the models that the user holds keep their own retries."""

from __future__ import annotations

from typing import Any

import pytest

from failover_core import AllTargetsFailed, Settings
from failover_core.testing import ProviderServer, faults
from langchain_failover import ChatFailover
from langchain_failover.retries import _warned
from lc_targets import FakeModel, make


@pytest.mark.parametrize("kind", ["openai", "anthropic", "google"])
@pytest.mark.parametrize("style", ["invoke", "ainvoke", "stream", "astream"])
async def test_one_attempt_is_one_request(kind: str, style: str, first: ProviderServer) -> None:
    first.always(faults.Status(500))
    model = make(kind, first, max_retries=3)
    llm = ChatFailover(targets=[model], settings=Settings(same_target_retries=0))

    with pytest.raises(AllTargetsFailed):
        await consume(llm, style)

    assert first.calls == 1
    assert model.max_retries == 3


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_client_that_has_been_used_is_switched_off_too(kind: str, first: ProviderServer) -> None:
    model = make(kind, first, max_retries=3)
    model.invoke("warm up")
    first.clear()
    first.always(faults.Status(500))

    with pytest.raises(AllTargetsFailed):
        ChatFailover(targets=[model], settings=Settings(same_target_retries=0)).invoke("hi")

    assert first.calls == 1


class Patient(FakeModel):
    max_retries: int = 6


def test_an_unknown_class_that_retries_is_reported_once() -> None:
    _warned.clear()

    with pytest.warns(UserWarning, match=r"Write Patient\(..., max_retries=0\)"):
        ChatFailover(targets=[Patient(), Patient()])
    ChatFailover(targets=[Patient()])
    ChatFailover(targets=[Patient(max_retries=0)])


async def consume(llm: Any, style: str) -> Any:
    match style:
        case "invoke":
            return llm.invoke("hi")
        case "ainvoke":
            return await llm.ainvoke("hi")
        case "stream":
            return list(llm.stream("hi"))
        case _:
            return [chunk async for chunk in llm.astream("hi")]
