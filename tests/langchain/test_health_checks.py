"""Health checks of wrapped models: the free call goes through the SDK client inside of them."""

from __future__ import annotations

from queue import SimpleQueue
from typing import Any

import pytest

from failover_core import FailureKind, Settings, classify
from failover_core.events import CircuitChanged
from failover_core.testing import ProviderServer
from langchain_failover import ChatFailover, wrap
from langchain_failover.targets import made_targets
from lc_targets import KINDS, FakeModel, make

PATIENCE_S = 10.0


@pytest.mark.parametrize("kind", KINDS)
def test_the_free_call_asks_for_no_answer_and_fails_as_a_request_does(kind: str) -> None:
    with ProviderServer() as server:
        (target,) = made_targets([make(kind, server)])
        assert target.health_check is not None
        target.health_check()
        assert server.calls == 0
        server.refuse()
        with pytest.raises(Exception) as failed:
            target.health_check()
        assert classify(failed.value).kind is FailureKind.CONNECTION


def test_an_outage_is_seen_before_a_user_sees_it() -> None:
    opened: SimpleQueue[str] = SimpleQueue()

    def listen(event: Any) -> None:
        if isinstance(event, CircuitChanged) and event.new == "open":
            opened.put(event.target)

    with ProviderServer("From the first.") as first, ProviderServer("From the second.") as second:
        targets = [make("openai", first), make("anthropic", second)]
        llm = ChatFailover(targets=targets, settings=Settings(health_check_s=0.05))
        llm.failover.subscribe(listen)
        assert llm.invoke("hi").content == "From the first."
        first.refuse()
        assert opened.get(timeout=PATIENCE_S) == llm.failover.targets[0].name
        route = llm.invoke("hi").response_metadata["failover"]
        assert [attempt["target"] for attempt in route["attempts"]] == [llm.failover.targets[1].name]


def test_other_models_are_not_checked_unless_the_user_says_how() -> None:
    assert made_targets([FakeModel()])[0].health_check is None
    assert wrap(FakeModel(), health_check=list).health_check is list
