"""Structured output by every way LlamaIndex has, with a dead first target, on real sockets."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core import PromptTemplate
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.program import FunctionCallingProgram, LLMTextCompletionProgram
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel

from failover_core import AllTargetsFailed, Settings, StreamInterrupted
from failover_core.testing import Ask, ProviderServer, faults
from failover_core.testing.answers import Said, default_script
from llamaindex_failover import FailoverLLM
from llamaindex_targets import KINDS, Down, FakeLLM, Shop

ONCE = Settings(same_target_retries=0, backoff_s=0.01)
PROMPT = PromptTemplate("Tell of a city near {place}.")
PARSED = PromptTemplate("Tell of a city near {place}.")  # text programs put their parser on the prompt
PAIRS = [*zip(KINDS, [*KINDS[1:], KINDS[0]], strict=True)]


class City(BaseModel):
    """A city."""

    name: str
    people: int


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_structured_predict(one: str, other: str, first: ProviderServer, llms: Shop) -> None:
    with ProviderServer() as second:
        first.always(faults.Status(503))
        llm = FailoverLLM([llms.make(one, first), llms.make(other, second)], settings=ONCE)
        assert isinstance(llm.structured_predict(City, PROMPT, place="Rome"), City)
        *_, last = llm.stream_structured_predict(City, PROMPT, place="Rome")
        assert isinstance(last, City)
        response = llm.as_structured_llm(City).chat([ChatMessage("Tell of a city.")])
        assert isinstance(response.raw, City)


@pytest.mark.parametrize(("one", "other"), PAIRS)
async def test_structured_predict_on_asyncio(one: str, other: str, first: ProviderServer, allms: Shop) -> None:
    with ProviderServer() as second:
        first.always(faults.Status(503))
        llm = FailoverLLM([allms.make(one, first), allms.make(other, second)], settings=ONCE)
        assert isinstance(await llm.astructured_predict(City, PROMPT, place="Rome"), City)
        objects = [item async for item in await llm.astream_structured_predict(City, PROMPT, place="Rome")]
        assert isinstance(objects[-1], City)
        response = await llm.as_structured_llm(City).achat([ChatMessage("Tell of a city.")])
        assert isinstance(response.raw, City)


def as_json_text(ask: Ask) -> Said:
    return '{"name": "Ostia", "people": 50000}' if not ask.tools else default_script(ask)


@pytest.mark.parametrize("one", ["OpenAI", "anthropic:"])
def test_programs(one: str, first: ProviderServer, llms: Shop) -> None:
    with ProviderServer(as_json_text) as second:
        first.always(faults.Reset())
        llm = FailoverLLM([llms.make(one, first), llms.make("OpenAI", second)], settings=ONCE)
        calling = FunctionCallingProgram.from_defaults(City, prompt=PROMPT, llm=llm)
        assert isinstance(calling(place="Rome"), City)
        *_, last = calling.stream_call(place="Rome")
        assert isinstance(last, City)
        text = LLMTextCompletionProgram.from_defaults(output_cls=City, prompt=PARSED, llm=llm)
        assert City(name="Ostia", people=50_000) == text(place="Rome")
        llm.pydantic_program_mode = PydanticProgramMode.LLM
        assert City(name="Ostia", people=50_000) == llm.structured_predict(City, PARSED, place="Rome")


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_does_not_fit_goes_to_the_next(kind: str, llms: Shop) -> None:
    with ProviderServer("This is no object at all.") as first, ProviderServer() as second:
        llm = FailoverLLM([llms.make(kind, first), llms.make("OpenAI", second)], settings=ONCE)
        assert isinstance(llm.structured_predict(City, PROMPT, place="Rome"), City)
        assert 1 == first.calls == second.calls


@pytest.mark.parametrize("one", ["OpenAI", "openai:"])
def test_prose_where_json_mode_was_asked_for_goes_to_the_next(one: str, llms: Shop) -> None:
    wanted = {"type": "json_object"} if one == "OpenAI" else "json"
    with ProviderServer("This is no object at all, in any way.") as first, ProviderServer('{"a": 1}') as second:
        settings = Settings(same_target_retries=0, hold_back_tokens=0, hold_back_s=0.0)
        llm = FailoverLLM([llms.make(one, first), llms.make(one, second)], settings=settings)
        asked = [ChatMessage("Give me json.")]
        assert llm.chat(asked, response_format=wanted).message.content == '{"a": 1}'
        chunks = list(llm.stream_chat(asked, response_format=wanted))
        assert "".join(chunk.delta or "" for chunk in chunks) == '{"a": 1}'
        assert 2 == first.calls == second.calls


@pytest.mark.parametrize("lacks", [set(), {"json_schema"}])
def test_native_models_without_schemas_call_a_tool_instead(lacks: set[str], llms: Shop) -> None:
    with ProviderServer() as server:
        llm = FailoverLLM([llms.make("anthropic:", server, lacks=lacks)])
        assert isinstance(llm.structured_predict(City, PROMPT, place="Rome"), City)
        *_, last = llm.stream_structured_predict(City, PROMPT, place="Rome")
        assert isinstance(last, City)
        assert all(bool(lacks) == ("tools" in call.body) for call in server.log)


def test_a_stream_of_objects_that_is_cut_off_is_no_answer() -> None:
    class Cut(FakeLLM):
        def stream_structured_predict(self, output_cls: Any, prompt: Any, llm_kwargs: Any = None, **args: Any) -> Any:
            yield City.model_construct(name="Os")
            yield BaseModel()

    with pytest.raises((AllTargetsFailed, StreamInterrupted)):
        list(FailoverLLM([Cut()]).stream_structured_predict(City, PROMPT, place="Rome"))


def test_the_system_prompt_of_the_whole_reaches_every_target() -> None:
    class Listening(FakeLLM):
        def structured_predict(self, output_cls: Any, prompt: Any, llm_kwargs: Any = None, **args: Any) -> Any:
            self.seen.append(prompt.format_messages(**args))
            if isinstance(self.says, BaseException):
                raise self.says
            return City(name="Ostia", people=1)

    targets = [Listening(says=Down("503")), Listening()]
    FailoverLLM(targets, settings=ONCE, system_prompt="Be exact.").structured_predict(City, PROMPT, place="{Rome}")
    for target in targets:
        ((system, user),) = target.seen
        assert (system.content, user.content) == ("Be exact.", "Tell of a city near {Rome}.")


def test_prompts_may_use_any_names() -> None:
    class Listening(FakeLLM):
        def structured_predict(self, output_cls: Any, prompt: Any, llm_kwargs: Any = None, **args: Any) -> Any:
            return City(name=prompt.format(**args), people=1)

    prompt = PromptTemplate("{tools} {endpoint} {request} {messages}")
    llm = FailoverLLM([Listening(function_calling=False), Listening()])
    names = {"tools": "a", "endpoint": "b", "request": "c", "messages": "d"}
    assert llm.structured_predict(City, prompt, **names).name == "a b c d"


def test_arguments_of_the_call_are_not_changed_by_a_target(first: ProviderServer, llms: Shop) -> None:
    with ProviderServer() as second:
        first.always(faults.Status(503))
        arguments = {"seed": 7}
        llm = FailoverLLM([llms.make("OpenAI", first), llms.make("OpenAI", second)], settings=ONCE)
        llm.structured_predict(City, PROMPT, llm_kwargs=arguments, place="Rome")
        assert arguments == {"seed": 7}
        assert second.log[0].body["seed"] == 7
