"""Can a target take a request at all? What LangChain knows of models and messages, in the core's words.

The core skips a target whose window is too small or that lacks what a request needs, and says so in the trace. Only
what a model's `profile` denies counts as lacking; what it does not mention is tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, trim_messages
from langchain_core.messages.utils import count_tokens_approximately

from failover_core import ConfigError, RequestInfo
from failover_core.checks import JsonDemand, json_demand
from failover_core.model import NO_INFO

from .dialects import Wire
from .options import asks_for_thinking, output_limit
from .structured import KEY as STRUCTURED
from .tools import as_tool_dicts, server_tools

_DENIED_BY = {
    "tool_calling": "tools",
    "structured_output": "json_schema",
    "image_inputs": "images",
    "image_url_inputs": "image_urls",
    "pdf_inputs": "files",
    "audio_inputs": "audio",
    "video_inputs": "video",
}
_NEEDED_FOR = {"image": "images", "image_url": "images", "file": "files", "document": "files", "audio": "audio",
               "input_audio": "audio", "video": "video"}  # fmt: skip
_OWNERS = (Wire.OPENAI_CHAT, Wire.ANTHROPIC, Wire.GOOGLE)
TOKENS_A_MESSAGE = 4  # the role and what stands between messages
_THINKING_FIELDS = ("thinking", "reasoning", "reasoning_effort", "thinking_level", "thinking_budget")
_DEFAULT_TRIM: dict[str, Any] = {"strategy": "last", "include_system": True, "start_on": "human"}


def window_of(model: BaseChatModel, wire: Wire) -> int | None:
    """The context window in tokens, input and output together, None when nobody knows."""
    profile = model.profile or {}
    window = profile.get("max_input_tokens")
    if not isinstance(window, int) or window <= 0:
        return None
    return window + (profile.get("max_output_tokens") or 0) if wire is Wire.GOOGLE else window


def lacks_of(model: BaseChatModel, wire: Wire) -> frozenset[str]:
    """What the model is known not to do, out of `needs_of`."""
    profile: Mapping[str, Any] = model.profile or {}
    denied = {need for key, need in _DENIED_BY.items() if profile.get(key) is False}
    name = getattr(model, "model", "")
    if wire is Wire.GOOGLE and isinstance(name, str) and "gemini-2" in name:
        denied.add("tools_with_json_schema")
    return frozenset(denied)


def foreign_server_tools(wire: Wire | None) -> frozenset[str]:
    """The needs for tools that other providers' servers run; of all of them for None, of none for an unknown wire."""
    if wire is Wire.OTHER:
        return frozenset()
    own = Wire.OPENAI_CHAT if wire is Wire.OPENAI_RESPONSES else wire
    return frozenset(_server_tools(owner) for owner in _OWNERS if owner is not own)


def info_of(
    messages: Sequence[BaseMessage],
    options: Mapping[str, Any],
    *,
    session: str | None = None,
    window_tokens: int | None = None,
    thinks: bool = False,
) -> RequestInfo:
    """What the core's guards, limits and policies want to know about a call.

    Args:
        session: what it belongs to; see `RequestInfo`.
        window_tokens: the smallest known window of a target; None = no target has one, and the size does not matter.
        thinks: some target reasons without being asked.
    """
    needs = frozenset(_needs(messages, options))
    small = window_tokens is None or _surely_fits(messages, window_tokens)
    if small and not options and not needs and not thinks and session is None:
        return NO_INFO
    tools, limit = options.get("tools"), output_limit(options)
    unsized = window_tokens is None or (not tools and _surely_fits(messages, window_tokens - (limit or 0)))
    return RequestInfo(
        prompt_tokens=None if unsized else estimated_tokens(messages, tools),
        max_output_tokens=limit,
        thinking=thinks or asks_for_thinking(options),
        needs=needs,
        session=session,
        structured=bool(tools) or STRUCTURED in options or options.get("response_format") is not None,
        json=_json_demand(options),
    )


def estimated_tokens(messages: Sequence[BaseMessage], tools: Any = None) -> int:
    """About how long the prompt is, in tokens: LangChain's own approximation, 4 characters a token."""
    given: dict[str, Any] = {"tools": as_tool_dicts(tools)} if tools else {}
    return count_tokens_approximately(messages, **given)


