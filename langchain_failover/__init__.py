"""Failover for LangChain: `ChatFailover` goes wherever a chat model goes."""

try:
    import langchain_core  # noqa: F401
except ImportError as error:
    raise ImportError("langchain_failover needs langchain-core: pip install 'failover-kit[langchain]'") from error

from .chat_model import ChatFailover
from .targets import wrap

__all__ = ["ChatFailover", "wrap"]
