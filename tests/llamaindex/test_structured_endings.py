"""How the answer behind an object ended is known, although LlamaIndex shows only the object; on real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from llama_index.core import PromptTemplate
from llama_index.core.base.llms.types import ChatMessage
from llama_index.llms.openai import OpenAIResponses
from pydantic import BaseModel

from failover_core import FailoverError, RequestRejected, Settings, patience
from failover_core.stream import inlet, relay
from failover_core.testing import Answer, Ask, ProviderServer, faults
from llamaindex_failover import FailoverLLM
from llamaindex_targets import KINDS, WRAPPED, Shop

PROMPT = PromptTemplate("Tell of a city near {place}.")
SHOWN_AT_ONCE = Settings(same_target_retries=0, hold_back_s=0.0)
LATIN = '{"name": "Roma, the city of the seven hills by the river Tiber", "people": 1}'
SECOND = '{"name": "Ostia", "people": 50000}'


class City(BaseModel):
    """A city of which anything may be unknown: the beginning of one is one."""

    name: str = ""
    people: int = 0


OSTIA = City(name="Ostia", people=50_000)


@pytest.fixture
def speaking() -> Iterator[ProviderServer]:
    with ProviderServer(LATIN, words_per_chunk=1) as server:
        yield server


@pytest.fixture
def other() -> Iterator[ProviderServer]:
    with ProviderServer(SECOND) as server:
        yield server


def pair(kind: str, one: ProviderServer, two: ProviderServer, shop: Shop, settings: Settings) -> FailoverLLM:
    backup = "GoogleGenAI" if "open" in kind.lower() else "OpenAI"
    return FailoverLLM([shop.make(kind, one), shop.make(backup, two)], settings=settings)


BREAKS = [faults.Cut(after_chunks=3), faults.Reset(after_chunks=3), faults.NoFinishReason(after_chunks=3)]
BREAKS += [faults.Truncated(words=4)]


@pytest.mark.parametrize("fault", BREAKS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_of_objects_that_breaks_off_goes_to_the_next(
    kind: str, fault: Any, speaking: ProviderServer, other: ProviderServer, llms: Shop
) -> None:
    speaking.always(fault)
    llm = pair(kind, speaking, other, llms, SHOWN_AT_ONCE)
    *_, last = llm.stream_structured_predict(City, PROMPT, place="Rome")
    assert last == OSTIA
    *_, response = llm.as_structured_llm(City).stream_chat([ChatMessage("Tell of a city.")])
    assert response.raw == OSTIA
    assert other.calls == 2


@pytest.mark.parametrize("fault", BREAKS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("kind", ["OpenAI", "GoogleGenAI", "anthropic:"])
async def test_and_on_asyncio(
    kind: str, fault: Any, speaking: ProviderServer, other: ProviderServer, allms: Shop
) -> None:
    speaking.always(fault)
    llm = pair(kind, speaking, other, allms, SHOWN_AT_ONCE)
    objects = [item async for item in await llm.astream_structured_predict(City, PROMPT, place="Rome")]
    assert objects[-1] == OSTIA
    assert other.calls == 1


@pytest.mark.parametrize("fault", BREAKS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("kind", ["OpenAI", "GoogleGenAI", "anthropic:"])
def test_where_nobody_is_left_it_is_an_error(kind: str, fault: Any, speaking: ProviderServer, llms: Shop) -> None:
    speaking.always(fault)
    llm = FailoverLLM([llms.make(kind, speaking)], settings=SHOWN_AT_ONCE)
    with pytest.raises(FailoverError):
        list(llm.stream_structured_predict(City, PROMPT, place="Rome"))


def test_a_stream_of_objects_that_stalls_goes_to_the_next(
    speaking: ProviderServer, other: ProviderServer, llms: Shop
) -> None:
    speaking.always(faults.Stall(after_chunks=3))
    settings = Settings(same_target_retries=0, hold_back_s=0.0, stall_s=0.2)
    *_, last = pair("OpenAI", speaking, other, llms, settings).stream_structured_predict(City, PROMPT, place="Rome")
    assert last == OSTIA


@pytest.mark.parametrize("kind", ["OpenAI", "GoogleGenAI", "openai:"])
def test_pauses_between_objects_are_no_end(kind: str, llms: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (inlet, relay, patience):
        monkeypatch.setattr(module, "LAST_WORDS_S", 0.01)
    with ProviderServer(LATIN, words_per_chunk=5, chunk_delay_s=0.1) as slow:
        llm = FailoverLLM([llms.make(kind, slow)], settings=SHOWN_AT_ONCE)
        *_, last = llm.stream_structured_predict(City, PROMPT, place="Rome")
    assert last == City.model_validate_json(LATIN)


REFUSALS = [faults.Refusal(), faults.ContentFilter(words=3)]


@pytest.mark.parametrize("fault", REFUSALS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("style", ["structured_predict", "stream_structured_predict"])
@pytest.mark.parametrize("kind", [*KINDS, "no schemas"])
def test_after_a_refusal_nobody_else_is_asked(
    kind: str, style: str, fault: Any, speaking: ProviderServer, other: ProviderServer, llms: Shop
) -> None:
    speaking.always(fault)
    options = {"lacks": {"json_schema"}} if kind == "no schemas" else {}
    one = llms.make("anthropic:" if options else kind, speaking, **options)
    llm = FailoverLLM([one, llms.make("OpenAI", other)], settings=SHOWN_AT_ONCE)
    with pytest.raises(RequestRejected, match="content_filtered"):
        list(getattr(llm, style)(City, PROMPT, place="Rome"))
    assert other.calls == 0
    lenient = Settings(same_target_retries=0, on_content_filter="next")
    asked_on = FailoverLLM([one, llms.make("OpenAI", other)], settings=lenient)
    assert asked_on.structured_predict(City, PROMPT, place="Rome") == OSTIA


@pytest.mark.parametrize("fault", REFUSALS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("kind", KINDS)
async def test_nor_on_asyncio(
    kind: str, fault: Any, speaking: ProviderServer, other: ProviderServer, allms: Shop
) -> None:
    speaking.always(fault)
    llm = FailoverLLM([allms.make(kind, speaking), allms.make("OpenAI", other)], settings=SHOWN_AT_ONCE)
    with pytest.raises(RequestRejected, match="content_filtered"):
        await llm.astructured_predict(City, PROMPT, place="Rome")
    with pytest.raises(RequestRejected, match="content_filtered"):
        [item async for item in await llm.astream_structured_predict(City, PROMPT, place="Rome")]
    assert other.calls == 0


@pytest.mark.parametrize("kind", ["GoogleGenAI", "google:"])
def test_a_blocked_prompt_is_a_refusal(kind: str, speaking: ProviderServer, other: ProviderServer, llms: Shop) -> None:
    speaking.always(faults.PromptBlocked())
    llm = FailoverLLM([llms.make(kind, speaking), llms.make("OpenAI", other)])
    for style in ("structured_predict", "stream_structured_predict"):
        with pytest.raises(RequestRejected, match="the prompt was blocked"):
            list(getattr(llm, style)(City, PROMPT, place="Rome"))
    assert other.calls == 0


@pytest.mark.parametrize("fault", [faults.Empty(), faults.html(200)], ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_stream_goes_to_the_next(
    kind: str, fault: Any, speaking: ProviderServer, other: ProviderServer, llms: Shop
) -> None:
    class Place(BaseModel):
        name: str
        people: int

    speaking.always(fault)
    llm = FailoverLLM([llms.make(kind, speaking), llms.make("OpenAI", other)], settings=SHOWN_AT_ONCE)
    *_, last = llm.stream_structured_predict(Place, PROMPT, place="Rome")
    assert last == Place(name="Ostia", people=50_000)


AT_THE_LIMIT = {"whole": SECOND, "half": SECOND[:20]}


@pytest.mark.parametrize("said", AT_THE_LIMIT)
@pytest.mark.parametrize("style", ["structured_predict", "stream_structured_predict"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_object_that_is_whole_at_the_output_limit_is_kept(
    kind: str, style: str, said: str, other: ProviderServer, llms: Shop
) -> None:
    with ProviderServer(lambda ask: Answer(AT_THE_LIMIT[said], finish="length"), words_per_chunk=1) as limited:
        llm = pair(kind, limited, other, llms, SHOWN_AT_ONCE)
        made = getattr(llm, style)(City, PROMPT, place="Rome")
        assert (made if style == "structured_predict" else list(made)[-1]) == OSTIA
    assert other.calls == (said == "half")


@pytest.mark.parametrize("said", AT_THE_LIMIT)
@pytest.mark.parametrize("kind", WRAPPED)
async def test_also_on_asyncio(kind: str, said: str, other: ProviderServer, allms: Shop) -> None:
    with ProviderServer(lambda ask: Answer(AT_THE_LIMIT[said], finish="length"), words_per_chunk=1) as limited:
        llm = pair(kind, limited, other, allms, SHOWN_AT_ONCE)
        assert await llm.astructured_predict(City, PROMPT, place="Rome") == OSTIA
        objects = [item async for item in await llm.astream_structured_predict(City, PROMPT, place="Rome")]
        assert objects[-1] == OSTIA
    assert other.calls == 2 * (said == "half")


def response_saying(text: str) -> dict[str, Any]:
    """What OpenAI's Responses API answers when `text` has reached the output limit."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    thoughts = {"type": "reasoning", "id": "r", "summary": []}
    message = {"type": "message", "id": "m", "role": "assistant", "status": "incomplete", "content": content}
    told = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "model": "gpt-4o-mini"}
    options = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    return {"id": "r", "object": "response", "created_at": 1, "output": [thoughts, message], **told, **options}


