"""Rate-limit headers of a real server, through the real SDKs: what is left is used, and then others are asked.

The server tells its limits and does not enforce them, so that no 429 can be what moves the traffic.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from failover_core import Failover
from failover_core.testing import ProviderServer
from native_targets import native

LIMIT = 6


@pytest.fixture
def limited() -> Iterator[ProviderServer]:
    with ProviderServer("fine", requests_per_minute=LIMIT) as server:
        yield server


@pytest.fixture
def roomy() -> Iterator[ProviderServer]:
    with ProviderServer("fine") as server:
        yield server


@pytest.mark.parametrize("style", ["call", "stream"])
@pytest.mark.parametrize(("first", "second"), [("openai", "anthropic"), ("anthropic", "openai")])
def test_what_is_left_is_used_and_then_others_are_asked(
    limited: ProviderServer, roomy: ProviderServer, first: str, second: str, style: str
) -> None:
    failover = Failover([native(first, limited, name="limited"), native(second, roomy, name="roomy")])
    for _ in range(10):
        if style == "call":
            assert failover.chat("hello").text == "fine"
        else:
            assert "".join(chunk.text for chunk in failover.stream_chat("hello")) == "fine"
    assert (limited.calls, roomy.calls) == (LIMIT, 10 - LIMIT)
    health = failover.health()["limited"]
    assert 0.0 < health.available_in_s <= 60.0 / LIMIT + 1.0
    assert (health.state, health.degraded, health.failed) == ("closed", False, 0)


def test_tokens_are_shared_out_too() -> None:
    words = " ".join(["word"] * 280)
    with (
        ProviderServer("fine", tokens_per_minute=3000) as small,
        ProviderServer("fine") as large,
    ):
        failover = Failover([native("openai", small, name="small"), native("anthropic", large, name="large")])
        for _ in range(12):
            failover.chat(words)
        assert 2 <= small.calls < 12
        assert large.calls == 12 - small.calls
        calls = small.calls
        failover.chat("hi")
        assert small.calls == calls + 1, "a small one still fits in"
