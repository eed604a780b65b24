"""Calling LangChain code so that nobody hears it: the outer run is the only one that callbacks and tracers see.

Passing `{"callbacks": []}` as config is not enough: a `RunnableBinding` merges the handlers of the context back in. So
the context itself is emptied, in a copy, and LangSmith's tracing from the environment is switched off in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextvars import Context, copy_context
from typing import Any, TypeVar

from langchain_core.runnables.config import ensure_config, var_child_runnable_config

T = TypeVar("T")


def quietly(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    return _quiet_context().run(function, *args, **kwargs)


async def aquietly(function: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
    async def call() -> T:
        return await function(*args, **kwargs)

    return await asyncio.get_running_loop().create_task(call(), context=_quiet_context())


def quiet_iterator(function: Callable[..., Iterator[T]], *args: Any, **kwargs: Any) -> Iterator[T]:
    context = _quiet_context()
    source = context.run(function, *args, **kwargs)
    try:
        while True:
            try:
                item = context.run(next, source)
            except StopIteration:
                return
            yield item
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            context.run(close)


async def quiet_aiterator(function: Callable[..., AsyncIterator[T]], *args: Any, **kwargs: Any) -> AsyncIterator[T]:
    """In the context that it is pulled in, which has to be the attempt's own: a source may hold a timeout, a cancel
    scope or a context variable from one pull to the next, and these belong to one task.
    """
    _silence()
    source = function(*args, **kwargs)
    try:
        async for item in source:
            yield item
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


def _quiet_context() -> Context:
    context = copy_context()
    context.run(_silence)
    return context


def _silence() -> None:
    from langsmith.run_helpers import (
        _set_tracing_context,  # the same private door that langchain-core uses; slow import
    )

    var_child_runnable_config.set({**ensure_config(), "callbacks": []})
    _set_tracing_context({"parent": None, "enabled": False})
