"""A request on its way to a target: which endpoint of an LLM is meant, and with what arguments.

The core passes a `Request` to the targets as it is. Each attempt makes its own arguments out of it (`arguments_for`),
so that no target can change what the caller, or the next target, holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from llama_index.core.base.llms.types import ChatMessage, MessageRole, TextBlock
from llama_index.core.prompts import ChatPromptTemplate

from failover_core import RequestInfo
from failover_core.checks import json_demand
from failover_core.model import NO_INFO
from failover_core.stream.resume import resume_instruction

from .families import ANTHROPIC, OPENAI, Family
from .history import copied, portable
from .tools import portable_choice

Endpoint = Literal["chat", "complete", "chat_with_tools", "structured_predict"]
Arguments = tuple[tuple[Any, ...], dict[str, Any]]

# No tokenizer packs more than about 5 characters into a token on average: a floor, since a target skipped for a wrong
# guess is worse than one that says itself that the request is too long.
CHARS_PER_TOKEN = 5
_NEED_OF_BLOCK = {"image": "images", "document": "files", "audio": "audio", "video": "video"}
_REASONING = RequestInfo(thinking=True)
_MEDIA = frozenset(_NEED_OF_BLOCK.values())
_OUTPUT_LIMITS = ("max_tokens", "max_output_tokens", "max_completion_tokens")
_TOOL_KWARGS = frozenset(
    {"user_msg", "chat_history", "verbose", "allow_parallel_tool_calls", "tool_required", "tool_choice"}
)
_STRUCTURED_KWARGS = ("functions", "response_format", "text_format", "output_format")


@dataclass(slots=True)
class Request:
    """One call of one endpoint, in any of its four styles.

    Args:
        endpoint: the method's name in its synchronous, non-streaming form.
        args, kwargs: exactly as the caller gave them.
        tapes: attempt number -> what the attempt reported to LlamaIndex, where that is to be told afterwards.
        spans: report every attempt as a span of its own.
        shown: the text that the answer has to go on from; "" for a fresh one.
        prompted: the system prompt is in the messages, so that an LLM must not add one of its own.
    """

    endpoint: Endpoint
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    tapes: dict[int, Any] = field(default_factory=dict)
    spans: bool = False
    shown: str = ""
    prompted: bool = False

    @property
    def messages(self) -> Sequence[ChatMessage]:
        """The conversation as far as it is known before a target is chosen."""
        if self.endpoint == "chat":
            messages: Sequence[ChatMessage] = self.args[0]
            return messages
        if self.endpoint == "chat_with_tools":
            user = self.kwargs.get("user_msg")
            history = self.kwargs.get("chat_history") or []
            return [*history, ChatMessage(user) if isinstance(user, str) else user] if user else history
        if self.endpoint == "structured_predict" and isinstance(self.args[1], ChatPromptTemplate):
            return self.args[1].message_templates
        return ()

    def arguments_for(self, family: Family, model: str | None, *, thinks: bool = False) -> Arguments:
        """The arguments for one attempt at an LLM of `family`, sharing nothing changeable with the caller's."""
        kwargs = {name: _copied(value) for name, value in self.kwargs.items()}
        if self.endpoint == "chat":
            return (portable(self.args[0], family, model),), kwargs
        if self.endpoint == "chat_with_tools":
            return _with_tools(self.args, kwargs, family, model, thinks=thinks)
        if self.endpoint == "structured_predict":
            return _structured(self.args, kwargs, family, model)
        return self.args, kwargs

    def as_plain_chat(self) -> Request:
        """The same conversation for an LLM that has no `chat_with_tools`; only for requests without tools."""
        kwargs = {name: value for name, value in self.kwargs.items() if name not in _TOOL_KWARGS}
        return replace(self, endpoint="chat", args=(list(self.messages),), kwargs=kwargs)

    def resumed(self, shown: str) -> Request:
        """The request that asks another target to go on after `shown`."""
        if self.endpoint == "complete":
            prompt = f"{self.args[0]}\n\n{shown}\n\n{resume_instruction(shown)}"
            return replace(self, args=(prompt, *self.args[1:]), shown=shown)
        more = (
            ChatMessage(shown, role=MessageRole.ASSISTANT),
            ChatMessage(resume_instruction(shown), role=MessageRole.USER),
        )
        if self.endpoint == "chat_with_tools":
            kwargs = {**self.kwargs, "user_msg": None, "chat_history": [*self.messages, *more]}
            return replace(self, kwargs=kwargs, shown=shown)
        return replace(self, args=([*self.args[0], *more],), shown=shown)


