"""Tool calls in the tongue of whoever made them, and tool choices in the tongue of whoever is asked."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import ChatResponse, ToolCallBlock
from llama_index.core.llms import LLM
from llama_index.core.llms.llm import ToolSelection

from .families import ANTHROPIC, GEMINI, RESPONSES, Family
from .history import arguments_of

_MODES = {"auto": "auto", "none": "none", "required": "required", "any": "required"}


def portable_choice(choice: Any, family: Family, *, parallel: bool = False, thinks: bool = False) -> Any:
    """A `tool_choice` as `family` spells it; None where nothing is to be said.

    Args:
        choice: any spelling: "auto", "none", "required", "any", a tool's name, or a provider's dict.
        parallel: several calls in one answer are welcome (Anthropic puts that into the choice).
        thinks: Anthropic takes no forced choice from a model that reasons first.
    """
    if choice is None:
        return None
    mode, name = understood(choice)
    if family is ANTHROPIC:
        forced = {"type": "tool", "name": name} if name else {"type": "any"}
        plain = {"type": "none" if mode == "none" else "auto"}
        told = forced if mode == "required" and not thinks else plain
        return told if told["type"] == "none" else {**told, "disable_parallel_tool_use": not parallel}
    if family is GEMINI:
        return name or ("any" if mode == "required" else mode)
    if name is None:
        return mode
    return (
        {"type": "function", "name": name} if family is RESPONSES else {"type": "function", "function": {"name": name}}
    )


def understood(choice: Any) -> tuple[str, str | None]:
    """(mode, name of the tool to call) of a choice in any provider's spelling."""
    if isinstance(choice, str):
        return (_MODES[choice], None) if choice in _MODES else ("required", choice)
    name = choice.get("name") or (choice.get("function") or {}).get("name")
    return ("required", name) if name else (_MODES.get(choice.get("type", "auto"), "auto"), None)


def selections(response: ChatResponse, llm: LLM | None, **kwargs: Any) -> list[ToolSelection]:
    """The tool calls in a response, read by the LLM that wrote it; from its blocks when that LLM cannot read any.

    Raises:
        ValueError: when there is none, unless `error_on_no_tool_call=False` is given, as LlamaIndex's own classes do.
    """
    reads = getattr(llm, "get_tool_calls_from_response", None)
    if reads is not None:
        try:
            found: list[ToolSelection] = reads(response, **kwargs)
            return found
        except NotImplementedError:
            pass
    calls = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
    if not calls and kwargs.get("error_on_no_tool_call", True):
        raise ValueError("Expected at least one tool call, but got 0 tool calls.")
    return [
        ToolSelection(
            tool_id=call.tool_call_id or call.tool_name,
            tool_name=call.tool_name,
            tool_kwargs=arguments_of(call.tool_kwargs),
        )
        for call in calls
    ]
