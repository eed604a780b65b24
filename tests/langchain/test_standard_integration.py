"""LangChain's own integration suite for `ChatFailover`: a dead first target, and each provider second."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests

from failover_core import Settings
from failover_core.testing import Ask, ProviderServer, default_script
from langchain_failover import ChatFailover
from lc_targets import make

pytestmark = pytest.mark.filterwarnings("ignore")
_PIXEL = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
_servers: dict[str, ProviderServer] = {}


def answer(ask: Ask) -> Any:
    """In JSON mode no schema travels with the request: what is wanted stands in the question."""
    if "Return the result as a JSON with 'setup'" in ask.question and not ask.schema:
        return '{"setup": "Why do cats purr?", "punchline": "They are idling."}'
    return default_script(ask)


@pytest.fixture(autouse=True)
def no_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The media tests fetch their samples."""
    monkeypatch.setattr(httpx, "get", lambda url, **_: httpx.Response(200, content=_PIXEL))


@pytest.fixture(autouse=True, scope="module")
def servers() -> Iterator[None]:
    with ProviderServer() as dead, ProviderServer(answer) as alive:
        dead.refuse()
        _servers.update(dead=dead, alive=alive)
        yield
        _servers.clear()


class Suite(ChatModelIntegrationTests):
    kind: str

    @property
    def chat_model_class(self) -> type[ChatFailover]:
        return ChatFailover

    @property
    def chat_model_params(self) -> dict[str, Any]:
        dead = make("anthropic" if self.kind.startswith("openai") else "openai", _servers["dead"])
        return {"targets": [dead, make(self.kind, _servers["alive"])], "settings": Settings(backoff_s=0.01)}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        return self.kind == "google"

    @property
    def supports_pdf_tool_message(self) -> bool:
        return self.kind == "anthropic"

    @property
    def supports_anthropic_inputs(self) -> bool:
        return self.kind == "anthropic"

    @property
    def supports_model_override(self) -> bool:
        return not self.kind.startswith("google")

    @property
    def model_override_value(self) -> str | None:
        return {"openai": "gpt-4.1-mini", "anthropic": "claude-opus-4-6"}.get(self.kind.strip(":"))


class TestOpenAI(Suite):
    kind = "openai"


class TestAnthropic(Suite):
    kind = "anthropic"


class TestGoogle(Suite):
    kind = "google"


class TestNativeOpenAI(Suite):
    kind = "openai:"


class TestNativeAnthropic(Suite):
    kind = "anthropic:"


class TestNativeGoogle(Suite):
    kind = "google:"
