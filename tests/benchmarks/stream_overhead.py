"""Time and memory of long streams through failover, next to those of the bare model.

    python tests/benchmarks/stream_overhead.py [--chunks 100000] [--rounds 5] [--only langchain] [--json]

Bare and wrapped streams take turns within a round; each figure is the median over the rounds, and a ratio is that of
the medians. Memory is the peak that tracemalloc sees while one stream is read to its end by a caller who keeps nothing.
In process, models answer at once, so the rows show what the frameworks and failover cost by themselves. Over loopback
(`--wire-chunks`), the real SDK reads from a real socket, as in use; the server is another process.

Failover keeps the text of a stream once, to go on from it when it breaks ("text MB": what it weighs by itself). Bare
LangChain keeps every chunk. LlamaIndex's classes put all the text so far into each chunk ("accumulated"), and then that
is what failover keeps; of a model that only gives the new piece ("pieces only"), a bare stream keeps nothing at all.

Time is CPU time of this process, so that other programs on a busy machine do not count.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import multiprocessing
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from time import process_time
from typing import Any

from failover_core import Failover, Settings, Target
from failover_core.testing import ProviderServer

INLINE = Settings(hedge="off")


@dataclass
class Row:
    """One way of streaming.

    Args:
        read: reads one stream to its end, returns the number of chunks.
        bare: the row that it is compared with; "" for a bare one.
        text_bytes: what the text of the stream weighs.
    """

    read: Callable[[], int]
    bare: str = ""
    text_bytes: int = 0
    seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    chunks: int = 0


def drained(open_stream: Callable[[], Any]) -> Callable[[], int]:
    return lambda: sum(1 for _ in open_stream())


def adrained(open_stream: Callable[[], Any], *, awaits: bool = False) -> Callable[[], int]:
    async def read() -> int:
        count = 0
        stream = await open_stream() if awaits else open_stream()
        async for _ in stream:
            count += 1
        return count

    return lambda: asyncio.run(read())


def core_rows(chunks: int) -> dict[str, Row]:
    words = [f"word{number} " for number in range(chunks)]

    def stream(request: str) -> Any:
        yield from words

    async def astream(request: str) -> Any:
        for word in words:
            yield word

    def targets() -> list[Target]:
        return [Target(name, stream=stream, astream=astream) for name in ("a", "b")]

    inline, raced = Failover(targets(), INLINE), Failover(targets())
    return {
        "core stream, bare generator": Row(drained(lambda: stream("hi"))),
        "core stream, inline (hedge='off')": Row(drained(lambda: inline.stream("hi")), "core stream, bare generator"),
        "core stream, all defaults": Row(drained(lambda: raced.stream("hi")), "core stream, bare generator"),
        "core astream, bare generator": Row(adrained(lambda: astream("hi"))),
        "core astream, all defaults": Row(adrained(lambda: raced.astream("hi")), "core astream, bare generator"),
    }


def langchain_rows(chunks: int) -> dict[str, Row]:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, AIMessageChunk
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

    from langchain_failover import ChatFailover

    class InProcess(BaseChatModel):
        """Answers at once."""

        @property
        def _llm_type(self) -> str:
            return "in-process"

        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
            return ChatResult(generations=[ChatGeneration(message=AIMessage("It is forty-two."))])

        def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
            for number in range(chunks):
                yield ChatGenerationChunk(message=AIMessageChunk(content=f"word{number} "))

        async def _astream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
            for number in range(chunks):
                yield ChatGenerationChunk(message=AIMessageChunk(content=f"word{number} "))

    a, b = InProcess(), InProcess()
    return langchain_styles(
        "LangChain in process",
        a,
        {
            "with_fallbacks": a.with_fallbacks([b]),
            "ChatFailover": ChatFailover(targets=[a, b]),
            "ChatFailover, hedge='off'": ChatFailover(targets=[a, b], settings=INLINE),
        },
    )


def langchain_styles(where: str, bare: Any, others: dict[str, Any]) -> dict[str, Row]:
    rows = {
        f"{where} stream, bare": Row(drained(lambda: bare.stream("hi"))),
        f"{where} astream, bare": Row(adrained(lambda: bare.astream("hi"))),
    }
    for name, model in others.items():
        stream, astream = model.stream, model.astream
        rows[f"{where} stream, {name}"] = Row(drained(lambda s=stream: s("hi")), f"{where} stream, bare")
        rows[f"{where} astream, {name}"] = Row(adrained(lambda s=astream: s("hi")), f"{where} astream, bare")
    return rows


def llamaindex_rows(chunks: int) -> dict[str, Row]:
    from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse, LLMMetadata
    from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
    from llama_index.core.llms.custom import CustomLLM

    from llamaindex_failover import FailoverLLM

    said = [ChatMessage("What is the answer to everything?")]

    class InProcess(CustomLLM):
        """Answers at once; decorated as every LLM of LlamaIndex is."""

        accumulates: bool

        @property
        def metadata(self) -> LLMMetadata:
            return LLMMetadata(is_chat_model=True)

        def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
            raise NotImplementedError

        @llm_completion_callback()
        def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
            def gen() -> Any:
                text = ""
                for number in range(chunks):
                    word = f"word{number} "
                    text = text + word if self.accumulates else word
                    yield CompletionResponse(text=text, delta=word)

            return gen()

        @llm_chat_callback()
        def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
            def gen() -> Any:
                text = ""
                for number in range(chunks):
                    word = f"word{number} "
                    text = text + word if self.accumulates else word
                    yield ChatResponse(message=ChatMessage(text, role="assistant"), delta=word)

            return gen()

        @llm_chat_callback()
        async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
            async def gen() -> Any:
                text = ""
                for number in range(chunks):
                    word = f"word{number} "
                    text = text + word if self.accumulates else word
                    yield ChatResponse(message=ChatMessage(text, role="assistant"), delta=word)

            return gen()

    rows: dict[str, Row] = {}
    for name, accumulates in (("accumulated", True), ("pieces only", False)):
        bare, second = InProcess(accumulates=accumulates), InProcess(accumulates=accumulates)
        others = {
            "FailoverLLM": FailoverLLM([bare, second]),
            "FailoverLLM, hedge='off'": FailoverLLM([bare, second], INLINE),
        }
        rows |= llamaindex_styles(f"LlamaIndex {name}", bare, others, said)
        rows |= completion_style(f"LlamaIndex {name}", bare, others)
    return rows


def llamaindex_styles(where: str, bare: Any, others: dict[str, Any], said: Any) -> dict[str, Row]:
    rows = {
        f"{where} stream_chat, bare": Row(drained(lambda: bare.stream_chat(said))),
        f"{where} astream_chat, bare": Row(adrained(lambda: bare.astream_chat(said), awaits=True)),
    }
    for name, llm in others.items():
        sync, late = llm.stream_chat, llm.astream_chat
        rows[f"{where} stream_chat, {name}"] = Row(drained(lambda s=sync: s(said)), f"{where} stream_chat, bare")
        rows[f"{where} astream_chat, {name}"] = Row(
            adrained(lambda s=late: s(said), awaits=True), f"{where} astream_chat, bare"
        )
    return rows


def completion_style(where: str, bare: Any, others: dict[str, Any]) -> dict[str, Row]:
    of_bare = f"{where} stream_complete, bare"
    rows = {of_bare: Row(drained(lambda: bare.stream_complete("hi")))}
    for name, llm in others.items():
        stream = llm.stream_complete
        rows[f"{where} stream_complete, {name}"] = Row(drained(lambda s=stream: s("hi")), of_bare)
    return rows


@contextmanager
def server_elsewhere(chunks: int) -> Iterator[str]:
    """A provider in another process; yields its address for OpenAI clients."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=serve, args=(chunks, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("stop")
        process.join(10)


