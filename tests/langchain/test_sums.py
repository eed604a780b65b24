"""Chunks of several streams are added up: by functions that stream twice, by graphs, and by `chunk + chunk`."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import AsyncIterator, Iterator
from functools import reduce
from operator import add
from typing import Any

from langchain_core.load import dumpd, dumps
from langchain_core.messages import AIMessageChunk, message_chunk_to_message
from langchain_core.runnables import RunnableGenerator, RunnableLambda
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from failover_core import Settings
from langchain_failover import ChatFailover
from lc_targets import FakeModel, down


def speaker() -> ChatFailover:
    """The first stream comes from the second target, after an outage of the first one; the others come from it."""
    return ChatFailover(
        targets=[FakeModel(down(), "two words"), FakeModel("one answer")], settings=Settings(same_target_retries=0)
    )


def summed(chunks: Any) -> AIMessageChunk:
    total: AIMessageChunk = reduce(add, chunks)
    return total


def test_three_streams_make_one_message_that_tells_of_the_last() -> None:
    llm = speaker()

    streams = [list(llm.stream("hi")) for _ in range(3)]
    whole = summed(chunk for stream in streams for chunk in stream)

    assert whole.text == "one answertwo wordstwo words"
    last = streams[2][-1].response_metadata["failover"]
    assert whole.response_metadata["failover"] == last
    assert last["target"] == "FakeModel" and last["switched"] is False
    assert summed(streams[0]).response_metadata["failover"]["target"] == "FakeModel#2"


def test_sums_of_sums() -> None:
    llm = speaker()

    first, second, third = (summed(llm.stream("hi")) for _ in range(3))

    assert ((first + second) + third).text == (first + (second + third)).text == "one answertwo wordstwo words"
    told = ((first + second) + third).response_metadata["failover"]
    assert told["request_id"] == third.response_metadata["failover"]["request_id"]
    assert first.__add__([second, third]).response_metadata["failover"] == told


async def test_a_function_that_streams_twice_loses_nothing() -> None:
    llm = speaker()

    def twice(question: str) -> Iterator[Any]:
        yield from llm.stream(question)
        yield from llm.stream(question)

    async def atwice(question: str) -> AsyncIterator[Any]:
        for _ in range(2):
            async for chunk in llm.astream(question):
                yield chunk

    def each(questions: Iterator[str]) -> Iterator[Any]:
        for question in questions:
            yield from twice(question)

    assert RunnableLambda(twice).invoke("hi").text == "one answertwo words"
    assert (await RunnableLambda(atwice).ainvoke("hi")).text == "two wordstwo words"
    assert RunnableGenerator(each).invoke("hi").text == "two wordstwo words"
    ends = [event async for event in RunnableLambda(atwice).astream_events("hi") if event["event"] == "on_chain_end"]
    assert ends[-1]["data"]["output"].text == "two wordstwo words"


def test_what_is_told_stays_a_plain_dict() -> None:
    message = summed(speaker().stream("hi"))
    told = message.response_metadata["failover"]
    plain = dict(told)

    assert isinstance(told, dict) and isinstance(told["attempts"][0], dict)
    assert json.loads(json.dumps(told)) == plain
    assert json.loads(dumps(message))["kwargs"]["response_metadata"]["failover"] == plain
    assert dumpd(message)["kwargs"]["response_metadata"]["failover"] == plain
    assert json.loads(message.model_dump_json())["response_metadata"]["failover"] == plain
    assert message_chunk_to_message(message).response_metadata["failover"] == plain
    saved = JsonPlusSerializer()
    assert saved.loads_typed(saved.dumps_typed(message)).response_metadata["failover"] == plain
    for twin in (copy.copy(told), copy.deepcopy(told), pickle.loads(pickle.dumps(told)), told.copy()):
        assert twin == plain and twin["target"] == "FakeModel#2" and "target" in twin
    kept = pickle.loads(pickle.dumps(message))
    assert (kept + message).response_metadata["failover"] == plain


def test_one_more_key_in_a_copy_takes_nothing_away() -> None:
    told = summed(speaker().stream("hi")).response_metadata["failover"]

    noted = told.copy()
    noted["note"] = "mine"

    assert noted == {**told, "note": "mine"} and "note" not in told
