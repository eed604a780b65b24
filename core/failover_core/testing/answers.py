"""What the provider server answers: a neutral view of the request, a neutral answer, and the default script.

A wire turns its own request into an `Ask` and an `Answer` into its own response, so one script serves all wires.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from textwrap import shorten
from typing import Any, Literal

from .schema import fill

_ARGUMENT_CHARACTERS = 12  # a piece of streamed tool arguments
_SHORTEST_QUOTE = 12  # in characters; fewer can stand in any text by chance

Finish = Literal["stop", "length", "tool_calls", "content_filter", "refusal", "malformed_call"]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the request offers; `schema` is the JSON schema of its arguments."""

    name: str
    schema: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool. Arguments given as a str are sent as they are, parsable or not (where the wire can)."""

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)
    id: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the history. A tool result is a turn of the role "tool"."""

    role: Literal["user", "assistant", "tool"]
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """A request as every wire means it.

    Args:
        wire: "openai", "anthropic" or "gemini".
        model: the model that was asked for.
        messages: the history without system prompts.
        system: the system prompts, joined.
        tools: what may be called.
        tool_choice: "auto", "none" or "required".
        forced_tool: the one tool that must be called.
        stream: whether the answer is streamed.
        schema: the JSON schema of the structured output that was asked for, `{"type": "object"}` for JSON of any
            shape; None for free text.
        thinking: whether visible reasoning was asked for.
        max_tokens: the output limit in tokens (4 characters each).
        stop: stop sequences.
        body: the request as it came.
    """

    wire: str
    model: str
    messages: tuple[Turn, ...]
    system: str = ""
    tools: tuple[Tool, ...] = ()
    tool_choice: Literal["auto", "none", "required"] = "auto"
    forced_tool: str | None = None
    stream: bool = False
    schema: Mapping[str, Any] | None = None
    thinking: bool = False
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def question(self) -> str:
        """The last thing that the user said."""
        return next((turn.text for turn in reversed(self.messages) if turn.role == "user"), "")

    @property
    def loop(self) -> tuple[Turn, ...]:
        """The tool loop under way: the turns since the last assistant message that called no tool."""
        done = [i for i, turn in enumerate(self.messages) if turn.role == "assistant" and not turn.tool_calls]
        return self.messages[done[-1] + 1 :] if done else self.messages

    @property
    def tool_results(self) -> tuple[str, ...]:
        """The results that the tool loop under way has brought so far."""
        return tuple(turn.text for turn in self.loop if turn.role == "tool")

    @property
    def prompt_tokens(self) -> int:
        return count_tokens(self.system) + sum(count_tokens(turn.text) for turn in self.messages)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says.

    Args:
        text: the visible text; it may come together with tool calls.
        tool_calls: one or several, in parallel.
        finish: why it ended; None leaves the finish reason out.
        refusal: the words of a refusal, for `finish="refusal"`.
        thinking: visible reasoning, before the text.
        stop_sequence: the stop sequence that ended the text.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Finish | None = "stop"
    refusal: str | None = None
    thinking: str = ""
    stop_sequence: str | None = None

    @property
    def output_tokens(self) -> int:
        calls = "".join(call.name + arguments_text(call) for call in self.tool_calls)
        return count_tokens(self.text + calls) + self.thinking_tokens

    @property
    def thinking_tokens(self) -> int:
        return count_tokens(self.thinking) if self.thinking else 0


Said = str | ToolCall | Sequence[ToolCall] | Answer
Script = str | Callable[[Ask], Said]
"""What users give as `answer=`: a text, or a function of the request (called on the server's thread)."""


def count_tokens(text: str) -> int:
    """4 characters a token, rounded up: good enough for usage figures and limits."""
    return -(-len(text) // 4)


def arguments_text(call: ToolCall) -> str:
    return call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments, ensure_ascii=False)


def arguments_object(call: ToolCall) -> Mapping[str, Any]:
    """For wires that carry arguments as an object: unparsable ones come out empty."""
    if not isinstance(call.arguments, str):
        return call.arguments
    try:
        value = json.loads(call.arguments)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def pieces_of(text: str, words_per_chunk: int) -> list[str]:
    """The text in pieces of so many words; joined they are the text."""
    words = re.findall(r"\s*\S+\s*?", text)
    pieces = ["".join(words[i : i + words_per_chunk]) for i in range(0, len(words), words_per_chunk)]
    tail = text[sum(map(len, pieces)) :]
    return [*pieces, tail] if tail else pieces


def argument_pieces(arguments: str) -> list[str]:
    """Tool arguments in the pieces that they are streamed in."""
    return [arguments[at : at + _ARGUMENT_CHARACTERS] for at in range(0, len(arguments), _ARGUMENT_CHARACTERS)]


