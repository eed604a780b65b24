"""Which wire a LangChain model speaks, and whose account it uses.

Known by the names of the classes, so that no partner package is imported. History and per-call options are translated
by dialect; messages produced under the same account are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from langchain_core.language_models import BaseChatModel


class Wire(StrEnum):
    """The API behind a model, as far as messages and options differ by it."""

    OPENAI_CHAT = "openai chat completions"
    OPENAI_RESPONSES = "openai responses"
    ANTHROPIC = "anthropic messages"
    GOOGLE = "google generateContent"
    OTHER = "other"

    @property
    def is_openai(self) -> bool:
        return self in (Wire.OPENAI_CHAT, Wire.OPENAI_RESPONSES)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one target talks, and as whom.

    Args:
        wire: the API. (For OpenAI the one used by default: see `wire_for`.)
        provider: what its messages carry as `response_metadata["model_provider"]`; None = they carry nothing.
        account: a digest of provider, endpoint and credentials; None = unknown. Reasoning, item ids and signatures
            of one account mean nothing to another.
        has_system_anywhere: takes system messages at any place in the conversation.
    """

    wire: Wire = Wire.OTHER
    provider: str | None = None
    account: str | None = None
    has_system_anywhere: bool = True


PLAIN = Dialect()

_FAMILIES = {
    "BaseChatOpenAI": Wire.OPENAI_CHAT,
    "ChatAnthropic": Wire.ANTHROPIC,
    "ChatGoogleGenerativeAI": Wire.GOOGLE,
}
_PROVIDER_NAMES = {"google_genai": "google", "google_vertexai": "google", "gemini": "google"}
_ENDPOINT_FIELDS = (
    "openai_api_base",
    "azure_endpoint",
    "openai_organization",
    "anthropic_api_url",
    "base_url",
    "api_base",
    "endpoint",
    "project",
    "location",
    "region_name",
)
_KEY_FIELDS = ("openai_api_key", "anthropic_api_key", "google_api_key", "api_key", "credentials")


def wire_for(model: BaseChatModel, options: Mapping[str, Any]) -> Wire:
    """The wire that `model` speaks in a call with these options: OpenAI models choose one of two by them."""
    wire = _family(model)
    if wire is Wire.OPENAI_CHAT and _uses_responses(model, options):
        return Wire.OPENAI_RESPONSES
    return wire


def _family(model: BaseChatModel) -> Wire:
    for cls in type(model).__mro__:
        wire = _FAMILIES.get(cls.__name__)
        if wire is not None:
            return wire
    return Wire.OTHER


def provider_of(model: BaseChatModel) -> str | None:
    """The provider's name as the core spells it ("openai", "anthropic", "google"), or as LangChain does."""
    if type(model)._get_ls_params is BaseChatModel._get_ls_params:
        return None  # LangChain would guess from the class's name
    name = _ls_params(model).get("ls_provider")
    return _PROVIDER_NAMES.get(name, name) if isinstance(name, str) else None


def model_name_of(model: BaseChatModel) -> str | None:
    name = _ls_params(model).get("ls_model_name")
    return name if isinstance(name, str) and name else None


def dialect_of(model: BaseChatModel) -> Dialect:
    """How `model` talks, and as whom."""
    wire = _family(model)
    profile = model.profile or {}
    return Dialect(
        wire=wire_for(model, {}),
        provider=_message_provider(model, wire),
        account=_account(model, wire),
        has_system_anywhere=wire is not Wire.ANTHROPIC or bool(profile.get("mid_conversation_system_messages")),
    )


def _ls_params(model: BaseChatModel) -> dict[str, Any]:
    try:
        return dict(model._get_ls_params())
    except Exception:  # a tracing hook of somebody else's class is no reason to refuse the model
        return {}


def _message_provider(model: BaseChatModel, wire: Wire) -> str | None:
    if wire is Wire.GOOGLE:
        return "google_genai"
    name = _ls_params(model).get("ls_provider")
    return "openai" if wire.is_openai and name == "azure" else name


def _uses_responses(model: BaseChatModel, options: Mapping[str, Any]) -> bool:
    fixed = getattr(model, "use_responses_api", None)
    if isinstance(fixed, bool):
        return fixed
    decide = getattr(model, "_use_responses_api", None)
    try:
        return bool(decide(dict(options))) if decide is not None else False
    except Exception:  # it is a private method: an unknown signature means the default wire
        return False


def _account(model: BaseChatModel, wire: Wire) -> str:
    """A digest, so that no key is kept outside of the model."""
    parts = [str(wire), str(_ls_params(model).get("ls_provider"))]
    for name in (*_ENDPOINT_FIELDS, *_KEY_FIELDS):
        value = getattr(model, name, None)
        if value is not None:
            reveal = getattr(value, "get_secret_value", None)
            parts.append(f"{name}={reveal() if reveal is not None else value}")
    return blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()
