"""The rest of what a `BaseChatModel` is expected to be and do."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumpd, dumps
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, trim_messages
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import ConfigurableField, RunnableBinding

from failover_core import ConfigError, Settings, Target
from failover_core.testing import ProviderServer
from langchain_failover import ChatFailover, wrap
from lc_targets import FakeModel, calling, down, make

QUICK = Settings(same_target_retries=0)


def chat(*targets: Any, **options: Any) -> ChatFailover:
    return ChatFailover(targets=list(targets), **{"settings": QUICK, **options})


# -- caches and rate limiters -----------------------------------------------------------------------------------------


def test_the_outer_cache_knows_targets_and_options_apart() -> None:
    cache = InMemoryCache()
    a, b = FakeModel("a"), FakeModel("b")
    llms = [chat(wrap(a, name="a"), cache=cache), chat(wrap(b, name="b"), cache=cache)]

    assert [llm.invoke("hi").text for llm in [*llms, *llms]] == ["a", "b", "a", "b"]
    assert (len(a.calls), len(b.calls)) == (1, 1)
    llms[0].bind(temperature=1).invoke("hi")
    llms[0].bind_tools([lookup]).invoke("hi")
    llms[0].bind_tools([lookup]).invoke("hi")
    assert len(a.calls) == 3


def test_the_outer_cache_knows_functions_apart() -> None:
    def one(messages: Any) -> str:
        return "one"

    def two(messages: Any) -> str:
        return "two"

    cache = InMemoryCache()
    llms = [chat(Target("mine", call=function), cache=cache) for function in (one, two)]

    assert [llm.invoke("hi").text for llm in [*llms, *llms]] == ["one", "two", "one", "two"]


def test_cache_keys_are_the_same_from_call_to_call() -> None:
    a = FakeModel(calling("Point", x=1))
    llm = chat(a, cache=InMemoryCache(), trace_attempts=True)

    for _ in range(3):
        assert llm.with_structured_output(POINT).invoke("hi") == {"x": 1}

    assert len(a.calls) == 1


def test_the_inner_cache_works() -> None:
    a = FakeModel("a", cache=InMemoryCache())
    llm = chat(a)

    assert [llm.invoke("hi").text for _ in range(3)] == ["a", "a", "a"]
    assert len(a.calls) == 1


class CountingLimiter(BaseRateLimiter):
    acquired = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        type(self).acquired += 1
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        type(self).acquired += 1
        return True


@pytest.mark.parametrize("inner", [True, False])
async def test_rate_limiters_of_both_models_are_asked_once_a_call(inner: bool) -> None:
    class Limiter(CountingLimiter):
        acquired = 0

    model = FakeModel("a", rate_limiter=Limiter() if inner else None)
    llm = chat(model, rate_limiter=None if inner else Limiter())

    llm.invoke("hi")
    await llm.ainvoke("hi")
    list(llm.stream("hi"))
    [chunk async for chunk in llm.astream("hi")]

    assert Limiter.acquired == 4


# -- output versions and streaming switches ---------------------------------------------------------------------------


@pytest.mark.parametrize(("inner", "outer"), [(None, "v1"), ("v1", "v1"), ("v1", None)])
def test_output_version_v1(inner: str | None, outer: str | None) -> None:
    llm = chat(FakeModel("hello there", output_version=inner), output_version=outer)

    assert llm.invoke("hi").content == [{"type": "text", "text": "hello there"}]
    chunks = list(llm.stream("hi"))
    whole = sum(chunks[1:], chunks[0])
    assert [block["type"] for block in whole.content] == ["text"] and whole.text == "hello there"
    assert whole.response_metadata["failover"]["target"] == "FakeModel"


def test_output_version_v0_is_the_providers_own_form() -> None:
    assert chat(FakeModel("hello"), output_version="v0").invoke("hi").content == "hello"


def test_streaming_can_be_switched_off_and_on() -> None:
    a = FakeModel("hello there")

    assert len(list(chat(a, disable_streaming=True).stream("hi"))) == 1
    assert len(list(chat(a, disable_streaming="tool_calling").bind_tools([lookup]).stream("hi"))) == 1
    assert len(list(chat(a, disable_streaming="tool_calling").stream("hi"))) > 1
    assert chat(a, streaming=True).invoke("hi").text == "hello there"
    assert [style for style, _, _ in a.calls] == ["generate", "generate", "stream", "stream"]


def test_a_target_that_does_not_stream_gives_one_chunk() -> None:
    a = FakeModel(calling("lookup", word="x"), disable_streaming=True)

    (chunk, last) = chat(a).stream("hi")

    assert isinstance(chunk, AIMessageChunk) and chunk.tool_calls[0]["args"] == {"word": "x"}
    assert last.chunk_position == "last"


def test_an_inner_model_that_streams_by_itself() -> None:
    class Streaming(FakeModel):
        streaming: bool = False

    a = Streaming("hello there", streaming=True)

    assert chat(a).invoke("hi").text == "hello there"
    assert a.calls[0][0] == "stream"


# -- composition ------------------------------------------------------------------------------------------------------


async def test_batches() -> None:
    llm = chat(FakeModel(down()), FakeModel("b"))

    assert [message.text for message in llm.batch(["1", "2", "3"])] == ["b"] * 3
    assert [message.text for message in await llm.abatch(["1", "2", "3"])] == ["b"] * 3
    assert sorted(index for index, _ in llm.batch_as_completed(["1", "2"])) == [0, 1]
    assert sorted([index async for index, _ in llm.abatch_as_completed(["1", "2"])]) == [0, 1]


def test_health_is_shared_by_bound_and_configured_copies() -> None:
    a, b = FakeModel(down()), FakeModel("b")
    llm = chat(a, b)
    copies: list[Any] = [
        llm.bind(temperature=0),
        llm.bind_tools([lookup]),
        llm.with_config(tags=["x"]),
        llm.model_copy(update={"temperature": 0.5}),
        llm.configurable_fields(temperature=ConfigurableField("t")).with_config(configurable={"t": 0.9}),
        copy.copy(llm),
        copy.deepcopy(llm),
    ]

    for one in copies * 3:
        assert one.invoke("hi").text == "b"

    assert len(a.calls) < 5, "a copy had to learn for itself that the first target is down"
    assert isinstance(copies[1], RunnableBinding) and copies[1].kwargs["tools"][0]["function"]["name"] == "lookup"


def test_standard_parameters_reach_the_targets_unless_the_call_says_otherwise() -> None:
    a = FakeModel("a")
    llm = chat(a, temperature=0.2, max_tokens=9, timeout=3, stop=["x"])

    llm.invoke("hi")
    llm.invoke("hi", temperature=0.7, stop=["y"])

    assert a.calls[0][2] == {"temperature": 0.2, "max_tokens": 9, "timeout": 3, "stop": ["x"]}
    assert a.calls[1][2] == {"temperature": 0.7, "max_tokens": 9, "timeout": 3, "stop": ["y"]}


def test_a_targets_own_options_stay_under_those_of_the_call() -> None:
    a = FakeModel("a")
    llm = chat(a.bind(temperature=0.1, top_p=0.5))

    llm.invoke("hi", temperature=0.9)

    assert a.calls[0][2] == {"temperature": 0.9, "top_p": 0.5, "stop": None}


# -- identity ---------------------------------------------------------------------------------------------------------


def test_serialization_as_far_as_langchain_defines_it() -> None:
    llm = chat(FakeModel("a"))

    assert dumpd(llm)["type"] == "not_implemented"
    assert "ChatFailover" in dumps(llm)
    message = llm.invoke("hi")
    assert pickle.loads(pickle.dumps(message)) == message
    assert "failover" in dumps(message)


def test_what_traces_are_told() -> None:
    class Named(FakeModel):
        model: str = "m"

        def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> Any:
            return {"ls_provider": "acme", "ls_model_name": self.model, "ls_model_type": "chat"}

    same = chat(Named(model="m1"), Named(model="m2"), temperature=0.3, max_tokens=5)
    mixed = chat(Named(), FakeModel())

    assert same._get_ls_params(stop=["x"]) == {
        "ls_provider": "acme",
        "ls_model_name": "m1+m2",
        "ls_model_type": "chat",
        "ls_temperature": 0.3,
        "ls_max_tokens": 5,
        "ls_stop": ["x"],
    }
    assert mixed._get_ls_params()["ls_provider"] == "failover"
    assert mixed._get_ls_params(model="other")["ls_model_name"] == "other"


def test_token_counts_come_from_the_first_model_that_counts() -> None:
    class Counting(FakeModel):
        def get_num_tokens_from_messages(self, messages: Any, tools: Any = None) -> int:
            return 77

        def get_token_ids(self, text: str) -> list[int]:
            return [1] * 55

    class Broken(Counting):
        def get_num_tokens_from_messages(self, messages: Any, tools: Any = None) -> int:
            raise down()

    assert chat(FakeModel(), Broken(), Counting()).get_num_tokens_from_messages([HumanMessage("hi")]) == 77
    assert chat(FakeModel(), Counting()).get_num_tokens("hi") == 55
    assert 0 < chat(FakeModel()).get_num_tokens_from_messages([HumanMessage("hi there")], tools=[lookup]) < 100
    assert chat(FakeModel()).get_num_tokens("four") == 1


def test_counting_tokens_asks_no_provider_and_loads_no_tokenizer(first: ProviderServer) -> None:
    """In an outage the provider's own counter would be waited for, and `trim_messages` counts many times."""
    llm = chat(make("anthropic", first), make("google", first))

    assert 0 < llm.get_num_tokens_from_messages([HumanMessage("hi there")]) < 100
    assert llm.get_num_tokens("four") == 1
    assert trim_messages([HumanMessage("hi")], max_tokens=100, token_counter=llm) == [HumanMessage("hi")]
    assert first.calls == 0


