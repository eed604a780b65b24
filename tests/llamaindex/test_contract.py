"""The contract of a LlamaIndex LLM, on fakes in process: what is handed to targets, what is said of them, what is
raised.
"""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole, TextBlock, ToolCallBlock
from llama_index.core.llms import LLM, MockLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.tools import FunctionTool

from failover_core import (
    AllTargetsFailed,
    ConfigError,
    FailoverError,
    FailureKind,
    NoTargetAvailable,
    RequestRejected,
    Settings,
    StreamInterrupted,
    Target,
)
from failover_core.testing import ProviderServer
from llamaindex_failover import FailoverLLM, wrap
from llamaindex_targets import SECRET, Down, FakeLLM, Shop, answer

QUICK = Settings(backoff_s=0.0)
HELLO = [ChatMessage("hello")]


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


ADD = FunctionTool.from_defaults(add)


def dead(**options: Any) -> FakeLLM:
    return FakeLLM(says=Down("503 Service Unavailable"), **options)


# -- what is handed to targets ------------------------------------------------------------------------------------


class Vandal(FakeLLM):
    """Changes everything it is given, as the official classes do in places, and fails."""

    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        messages[0].blocks[0].text = "changed"
        messages[0].blocks.append(TextBlock(text="more"))
        messages[0].additional_kwargs["cache_control"] = {"type": "ephemeral"}
        messages.append(ChatMessage("more"))
        for value in kwargs.values():
            if isinstance(value, dict):
                value["response_format"] = "json"
        raise Down("503 Service Unavailable")

    def chat_with_tools(self, tools: Any, user_msg: Any = None, chat_history: Any = None, **kwargs: Any) -> Any:
        tools.clear()
        return self.chat(chat_history, **kwargs)


def test_no_target_can_change_what_the_caller_or_the_next_target_holds() -> None:
    honest = FakeLLM(says="fine")
    llm = FailoverLLM([Vandal(), honest], settings=QUICK)
    messages = [ChatMessage("hello", additional_kwargs={"nested": {"key": "value"}})]
    before = copy.deepcopy(messages)
    options = {"extra_body": {"user": "u"}}

    llm.chat(messages, extra=options)
    assert before == messages
    assert options == {"extra_body": {"user": "u"}}
    ((_, seen, kwargs),) = honest.seen
    assert before == seen
    assert {"extra": options} == kwargs

    tools = [ADD]
    llm.chat_with_tools(tools, chat_history=messages)
    assert before == messages
    assert tools == [ADD]
    assert before == honest.seen[-1][1]


def test_each_target_gets_the_raw_tool_request_and_prepares_it_itself() -> None:
    prepared: list[tuple[str, dict[str, Any]]] = []

    class Preparing(FakeLLM):
        def _prepare_chat_with_tools(self, tools: Any, **kwargs: Any) -> Any:
            prepared.append((self.name, {"tools": tools, **kwargs}))
            return {"messages": [*kwargs["chat_history"], ChatMessage(kwargs["user_msg"])], "tools": self.name}

    first = Preparing(name="first", says=Down("503 Service Unavailable"))
    second = Preparing(name="second")
    llm = FailoverLLM([first, second], settings=Settings(same_target_retries=0))
    llm.chat_with_tools([ADD], user_msg="add 1 and 2", chat_history=HELLO, allow_parallel_tool_calls=True, seed=7)
    assert [name for name, _ in prepared] == ["first", "second"]
    for _, said in prepared:
        assert said["tools"] == [ADD]
        assert said["user_msg"] == "add 1 and 2"
        assert said["chat_history"] == HELLO
        assert said["allow_parallel_tool_calls"]
        assert said["seed"] == 7
    assert second.seen[0][2] == {"tools": "second"}, "what the first had prepared must not reach the second"


def test_a_tool_call_is_read_by_the_target_that_made_it() -> None:
    class Odd(FakeLLM):
        """Keeps its calls where nobody else looks."""

        def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
            response = answer("")
            response.message.additional_kwargs["tool_calls"] = [("add", {"a": 1, "b": 2})]
            return response

        def get_tool_calls_from_response(self, response: Any, error_on_no_tool_call: bool = True, **kwargs: Any) -> Any:
            return [name for name, _ in response.message.additional_kwargs["tool_calls"]]

    class Blocks(FakeLLM):
        def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
            call = ToolCallBlock(tool_call_id="1", tool_name="add", tool_kwargs='{"a": 1, "b": 2}')
            return ChatResponse(message=ChatMessage(role="assistant", blocks=[call]))

    odd = FailoverLLM([dead(), Odd()], settings=QUICK)
    assert odd.get_tool_calls_from_response(odd.chat_with_tools([ADD], user_msg="add")) == ["add"]

    plain = FailoverLLM([Odd(says=Down("503")), Blocks()], settings=QUICK)
    response = FailoverLLM([Blocks()]).chat_with_tools([ADD], user_msg="add")
    (call,) = plain.get_tool_calls_from_response(ChatResponse(message=response.message))
    assert (call.tool_id, call.tool_name, call.tool_kwargs) == ("1", "add", {"a": 1, "b": 2})