def trimmed(
    messages: list[BaseMessage], window_tokens: int, options: Mapping[str, Any], rule: Any
) -> list[BaseMessage]:
    """The conversation, cut to fit by LangChain's `trim_messages` and the user's rule.

    Args:
        window_tokens: of the target.
        options: of the call: the output limit is kept free.
        rule: keyword arguments of `trim_messages`, or a function `(messages, max_tokens) -> messages`.
    """
    room = window_tokens - (output_limit(options) or 0)
    if estimated_tokens(messages, options.get("tools")) <= room:
        return messages
    if callable(rule):
        return list(rule(messages, room))
    wanted = {"token_counter": count_tokens_approximately, **(rule or _DEFAULT_TRIM)}
    return trim_messages(messages, max_tokens=room, **wanted)


def checked_fit(fit: Any, trim: Any) -> None:
    """Raises ConfigError for what `fit=` and `trim=` cannot be."""
    if fit not in ("skip", "trim"):
        raise ConfigError(f"fit={fit!r}: write 'skip' (a target that is too small is left out) or 'trim'")
    if trim is not None and not callable(trim) and not isinstance(trim, Mapping):
        raise ConfigError(
            f"trim={trim!r}: pass keyword arguments for trim_messages, or (messages, max_tokens) -> messages"
        )


def thinks(model: BaseChatModel, wire: Wire, *, streaming: bool) -> bool:
    """Does the model reason without being asked in the call? Then its first tokens come late, and that is no fault.

    Gemini thinks by default, but for seconds: that matters to a stream, not to the limit of a whole answer.
    """
    asked = {name: getattr(model, name, None) for name in _THINKING_FIELDS}
    given = {name: value for name, value in asked.items() if value is not None}
    if given:
        return asks_for_thinking(given)
    reasons = bool((model.profile or {}).get("reasoning_output"))
    by_default = wire.is_openai or (wire is Wire.GOOGLE and streaming)  # Anthropic's models do not by default
    return reasons and by_default


def common_profile(profiles: Sequence[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """What can be promised whichever target answers: what all can do, and the smallest of the known limits."""
    known = [profile for profile in profiles if profile]
    if not known:
        return None
    common: dict[str, Any] = {}
    for key in dict.fromkeys(key for profile in known for key in profile):
        values = [profile[key] for profile in known if profile.get(key) is not None]
        if values and all(isinstance(value, bool) for value in values):
            common[key] = all(bool((profile or {}).get(key)) for profile in profiles)
        elif values and all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            common[key] = min(values)
    return common


def _surely_fits(messages: Iterable[BaseMessage], window_tokens: int) -> bool:
    """A text has fewer tokens than characters: most calls need no closer look."""
    for message in messages:
        if not isinstance(message.content, str) or getattr(message, "tool_calls", None):
            return False
        window_tokens -= len(message.content) + TOKENS_A_MESSAGE
    return window_tokens > 0


def _needs(messages: Iterable[BaseMessage], options: Mapping[str, Any]) -> Iterable[str]:
    for message in messages:
        if not isinstance(message.content, str):
            yield from _media_needs(message.content)
    if not options:
        return
    tools = options.get("tools")
    if tools:
        yield "tools"
        yield from (_server_tools(owner) for owner in server_tools(tools))
    structured = options.get(STRUCTURED)
    wanted = options.get("response_format")
    schema_wanted = isinstance(wanted, Mapping) and wanted.get("type") == "json_schema"
    if schema_wanted or (structured is not None and structured.method == "json_schema"):
        yield "json_schema"
        if tools:
            yield "tools_with_json_schema"


def _json_demand(options: Mapping[str, Any]) -> JsonDemand:
    structured = options.get(STRUCTURED)
    if structured is not None:
        return "any" if structured.is_text else None
    return json_demand(options.get("response_format"))


def _media_needs(blocks: Iterable[Any]) -> Iterable[str]:
    for block in blocks:
        kind = block.get("type") if isinstance(block, dict) else None
        need = _NEEDED_FOR.get(kind or "")
        if need is None and kind == "media":
            family = str(block.get("mime_type", "")).partition("/")[0]
            need = _NEEDED_FOR.get(family, "files")
        if need is not None:
            yield need
            if need == "images" and _is_by_url(block):
                yield "image_urls"


def _is_by_url(block: Mapping[str, Any]) -> bool:
    url = block.get("url") or block.get("image_url")
    url = url.get("url") if isinstance(url, Mapping) else url
    return isinstance(url, str) and not url.startswith("data:")


def _server_tools(owner: Wire) -> str:
    return f"tools on the servers of {owner.name.partition('_')[0].lower()}"
