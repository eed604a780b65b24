"""`Settings(midstream="replace")`: an answer that starts over, in a framework where chunks are added up.

The announcement is a chunk without content, with the restart under `response_metadata["failover_restart"]`. Added to
what came before it, it replaces it: so the sums that LangChain makes (`invoke` while streaming, traces,
`astream_events`, `chunk + chunk`) hold the new answer alone. What joins the texts of chunks instead must start over by
itself.
"""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.callbacks.manager import adispatch_custom_event, dispatch_custom_event
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config, get_callback_manager_for_config

from failover_core import RouteTrace, StreamRestarted

from .joining import JoinedStream

KEY = "failover_restart"
"""Of the announcement in `response_metadata`, and the name of the custom event."""


class RestartMessage(AIMessageChunk):
    """The announcement. A sum begins at it."""

    @classmethod
    def lc_id(cls) -> list[str]:
        return AIMessageChunk.lc_id()

    def __radd__(self, other: Any) -> RestartMessage:
        return self  # Python asks the right-hand side first where it is a subclass of the left one

    def __add__(self, other: Any) -> Any:
        more = list(other) if isinstance(other, list | tuple) else [other]
        empty: Any = [] if more and isinstance(more[0].content, list) else ""
        return AIMessageChunk(content=empty, response_metadata=self.response_metadata, id=self.id) + more


class RestartableChunk(ChatGenerationChunk):
    """The first chunk of a stream that may start over: the sum of it and others begins at the last restart."""

    @classmethod
    def lc_id(cls) -> list[str]:
        return ChatGenerationChunk.lc_id()

    @classmethod
    def of(cls, chunk: ChatGenerationChunk) -> RestartableChunk:
        return cls.model_construct(**chunk.__dict__)

    def __add__(self, other: Any) -> RestartableChunk:
        more = list(other) if isinstance(other, list) else [other]
        for number in range(len(more) - 1, -1, -1):
            if isinstance(more[number].message, RestartMessage):
                first = ChatGenerationChunk(message=more[number].message)
                return RestartableChunk.of(first + more[number + 1 :])
        return RestartableChunk.of(super().__add__(more))


class RestartableStream(JoinedStream):
    """A `JoinedStream` in which the answer may start over."""

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        super().__init__()
        self._begun = False

    def take(self, chunk: ChatGenerationChunk | StreamRestarted, trace: RouteTrace | None) -> ChatGenerationChunk:
        if isinstance(chunk, StreamRestarted):
            super().__init__()
            message = RestartMessage(content="", response_metadata={KEY: chunk.as_dict()})
            return ChatGenerationChunk(message=message)
        taken = super().take(chunk, None)  # each answer is whole: there is nothing to join
        if self._begun:
            return taken
        self._begun = True
        return RestartableChunk.of(taken)


def announce(restarted: StreamRestarted, run_manager: Any) -> None:
    """The custom event, under the model's run or, where that is not told, under the run around it."""
    config = _config(run_manager, CallbackManager)
    if config is not None:
        dispatch_custom_event(KEY, restarted.as_dict(), config=config)


async def aannounce(restarted: StreamRestarted, run_manager: Any) -> None:
    """`announce` for asyncio."""
    config = _config(run_manager, AsyncCallbackManager)
    if config is not None:
        await adispatch_custom_event(KEY, restarted.as_dict(), config=config)


def _config(run_manager: Any, kind: type[CallbackManager | AsyncCallbackManager]) -> RunnableConfig | None:
    if run_manager is not None:
        tags, metadata = run_manager.tags, run_manager.metadata
        return {"callbacks": kind(run_manager.handlers, parent_run_id=run_manager.run_id, tags=tags, metadata=metadata)}
    config = ensure_config()
    return None if get_callback_manager_for_config(config).parent_run_id is None else config
