"""`trace_attempts=True`: a child run for each attempt, under the one run of the model.

The children are runs of the kind "chain": what adds up tokens and costs counts model runs, and the outer one has them.
`BaseChatModel` does not always tell `_stream` which run it belongs to, so the run is named before it begins.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID, uuid4

from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackHandler, CallbackManager
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config

from failover_core.context import current_attempt

KEY = "failover_runs"
"""The call option that carries `AttemptRuns` to `_stream` and `_generate`."""


class AttemptRuns:
    """Makes the child runs of one request.

    Args:
        handlers: who wants to know.
        parent_run_id: the model's run.
        tags, metadata: the parent's, passed on to the children.
    """

    def __init__(
        self,
        handlers: list[BaseCallbackHandler],
        parent_run_id: UUID | None,
        tags: list[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._handlers = handlers
        self._parent = parent_run_id
        self._tags = tags or []
        self._metadata = metadata or {}

    @classmethod
    def of(cls, run_manager: Any) -> AttemptRuns:
        """Children of the run that `run_manager` manages."""
        return cls(run_manager.handlers, run_manager.run_id, run_manager.tags, run_manager.metadata)

    def __repr__(self) -> str:
        return "AttemptRuns()"  # it is in cache keys, which must not differ from call to call

    @contextmanager
    def attempt(self, messages: list[BaseMessage]) -> Iterator[None]:
        """Around one attempt in synchronous code."""
        manager = CallbackManager(self._handlers, parent_run_id=self._parent, tags=self._tags, metadata=self._facts())
        run = manager.on_chain_start(None, {"messages": messages}, name=_name())
        try:
            yield
        except GeneratorExit:
            run.on_chain_end({})
            raise
        except BaseException as error:
            run.on_chain_error(error)
            raise
        else:
            run.on_chain_end({})

    @asynccontextmanager
    async def aattempt(self, messages: list[BaseMessage]) -> AsyncIterator[None]:
        """Around one attempt on asyncio."""
        manager = AsyncCallbackManager(
            self._handlers, parent_run_id=self._parent, tags=self._tags, metadata=self._facts()
        )
        run = await manager.on_chain_start(None, {"messages": messages}, name=_name())
        try:
            yield
        except GeneratorExit:
            await run.on_chain_end({})
            raise
        except BaseException as error:
            await run.on_chain_error(error)
            raise
        else:
            await run.on_chain_end({})

    def _facts(self) -> dict[str, Any]:
        attempt = current_attempt()
        if attempt is None:
            return dict(self._metadata)
        return {**self._metadata, "failover_attempt": attempt.number, "failover_request": attempt.request_id}


def _name() -> str:
    attempt = current_attempt()
    return attempt.target.name if attempt is not None else "attempt"


class TracingChatModel(BaseChatModel):
    """A chat model that hands `AttemptRuns` to its inner methods when `trace_attempts` is set."""

    trace_attempts: bool = False

    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, *, stop: Any = None, **kwargs: Any
    ) -> Iterator[AIMessageChunk]:
        if self.trace_attempts:
            config, kwargs[KEY] = self._named_run(config, CallbackManager)
        return super().stream(input, config, stop=stop, **kwargs)

    def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, *, stop: Any = None, **kwargs: Any
    ) -> AsyncIterator[AIMessageChunk]:
        if self.trace_attempts:
            config, kwargs[KEY] = self._named_run(config, AsyncCallbackManager)
        return super().astream(input, config, stop=stop, **kwargs)

    def _generate_with_cache(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        if self.trace_attempts and run_manager is not None:
            kwargs[KEY] = AttemptRuns.of(run_manager)
        return super()._generate_with_cache(messages, stop=stop, run_manager=run_manager, **kwargs)

    async def _agenerate_with_cache(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        if self.trace_attempts and run_manager is not None:
            kwargs[KEY] = AttemptRuns.of(run_manager)
        return await super()._agenerate_with_cache(messages, stop=stop, run_manager=run_manager, **kwargs)

    def _named_run(self, config: RunnableConfig | None, managers: Any) -> tuple[RunnableConfig, AttemptRuns]:
        config = ensure_config(config)
        manager = managers.configure(
            config.get("callbacks"),
            self.callbacks,
            self.verbose,
            config.get("tags"),
            self.tags,
            config.get("metadata"),
            self.metadata,
        )
        run_id = config.get("run_id") or uuid4()
        runs = AttemptRuns(manager.handlers, run_id, manager.tags, manager.metadata)
        return {**config, "callbacks": manager, "run_id": run_id}, runs
