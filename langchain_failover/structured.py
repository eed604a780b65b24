"""Structured output: each target is asked for it in its own way, and one parser understands all the ways.

`with_structured_output` binds a `StructuredOutput`; a target called with it turns it into tools, a JSON schema or JSON
mode, whatever its own `with_structured_output` would do. An answer is parsed before it counts as one, so that what does
not parse goes to the next target instead of to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import Any, Literal

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.output_parsers import BaseCumulativeTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import (
    Runnable,
    RunnableBinding,
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
KEY = "failover_output"
"""The call option that carries a `StructuredOutput` from `with_structured_output` to the targets."""


@dataclass(eq=False)
class StructuredOutput:
    """What form the answer must have, and how it is asked for.

    Args:
        schema: a pydantic class, a TypedDict, a JSON schema or a tool of OpenAI's format; None = any JSON object.
        method: as in LangChain.
        strict: as in LangChain; None = each provider's own default.
    """

    schema: Any
    method: Method = "function_calling"
    strict: bool | None = None
    _bindings: dict[int, tuple[Runnable[Any, Any], dict[str, Any]]] = field(default_factory=dict, repr=False)

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
        """The object in an answer, from a tool call or from JSON text.

        Raises:
            OutputParserException, ValidationError: when there is none that fits the schema.
        """
        name = self.function.get("name")
        found = _arguments(message, name, partial=partial)
        if found is None:
            if partial:
                return None
            raise OutputParserException(
                f"the answer has no {self.function.get('name') or 'JSON'}", llm_output=message.text
            )
        schema = self.schema
        if isinstance(schema, type) and issubclass(schema, BaseModel | BaseModelV1):
            return self._validated(schema, found, partial=partial)
        if not partial and isinstance(self.function.get("parameters"), dict):
            problem = misfit(found, self.function["parameters"])
            if problem is not None:
                raise OutputParserException(f"{name}: {problem}", llm_output=str(message.text))
        return found

    @staticmethod
    def _validated(schema: Any, found: Any, *, partial: bool) -> Any:
        validate = schema.model_validate if issubclass(schema, BaseModel) else schema.parse_obj
        try:
            return validate(found)
        except ValueError:  # both generations' ValidationError
            if partial:
                return None
            raise

    def as_dict(self) -> dict[str, Any]:
        """For traces and cache keys."""
        return {"method": self.method, "strict": self.strict, "schema": self.function}

    def __repr__(self) -> str:
        return f"StructuredOutput({self.as_dict()!r})"


class StructuredOutputParser(BaseCumulativeTransformOutputParser[Any]):
    """Makes the object out of an answer; while it streams, out of what is there."""

    output: Any

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        generation = result[0]
        assert isinstance(generation, ChatGeneration)
        return self.output.parse(generation.message, partial=partial)

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
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    unparsed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableParallel(raw=model) | parsed.with_fallbacks([unparsed], exception_key="parsing_error")


def _arguments(message: BaseMessage, name: str | None, *, partial: bool) -> Any:
    for call in getattr(message, "tool_calls", ()):
        if name is None or call["name"] == name:
            return call["args"]
    text = str(message.text).strip()
    if not text:
        return None
    try:
        found = parse_partial_json(text) if partial and text.startswith("{") else parse_json_markdown(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


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