def serve(chunks: int, told: Any) -> None:
    words = " ".join(f"word{number}" for number in range(chunks))
    with ProviderServer(answer=words, words_per_chunk=1) as server:
        told.send(server.openai_url)
        told.recv()


def wire_rows(url: str) -> dict[str, Row]:
    """The OpenAI SDK under both frameworks, over a socket."""
    from langchain_openai import ChatOpenAI
    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.llms.openai import OpenAI

    from langchain_failover import ChatFailover
    from llamaindex_failover import FailoverLLM

    def native(model: str) -> Target:
        return Target.native(f"openai:{model}", base_url=url, api_key="any")

    def chat(model: str) -> Any:
        return ChatOpenAI(model=model, base_url=url, api_key="any", stream_usage=True)  # type: ignore[arg-type]

    def llm(model: str) -> Any:
        return OpenAI(model=model, api_base=url, api_key="any")

    first, second = "gpt-4o-mini", "gpt-4o"
    langchain = {
        "ChatFailover": ChatFailover(targets=[chat(first), chat(second)]),
        "ChatFailover, native": ChatFailover(targets=[native(first), native(second)]),
    }
    llamaindex = {
        "FailoverLLM": FailoverLLM([llm(first), llm(second)]),
        "FailoverLLM, native": FailoverLLM([native(first), native(second)]),
    }
    return {
        **langchain_styles("LangChain OpenAI on loopback", chat(first), langchain),
        **llamaindex_styles("LlamaIndex OpenAI on loopback", llm(first), llamaindex, [ChatMessage("hi")]),
    }


