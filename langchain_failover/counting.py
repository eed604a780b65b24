"""Token counts of a `ChatFailover`: by the first of its models that counts by itself, else an estimate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage

from .fit import estimated_tokens
from .tracing import TracingChatModel

T = TypeVar("T")

_IDS = ("get_token_ids",)
_TEXT = ("get_num_tokens", *_IDS)
_MESSAGES = ("get_num_tokens_from_messages", *_TEXT)
"""Methods of LangChain's base class, of which each calls the next: the first that was overridden counts."""
_INHERITED = frozenset(getattr(BaseChatModel, way) for way in _MESSAGES)
_ASKING_THE_PROVIDER = ("langchain_anthropic", "langchain_google", "langchain_aws", "langchain_cohere")


class CountingChatModel(TracingChatModel):
    """A chat model that leaves counting to the models inside of it, unless it was given `custom_get_token_ids`."""

    def _models(self) -> Sequence[BaseChatModel]:
        raise NotImplementedError

    def get_token_ids(self, text: str) -> list[int]:
        ids = self._counted(_IDS, lambda model: model.get_token_ids(text))
        return super().get_token_ids(text) if ids is None else ids

    def get_num_tokens(self, text: str) -> int:
        count = self._counted(_TEXT, lambda model: model.get_num_tokens(text))
        return -(-len(text) // 4) if count is None else count

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        given = {} if tools is None else {"tools": tools}
        count = self._counted(_MESSAGES, lambda model: model.get_num_tokens_from_messages(messages, **given))
        return estimated_tokens(messages, tools) if count is None else count

    def _counted(self, ways: Sequence[str], count: Callable[[Any], T]) -> T | None:
        if self.custom_get_token_ids is not None:
            return count(super())
        for model in self._models():
            if _counts(model, ways):
                try:
                    return count(model)
                except Exception:  # its tokenizer may have to be downloaded
                    continue
        return None


def _counts(model: BaseChatModel, ways: Sequence[str]) -> bool:
    """Does its class count by itself? The inherited counter would load GPT-2's tokenizer, and one that asks the
    provider would hang in an outage.
    """
    methods = (getattr(type(model), way) for way in ways)
    own = next((method for method in methods if method not in _INHERITED), None)
    if own is None:
        return model.custom_get_token_ids is not None
    return not own.__module__.startswith(_ASKING_THE_PROVIDER)
