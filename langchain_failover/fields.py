"""What the fields of `ChatFailover` hold, for type checkers.

Pydantic is told "anything": `assembly` checks them, and its errors say what to write instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Literal, TypeAlias

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables.base import RunnableBindingBase

    from failover_core import Failover, Settings, Target
    from failover_core.policy.ranking import Policy

    PlainFunction: TypeAlias = Callable[[list[BaseMessage]], Any]
    GivenTarget: TypeAlias = BaseChatModel | RunnableBindingBase[Any, Any] | Target | str | PlainFunction
    GivenTargets: TypeAlias = Sequence[GivenTarget]
    GivenSettings: TypeAlias = Settings
    GivenPolicy: TypeAlias = str | Policy
    GivenFailover: TypeAlias = Failover
    Fit: TypeAlias = Literal["skip", "trim"]
    Trim: TypeAlias = Mapping[str, Any] | Callable[[list[BaseMessage], int], list[BaseMessage]] | None
else:
    GivenTargets = GivenSettings = GivenPolicy = GivenFailover = Fit = Trim = Any
