"""Failover for LangChain: `ChatFailover` goes wherever a chat model goes.

What is exported loads when it is first used, so that the import costs a program nothing before that.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    import langchain_core  # noqa: F401
except ImportError as error:
    raise ImportError("langchain_failover needs langchain-core: pip install 'failover-kit[langchain]'") from error

if TYPE_CHECKING:
    from .chat_model import ChatFailover
    from .targets import wrap

__all__ = ["ChatFailover", "wrap"]

_HOMES = {"ChatFailover": ".chat_model", "wrap": ".targets"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name], __name__), name)
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
