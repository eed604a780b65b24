"""Fixtures of the LangChain tests: servers that fail on command."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from failover_core.testing import ProviderServer

ENVIRONMENT = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY", "OPENAI_BASE_URL",
               "ANTHROPIC_BASE_URL", "LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2", "LC_OUTPUT_VERSION")  # fmt: skip


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may depend on the machine that it runs on."""
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def _first() -> Iterator[ProviderServer]:
    with ProviderServer() as server:
        yield server


@pytest.fixture(scope="session")
def _second() -> Iterator[ProviderServer]:
    with ProviderServer() as server:
        yield server


@pytest.fixture
def first(_first: ProviderServer) -> ProviderServer:
    """A provider, healthy and with an empty log."""
    return _fresh(_first)


@pytest.fixture
def second(_second: ProviderServer) -> ProviderServer:
    """Another one."""
    return _fresh(_second)


def _fresh(server: ProviderServer) -> ProviderServer:
    server.heal()
    server.wait_until_idle()
    server.clear()
    return server
