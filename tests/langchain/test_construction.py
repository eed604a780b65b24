"""What can be a target, what it is called, and what is refused at construction."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import ConfigurableField, RunnableLambda

from failover_core import ConfigError, Failover, Settings, Target
from failover_core.testing import ProviderServer
from langchain_failover import ChatFailover, wrap
from lc_targets import KEY, FakeModel, down, make


def names(*targets: Any) -> list[str]:
    return [target.name for target in ChatFailover(targets=list(targets)).failover.targets]


def test_names_are_derived_and_made_unique(first: ProviderServer) -> None:
    model = make("openai", first)

    assert names(model, model.bind(temperature=0), make("anthropic", first), make("openai:", first), FakeModel()) == [
        "ChatOpenAI:gpt-4o-mini",
        "ChatOpenAI:gpt-4o-mini#2",
        "ChatAnthropic:claude-sonnet-4-6",
        "openai:gpt-4o-mini",
        "FakeModel",
    ]


def test_a_derived_name_makes_way_for_an_explicit_one() -> None:
    assert names(FakeModel(), wrap(FakeModel(), name="FakeModel")) == ["FakeModel#2", "FakeModel"]


def test_facts_of_a_target(first: ProviderServer) -> None:
    target = wrap(make("google", first), name="eu", region="europe-west1", tier=2, tags={"cheap"}, weight=3.0)

    assert (target.name, target.region, target.tier, target.tags, target.weight) == (
        "eu", "europe-west1", 2, frozenset({"cheap"}), 3.0)  # fmt: skip
    assert (target.provider, target.model) == ("google", "gemini-2.5-flash")
    assert target.context_window_tokens is not None and target.context_window_tokens > 1_000_000


def answers_with(value: Any) -> Any:
    def answer(messages: list[BaseMessage]) -> Any:
        return value

    return answer


@pytest.mark.parametrize(
    "value",
    ["plain", AIMessage("plain"), ChatResult(generations=[ChatGeneration(message=AIMessage("plain"))])],
    ids=["str", "message", "result"],
)
async def test_callables_get_the_messages_and_answer_in_any_form(value: Any) -> None:
    seen: list[Any] = []

    async def later(messages: list[BaseMessage]) -> Any:
        return value

    def now(messages: list[BaseMessage]) -> Any:
        seen.append(messages)
        return value

    for llm in (ChatFailover(targets=[now]), ChatFailover(targets=[Target("t", call=now, acall=later)])):
        assert llm.invoke("hi").content == "plain"
        assert (await llm.ainvoke("hi")).content == "plain"
        assert "".join(chunk.text for chunk in llm.stream("hi")) == "plain"
        assert "".join([chunk.text async for chunk in llm.astream("hi")]) == "plain"
    assert [message.content for message in seen[0]] == ["hi"]


async def test_a_target_serves_only_the_styles_it_can() -> None:
    async def only_async(messages: list[BaseMessage]) -> str:
        return "async"

    llm = ChatFailover(targets=[Target("a", acall=only_async), Target("s", call=answers_with("sync"))])

    assert llm.invoke("hi").content == "sync"
    assert (await llm.ainvoke("hi")).content == "async"


def test_other_prefixes_go_to_init_chat_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langchain.chat_models.init_chat_model", lambda spec: FakeModel(spec))

    llm = ChatFailover(targets=["bedrock_converse:claude"])

    assert llm.failover.targets[0].name == "bedrock_converse:claude"
    assert llm.invoke("hi").content == "bedrock_converse:claude"


def test_without_langchain_a_strange_prefix_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain.chat_models", None)

    refused("write one of 'openai:MODEL', 'anthropic:MODEL', 'google:MODEL'", targets=["groq:llama"])


def refused(match: str, **options: Any) -> None:
    with pytest.raises(ConfigError, match=match):
        ChatFailover(**options)


def test_what_is_refused() -> None:
    one = Target("one", call=answers_with("1"))

    refused("There are no targets", targets=[])
    refused("There are no targets")
    refused("pass a list", targets="openai:gpt-4o")
    refused("Two targets are called 'one'", targets=[one, one])
    refused("int is not a chat model", targets=[42])
    refused("is not a chat model", targets=[FakeModel() | (lambda message: message)])
    refused("nonsense", targets=["nonsense:model"])
    refused("pass Settings", targets=[one], settings={"deadline_s": 1})
    refused("does not exist", targets=[one], policy="random")
    refused("write settings=Settings\\(deadline_s=...\\)", targets=[one], deadline_s=3)
    refused("did you mean targets=", target=[one])
    refused("'skip'", targets=[one], fit="shrink")
    refused("trim=", targets=[one], fit="trim", trim=3)
    refused("pass the .failover", targets=[one], failover=ChatFailover(targets=[one]))
    with pytest.raises(ConfigError, match="no such fact"):
        wrap(FakeModel(), nmae="x")
    with pytest.raises(ConfigError, match="answer_s"):
        ChatFailover(targets=[one], settings=Settings(answer_s=-1))


def test_a_failover_cannot_be_its_own_target() -> None:
    inner = ChatFailover(targets=[FakeModel("inner")])
    outer = ChatFailover(targets=[inner, FakeModel()])

    assert outer.invoke("hi").content == "inner"
    refused("is this failover itself", targets=[inner, FakeModel()], failover=inner.failover)
    refused("is this failover itself", targets=[outer.bind(temperature=0)], failover=inner.failover)


def test_a_shared_failover_brings_targets_and_settings() -> None:
    settings = Settings(max_attempts=2)
    first = ChatFailover(targets=[FakeModel("a")], settings=settings)

    second = ChatFailover(failover=first.failover, temperature=0.5)

    assert second.failover is first.failover
    assert second.settings is settings
    assert second.invoke("hi").content == "a"


def test_a_shared_failover_brings_its_policy() -> None:
    """Also to copies that LangChain makes from the fields, and to conversations, which stay where they are."""
    first = ChatFailover(targets=[FakeModel("a"), FakeModel("b")], policy="weighted")
    second = ChatFailover(failover=first.failover)
    fields = second.configurable_fields(temperature=ConfigurableField("t"))
    copy, _ = fields.prepare({"configurable": {"t": 0.1}})  # type: ignore[attr-defined]
    core = ChatFailover(failover=Failover([wrap(FakeModel("a"))], policy="weighted"))
    node = RunnableLambda(lambda question: second.invoke(question).text)

    assert (second.policy, copy.policy, core.policy) == ("weighted",) * 3
    assert second.failover is first.failover and copy.failover is first.failover
    assert len({node.invoke("hi", {"configurable": {"thread_id": "7"}}) for _ in range(30)}) == 1
    assert ChatFailover(failover=first.failover, policy="priority").failover is not first.failover


def test_health_is_shared_by_name_between_chains() -> None:
    down_here, down_there = FakeModel(down()), FakeModel(down())
    first = ChatFailover(targets=[wrap(down_here, name="x"), wrap(FakeModel("1"), name="y")])
    second = ChatFailover(
        targets=[wrap(down_there, name="x"), wrap(FakeModel("2"), name="z")],
        failover=first.failover,
        settings=Settings(max_attempts=3),
    )
    heard: list[Any] = []
    first.failover.subscribe(heard.append)

    for _ in range(5):
        assert first.invoke("hi").text == "1"
    assert second.invoke("hi").text == "2"

    assert not down_there.calls, "the second chain had to learn for itself"
    assert second.failover.health()["x"].state == "open"
    assert second.settings.max_attempts == 3 and first.settings.max_attempts == 4
    assert any(getattr(event, "attempt", None) and event.attempt.target.name == "z" for event in heard)


def test_health_is_shared_with_a_failover_of_the_core(first: ProviderServer) -> None:
    core = Failover([make("openai:", first), Target("mine", call=answers_with("from a callable"))])
    llm = ChatFailover(failover=core)
    first.refuse()

    for _ in range(5):
        assert llm.invoke("hi").text == "from a callable"
    first.accept()

    assert [target.name for target in llm.failover.targets] == [target.name for target in core.targets]
    assert core.health()["openai:gpt-4o-mini"].state == "open"


def test_no_secret_is_shown(first: ProviderServer) -> None:
    llm = ChatFailover(targets=[make(kind, first) for kind in ("openai", "anthropic", "google", "openai:")])

    shown = f"{llm!r} {llm} {llm.asdict()} {llm._get_llm_string()} {llm.model_dump()} {llm._serialized}"

    assert KEY not in shown


def test_without_langchain_core_the_extra_is_named() -> None:
    code = "import sys; sys.modules['langchain_core'] = None\nimport langchain_failover"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "pip install 'failover-kit[langchain]'" in ran.stderr


def test_the_import_pulls_in_no_sdk() -> None:
    code = (
        "import sys\nfrom langchain_failover import ChatFailover\n"
        "print([m for m in ('openai', 'anthropic', 'google.genai', 'langchain', "
        "'failover_core.providers', 'aiohttp') if m in sys.modules])"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"
