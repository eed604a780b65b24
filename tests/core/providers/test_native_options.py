"""`Target.native`: specs, options, keys and addresses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from failover_core import ConfigError, Failover, Settings, Target
from failover_core.providers import ChatReader, NativeChat, parse_spec
from failover_core.testing import ProviderServer, faults
from native_targets import PROVIDERS
from native_targets import native as native_of
from recording_server import Recorded, recording_server


@pytest.mark.parametrize(
    ("spec", "parsed"),
    [
        ("openai:gpt-4o", ("openai", "gpt-4o")),
        ("OpenAI: gpt-4o", ("openai", "gpt-4o")),
        ("openai:llama3:8b", ("openai", "llama3:8b")),
        ("openai:org/model", ("openai", "org/model")),
        ("gemini:gemini-3-flash", ("google", "gemini-3-flash")),
        ("google_genai:gemini-3-flash", ("google", "gemini-3-flash")),
    ],
)
def test_specs(spec: str, parsed: tuple[str, str]) -> None:
    assert parse_spec(spec) == parsed


@pytest.mark.parametrize("spec", ["gpt-4o", "openai:", "mistral:large", ":x", "", None])
def test_other_strings_are_no_specs(spec: Any) -> None:
    with pytest.raises(ConfigError, match="'openai:gpt-4o-mini'"):
        parse_spec(spec)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_native_target(provider: str) -> None:
    target = Target.native(f"{provider}:m", name="n", region="eu", tags=["a"], weight=2.0, tier=1, lacks=["images"])
    assert (target.name, target.provider, target.model) == ("n", provider, "m")
    assert (target.region, target.tags, target.weight, target.tier) == ("eu", {"a"}, 2.0, 1)
    assert target.lacks == {"images"}
    assert isinstance(target.reader, ChatReader) and isinstance(target.source, NativeChat)
    assert target.resume is not None
    priced = Target.native(f"{provider}:m", input_usd_per_million=0.15, output_usd_per_million=0.6, max_concurrent=8)
    assert (priced.input_usd_per_million, priced.output_usd_per_million, priced.max_concurrent) == (0.15, 0.6, 8)
    assert Target.native(f"{provider}:m").name == f"{provider}:m"


def test_what_a_model_is_known_not_to_do() -> None:
    assert Target.native("openai:gpt-4o").lacks == {"file_urls"}
    assert Target.native("openai:o3").lacks == {"file_urls", "stop"}
    assert Target.native("openai:o3-at-home", base_url="http://127.0.0.1:1").lacks == {"file_urls"}
    assert Target.native("anthropic:claude-opus-5-5").lacks == {"forced_tool"}
    assert Target.native("anthropic:claude-opus-4-5").lacks == set()
    assert Target.native("google:gemini-2.5-pro").lacks == {"tools_with_json_schema"}
    assert Target.native("google:gemini-3-flash").lacks == set()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"base_ulr": "x"}, "did you mean base_url="),
        ({"quantum": 1}, "client_options="),
        ({"defaults": {"temprature": 1}}, "not a field of ChatRequest"),
        ({"client_options": {"timeout": 1}}, "timeout_s="),
        ({"timeout_s": 0}, "above 0"),
    ],
)
def test_mistaken_options_are_explained(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Target.native("openai:gpt-4o", **options)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_missing_sdk_names_the_extra(provider: str) -> None:
    module = {"openai": "openai", "anthropic": "anthropic", "google": "google.genai"}[provider]
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from failover_core import Target\n"
        f"try: Target.native('{provider}:m')\n"
        "except ImportError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert f"pip install 'failover-kit[{provider}]'" in said


def test_nothing_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, failover_core, failover_core.providers\n"
        "print([m for m in ('openai', 'anthropic', 'google.genai', 'httpx', 'httpx2') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"


VARIABLES = {
    "openai": ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
    "google": ("GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"),
}


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    with recording_server() as recorded:
        yield recorded


def ask(target: Target) -> None:
    assert target.call("hi").text == "hi"
    target.source.close()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_keys_and_addresses_from_the_environment(
    recorded: Recorded, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Target.native(f"{provider}:m")
    key, address = VARIABLES[provider]
    monkeypatch.setenv(key, "from-the-environment")  # read at the first call
    monkeypatch.setenv(address, recorded.url)
    ask(target)
    assert recorded.keys == ["from-the-environment"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_key_that_is_given_goes_first(recorded: Recorded, provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLES[provider][0], "from-the-environment")
    ask(Target.native(f"{provider}:m", api_key="given", base_url=recorded.url))
    assert recorded.keys == ["given"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_server_of_one_s_own_wants_no_key(recorded: Recorded, provider: str) -> None:
    ask(Target.native(f"{provider}:m", base_url=recorded.url))
    assert recorded.keys == ["not-needed"]


def test_options_of_the_sdk_s_client_reach_it(server: ProviderServer) -> None:
    options = {"default_headers": {"x-team": "blue"}}
    for provider, url in (("openai", server.openai_url), ("anthropic", server.anthropic_url)):
        Target.native(f"{provider}:m", base_url=url, client_options=options).call("hi")
        assert server.log[-1].headers["x-team"] == "blue"
    options = {"http_options": {"headers": {"x-team": "blue"}}}
    Target.native("google:m", base_url=server.gemini_url, client_options=options).call("hi")
    assert server.log[-1].headers["x-team"] == "blue"


# --- with the whole engine -------------------------------------------------------------------------------------------


def test_a_target_without_a_key_leaves_the_others_to_answer(server: ProviderServer) -> None:
    failover = Failover(["openai:gpt-4o", "google:gemini-3-flash", native_of("anthropic", server)])
    outcome = failover.run("hi")
    assert outcome.value.provider == "anthropic"
    assert [attempt.kind for attempt in outcome.trace.attempts] == ["auth", "auth", None]


@pytest.mark.parametrize("ends", PROVIDERS)
@pytest.mark.parametrize("begins", PROVIDERS)
def test_a_stream_that_breaks_is_resumed_by_another_provider(begins: str, ends: str) -> None:
    with ProviderServer() as broken, ProviderServer() as healthy:
        whole = native_of(begins, healthy).call("Tell me about failover.").text
        broken.always(faults.Cut(10))
        targets = [native_of(begins, broken, name="broken"), native_of(ends, healthy, name="healthy")]
        stream = Failover(targets, Settings(hold_back_tokens=2, hold_back_s=0.0)).stream("Tell me about failover.")
        chunks = list(stream)
        assert "".join(chunk.text for chunk in chunks) == whole
        assert chunks[-1].finish_reason or any(chunk.finish_reason for chunk in chunks)
        assert [seam.resumed for seam in stream.trace.seams] == ["healthy"]
        last = healthy.log[-1]
        assert last.status == 200