def test_token_ids_come_from_the_first_tokenizer() -> None:
    class Counting(FakeModel):
        def get_token_ids(self, text: str) -> list[int]:
            return [len(text)]

    assert chat(FakeModel(), Counting()).get_token_ids("four") == [4]
    own = chat(Counting(), custom_get_token_ids=lambda text: [7])
    assert (own.get_token_ids("four"), own.get_num_tokens("four")) == ([7], 1)
    assert own.get_num_tokens_from_messages([HumanMessage("hi"), HumanMessage("there")]) == 2
    assert chat(FakeModel(custom_get_token_ids=lambda text: [1, 2])).get_num_tokens("four") == 2


def test_profiles_promise_what_all_can_do() -> None:
    big = {"max_input_tokens": 200, "tool_calling": True, "image_inputs": True}
    small = {"max_input_tokens": 100, "tool_calling": True}

    assert chat(FakeModel(profile=big), FakeModel(profile=small)).profile == {
        "max_input_tokens": 100, "tool_calling": True, "image_inputs": False}  # fmt: skip
    assert chat(FakeModel(profile=small), FakeModel()).profile == {"max_input_tokens": 100, "tool_calling": False}
    assert chat(FakeModel()).profile is None
    assert chat(FakeModel(), profile=small).profile == small


