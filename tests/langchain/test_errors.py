"""Final errors are LangChain's own kinds too, with the attempts inside and the original as the cause."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from langchain_core import exceptions as lc
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from failover_core import (
    AllTargetsFailed,
    DeadlineExceeded,
    FailoverError,
    Failure,
    FailureKind,
    NoTargetAvailable,
    RequestRejected,
    RouteTrace,
    Settings,
    StreamInterrupted,
    Target,
)
from failover_core.testing import ProviderServer, faults
from failover_core.trace import Attempt
from langchain_failover import ChatFailover
from langchain_failover.errors import as_langchain_error
from lc_targets import FakeModel, make

KINDS = {
    FailureKind.RATE_LIMITED: (lc.ModelRateLimitError, True),
    FailureKind.QUOTA_EXHAUSTED: (lc.ModelRateLimitError, False),
    FailureKind.BILLING: (lc.ModelPermissionDeniedError, False),
    FailureKind.OVERLOADED: (lc.ModelAPIError, True),
    FailureKind.SERVER_ERROR: (lc.ModelAPIError, True),
    FailureKind.TIMEOUT: (lc.ModelTimeoutError, True),
    FailureKind.CONNECTION: (lc.ModelConnectionError, True),
    FailureKind.STREAM_BROKEN: (lc.ModelAPIError, True),
    FailureKind.CONTEXT_OVERFLOW: (lc.ContextOverflowError, False),
    FailureKind.CONTENT_FILTERED: (lc.ModelError, False),
    FailureKind.AUTH: (lc.ModelAuthenticationError, False),
    FailureKind.PERMISSION_OR_REGION: (lc.ModelPermissionDeniedError, False),
    FailureKind.MODEL_NOT_FOUND: (lc.ModelNotFoundError, False),
    FailureKind.INVALID_REQUEST: (lc.ModelInvalidRequestError, False),
    FailureKind.INVALID_OUTPUT: (lc.ModelAPIError, True),
    FailureKind.LOCAL_ERROR: (lc.ModelError, False),
    FailureKind.UNKNOWN: (lc.ModelAPIError, True),
}


def failed(kind: FailureKind, ours: type[FailoverError] = AllTargetsFailed) -> FailoverError:
    failure = Failure(kind, "what happened")
    attempt = Attempt(1, Target("t", call=print), "first", 0.0, failure=failure)
    return ours("it failed", trace=RouteTrace("id", [attempt]), failure=failure)


def test_every_kind_is_mapped() -> None:
    assert KINDS.keys() == set(FailureKind)


@pytest.mark.parametrize("kind", FailureKind)
def test_the_error_is_both(kind: FailureKind) -> None:
    theirs, retryable = KINDS[kind]
    given = failed(kind)

    error = as_langchain_error(given)

    assert isinstance(error, AllTargetsFailed) and isinstance(error, theirs)
    assert error.is_retryable is retryable
    assert (str(error), error.trace, error.failure) == (str(given), given.trace, given.failure)
    assert type(error).__name__ == "AllTargetsFailed"
    assert not isinstance(error, ValueError), "LlamaIndex and parsers hide ValueErrors"


def test_the_other_errors() -> None:
    assert isinstance(as_langchain_error(failed(FailureKind.INVALID_REQUEST, RequestRejected)), lc.ModelError)
    deadline = as_langchain_error(DeadlineExceeded("too late", trace=RouteTrace("id")))
    assert isinstance(deadline, lc.ModelTimeoutError) and isinstance(deadline, TimeoutError)
    assert isinstance(deadline, DeadlineExceeded) and deadline.is_retryable
    cut = as_langchain_error(StreamInterrupted("cut", partial="half", trace=RouteTrace("id")))
    assert isinstance(cut, StreamInterrupted) and cut.partial == "half" and isinstance(cut, lc.ModelAPIError)


def test_nobody_available() -> None:
    busy = as_langchain_error(NoTargetAvailable("none", trace=RouteTrace("id", skipped={"a": "its circuit is open"})))
    small = RouteTrace("id", skipped={"a": "about 9,000 tokens do not fit its window of 8,000"})
    too_long = as_langchain_error(NoTargetAvailable("none", trace=small))

    limited = RouteTrace("id", skipped={"a": "rate limited for another 29.9 s", "b": "rate limited for another 3.0 s"})
    later = as_langchain_error(NoTargetAvailable("none", trace=limited))
    mixed = as_langchain_error(
        NoTargetAvailable("none", trace=RouteTrace("id", skipped=limited.skipped | small.skipped))
    )

    assert isinstance(busy, lc.ModelAPIError) and busy.is_retryable
    assert isinstance(later, lc.ModelRateLimitError) and later.is_retryable
    assert not isinstance(mixed, lc.ModelRateLimitError | lc.ContextOverflowError)
    assert isinstance(too_long, lc.ContextOverflowError) and not too_long.is_retryable


def test_what_tracers_read_of_the_original_is_kept() -> None:
    class HttpError(Exception):
        response = "the response"
        request_id = "req_1"

    given = failed(FailureKind.SERVER_ERROR)
    given.__cause__ = HttpError()

    error = as_langchain_error(given)

    assert (error.response, error.request_id) == ("the response", "req_1")  # type: ignore[attr-defined]


def test_errors_can_be_pickled(first: ProviderServer) -> None:
    """Processes hand them to each other. Targets cannot travel: they hold connections."""
    first.always(faults.Status(503))
    llm = ChatFailover(targets=[make("openai", first)], settings=Settings(same_target_retries=0))
    with pytest.raises(AllTargetsFailed) as caught:
        llm.invoke("hi")

    error = pickle.loads(pickle.dumps(caught.value))

    assert type(error) is type(caught.value) and str(error) == str(caught.value)
    assert error.is_retryable and error.failure == caught.value.failure
    assert not error.attempts


@pytest.mark.parametrize("style", ["invoke", "stream"])
def test_interrupts_of_langgraph_pass_through(style: str) -> None:
    """A target that asks a human stops the graph, and not the target."""

    def human(messages: Any) -> Any:
        return interrupt("Is this right?")

    llm = ChatFailover(targets=[human, FakeModel("not asked")])
    state = StateGraph(MessagesState)
    state.add_node("ask", lambda state: {"messages": [answered(llm, style, state["messages"])]})
    graph = state.add_edge(START, "ask").compile(checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}

    stopped = graph.invoke({"messages": [HumanMessage("hi")]}, thread)
    finished = graph.invoke(Command(resume="Yes."), thread)

    assert [found.value for found in stopped["__interrupt__"]] == ["Is this right?"]
    assert finished["messages"][-1].text == "Yes."
    assert llm.failover.health()["human"].suspicion == 0.0


def answered(llm: ChatFailover, style: str, messages: Any) -> Any:
    return (
        llm.invoke(messages) if style == "invoke" else AIMessage("".join(chunk.text for chunk in llm.stream(messages)))
    )
