"""One attempt at an LLM: what is called, with which arguments, and what its end means."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse
from llama_index.core.llms import LLM

from failover_core import OutputRejected
from failover_core.context import current_attempt

from .errors import raise_reported, true_error
from .families import ANTHROPIC, Facts, Family
from .instrumentation import AttemptSpan, KeptBack, without_reports
from .parsing import AnswerBehind, WrittenArguments, mend_parse, responses_on
from .reader import OBJECT_END
from .requests import Request

_PRODUCER = "_failover_target"
_SHOWN = "_failover_shown"
_RESPONSES = (ChatResponse, CompletionResponse)


class Attempt:
    """Use it as a context: an error that leaves it is the true one.

    Args:
        target: the target's name.
        llm: who is asked.
        family, facts: what is known of it.
        request: what is asked.
        style: the prefix of the method: "", "a", "stream_" or "astream_".

    Attributes:
        method, args, kwargs: what to call.
        kept_back: the context to do it in, so that the LLM's own reports are not seen.
    """

    __slots__ = (
        "_expects_finish",
        "_last",
        "_output_cls",
        "_parsing",
        "_shown",
        "_span",
        "_streams",
        "_target",
        "_written",
        "args",
        "kept_back",
        "kwargs",
        "method",
    )

    def __init__(self, target: str, llm: LLM, family: Family, facts: Facts, request: Request, style: str) -> None:
        if request.endpoint == "chat_with_tools" and not hasattr(llm, style + request.endpoint):
            if request.args[0]:
                raise OutputRejected(f"{type(llm).__name__} cannot call tools")
            request = request.as_plain_chat()
        method = style + request.endpoint
        parsing = request.endpoint == "structured_predict"
        under_way = current_attempt()
        if parsing:
            mend_parse(llm, family)
        self.method = getattr(llm, method) if parsing else without_reports(getattr(llm, method))
        self.args, self.kwargs = request.arguments_for(family, facts.model, thinks=facts.thinks)
        self.kept_back = KeptBack(taped=parsing, unprompted=llm if request.prompted else None)
        self._target = target
        self._shown = request.shown
        self._parsing = parsing
        self._streams = style.endswith("stream_")
        self._written = WrittenArguments() if family is ANTHROPIC and self._streams and not parsing else None
        self._expects_finish = family.marks_the_end
        self._output_cls = request.args[0] if parsing else object
        self._last: Any = None
        self._span = AttemptSpan(target, method, llm) if request.spans else None
        if under_way is not None:
            if parsing:
                request.tapes[under_way.number] = self.kept_back.tape
            elif under_way.remaining_s is not None and family.timeout_kwarg is not None:
                self.kwargs.setdefault(family.timeout_kwarg, max(under_way.remaining_s, 0.001))

    def __enter__(self) -> Attempt:
        return self

    def __exit__(self, cls: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, Exception):
            told = self._told(error)
            if self._span is not None:
                self._span.fail(told)
            if told is not error:
                raise told from error
        elif self._span is not None:
            self._span.end(self._last)  # also when it was given up: that is no failure

    def answered(self, answer: Any) -> Any:
        """A whole answer, or one chunk of it, with a note who made it, and from which text it goes on.

        Raises:
            ProviderReportedError: when it only reports a failure.
            OutputRejected: when it is an object made of an answer that was refused, cut off or flawed.
        """
        self._last = answer
        if self._parsing:
            if not self._streams:
                self._judge()
        elif answer.__class__ in _RESPONSES or isinstance(answer, _RESPONSES):
            if answer.raw is not None:
                raise_reported(answer.raw)
            if self._written is not None:
                self._written.note(answer)
            answer.__dict__[_PRODUCER] = self._target  # beside the fields, so that no dump or comparison shows it
            if self._shown:
                answer.__dict__[_SHOWN] = self._shown
        return answer

    def ended(self) -> Sequence[Any]:
        """A stream has come to its end; what is to be passed on after it: of objects, that the last one is whole.

        Raises:
            OutputRejected: when it was one of objects, and was refused or cut off.
        """
        if not self._parsing:
            return ()
        self._judge()
        if self._last is not None and not isinstance(self._last, self._output_cls):
            raise OutputRejected("the stream ended before the object was whole", output=self._last)
        return (OBJECT_END,)

    def _judge(self) -> None:
        """Look at the answer that the object was made of."""
        answer = AnswerBehind(responses_on(self.kept_back.tape))
        answer.raise_defect(expects_finish=self._expects_finish, streamed=self._streams)

    def _told(self, error: Exception) -> Exception:
        """What an error means; a refusal mostly shows as an object that cannot be made."""
        if self._parsing and not isinstance(error, OutputRejected):
            try:
                AnswerBehind(responses_on(self.kept_back.tape)).raise_refusal()
            except OutputRejected as refusal:
                return refusal
        return true_error(error)


def producer_of(response: ChatResponse | CompletionResponse) -> str | None:
    """The name of the target that made a response, None when it was not made by one."""
    told: str | None = response.__dict__.get(_PRODUCER)
    if told is None:
        told = (response.additional_kwargs.get("failover") or {}).get("target")
    return told


def shown_before(chunk: Any) -> str:
    """The text from which the answer that a chunk belongs to goes on; "" for a fresh one."""
    shown: str = chunk.__dict__.get(_SHOWN, "")
    return shown