def info_of(request: Request, *, wanted: frozenset[str], sized: bool, thinking: bool) -> RequestInfo:
    """What the core may know of a request.

    Args:
        wanted: the needs that make a difference, as some target cannot serve them.
        sized: some target's context window is known, so that the prompt's size is worth an estimate.
        thinking: some target was set up to reason first.
    """
    kwargs = request.kwargs
    if request.endpoint in ("chat", "complete") and not (kwargs or sized or wanted & _MEDIA):
        return _REASONING if thinking else NO_INFO
    needs: set[str] = set()
    if wanted & _MEDIA:
        needs.update(_NEED_OF_BLOCK[kind] for kind in _media_of(request.messages))
    parsing = request.endpoint == "structured_predict"  # whose arguments are those of the prompt
    tools = request.args[0] if request.endpoint == "chat_with_tools" else None if parsing else kwargs.get("tools")
    if tools:
        needs.add("tools")
    limits = (kwargs.get("llm_kwargs") or {}) if parsing else kwargs
    return RequestInfo(
        prompt_tokens=_chars_of(request) // CHARS_PER_TOKEN if sized else None,
        max_output_tokens=next((limits[name] for name in _OUTPUT_LIMITS if isinstance(limits.get(name), int)), None),
        thinking=thinking,
        needs=wanted & needs,
        structured=bool(tools) or parsing or any(kwargs.get(name) is not None for name in _STRUCTURED_KWARGS),
        json=None if parsing else json_demand(kwargs.get("response_format")),
    )


def _media_of(messages: Iterable[ChatMessage]) -> Iterable[str]:
    for message in messages:
        for block in message.blocks:
            if not isinstance(block, TextBlock) and block.block_type in _NEED_OF_BLOCK:
                yield block.block_type


def _chars_of(request: Request) -> int:
    if request.endpoint == "complete":
        return len(request.args[0])
    told = [block.text for message in request.messages for block in message.blocks if isinstance(block, TextBlock)]
    if request.endpoint == "structured_predict":  # a template and what is put into it
        told += [value for value in request.kwargs.values() if isinstance(value, str)]
    return sum(map(len, told))


def _with_tools(
    args: tuple[Any, ...], kwargs: dict[str, Any], family: Family, model: str | None, *, thinks: bool
) -> Arguments:
    history, user = kwargs.get("chat_history"), kwargs.get("user_msg")
    messages = portable(history or [], family, model)
    if isinstance(user, ChatMessage):
        adapted = portable([user], family, model)
        if family is ANTHROPIC:  # whose class takes a str only, and silently drops a message
            messages += adapted
            del kwargs["user_msg"]
        else:
            (kwargs["user_msg"],) = adapted
    if history is not None or messages:
        kwargs["chat_history"] = messages
    if "tool_choice" in kwargs and family.official:
        parallel = bool(kwargs.get("allow_parallel_tool_calls"))
        choice = portable_choice(kwargs.pop("tool_choice"), family, parallel=parallel, thinks=thinks)
        if choice is not None:
            kwargs["tool_choice"] = choice
    return (list(args[0]), *args[1:]), kwargs


def _structured(args: tuple[Any, ...], kwargs: dict[str, Any], family: Family, model: str | None) -> Arguments:
    output_cls, prompt = args
    if isinstance(prompt, ChatPromptTemplate):
        templates = portable(prompt.message_templates, family, model)
        prompt = prompt.model_copy(update={"message_templates": templates})
    llm_kwargs = kwargs.get("llm_kwargs")
    if llm_kwargs and "tool_choice" in llm_kwargs and family.official and family is not OPENAI:
        del llm_kwargs["tool_choice"]  # their own way to structured output has no tools to choose from
    return (), {"output_cls": output_cls, "prompt": prompt, **kwargs}


def _copied(value: Any) -> Any:
    """A copy of containers and messages; tools, classes and clients are shared."""
    if isinstance(value, ChatMessage):
        return copied(value)
    if type(value) is dict:
        return {key: _copied(item) for key, item in value.items()}
    if type(value) is list:
        return [_copied(item) for item in value]
    return value
