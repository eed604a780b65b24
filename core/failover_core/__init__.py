"""Failover Kit's core: policies and health tracking for calls to LLMs, with no framework and no dependency.

`failover_core.Failover` is the front; `langchain_failover.ChatFailover` and `llamaindex_failover.FailoverLLM` plug it
in where a chat model goes.
"""

from .classify import classify
from .client import Failover, Outcome
from .failure import (
    AllTargetsFailed,
    ConfigError,
    DeadlineExceeded,
    ErrorReport,
    FailoverError,
    Failure,
    FailureKind,
    NoTargetAvailable,
    OutputRejected,
    RequestRejected,
    StreamInterrupted,
)
from .health.state import TargetHealth
from .model import RequestInfo, Target
from .settings import Settings
from .trace import Attempt, RouteTrace, StreamRestarted, Verdict

__version__ = "0.1.0"

__all__ = [
    "AllTargetsFailed",
    "Attempt",
    "ConfigError",
    "DeadlineExceeded",
    "ErrorReport",
    "Failover",
    "FailoverError",
    "Failure",
    "FailureKind",
    "NoTargetAvailable",
    "Outcome",
    "OutputRejected",
    "RequestInfo",
    "RequestRejected",
    "RouteTrace",
    "Settings",
    "StreamInterrupted",
    "StreamRestarted",
    "Target",
    "TargetHealth",
    "Verdict",
    "classify",
]
