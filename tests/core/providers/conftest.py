from __future__ import annotations

from collections.abc import Iterator

import pytest

from failover_core.testing import ProviderServer
from native_targets import ALIVE

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "GOOGLE_API_KEY", "GEMINI_API_KEY")
ADDRESSES = ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL")


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may depend on, or send, a key of the machine that it runs on."""
    for name in (*KEYS, *ADDRESSES):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def forget_the_targets_of_the_last_test() -> None:
    ALIVE.clear()


@pytest.fixture(scope="session")
def shared_server() -> Iterator[ProviderServer]:
    with ProviderServer() as server:
        yield server


@pytest.fixture
def server(shared_server: ProviderServer) -> ProviderServer:
    """The provider server, healthy and with an empty log."""
    shared_server.heal()
    shared_server.wait_until_idle()
    shared_server.clear()
    return shared_server
