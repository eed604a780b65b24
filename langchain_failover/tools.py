"""Tools are bound late: each target converts the tools themselves into its own format, when it is its turn.

`bind_tools` keeps OpenAI-format dicts, which is what traces, cache keys and LangGraph's `create_react_agent` read; each
one remembers the tool it was made from.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableBinding
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, ValidationError

from .dialects import Wire
from .schema import misfit

BINDING_OPTIONS = ("tool_choice", "parallel_tool_calls", "strict", "response_format")
"""Call options that belong to `bind_tools`: how they are said depends on the provider."""

_HINTS = frozenset({"parallel_tool_calls", "strict"})  # a model that does not know them can do without


class ToolDict(dict[str, Any]):
    """A tool in OpenAI's format that remembers the tool itself.

    Args:
        tool: anything that `bind_tools` takes: a tool, a function, a class, a dict of any provider.
    """

    def __init__(self, tool: Any) -> None:
        super().__init__(_openai_format(tool))
        self.original = tool

    @property
    def name(self) -> str | None:
        function = self.get("function")
        name = function.get("name") if isinstance(function, Mapping) else self.get("name")
        return name if isinstance(name, str) else None

    def misfit(self, arguments: Mapping[str, Any]) -> str | None:
        """What is wrong with the arguments of a call to this tool, or None."""
        schema: Any = self.original.tool_call_schema if isinstance(self.original, BaseTool) else self.original
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            try:
                schema.model_validate(arguments)
            except ValidationError as error:
                first = error.errors(include_url=False, include_input=False)[0]
                return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
            return None
        function = self.get("function")
        parameters = function.get("parameters") if isinstance(function, Mapping) else None
        return misfit(arguments, parameters, self.original)


def as_tool_dicts(tools: Sequence[Any]) -> list[ToolDict]:
    return [tool if isinstance(tool, ToolDict) else ToolDict(tool) for tool in tools]


def server_tools(tools: Sequence[Any]) -> frozenset[Wire]:
    """Whose servers would run some of these tools? Such a tool means nothing to another provider."""
    owners = (_owner(getattr(tool, "original", tool)) for tool in tools)
    return frozenset(owner for owner in owners if owner is not None)


def bind_late(
    model: BaseChatModel, tools: Sequence[Any], options: Mapping[str, Any], wire: Wire
) -> tuple[Runnable[Any, Any], dict[str, Any]]:
    """`model` with the tools of a call, in its own format.

    Args:
        model: of one target.
        tools: as they were bound to the failover model.
        options: the call's; those named in `BINDING_OPTIONS` are said again in the model's own way.
        wire: that the model speaks.

    Returns:
        what to call (mostly the model itself), and the options that stand for the tools.
    """
    wanted = _binding_options(type(model).bind_tools, options, wire)
    bound = model.bind_tools([getattr(tool, "original", tool) for tool in tools], **wanted)
    if isinstance(bound, RunnableBinding) and not bound.config:
        return bound.bound, dict(bound.kwargs)
    return bound, {}


def _binding_options(bind_tools: Callable[..., Any], options: Mapping[str, Any], wire: Wire) -> dict[str, Any]:
    named = _named_parameters(bind_tools)
    wanted: dict[str, Any] = {}
    for option in BINDING_OPTIONS:
        value = options.get(option)
        if option == "tool_choice":
            value = neutral_choice(value, wire)
        if value is not None and (option in named or option not in _HINTS):
            wanted[option] = value
    return wanted


def neutral_choice(choice: Any, wire: Wire) -> Any:
    """A tool choice in the words that every `bind_tools` takes: "auto", "any", "none" or a tool's name."""
    if isinstance(choice, Mapping):
        kind = choice.get("type")
        if wire is Wire.ANTHROPIC and kind in ("auto", "any", "none", "tool"):
            return dict(choice)
        function = choice.get("function")
        name = function.get("name") if isinstance(function, Mapping) else choice.get("name")
        choice = name or (kind if kind in ("auto", "any", "none", "required") else choice)
    if choice is False:
        return None
    if choice is True or choice == "required":
        choice = "any"
    return {"type": "none"} if choice == "none" and wire is Wire.ANTHROPIC else choice


@cache
def _named_parameters(function: Callable[..., Any]) -> frozenset[str]:
    parameters = inspect.signature(function).parameters.values()
    return frozenset(p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD))


def _openai_format(tool: Any) -> dict[str, Any]:
    if _owner(tool) is not None:
        return dict(tool) if isinstance(tool, Mapping) else {"type": type(tool).__name__}
    try:
        return convert_to_openai_tool(tool)
    except Exception:
        if isinstance(tool, Mapping):
            return dict(tool)  # a provider's own format: its provider will know it
        raise


_GOOGLE_KEYS = frozenset({"google_search", "google_search_retrieval", "code_execution", "url_context", "google_maps"})


def _owner(tool: Any) -> Wire | None:
    """The provider whose servers run this tool, None for a tool of the caller's."""
    if not isinstance(tool, Mapping):
        return Wire.GOOGLE if type(tool).__module__.startswith("google.genai") else None
    if tool.keys() & _GOOGLE_KEYS:
        return Wire.GOOGLE
    kind = tool.get("type")
    if not isinstance(kind, str) or kind in ("function", "object", "custom") or "function" in tool:
        return None
    if kind[-8:].isdigit() or kind == "mcp_toolset":  # "web_search_20250305": Anthropic dates its tools
        return Wire.ANTHROPIC
    return Wire.OPENAI_CHAT
