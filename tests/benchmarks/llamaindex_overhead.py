"""What `FailoverLLM` adds to a LlamaIndex LLM in process on the healthy path: `python
tests/benchmarks/llamaindex_overhead.py`.

Prints a table and a line of JSON. Each figure is the median over rounds of (time through FailoverLLM - time of the bare
LLM) a call, in microseconds; all rows are measured in turn within each round, so that a slow moment hits them alike.
The cost of the import is CPU time on top of `import llama_index.core.llms`, the best of several fresh interpreters.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse, LLMMetadata
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index.core.llms.custom import CustomLLM

from failover_core import Settings
from llamaindex_failover import FailoverLLM

CALLS = 300
CHUNKS = 50
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 15
MESSAGES = [ChatMessage("Be brief.", role="system"), ChatMessage("What is the answer to everything?")]


class InProcess(CustomLLM):
    """Answers at once; decorated as every LLM of LlamaIndex is."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(is_chat_model=True)

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return response("forty-two")

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return response("forty-two")

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
        def gen() -> Any:
            for number in range(CHUNKS):
                yield response(f"{number} ", delta=f"{number} ")

        return gen()

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        raise NotImplementedError

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError


def response(text: str, delta: str | None = None) -> ChatResponse:
    return ChatResponse(message=ChatMessage(text, role="assistant"), delta=delta)


def sync_calls(llm: Any) -> Callable[[], int]:
    def work() -> int:
        for _ in range(CALLS):
            llm.chat(MESSAGES)
        return CALLS

    return work


def async_calls(llm: Any) -> Callable[[], int]:
    async def all_calls() -> None:
        for _ in range(CALLS):
            await llm.achat(MESSAGES)

    def work() -> int:
        asyncio.run(all_calls())
        return CALLS

    return work


def chunks(llm: Any) -> Callable[[], int]:
    def work() -> int:
        return sum(1 for _ in range(CALLS // CHUNKS) for _ in llm.stream_chat(MESSAGES))

    return work


def import_ms(module: str, runs: int = 7) -> float:
    script = (
        "import llama_index.core.llms, time; start = time.process_time(); "
        f"import {module}; print((time.process_time() - start) * 1e3)"
    )
    with TemporaryDirectory() as cache:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache, "PYTHONDONTWRITEBYTECODE": ""}
        command = [sys.executable, "-c", script]

        def run() -> float:
            return float(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)

        run()
        return min(run() for _ in range(runs))


def main() -> None:
    bare, inline = InProcess(), Settings(hedge="off")
    rows = {
        "chat, 1 target": (sync_calls(bare), sync_calls(FailoverLLM([bare]))),
        "chat, 2 targets (worker thread)": (sync_calls(bare), sync_calls(FailoverLLM([bare, bare]))),
        "chat, 2 targets, inline (hedge='off')": (sync_calls(bare), sync_calls(FailoverLLM([bare, bare], inline))),
        "achat, 1 target": (async_calls(bare), async_calls(FailoverLLM([bare]))),
        "achat, 2 targets": (async_calls(bare), async_calls(FailoverLLM([bare, bare]))),
        "stream_chat, a chunk, 1 target": (chunks(bare), chunks(FailoverLLM([bare]))),
        "stream_chat, a chunk, 2 targets": (chunks(bare), chunks(FailoverLLM([bare, bare]))),
    }
    added: dict[str, list[float]] = {name: [] for name in rows}
    bare_us: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(ROUNDS):
        for name, (without, with_failover) in rows.items():
            base = per_call_us(without)
            bare_us[name].append(base)
            added[name].append(per_call_us(with_failover) - base)
    figures = {name: figure(bare_us[name], added[name]) for name in rows}
    print(f"{'all defaults, healthy, in process':<40} {'bare us':>10} {'added us':>10} {'ratio':>7}")
    for name, (base, more, ratio) in figures.items():
        print(f"{name:<40} {base:>10.1f} {more:>10.1f} {ratio:>7.2f}")
    imports = {module: round(import_ms(module), 1) for module in ("failover_core", "llamaindex_failover")}
    print(f"{'import failover_core':<40} {'':>10} {imports['failover_core']:>7.1f} ms")
    print(f"{'import llamaindex_failover':<40} {'':>10} {imports['llamaindex_failover']:>7.1f} ms")
    told = {name: dict(zip(("bare", "added", "ratio"), values, strict=True)) for name, values in figures.items()}
    print(json.dumps({"us_a_call": told, "import_ms": imports, "calls": CALLS, "rounds": ROUNDS}))


def figure(bare_us: Sequence[float], added: Sequence[float]) -> tuple[float, float, float]:
    """(bare, added, their ratio), medians over the rounds."""
    ratio = median(more / base for base, more in zip(bare_us, added, strict=True))
    return round(median(bare_us), 1), round(median(added), 1), round(ratio, 2)


def per_call_us(work: Callable[[], int]) -> float:
    start = perf_counter()
    calls = work()
    return (perf_counter() - start) / calls * 1e6


if __name__ == "__main__":
    main()
