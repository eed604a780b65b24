"""The `failover` command: its arguments, its exit statuses, and what it says when something is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from failover_core import cli
from failover_core.testing import ProviderServer, faults

KEY_VARIABLES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY")


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_without_arguments_it_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    said = capsys.readouterr().out
    assert "demo" in said and "doctor" in said


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("failover-kit ")


def test_the_command_itself_imports_no_framework_and_no_sdk() -> None:
    code = (
        "import sys; from failover_core.cli import main; main([]);"
        "print([m for m in ('rich', 'aiohttp', 'langchain_core', 'llama_index', 'openai') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_a_missing_package_is_named_with_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "_is_there", lambda module: module not in ("rich", "google.genai"))
    assert cli.main(["demo"]) == 2
    said = capsys.readouterr().err
    assert said == "failover demo needs rich, google-genai: pip install 'failover-kit[demo]'\n"


def test_a_module_inside_a_missing_package_is_missing() -> None:
    assert not cli._is_there("no_such_package.inside")
    assert cli._is_there("importlib.util")


@pytest.mark.parametrize("seconds", ["0", "-3", "1e9", "nan"])
def test_a_senseless_duration_is_refused(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["demo", "--seconds", seconds])
    assert stop.value.code == 2
    assert "between 1 and 3600" in capsys.readouterr().err


def test_ctrl_c_ends_it_with_a_word(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_demo", interrupted)
    assert cli.main(["demo"]) == 130
    assert "stopped" in capsys.readouterr().err


class TestDoctor:
    def test_says_what_is_wrong_with_a_spec(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["doctor", "openapi:gpt"]) == 2
        assert "'openapi:gpt' is not a native target" in capsys.readouterr().err

    def test_checks_the_targets(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        with ProviderServer() as server:
            monkeypatch.setenv("OPENAI_API_KEY", "sk-demo")
            monkeypatch.setenv("OPENAI_BASE_URL", server.openai_url)
            assert cli.main(["doctor", "openai:gpt-4o-mini"]) == 0
            assert "openai:gpt-4o-mini  ok" in capsys.readouterr().out


class TestLive:
    def test_without_a_key_it_says_which_ones_there_are(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["demo", "--live"]) == 2
        assert "OPENAI_API_KEY, ANTHROPIC_API_KEY or GOOGLE_API_KEY" in capsys.readouterr().err

    def test_figures_of_a_replay_and_real_providers_exclude_each_other(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["demo", "--live", "--json"]) == 2
        assert "--json" in capsys.readouterr().err

    def test_one_key_is_enough(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        with ProviderServer("Ask again.") as server:
            monkeypatch.setenv("OPENAI_API_KEY", "sk-demo")
            monkeypatch.setenv("OPENAI_BASE_URL", server.openai_url)
            assert cli.main(["demo", "--live"]) == 0
            assert {call.wire for call in server.log} == {"openai"}
        said = capsys.readouterr().out
        assert "no incident is injected" in said
        assert "nobody to fail over to" in said
        assert said.count("Ask again.") == said.count("openai:gpt-4o-mini 0.") == 4
        assert "sk-demo" not in said

    def test_who_answered_is_shown_when_the_first_provider_fails(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with ProviderServer("Yes.") as down, ProviderServer("Yes.") as up:
            down.always(faults.Status(401))
            monkeypatch.setenv("OPENAI_API_KEY", "sk-demo")
            monkeypatch.setenv("OPENAI_BASE_URL", down.openai_url)
            monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-demo")
            monkeypatch.setenv("ANTHROPIC_BASE_URL", up.anthropic_url)
            assert cli.main(["demo", "--live"]) == 0
        assert "auth 401 → anthropic:claude-haiku-4-5" in " ".join(capsys.readouterr().out.split())

    def test_unanswered_questions_are_told_and_give_status_1(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with ProviderServer() as server:
            server.always(faults.Status(401))
            monkeypatch.setenv("OPENAI_API_KEY", "sk-demo")
            monkeypatch.setenv("OPENAI_BASE_URL", server.openai_url)
            assert cli.main(["demo", "--live", "openai:gpt-4o-mini"]) == 1
        assert "No target answered" in capsys.readouterr().out
