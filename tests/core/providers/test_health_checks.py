"""Health checks with the real SDKs on real sockets: an outage and a recovery are seen before a request finds out."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import pytest

from failover_core import Failover, FailureKind, Settings, Verdict, classify
from failover_core.events import CircuitChanged, TargetChecked
from failover_core.health.breaker import BASE_COOLDOWN_S
from failover_core.testing import ProviderServer
from native_targets import PROVIDERS, native

PATIENCE_S = 10.0


class Told:
    """The events of a failover, to be waited for."""

    def __init__(self) -> None:
        self._events: SimpleQueue[Any] = SimpleQueue()
        self.put = self._events.put

    def until(self, wanted: Callable[[Any], bool]) -> Any:
        while True:
            event = self._events.get(timeout=PATIENCE_S)
            if wanted(event):
                return event


def opened(event: Any) -> bool:
    return isinstance(event, CircuitChanged) and event.new == "open"


def well(event: Any) -> bool:
    return isinstance(event, TargetChecked) and event.target == "first" and event.failure is None


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_outage_and_a_recovery_are_seen_before_a_user_sees_them(provider: str) -> None:
    told = Told()
    with ProviderServer("From the first.") as first, ProviderServer("From the second.") as second:
        targets = [native(provider, first, name="first"), native(provider, second, name="second")]
        failover = Failover(targets, Settings(health_check_s=0.05), on_event=told.put)
        assert failover.chat("hi").text == "From the first."

        first.refuse()
        told.until(opened)
        assert failover.health()["first"].asked == 1, "no request was spent on seeing it"
        route = failover.run(*_chat("hi")).trace
        assert [(attempt.target.name, attempt.verdict) for attempt in route.attempts] == [("second", Verdict.ANSWERED)]
        told.until(lambda event: isinstance(event, TargetChecked) and event.target == "first")
        assert failover.health()["first"].available_in_s > BASE_COOLDOWN_S, "failing checks put the probe off"

        first.accept()
        told.until(well)
        assert failover.health()["first"].available_in_s == 0.0
        assert failover.health()["first"].state == "open", "only a request can close it"
        route = failover.run(*_chat("hi")).trace
        assert (route.attempts[0].target.name, route.attempts[0].verdict) == ("first", Verdict.ANSWERED)
        assert first.calls == 2


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_asyncio_applications_are_served_by_the_same_thread(provider: str) -> None:
    told = Told()
    with ProviderServer("From the first.") as first, ProviderServer("From the second.") as second:
        targets = [native(provider, first, name="first"), native(provider, second, name="second")]
        failover = Failover(targets, Settings(health_check_s=0.05), on_event=told.put)
        assert (await failover.achat("hi")).text == "From the first."
        first.refuse()
        told.until(opened)
        route = (await failover.arun(*_chat("hi"))).trace
        assert [attempt.target.name for attempt in route.attempts] == ["second"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_free_call_asks_for_no_answer_and_fails_as_a_request_does(provider: str) -> None:
    with ProviderServer() as server:
        target = native(provider, server, name="checked")
        assert target.health_check is not None
        target.health_check()
        assert server.calls == 0
        server.refuse()
        with pytest.raises(Exception) as failed:
            target.health_check()
        assert classify(failed.value).kind is FailureKind.CONNECTION


def test_a_native_target_takes_another_check_or_none() -> None:
    with ProviderServer() as server:
        assert native("openai", server, health_check=None).health_check is None
        assert native("openai", server, health_check=list).health_check is list


def _chat(prompt: str) -> tuple[Any, Any]:
    from failover_core.providers import as_chat_request, request_info

    request = as_chat_request(prompt)
    return request, request_info(request)
