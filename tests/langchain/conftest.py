"""Fixtures of the LangChain tests: servers that fail on command."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from pytest_asyncio import is_async_test

from failover_core.testing import ProviderServer
from lc_targets import close_all

ENVIRONMENT = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY", "OPENAI_BASE_URL",
               "ANTHROPIC_BASE_URL", "LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2", "LC_OUTPUT_VERSION")  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One event loop for all: langchain-openai and -anthropic cache their async clients for each address."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            item.add_marker(pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession"))


@pytest_asyncio.fixture(scope="session", loop_scope="session", autouse=True)
async def _connections() -> AsyncIterator[None]:
    yield
    await close_all()


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
