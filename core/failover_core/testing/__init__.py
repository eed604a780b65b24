"""Tools for tests of code that uses Failover Kit, and for the demo.

`ProviderServer` is a provider on loopback that speaks the real wires and fails on command; it needs the extra
`failover-kit[testing]`. Everything is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import faults
    from .answers import Answer, Ask, Tool, ToolCall, Turn, default_script
    from .behaviour import Behaviour
    from .calls import Call
    from .faults import PRESETS, Fault
    from .server import ProviderServer

_HOME = {
    "Answer": "answers",
    "Ask": "answers",
    "Behaviour": "behaviour",
    "Call": "calls",
    "Fault": "faults",
    "PRESETS": "faults",
    "ProviderServer": "server",
    "Tool": "answers",
    "ToolCall": "answers",
    "Turn": "answers",
    "default_script": "answers",
}

__all__ = [
    "PRESETS",
    "Answer",
    "Ask",
    "Behaviour",
    "Call",
    "Fault",
    "ProviderServer",
    "Tool",
    "ToolCall",
    "Turn",
    "default_script",
    "faults",
]


def __getattr__(name: str) -> Any:
    if name == "faults":
        return import_module(".faults", __name__)
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
