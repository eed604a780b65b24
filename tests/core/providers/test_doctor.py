"""`failover doctor`: one line a target, a status for scripts, and never a key."""

from __future__ import annotations

import io
import socket
from typing import Any

import pytest

from failover_core import Target
from failover_core.cli.doctor import run_doctor
from failover_core.testing import ProviderServer
from native_targets import ALIVE, PROVIDERS

SECRET = "sk-very-secret-0123456789abcdef0123456789"


def examined(*targets: Target) -> tuple[int, list[str]]:
    ALIVE.extend(targets)
    out = io.StringIO()
    status = run_doctor(targets, out, timeout_s=2.0)
    assert SECRET not in out.getvalue()
    return status, out.getvalue().splitlines()


def native(provider: str, address: str, model: str, **options: Any) -> Target:
    if provider == "google":  # the list of models is told apart from OpenAI's by its path
        options["client_options"] = {"http_options": {"api_version": "v1beta"}}
    return Target.native(
        f"{provider}:{model}", base_url=address + ("/v1" if provider == "openai" else ""), api_key=SECRET, **options
    )


def test_targets_that_work() -> None:
    with ProviderServer(models=["a-model", "claude-haiku-4-5-20251001"]) as server:
        status, lines = examined(
            *(native(provider, server.base_url, "a-model") for provider in PROVIDERS),
            native("anthropic", server.base_url, "claude-haiku-4-5"),  # an alias of a dated name
        )
    assert status == 0
    assert len(lines) == 4
    assert all("  ok    " in line and "2 models" in line for line in lines)
    assert lines[0].startswith("openai:a-model ")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_model_that_is_not_on_offer(provider: str) -> None:
    with ProviderServer(models=["a-model-mini"]) as server:
        status, lines = examined(native(provider, server.base_url, "a-model"))
    assert status == 1
    assert "  FAIL  model_not_found: " in lines[0] and "'a-model'" in lines[0]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_missing_key(provider: str) -> None:
    status, lines = examined(Target.native(f"{provider}:m"))
    assert status == 1
    assert f"  FAIL  auth: no API key for {provider}:m: set " in lines[0]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_server_that_is_not_there(provider: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but nobody listens
        status, lines = examined(native(provider, f"http://127.0.0.1:{unused.getsockname()[1]}", "m"))
    assert status == 1
    assert "  FAIL  connection: " in lines[0] and lines[0].endswith("(check the network and base_url)")


def test_the_others_are_not_called(capsys: pytest.CaptureFixture[str]) -> None:
    def never(request: Any) -> str:
        raise AssertionError("doctor must not spend anything")

    status, lines = examined(Target("mine", call=never))
    assert (status, lines) == (0, ["mine  --    not checked: only native targets such as 'openai:MODEL' can be"])


def test_no_targets() -> None:
    assert examined() == (1, ["no targets to check"])


def test_a_key_inside_an_error_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target.native("openai:m", api_key=SECRET)

    def fails(timeout_s: float) -> list[str]:
        raise RuntimeError(f"Incorrect API key provided: {SECRET}")

    monkeypatch.setattr(target.source, "list_models", fails)
    status, lines = examined(target)  # asserts that it is not there
    assert status == 1 and "Incorrect API key" in lines[0]