def answer_to(ask: Ask, script: Script, *, continuation: bool) -> Answer:
    """The answer of `script`, within the limits that the request sets.

    With `continuation`, a request to go on after a cut is answered like a model that complies; see `continued`.
    """

    def say(ask: Ask) -> Answer:
        return _as_answer(script if isinstance(script, str) else script(ask))

    rest = continued(ask, say) if continuation else None
    answer = say(ask) if rest is None else Answer(rest)
    if ask.thinking and not answer.thinking:
        answer = replace(answer, thinking="The question is clear, so the answer can be short.")
    return _limited(answer, ask)


def continued(ask: Ask, say: Callable[[Ask], Answer]) -> str | None:
    """The rest of our own answer when the last message asks to go on after a cut, else None.

    It is such a request when the message before it is the assistant's and is how our own answer to the earlier
    messages begins, and when the request quotes its last characters. The rest starts with what was quoted.
    A conversation that ends with the assistant's own words (a prefill) goes on right after them.
    """
    messages = list(ask.messages)
    request = messages.pop().text if messages and messages[-1].role == "user" else ""
    partial = messages.pop() if messages else None
    if partial is None or partial.role != "assistant" or partial.tool_calls or not partial.text.strip():
        return None
    shown = partial.text.rstrip()
    quoted = 0
    while quoted < len(shown) and shown[-quoted - 1 :] in request:
        quoted += 1
    if request and quoted < min(_SHORTEST_QUOTE, len(shown)):
        return None
    whole = say(replace(ask, messages=tuple(messages))).text
    return whole[len(shown) - quoted :] if whole.startswith(shown) else None


def default_script(ask: Ask) -> Said:
    """Calls the tools that are offered, fills the schema that is asked for, else answers in plain text."""
    tool = _tool_to_call(ask)
    if tool is not None:
        return ToolCall(tool.name, fill(tool.schema, ask.question))
    if ask.schema is not None:
        schema = _object_with_quoted_keys(ask) if ask.schema == {"type": "object"} else ask.schema
        return json.dumps(fill(schema, "\n".join([*ask.tool_results, ask.question])), ensure_ascii=False)
    topic = shorten(ask.question, 120, placeholder=" ...") or "nothing"
    if ask.tool_results:
        return f"The tools answered: {'; '.join(ask.tool_results)}. That settles your question: {topic}"
    return (
        f"You asked: {topic}\nHere is a short answer in a few steps. First, name what you want to know and why. "
        "Then collect the facts that speak for it, and those that speak against it. After that, weigh them with "
        "somebody who sees it differently. Last, decide, and write the decision down together with its reasons."
    )


def _object_with_quoted_keys(ask: Ask) -> Mapping[str, Any]:
    """For JSON without a schema: prompts name the keys that they want in quotes."""
    keys = re.findall(r"[\"'`](\w+)[\"'`]", ask.question) or ["answer"]
    return {"type": "object", "properties": {key: {"type": "string", "const": f"example {key}"} for key in keys}}


def _tool_to_call(ask: Ask) -> Tool | None:
    """The forced tool; else the first one, once; where a call is required, the first not called yet."""
    if not ask.tools or ask.tool_choice == "none":
        return None
    if ask.forced_tool is not None:
        return next((tool for tool in ask.tools if tool.name == ask.forced_tool), None)
    if ask.tool_choice == "required":
        called = {call.name for turn in ask.loop for call in turn.tool_calls}
        return next((tool for tool in ask.tools if tool.name not in called), ask.tools[-1])
    return None if ask.tool_results else ask.tools[0]


def _as_answer(said: Said) -> Answer:
    if isinstance(said, Answer):
        return replace(said, finish="tool_calls") if said.tool_calls and said.finish == "stop" else said
    if isinstance(said, str):
        return Answer(said)
    calls = (said,) if isinstance(said, ToolCall) else tuple(said)
    return Answer(tool_calls=calls, finish="tool_calls")


def _limited(answer: Answer, ask: Ask) -> Answer:
    """Stop sequences and the output limit, as a real model obeys them."""
    found = [(at, stop) for stop in ask.stop if stop and (at := answer.text.find(stop)) >= 0]
    if found:
        at, stop = min(found)
        answer = replace(answer, text=answer.text[:at], stop_sequence=stop)
    if ask.max_tokens is not None and count_tokens(answer.text) > ask.max_tokens:
        answer = replace(answer, text=answer.text[: 4 * ask.max_tokens], finish="length", stop_sequence=None)
    return answer
