"""LangChain's own unit suite for `ChatFailover`, over wrapped models and over native targets."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_failover import ChatFailover
from lc_targets import NATIVE, WRAPPED, make

pytestmark = pytest.mark.filterwarnings("ignore")


@cache
def _targets(kinds: tuple[str, ...]) -> list[Any]:
    nowhere = "http://127.0.0.1:9"
    server = SimpleNamespace(openai_url=nowhere, anthropic_url=nowhere, gemini_url=nowhere)  # nothing is ever sent
    return [make(kind, server) for kind in kinds]


class Suite(ChatModelUnitTests):
    kinds: tuple[str, ...]

    @property
    def chat_model_class(self) -> type[ChatFailover]:
        return ChatFailover

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"targets": _targets(self.kinds)}

    @property
    def supports_json_mode(self) -> bool:
        return True


class TestWrapped(Suite):
    kinds = WRAPPED


class TestNative(Suite):
    kinds = NATIVE
