"""Every Python block of the README runs, in order, on real sockets, while the first provider is down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sybil import Document
from sybil.parsers.markdown import PythonCodeBlockParser

from failover_core.model import TARGET_FACTS
from failover_core.policy.ranking import POLICIES
from failover_core.settings import SETTING_NAMES
from failover_core.testing import ProviderServer

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture
def providers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ProviderServer]]:
    """Three providers where the SDKs look for them; the first one refuses connections."""
    with ProviderServer() as openai, ProviderServer() as anthropic, ProviderServer() as google:
        for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
            monkeypatch.setenv(name, openai.openai_url)
        for name in ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_URL"):
            monkeypatch.setenv(name, anthropic.anthropic_url)
        for name in ("GOOGLE_GEMINI_BASE_URL", "GEMINI_BASE_URL"):
            monkeypatch.setenv(name, google.gemini_url)
        for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY"):
            monkeypatch.setenv(name, "test")
        openai.refuse()
        yield [openai, anthropic, google]


def test_everything_that_can_be_set_is_explained() -> None:
    text = README.read_text(encoding="utf-8")
    assert [name for name in sorted(SETTING_NAMES | TARGET_FACTS) if f"`{name}`" not in text] == []
    assert [name for name in POLICIES if f'`"{name}"`' not in text] == []


def test_every_example_of_the_readme_runs(providers: list[ProviderServer], capsys: pytest.CaptureFixture[str]) -> None:
    document = Document.parse(str(README), PythonCodeBlockParser())
    examples = list(document.examples())
    assert len(examples) >= 4
    for example in examples:
        example.evaluate()
    assert "switched: True" in capsys.readouterr().out
    assert providers[1].calls > 0
