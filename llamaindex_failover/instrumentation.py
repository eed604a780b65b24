"""One visible call: what attempts report to LlamaIndex is kept back, so that events, tokens and spans are told once.

Each wrapped LLM reports its own call, to the callback managers and to the instrumentation dispatcher, and with
several attempts that would be several calls, some of them without an end. LlamaIndex offers no way to hold reports
back, so a gate is put before the two places that all of them pass (`Dispatcher` and `CallbackManager`). It is open
everywhere but inside an attempt, where reports are thrown away as a rule, and go on a tape where an attempt's own
reports are the true ones, to be played back. A third gate keeps an LLM's own system prompt out of structured output
that has one of the whole.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from threading import Lock
from types import MethodType
from typing import Any
from uuid import uuid4

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import LLM
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.dispatcher import DISPATCHER_SPAN_DECORATED_ATTR, Dispatcher
from llama_index_instrumentation.span import active_span_id

from failover_core.context import current_attempt

Report = tuple[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]]

_UNHEARD: list[Report] = []
"""The tape of an attempt whose reports nobody will ask for: nothing is put on it."""

_tape: ContextVar[list[Report] | None] = ContextVar("failover_llamaindex_tape", default=None)
_unprompted: ContextVar[LLM | None] = ContextVar("failover_llamaindex_unprompted", default=None)
_lock = Lock()
_installed = False
_dispatcher = get_dispatcher(__name__)
_NO_ARGUMENTS = inspect.signature(lambda: None).bind()
_EXTEND = "_extend_messages"  # by which every LLM puts its system prompt before messages
_REPORTERS = llm_chat_callback.__code__.co_filename  # the decorators that report chats and completions


def install() -> None:
    """Put the gate up; once, and without effect outside of attempts."""
    global _installed
    with _lock:
        if not _installed:
            for name in ("event", "span_enter", "span_exit", "span_drop"):
                setattr(Dispatcher, name, _gated(getattr(Dispatcher, name)))
            for name in ("on_event_start", "on_event_end", "start_trace", "end_trace"):
                setattr(CallbackManager, name, _gated(getattr(CallbackManager, name)))
            setattr(LLM, _EXTEND, _without_own_prompt(getattr(LLM, _EXTEND)))
            _installed = True


def _gated(report: Callable[..., Any]) -> Callable[..., Any]:
    gives_an_id = report.__name__ == "on_event_start"

    @wraps(report)
    def gate(self: Any, *args: Any, **kwargs: Any) -> Any:
        tape = _tape.get()
        if tape is None:
            return report(self, *args, **kwargs)
        if gives_an_id:  # the attempt ends the event under the id that it got at the start
            kwargs["event_id"] = kwargs.get("event_id") or str(uuid4())
        if tape is not _UNHEARD:
            tape.append((report, self, args, kwargs))
        return kwargs.get("event_id")

    return gate


def _without_own_prompt(extend: Callable[[LLM, list[ChatMessage]], list[ChatMessage]]) -> Callable[..., Any]:
    @wraps(extend)
    def gate(self: LLM, messages: list[ChatMessage]) -> list[ChatMessage]:
        return messages if _unprompted.get() is self else extend(self, messages)

    return gate


class KeptBack:
    """A context in which nothing that is reported to LlamaIndex is heard. It can be entered again, for each chunk.

    Args:
        taped: keep the reports, on `tape`, to be played later.
        unprompted: an LLM that does not put its own system prompt before messages in here.
    """

    __slots__ = ("_llm", "_outer", "_token", "tape")

    def __init__(self, *, taped: bool = False, unprompted: LLM | None = None) -> None:
        self.tape: list[Report] = [] if taped else _UNHEARD
        self._llm = unprompted

    def __enter__(self) -> None:
        self._token = _tape.set(self.tape)
        if self._llm is not None:
            self._outer = _unprompted.set(self._llm)

    def __exit__(self, *exc_info: object) -> None:
        _tape.reset(self._token)
        if self._llm is not None:
            _unprompted.reset(self._outer)


def without_reports(method: Callable[..., Any]) -> Callable[..., Any]:
    """`method` without LlamaIndex's decorators around it, the span and the events of each call and each chunk: nobody
    would see them, and they cost more than a failover. An LLM with a rate limiter keeps them: one of them asks it.
    """
    spanned = getattr(method, "__wrapped__", None)
    if spanned is not None and hasattr(spanned, DISPATCHER_SPAN_DECORATED_ATTR):
        method = spanned
    function, llm = getattr(method, "__func__", None), getattr(method, "__self__", None)
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None)
    if code is None or not cells or code.co_filename != _REPORTERS or "f" not in code.co_freevars:
        return method
    if getattr(llm, "rate_limiter", None) is not None:
        return method
    return MethodType(cells[code.co_freevars.index("f")].cell_contents, llm)


def play(tape: list[Report], callback_manager: CallbackManager) -> None:
    """Report what is on a tape; callbacks go to `callback_manager` instead of the attempt's own."""
    for report, reporter, args, kwargs in tape:
        report(callback_manager if isinstance(reporter, CallbackManager) else reporter, *args, **kwargs)


class AttemptSpan:
    """A span around one attempt, for those who want to see the attempts: named after the target, dropped by a failure.

    Args:
        target: the target's name.
        method: what is called.
        instance: the LLM, from which displays read the model.
    """

    __slots__ = ("_id", "_instance", "_open")

    def __init__(self, target: str, method: str, instance: Any) -> None:
        attempt = current_attempt()
        self._id = f"{target}.{method}-{uuid4()}"
        self._instance = instance
        self._open = True
        _dispatcher.span_enter(
            id_=self._id,
            bound_args=_NO_ARGUMENTS,
            instance=instance,
            parent_id=active_span_id.get(),
            tags={"failover_target": target, "failover_attempt": attempt.number if attempt else None},
        )

    def end(self, result: Any = None) -> None:
        if self._open:
            self._open = False
            _dispatcher.span_exit(id_=self._id, bound_args=_NO_ARGUMENTS, instance=self._instance, result=result)

    def fail(self, error: BaseException) -> None:
        if self._open:
            self._open = False
            _dispatcher.span_drop(id_=self._id, bound_args=_NO_ARGUMENTS, instance=self._instance, err=error)