def text_bytes(chunks: int) -> int:
    """What the text of a stream weighs by itself: `word0 word1 word2 ...`."""
    return sum(len(f"word{number} ") for number in range(chunks))


def measure(rows: dict[str, Row], rounds: int, chunks: int) -> None:
    for row in rows.values():
        row.chunks = row.read()
        row.text_bytes = text_bytes(chunks)
    for _ in range(rounds):
        for row in rows.values():
            gc.collect()
            began = process_time()
            row.read()
            row.seconds.append(process_time() - began)
    for row in rows.values():
        gc.collect()
        tracemalloc.start()
        row.read()
        row.peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()


def figures(rows: dict[str, Row]) -> dict[str, dict[str, float]]:
    told = {}
    for name, row in rows.items():
        us = median(row.seconds) / row.chunks * 1e6
        told[name] = {
            "chunks": row.chunks,
            "us_a_chunk": round(us, 3),
            "text_mb": round(row.text_bytes / 1e6, 2),
            "peak_mb": round(row.peak_bytes / 1e6, 2),
        }
        if row.bare:
            bare = rows[row.bare]
            bare_us = median(bare.seconds) / bare.chunks * 1e6
            told[name]["added_us"] = round(us - bare_us, 3)
            told[name]["time_ratio"] = round(median(row.seconds) / median(bare.seconds), 3)
            told[name]["bare_peak_mb"] = round(bare.peak_bytes / 1e6, 2)
            told[name]["memory_ratio"] = round(row.peak_bytes / max(bare.peak_bytes, 1), 3)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=100_000, help="length of a stream in process")
    parser.add_argument("--wire-chunks", type=int, default=20_000, help="length of a stream over loopback")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="core, langchain, llamaindex or wire")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    arguments = parser.parse_args()
    told: dict[str, dict[str, float]] = {}
    in_process = {"core": core_rows, "langchain": langchain_rows, "llamaindex": llamaindex_rows}
    for name, make in in_process.items():
        if arguments.only in ("", name):
            rows = make(arguments.chunks)
            measure(rows, arguments.rounds, arguments.chunks)
            told.update(figures(rows))
    if arguments.only in ("", "wire"):
        with server_elsewhere(arguments.wire_chunks) as url:
            rows = wire_rows(url)
            measure(rows, arguments.rounds, arguments.wire_chunks)
        told.update(figures(rows))
    if not arguments.json:
        print(f"{'':<62} {'us/chunk':>9} {'x time':>7} {'text MB':>8} {'bare MB':>8} {'peak MB':>8} {'x mem':>7}")
        for name, row in told.items():
            time = f"{row['time_ratio']:>7.2f}" if "time_ratio" in row else f"{'':>7}"
            bare = f"{row['bare_peak_mb']:>8.2f}" if "bare_peak_mb" in row else f"{'':>8}"
            memory = f"{row['memory_ratio']:>7.2f}" if "memory_ratio" in row else ""
            cost = f"{row['us_a_chunk']:>9.2f} {time}"
            print(f"{name:<62} {cost} {row['text_mb']:>8.2f} {bare} {row['peak_mb']:>8.2f} {memory}")
    print(json.dumps(told))


if __name__ == "__main__":
    main()
