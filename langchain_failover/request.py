"""What travels through the core as a request: one call to a chat model, not yet in the words of any provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables.config import var_child_runnable_config

from failover_core.stream.resume import resume_instruction

if TYPE_CHECKING:
    from .checks import OutputCheck
    from .tracing import AttemptRuns


@dataclass(slots=True)
class ModelRequest:
    """One call.

    Args:
        messages: the conversation, as the caller gave it.
        stop: texts that end the answer.
        options: everything else that was passed or bound: tools, temperature, ...
        accounts: target name -> account, to tell apart who has written what in the conversation.
        check: judges an answer against the tools and the form that were asked for; None = nothing was.
        runs: makes a child run of each attempt; None = attempts are not traced.
    """

    messages: list[BaseMessage]
    stop: list[str] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    accounts: Mapping[str, str | None] = field(default_factory=dict)
    check: OutputCheck | None = None
    runs: AttemptRuns | None = None


def resumed(request: ModelRequest, shown_text: str) -> ModelRequest:
    """A request to go on after `shown_text`, in words: newer models refuse a prefilled answer."""
    more = [AIMessage(content=shown_text), HumanMessage(content=resume_instruction(shown_text))]
    return ModelRequest(
        [*request.messages, *more], request.stop, request.options, request.accounts, request.check, request.runs
    )


def thread_id() -> str | None:
    """The conversation that a LangGraph node is working for, None outside of one."""
    config = var_child_runnable_config.get() or {}
    found = (config.get("configurable") or {}).get("thread_id")
    return None if found is None else str(found)
