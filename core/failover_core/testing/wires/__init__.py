"""The three wires that the provider server speaks: one module for the shapes, one beside it for what is refused."""

from __future__ import annotations

from .anthropic import AnthropicWire
from .base import Incoming, Problem, Quota, Rejected, Route, Wire
from .gemini import GeminiWire
from .openai import OpenAIWire

__all__ = ["AnthropicWire", "GeminiWire", "Incoming", "OpenAIWire", "Problem", "Quota", "Rejected", "Route", "Wire"]