def test_reading_tool_calls_never_raises_for_targets_that_cannot_call_tools() -> None:
    llm = FailoverLLM([MockLLM(max_tokens=3)])
    response = llm.chat(HELLO)
    assert llm.get_tool_calls_from_response(response, error_on_no_tool_call=False) == []
    with pytest.raises(ValueError, match="tool call"):
        llm.get_tool_calls_from_response(response)


def test_prompt_settings_of_a_target_work_on_the_whole() -> None:
    llm = FailoverLLM([FakeLLM(says="fine", system_prompt="Be brief."), FakeLLM()])
    assert llm.system_prompt == "Be brief."
    own = FailoverLLM([FakeLLM(system_prompt="Be brief.")], system_prompt="Be long.")
    assert own.system_prompt == "Be long."


# -- what is said of the targets ----------------------------------------------------------------------------------


def test_metadata_hold_for_every_target_and_never_change() -> None:
    small = FakeLLM(name="small", window=8_000, outputs=1_000)
    large = FakeLLM(name="large", window=100_000, outputs=-1, says=Down("503"))
    llm = FailoverLLM([large, small], settings=QUICK)
    metadata = llm.metadata
    assert metadata.context_window == 8_000
    assert metadata.num_output == 1_000
    assert metadata.is_chat_model
    assert metadata.is_function_calling_model
    assert metadata.system_role == MessageRole.SYSTEM
    llm.chat(HELLO)
    assert metadata == llm.metadata

    assert not FailoverLLM([small, FakeLLM(function_calling=False)]).metadata.is_function_calling_model
    assert FailoverLLM([FakeLLM(outputs=-1), FakeLLM(outputs=100)]).metadata.num_output == -1


def test_metadata_of_one_target_are_its_own() -> None:
    for llm in (MockLLM(), FakeLLM(name="x", window=5_000)):
        assert llm.metadata == FailoverLLM([llm]).metadata


def test_it_is_the_llm_that_frameworks_look_for() -> None:
    llm = FailoverLLM([FakeLLM()])
    assert isinstance(llm, LLM)
    assert isinstance(llm, FunctionCallingLLM)


@pytest.mark.parametrize("endpoint", ["complete", "stream_complete"])
def test_a_completion_without_a_prompt_is_a_value_error(endpoint: str) -> None:
    with pytest.raises(ValueError, match="prompt"):
        getattr(FailoverLLM([FakeLLM()]), endpoint)()


def test_health_and_trace_are_at_hand() -> None:
    llm = FailoverLLM([dead(name="a"), FakeLLM(name="b")], settings=QUICK)
    trace = llm.chat(HELLO).additional_kwargs["failover"]
    assert trace["switched"]
    assert trace["target"] == "FakeLLM#2"
    assert [trace["attempts"][0]["kind"], trace["attempts"][-1]["kind"]] == ["overloaded", None]
    assert {"FakeLLM", "FakeLLM#2"} == set(llm.failover.health())
    assert llm.failover.health()["FakeLLM"].failed


def test_a_failover_can_be_shared() -> None:
    one = FailoverLLM([dead(), FakeLLM()], settings=QUICK)
    two = FailoverLLM(failover=one.failover, system_prompt="Be brief.")
    one.chat(HELLO)
    assert two.failover is one.failover
    assert two.chat(HELLO).message.content == "fake"


def test_what_a_shared_failover_does_is_told_and_kept() -> None:
    rules = Settings(deadline_s=7.0)
    one = FailoverLLM([FakeLLM(), FakeLLM()], settings=rules, policy="weighted")
    for two in (FailoverLLM(failover=one.failover), FailoverLLM([FakeLLM(), FakeLLM()], failover=one.failover)):
        for twin in (two, FailoverLLM.from_dict(two.to_dict()), pickle.loads(pickle.dumps(two))):
            assert twin.settings == rules == twin.failover.settings
            assert twin.policy == "weighted" == twin.failover.policy
    assert FailoverLLM(failover=one.failover, policy="priority").failover.policy == "priority"
    assert "failover_settings" not in FailoverLLM([FakeLLM()]).to_dict(), "the usual ones may change"


