"""The answer that an object was made of: whether it was refused, cut off or flawed, the object does not tell.

Most classes ask their own chat and parse what it says; those responses are on the attempt's tape. OpenAI's Responses
API and newer Anthropic models are asked through the SDK's `parse`, which stumbles over a refusal before anybody has
seen the reason: there the whole message is looked at first. Gemini's answers are looked at in `gemini`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse
from llama_index.core.instrumentation.events.llm import LLMChatStartEvent, LLMCompletionStartEvent
from llama_index.core.llms import LLM

from failover_core import FailureKind, OutputRejected
from failover_core.checks import holds_json
from failover_core.context import current_attempt

from .families import ANTHROPIC, RESPONSES, Family
from .reader import WRITTEN_ARGUMENTS, Ending, ResponseReader, ending_of, stopped_at_its_limit

_RESPONSES = (ChatResponse, CompletionResponse)
_MENDED = "_failover_mended"
_reader = ResponseReader()


class AnswerBehind:
    """Hears the responses, or the chunks, of one answer, and says in the end what is wrong with it."""

    __slots__ = ("_finish", "_flaw", "_last", "_refusal", "_written")

    def __init__(self, responses: Iterable[Any] = ()) -> None:
        self._finish: str | None = None
        self._refusal: str | None = None
        self._flaw: str | None = None
        self._last: Any = None
        self._written = WrittenArguments()
        for response in responses:
            self.hear(response)

    def hear(self, response: Any) -> None:
        self._last = response
        self._written.note(response)
        said = _reader.read_chunk(response)
        self._finish = said.finish_reason or self._finish
        self._flaw = said.flaw or self._flaw
        if said.refusal is not None:
            self._refusal = (self._refusal or "") + said.refusal

    def raise_refusal(self) -> None:
        """Raises:
        OutputRejected: the provider has refused, or filtered, the answer.
        """
        if self._refusal is not None:
            raise OutputRejected(self._refusal or "the answer was filtered", kind=FailureKind.CONTENT_FILTERED)

    def raise_defect(self, *, expects_finish: bool, streamed: bool) -> None:
        """Raises:
        OutputRejected: it was refused, cut off, or is flawed. Nothing is said where nothing was heard.
        """
        self.raise_refusal()
        if self._flaw is not None:
            raise OutputRejected(self._flaw)
        if self._last is None:
            return
        if self._finish is None and expects_finish:
            raise cut_off(streamed=streamed)
        text = self._last.message.content if isinstance(self._last, ChatResponse) else self._last.text
        if text and stopped_at_its_limit(self._finish) and not holds_json(text, "any"):
            raise cut_at_the_limit()


def responses_on(tape: Iterable[Any]) -> list[Any]:
    """The responses of the last answer that an attempt has reported; of a stream, each chunk."""
    events = (args[0] for _, _, args, _ in tape if args)
    found: list[Any] = []
    for event in events:
        if isinstance(event, LLMChatStartEvent | LLMCompletionStartEvent):
            found.clear()
        response = getattr(event, "response", None)
        if isinstance(response, _RESPONSES) and not (found and found[-1] is response):
            found.append(response)
    return found


class WrittenArguments:
    """The arguments of tool calls as Anthropic has streamed them: LlamaIndex's class makes an object of half a text.
    The chunk that holds the end gets them, for the reader to judge.
    """

    __slots__ = ("_texts",)

    def __init__(self) -> None:
        self._texts: dict[Any, str] = {}

    def note(self, chunk: Any) -> None:
        event = getattr(chunk, "raw", None)
        if event.__class__ is not dict:
            return
        if event.get("type") == "content_block_delta":
            written = getattr(event["delta"], "partial_json", None)
            if written:
                self._texts[event["index"]] = self._texts.get(event["index"], "") + written
        elif self._texts and event.get("type") == "message_delta":
            chunk.__dict__[WRITTEN_ARGUMENTS] = list(self._texts.values())


def cut_off(*, streamed: bool) -> OutputRejected:
    kind = FailureKind.STREAM_BROKEN if streamed else FailureKind.INVALID_OUTPUT
    return OutputRejected("the answer ended without a finish marker, so it was cut off", kind=kind)


def cut_at_the_limit() -> OutputRejected:
    return OutputRejected("the answer was cut off at its output limit")


def mend_parse(llm: LLM, family: Family) -> None:
    """Let the SDK's `parse` show its message before it is read. Done once; the client is changed in place."""
    for name in ("_client", "_aclient"):
        client: Any = getattr(llm, name, None)
        if client is None:
            continue
        if family is RESPONSES:
            _mend(getattr(client, "responses", None))
        elif family is ANTHROPIC:
            _mend(getattr(getattr(client, "beta", None), "messages", None))


def _mend(resource: Any) -> None:
    post = getattr(resource, "_post", None)
    if post is None or getattr(resource, _MENDED, False):
        return

    @wraps(post)
    def posting(*args: Any, **kwargs: Any) -> Any:
        options = kwargs.get("options")
        if isinstance(options, dict) and callable(options.get("post_parser")) and current_attempt() is not None:
            kwargs["options"] = {**options, "post_parser": _after_a_look(options["post_parser"])}
        return post(*args, **kwargs)

    resource._post = posting
    setattr(resource, _MENDED, True)


def _after_a_look(parser: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def look(message: Any) -> Any:
        ending: Ending = ending_of(message)
        if ending.refusal is not None:
            raise OutputRejected(ending.refusal, kind=FailureKind.CONTENT_FILTERED)
        if ending.finish is None:
            raise cut_off(streamed=False)
        if stopped_at_its_limit(ending.finish) and not holds_json(_text_of(message), "strict"):
            raise cut_at_the_limit()
        return parser(message)

    return look


def _text_of(message: Any) -> str:
    """What a message of Anthropic's, or a response of OpenAI's Responses API, says, without its thoughts."""
    said = list(getattr(message, "content", None) or ())
    for item in getattr(message, "output", None) or ():
        said += getattr(item, "content", None) or ()
    texts = [getattr(part, "text", None) for part in said if getattr(part, "type", None) in ("text", "output_text")]
    return "".join(text or "" for text in texts)