@pytest.mark.parametrize("said", AT_THE_LIMIT)
def test_also_of_the_responses_api(said: str, other: ProviderServer, llms: Shop) -> None:
    answers = httpx.MockTransport(lambda request: httpx.Response(200, json=response_saying(AT_THE_LIMIT[said])))
    with httpx.Client(transport=answers) as client:
        one = OpenAIResponses("gpt-4o-mini", api_key="k", http_client=client)
        llm = FailoverLLM([one, llms.make("OpenAI", other)], settings=SHOWN_AT_ONCE)
        assert llm.structured_predict(City, PROMPT, place="Rome") == OSTIA
    assert other.calls == (said == "half")


def as_said(ask: Ask) -> str:
    return SECOND


@pytest.mark.parametrize("kind", KINDS)
def test_a_healthy_stream_of_objects_is_never_taken_for_a_broken_one(kind: str, llms: Shop) -> None:
    with ProviderServer(as_said, words_per_chunk=1) as server:
        llm = FailoverLLM([llms.make(kind, server)], settings=SHOWN_AT_ONCE)
        assert llm.structured_predict(City, PROMPT, place="Rome") == OSTIA
        objects = list(llm.stream_structured_predict(City, PROMPT, place="Rome"))
        assert objects[-1] == OSTIA
        assert all(isinstance(item, BaseModel) for item in objects)
        assert server.calls == 2