# -- streams ----------------------------------------------------------------------------------------------------------


async def test_leaving_a_stream_early_closes_it_and_blames_nobody() -> None:
    closed: list[str] = []

    class Watched(FakeModel):
        def _stream(self, *args: Any, **kwargs: Any) -> Any:
            try:
                yield from super()._stream(*args, **kwargs)
            finally:
                closed.append("sync")

        async def _astream(self, *args: Any, **kwargs: Any) -> Any:
            try:
                async for chunk in super()._astream(*args, **kwargs):
                    yield chunk
            finally:
                closed.append("async")

    llm = chat(Watched(" ".join(map(str, range(200)))), settings=Settings(hedge="off", hold_back_tokens=0))

    stream = llm.stream("hi")
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    astream = llm.astream("hi")
    await anext(astream)
    await astream.aclose()  # type: ignore[attr-defined]

    assert set(closed) == {"sync", "async"}
    (health,) = llm.failover.health().values()
    assert (health.failed, health.in_flight) == (0, 0)


def test_the_sum_of_a_joined_stream_is_a_legal_message() -> None:
    story = " ".join(f"word{number}" for number in range(60))
    half = story[:200]
    a = FakeModel([AIMessageChunk(half, id="id-a", response_metadata={"model_name": "m-a"}), down()], provider="acme")
    rest = AIMessageChunk(story[160:], id="id-b", response_metadata={"model_name": "m-b"})
    b = FakeModel([rest], provider="other", finishes=True)

    chunks = list(chat(a, b, settings=Settings(hold_back_tokens=0, hold_back_s=0.0)).stream("hi"))
    whole = sum(chunks[1:], chunks[0])

    assert whole.text == story
    assert whole.id == "id-a"
    assert whole.response_metadata["model_provider"] == "acme"
    assert whole.response_metadata["finish_reason"] == "stop"
    assert whole.response_metadata["failover"]["seams"][0]["broken"] == "FakeModel"


def test_a_wrong_option_for_one_target_only() -> None:
    with pytest.raises(ConfigError):
        chat(wrap(FakeModel(), weight=0))


def lookup(word: str) -> str:
    """Look a word up."""
    return word


POINT = {
    "title": "Point",
    "description": "A point.",
    "type": "object",
    "properties": {"x": {"type": "integer"}},
    "required": ["x"],
}


def test_it_is_a_chat_model() -> None:
    assert isinstance(chat(FakeModel()), BaseChatModel)
    assert isinstance(chat(FakeModel("a")).invoke("hi"), AIMessage)
