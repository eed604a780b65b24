"""Fixtures of the LlamaIndex tests: servers that fail on command, and LLMs whose connections are closed afterwards."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from failover_core.testing import ProviderServer
from llamaindex_targets import Shop

# The SDKs and integrations warn about each other; only our own warnings are errors here.
_NOT_OURS = (
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'output_format' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning"),
)

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
def llms(loop_for_sync_code: asyncio.AbstractEventLoop) -> Iterator[Shop]:
    opened = Shop()
    yield opened
    loop_for_sync_code.run_until_complete(opened.aclose())


@pytest_asyncio.fixture
async def allms() -> AsyncIterator[Shop]:
    opened = Shop()
    yield opened
    await opened.aclose()


@pytest.fixture(autouse=True)
def loop_for_sync_code(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop | None]:
    """LlamaIndex's synchronous code takes the thread's event loop, makes one where there is none, and never closes
    it.
    """
    if inspect.iscoroutinefunction(request.function):
        yield None
        return
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    asyncio.set_event_loop(None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            for mark in _NOT_OURS:
                item.add_marker(mark)