def test_health_is_shared_by_name() -> None:
    one = FailoverLLM([wrap(dead(), "x"), FakeLLM(says="one")], settings=QUICK)
    there = dead()
    two = FailoverLLM([wrap(there, "x"), FakeLLM(says="two")], failover=one.failover)
    for _ in range(5):
        one.chat(HELLO)
    assert two.chat(HELLO).message.content == "two"
    assert there.seen == []
    assert two.failover.settings is one.failover.settings
    assert FailoverLLM(failover=one.failover, settings=Settings(max_attempts=2)).failover.health()["x"].state == "open"


def test_arguments_that_do_not_exist_are_refused() -> None:
    for arguments, hint in (
        ({"deadline_s": 3}, r"write settings=Settings\(deadline_s=\.\.\.\)"),
        ({"target": [FakeLLM()]}, "did you mean targets="),
        ({"temperature": 0}, "go to the models themselves"),
    ):
        with pytest.raises(ConfigError, match=hint):
            FailoverLLM([FakeLLM()], **arguments)


# -- what may be given --------------------------------------------------------------------------------------------


def test_names_come_from_class_and_model_and_are_unique(first: ProviderServer, llms: Shop) -> None:
    openai = [llms.make("OpenAI", first), llms.make("OpenAI", first)]
    llm = FailoverLLM([*openai, wrap(FakeLLM(), name="mine", region="eu"), "openai:gpt-4o", "openai:gpt-4o"])
    names = [target.name for target in llm.failover.targets]
    assert names == ["OpenAI:gpt-4o-mini", "OpenAI:gpt-4o-mini#2", "mine", "openai:gpt-4o", "openai:gpt-4o#2"]
    assert llm.failover.targets[2].region == "eu"
    assert llm.failover.targets[0].provider == "openai"


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([], "no targets"),
        ("openai:gpt-4o", "pass a list"),
        ([3], "not a LlamaIndex LLM"),
        ([lambda messages: "hi"], "Target\\('name', call="),
        ([wrap(FakeLLM(), name="a"), wrap(FakeLLM(), name="a")], "Two targets are called 'a'"),
        ([FailoverLLM([FakeLLM()])], "cannot be a target of a failover"),
        ([FailoverLLM([FakeLLM()]).failover], "cannot be a target of a failover"),
        (["groq:llama"], "not a native target"),
    ],
)
def test_what_cannot_work_is_refused_at_once(targets: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FailoverLLM(targets)


def test_a_model_that_its_class_does_not_know_is_refused_at_once(llms: Shop, first: ProviderServer) -> None:
    from llama_index.llms.openai import OpenAI

    with pytest.raises(ConfigError, match=r"OpenAI\(model='my-own'\) cannot be used"):
        FailoverLLM([OpenAI("my-own", api_key="x")])


def test_unknown_options_of_wrap_are_refused() -> None:
    with pytest.raises(ConfigError, match="colour"):
        wrap(FakeLLM(), colour="red")


@pytest.mark.parametrize("error", [ValueError("no key"), TypeError("a bug"), ConnectionError("refused")])
async def test_a_factory_is_used_at_the_first_call_and_its_failure_is_the_targets(error: Exception) -> None:
    built: list[str] = []

    def fails() -> LLM:
        built.append("fails")
        raise error

    def works() -> LLM:
        built.append("works")
        return FakeLLM(says="built")

    llm = FailoverLLM([fails, works], settings=QUICK)
    assert built == []
    assert [target.name for target in llm.failover.targets] == ["fails", "works"]
    response = llm.chat(HELLO)
    assert response.message.content == "built"
    assert str(error) in response.additional_kwargs["failover"]["attempts"][0]["error"]
    assert (await llm.achat(HELLO)).message.content == "built"
    assert built.count("works") == 1, "an LLM is built once"


def test_a_failing_factory_is_tried_again(first: ProviderServer, llms: Shop) -> None:
    attempts: list[int] = []

    def flaky() -> LLM:
        attempts.append(1)
        if len(attempts) < 2:
            raise ConnectionError("refused")
        return FakeLLM(says="back")

    llm = FailoverLLM([flaky], settings=QUICK)
    assert llm.chat(HELLO).message.content == "back"
    assert len(attempts) == 2


async def test_functions_of_the_users_own_take_messages_and_give_text() -> None:
    def call(messages: list[ChatMessage]) -> str:
        return f"{len(messages)} messages"

    async def acall(messages: list[ChatMessage]) -> ChatResponse:
        return answer("async")

    def stream(messages: list[ChatMessage]) -> Any:
        yield from ("in ", "pieces")

    llm = FailoverLLM([dead(), Target("mine", call=call, acall=acall, stream=stream)], settings=QUICK)
    assert llm.chat(HELLO).message.content == "1 messages"
    assert llm.complete("hello").text == "1 messages"
    assert (await llm.achat(HELLO)).message.content == "async"
    chunks = list(llm.stream_chat(HELLO))
    assert [(c.delta, c.message.content) for c in chunks] == [("in ", "in "), ("pieces", "in pieces")]
    assert "".join([c.delta or "" async for c in await llm.astream_chat(HELLO)]) == "async"
    with pytest.raises(FailoverError, match="cannot do tools"):
        llm.chat_with_tools([ADD], user_msg="add")


# -- eligibility --------------------------------------------------------------------------------------------------


def test_targets_that_cannot_take_a_request_are_not_asked(llms: Shop, first: ProviderServer) -> None:
    without_tools = FakeLLM(function_calling=False)
    small = FakeLLM(window=100)
    blind = wrap(FakeLLM(), name="blind", lacks={"images"})
    able = FakeLLM(says="able")
    llm = FailoverLLM([without_tools, small, blind, able])

    llm.chat_with_tools([ADD], user_msg="add")
    assert not without_tools.seen
    assert small.seen

    response = llm.chat([ChatMessage("word " * 1_000)])
    assert len(small.seen) == 1
    assert response.additional_kwargs["failover"]["target"] == "FakeLLM"

    picture = ChatMessage(role="user", blocks=[{"block_type": "image", "url": "https://example.com/a.png"}])
    only = FailoverLLM([blind, able])
    assert only.chat([picture]).message.content == "able"
    assert only.chat([picture]).additional_kwargs["failover"]["skipped"]["blind"] == "it cannot do images"


def test_old_models_are_known_to_take_text_only(llms: Shop, first: ProviderServer) -> None:
    from llama_index.llms.openai import OpenAI

    old = OpenAI("gpt-3.5-turbo", api_key="x")
    llm = FailoverLLM([old, FakeLLM(says="seen")])
    picture = ChatMessage(role="user", blocks=[{"block_type": "image", "url": "https://example.com/a.png"}])
    assert llm.chat([picture]).message.content == "seen"


# -- what is raised -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["chat", "stream_chat"])
def test_final_errors_tell_all_attempts_and_are_never_hidden_by_llamaindex(style: str) -> None:
    llm = FailoverLLM([wrap(dead(), name="a"), wrap(dead(), name="b")], settings=QUICK)
    with pytest.raises(AllTargetsFailed) as caught:
        getattr(llm, style)(HELLO)
    error = caught.value
    assert not isinstance(error, ValueError | TypeError | AttributeError)
    assert isinstance(error.__cause__, Down)
    assert {"a", "b"} == {attempt.target.name for attempt in error.attempts}
    assert len(error.attempts) == str(error).count("overloaded")


def test_no_error_of_ours_is_of_a_kind_that_llamaindex_swallows() -> None:
    for cls in (AllTargetsFailed, RequestRejected, NoTargetAvailable, StreamInterrupted, ConfigError):
        assert not issubclass(cls, ValueError | TypeError | AttributeError)


def test_the_callers_own_mistake_is_not_sent_around() -> None:
    second = FakeLLM()
    llm = FailoverLLM([FakeLLM(says=TypeError("a bug of mine")), second])
    with pytest.raises(RequestRejected) as caught:
        llm.chat(HELLO)
    assert caught.value.failure.kind == FailureKind.LOCAL_ERROR
    assert not second.seen


@pytest.mark.parametrize("style", ["chat", "stream_chat"])
def test_the_error_of_an_only_target_can_still_be_caught_as_its_own(style: str) -> None:
    down = Down("503 Service Unavailable")
    down.request, down.trace = "the request", "a trace of their own"  # type: ignore[attr-defined]
    with pytest.raises(Down) as caught:
        list(getattr(FailoverLLM([FakeLLM(says=down)], settings=QUICK), style)(HELLO))
    assert isinstance(caught.value, AllTargetsFailed)
    assert caught.value.request == "the request", "what its handlers read"
    assert caught.value.trace is not None
    assert caught.value.attempts[0].failure is not None
    with pytest.raises(AllTargetsFailed) as both:
        FailoverLLM([dead(), dead()], settings=QUICK).chat(HELLO)
    assert not isinstance(both.value, Down)


def test_an_only_target_never_raises_what_llamaindex_swallows() -> None:
    with pytest.raises(FailoverError) as caught:
        FailoverLLM([FakeLLM(says=ValueError("odd"))]).chat(HELLO)
    assert not isinstance(caught.value, ValueError)


def test_what_an_only_target_says_is_passed_on_as_it_comes() -> None:
    """Nobody else could be asked, so nothing is gained by checks and by holding the start of a stream back."""
    silent, small, plain = FakeLLM(says=""), FakeLLM(window=10), FakeLLM(function_calling=False)
    assert FailoverLLM([silent]).chat(HELLO).message.content == ""
    assert list(FailoverLLM([FakeLLM(says=[])]).stream_chat(HELLO)) == []
    assert FailoverLLM([small]).chat([ChatMessage("word " * 1_000)]).message.content == "fake"
    assert FailoverLLM([plain]).chat_with_tools([ADD], user_msg="add").message.content == "fake"
    assert FailoverLLM([silent, FakeLLM()]).chat(HELLO).message.content == "fake", "with two, it is no answer"


# -- copies and data ----------------------------------------------------------------------------------------------


def module_level_factory() -> LLM:
    return FakeLLM(says="loaded")


def test_pickle_where_the_targets_can() -> None:
    llm = FailoverLLM(
        [FakeLLM(says="kept"), module_level_factory], settings=Settings(max_attempts=2), system_prompt="Hm."
    )
    twin = pickle.loads(pickle.dumps(llm))
    assert twin.chat(HELLO).message.content == "kept"
    assert Settings(max_attempts=2) == twin.failover.settings
    assert twin.system_prompt == "Hm."
    assert twin.failover is not llm.failover


def test_copies_share_their_health_even_where_the_llms_inside_cannot_be_copied(
    first: ProviderServer, llms: Shop
) -> None:
    llm = FailoverLLM([llms.make("OpenAI", first), llms.make("openai:", first)], system_prompt="Hm.")
    llm.chat(HELLO)
    for twin in (copy.copy(llm), copy.deepcopy(llm), llm.model_copy(), llm.model_copy(deep=True)):
        assert twin.failover is llm.failover
        assert twin.system_prompt == "Hm."
        assert twin.chat(HELLO).message.content


def test_data_show_no_key_and_make_an_llm_again(
    first: ProviderServer, llms: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = [llms.make(kind, first) for kind in ("OpenAI", "Anthropic", "GoogleGenAI", "openai:")]
    headers = {"Authorization": f"Bearer {SECRET}", "X-Api-Key": SECRET}
    built.append(llms.make("OpenAI", first, default_headers=headers, additional_kwargs={"user": "me"}))
    built.append(llms.make("openai:", first, input_usd_per_million=0.0, output_usd_per_million=4.0))
    llm = FailoverLLM(built, settings=Settings(max_attempts=3), system_prompt="Hm.")
    data = llm.to_dict()
    text = json.dumps(data)
    assert SECRET not in text
    assert SECRET not in llm.to_json()
    assert SECRET not in json.dumps(llm.to_payload())
    assert SECRET not in repr(llm) + str(llm)
    assert SECRET not in str(llm.model_dump())

    monkeypatch.setenv("GOOGLE_API_KEY", "another")
    twin = FailoverLLM.from_dict(json.loads(text))
    assert [t.name for t in llm.failover.targets] == [t.name for t in twin.failover.targets]
    assert [t.output_usd_per_million for t in twin.failover.targets][-2:] == [None, 4.0]
    assert llm.metadata == twin.metadata
    assert Settings(max_attempts=3) == twin.failover.settings
    assert twin.system_prompt == "Hm."
    assert data == twin.to_dict()
    other = FailoverLLM.from_dict(data, targets=[FakeLLM()])
    assert other.chat(HELLO).message.content == "fake"


def test_functions_cannot_be_made_of_data() -> None:
    data = FailoverLLM([Target("mine", call=lambda messages: "hi")]).to_dict()
    with pytest.raises(ConfigError, match="'mine' cannot be made of data"):
        FailoverLLM.from_dict(data)
