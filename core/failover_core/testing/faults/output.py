"""Models that say nothing, the wrong thing, or no."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..answers import Answer, Ask, ToolCall, arguments_text, pieces_of
from ..reply import Part, Reply, Role
from ..schema import fill
from ..wires.base import Incoming
from .base import Fault


@dataclass(frozen=True, slots=True)
class Empty(Fault):
    """A healthy end with nothing said."""

    def change_answer(self, ask: Ask, answer: Answer) -> Answer:
        return Answer()


@dataclass(frozen=True, slots=True)
class Looping(Fault):
    """The same words again and again, until the output limit ends it."""

    phrase: str = "and once again the very same words, "
    repeats: int = 60

    def change_answer(self, ask: Ask, answer: Answer) -> Answer:
        return Answer(self.phrase * self.repeats, finish="length")


@dataclass(frozen=True, slots=True)
class Truncated(Fault):
    """The output limit ends the answer: after `words` words, or inside the arguments of its last tool call."""

    words: int = 8

    def change_answer(self, ask: Ask, answer: Answer) -> Answer:
        if answer.tool_calls:
            *whole, last = answer.tool_calls
            arguments = arguments_text(last)
            return replace(
                answer,
                tool_calls=(*whole, replace(last, arguments=arguments[: len(arguments) // 2])),
                finish="length",
            )
        return replace(answer, text=_first_words(answer.text, self.words), finish="length")


@dataclass(frozen=True, slots=True)
class Refusal(Fault):
    """The model declines: OpenAI's `refusal`, Anthropic's stop reason, Gemini's SAFETY."""

    message: str = "I'm sorry, but I can't help with that."

    def change_answer(self, ask: Ask, answer: Answer) -> Answer:
        return Answer(finish="refusal", refusal=self.message)


@dataclass(frozen=True, slots=True)
class ContentFilter(Fault):
    """A filter ends the answer after `words` words, in a 200."""

    words: int = 0

    def change_answer(self, ask: Ask, answer: Answer) -> Answer:
        return Answer(_first_words(answer.text, self.words), finish="content_filter")


@dataclass(frozen=True, slots=True)
class BadToolArguments(Fault):
    """A tool call whose arguments do not parse. Where the wire has no room for such: no arguments
    (Anthropic, not streamed), MALFORMED_FUNCTION_CALL and no call (Gemini).
    """

    arguments: str = '{"a": 3, "b": '

    def change_answer(self, ask: Ask, answer: Answer) -> Answer:
        call = _some_call(ask, answer)
        return Answer(tool_calls=(replace(call, arguments=self.arguments),), finish="malformed_call")


@dataclass(frozen=True, slots=True)
class CutInToolCall(Fault):
    """The connection is closed (FIN) inside a tool call."""

    def change_answer(self, ask: Ask, answer: Answer) -> Answer:
        return Answer(tool_calls=(_some_call(ask, answer),), finish="tool_calls")

    def change_reply(self, incoming: Incoming, reply: Reply) -> Reply:
        if not reply.streamed:
            return replace(reply.up_to(1), ending="cut")
        content = [part for part in reply.parts if part.role is Role.CONTENT]
        kept = reply.up_to(min(1, len(content) - 1))
        torn = content[min(1, len(content) - 1)].data
        return replace(kept, parts=(*kept.parts, Part(Role.CONTENT, torn[: len(torn) // 2])), ending="cut")


def _first_words(text: str, words: int) -> str:
    return "".join(pieces_of(text, words_per_chunk=1)[:words])


def _some_call(ask: Ask, answer: Answer) -> ToolCall:
    """The call of the answer; else of the first tool; models also make tools up."""
    if answer.tool_calls:
        return answer.tool_calls[0]
    if ask.tools:
        return ToolCall(ask.tools[0].name, fill(ask.tools[0].schema, ask.question))
    return ToolCall("lookup", {"query": ask.question or "nothing"})
