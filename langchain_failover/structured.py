"""Structured output: each target is asked for it in its own way, and one parser understands all the ways.

`with_structured_output` binds a `StructuredOutput`; a target called with it turns it into tools, a JSON schema or JSON
mode, whatever its own `with_structured_output` would do. An answer is parsed before it counts as one, so that what does
not parse goes to the next target instead of to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import Any, Literal

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.output_parsers import BaseCumulativeTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import (
    Runnable,
    RunnableBinding,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
    RunnableSequence,
)
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_core.utils.json import parse_json_markdown, parse_partial_json
from pydantic import BaseModel
from pydantic.v1 import BaseModel as BaseModelV1

from .dialects import Wire
from .schema import misfit

Method = Literal["function_calling", "json_schema", "json_mode"]
_NAMED_BY = {"title", "name", "function", "toolSpec"}
KEY = "failover_output"
"""The call option that carries a `StructuredOutput` from `with_structured_output` to the targets."""


@dataclass(eq=False)
class StructuredOutput:
    """What form the answer must have, and how it is asked for.

    Args:
        schema: a pydantic class, a TypedDict, a JSON schema or a tool of OpenAI's format; None = any JSON object.
        method: as in LangChain.
        strict: as in LangChain; None = each provider's own default.
        include_raw: what does not parse is of use to the caller too, when nobody does better.
        beside: names of tools that may be called instead; such an answer holds no object.
    """

    schema: Any
    method: Method = "function_calling"
    strict: bool | None = None
    include_raw: bool = False
    beside: frozenset[str] = frozenset()
    _bindings: dict[int, tuple[Runnable[Any, Any], dict[str, Any]]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.schema, Mapping) and not self.schema.keys() & _NAMED_BY:
            self.schema = {"title": "answer", **self.schema}

    @property
    def is_text(self) -> bool:
        """Is the answer JSON text, rather than a tool call?"""
        return self.method != "function_calling"

    @cached_property
    def function(self) -> dict[str, Any]:
        """The schema as a function of OpenAI's format; {} for any JSON object."""
        if self.schema is None:
            return {}
        function: dict[str, Any] = convert_to_openai_tool(self.schema)["function"]
        return function

    def binding_for(self, model: BaseChatModel, wire: Wire) -> dict[str, Any]:
        """The call options by which `model` itself would ask for this output."""
        known = self._bindings.get(id(model))
        if known is None or known[0] is not model:
            known = self._bindings[id(model)] = (model, self._ask(model, wire))
        return known[1]

    def _ask(self, model: BaseChatModel, wire: Wire) -> dict[str, Any]:
        if self.schema is None:  # any JSON object: Anthropic knows no such mode, the prompt has to ask for it
            return {} if wire is Wire.ANTHROPIC else {"response_format": {"type": "json_object"}}
        method: Method = self.method
        if method == "json_mode" and wire is Wire.ANTHROPIC:
            method = "json_schema"  # it has no mode without a schema; its class would say so in a warning
        strict = {} if self.strict is None else {"strict": self.strict}
        chain = model.with_structured_output(self.schema, include_raw=True, method=method, **strict)
        options = dict(_binding_in(chain).kwargs)
        options.pop("ls_structured_output_format", None)
        return options

    def parse(self, message: BaseMessage, *, partial: bool = False) -> Any:
        """The object in an answer, from a tool call or from JSON text; None where another tool is called instead.

        Args:
            message: the answer.
            partial: it is not over yet; None while there is no object. One of a pydantic class cannot be half done.

        Raises:
            OutputParserException, ValidationError: when there is none that fits the schema.
        """
        schema = self.schema
        model: Any = schema if isinstance(schema, type) and issubclass(schema, BaseModel | BaseModelV1) else None
        if partial:
            return None if model is not None else self.found_in(message, partial=True)
        found, name = self.found_in(message), self.function.get("name")
        if found is None:
            if any(call["name"] in self.beside for call in getattr(message, "tool_calls", ())):
                return None
            raise OutputParserException(f"the answer has no {name or 'JSON'}", llm_output=message.text)
        if model is not None:
            return model.model_validate(found) if issubclass(model, BaseModel) else model.parse_obj(found)
        problem = misfit(found, self.function.get("parameters"), schema)
        if problem is not None:
            raise OutputParserException(f"{name}: {problem}", llm_output=str(message.text))
        return found

    def error_in(self, message: BaseMessage) -> Exception | None:
        """With which an answer does not parse."""
        try:
            self.parse(message)
        except Exception as error:
            return error
        return None

    def found_in(self, message: BaseMessage, *, partial: bool = False) -> dict[str, Any] | None:
        """What may be the object, whether it fits or not."""
        name = self.function.get("name")
        for call in getattr(message, "tool_calls", ()):
            if name is None or call["name"] == name:
                arguments: dict[str, Any] = call["args"]
                return arguments
        text = str(message.text).strip()
        if not text:
            return None
        try:
            found = parse_partial_json(text) if partial and text.startswith("{") else parse_json_markdown(text)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def as_dict(self) -> dict[str, Any]:
        """For traces and cache keys."""
        asked = {"method": self.method, "strict": self.strict, "schema": self.function}
        return {**asked, "include_raw": True} if self.include_raw else asked

    def __repr__(self) -> str:
        return f"StructuredOutput({self.as_dict()!r})"


class StructuredOutputParser(BaseCumulativeTransformOutputParser[Any]):
    """Makes the object out of an answer; while it streams, out of what is there."""

    output: Any

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        generation = result[0]
        assert isinstance(generation, ChatGeneration)
        message = generation.message
        midway = isinstance(message, AIMessageChunk) and message.chunk_position != "last"
        return self.output.parse(message, partial=partial and midway)

    def parse(self, text: str) -> Any:
        return self.output.parse(AIMessage(content=text))

    @property
    def _type(self) -> str:
        return "failover_structured_output"


def structured_chain(model: Runnable[Any, Any], output: StructuredOutput, *, include_raw: bool) -> Runnable[Any, Any]:
    """`model`, which has been asked for `output`, and a parser; with `include_raw` as LangChain defines it."""
    parser = StructuredOutputParser(output=output)
    if not include_raw:
        return model | parser
    # Each of the two by itself: a fallback for both would come too late in a stream, where `raw` has been passed on.
    parsed = itemgetter("raw") | parser.with_fallbacks([RunnableLambda(lambda _: None)])
    error = itemgetter("raw") | RunnableLambda(output.error_in)
    return RunnableParallel(raw=model) | RunnablePassthrough.assign(parsed=parsed, parsing_error=error)


def _binding_in(chain: Any) -> RunnableBinding[Any, Any]:
    """The bound model inside of what `with_structured_output(include_raw=True)` returns."""
    while not isinstance(chain, RunnableBinding):
        if isinstance(chain, RunnableSequence):
            chain = chain.first
        elif isinstance(chain, RunnableParallel):
            chain = chain.steps__["raw"]
        else:
            raise TypeError(f"with_structured_output gave a {type(chain).__name__} without a bound model in it")
    return chain
