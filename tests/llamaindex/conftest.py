"""Fixtures of the LlamaIndex tests: servers that fail on command, and LLMs whose connections are closed afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from failover_core.testing import ProviderServer
from llamaindex_targets import Shop, async_shop, shop

# google-genai subclasses aiohttp's session, which aiohttp warns about.
_NOT_OURS = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

FIRST = "The first provider says that the answer is forty-two, and gives its reasons one after the other."
SECOND = "The second provider says that the answer is forty-two, and that there is nothing to add."


@pytest.fixture
def first() -> Iterator[ProviderServer]:
    with ProviderServer(FIRST) as server:
        yield server


@pytest.fixture
def second() -> Iterator[ProviderServer]:
    with ProviderServer(SECOND) as server:
        yield server


@pytest.fixture
def llms() -> Iterator[Shop]:
    with shop() as opened:
        yield opened


@pytest_asyncio.fixture
async def allms() -> AsyncIterator[Shop]:
    async with async_shop() as opened:
        yield opened


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(_NOT_OURS)
