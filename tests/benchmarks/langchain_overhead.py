"""What `ChatFailover` adds to a call, next to what `with_fallbacks` adds, healthy, around an in-process model.

    python tests/benchmarks/langchain_overhead.py [--json]

All variants take turns in one run, and of each the quickest round counts: a busy machine can only add to it. Also
measured: what `import langchain_failover` adds to the import of langchain-core's chat models.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from tempfile import TemporaryDirectory
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from failover_core import Settings
from langchain_failover import ChatFailover

ROUNDS = 200
CALLS = 20
CHUNKS = 200


class InProcess(BaseChatModel):
    """Answers at once."""

    @property
    def _llm_type(self) -> str:
        return "in-process"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("It is forty-two."))])

    async def _agenerate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("It is forty-two."))])

    def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        for number in range(CHUNKS):
            yield ChatGenerationChunk(message=AIMessageChunk(content=f"word{number} "))

    async def _astream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        for number in range(CHUNKS):
            yield ChatGenerationChunk(message=AIMessageChunk(content=f"word{number} "))


def variants() -> dict[str, Any]:
    a, b = InProcess(), InProcess()
    return {
        "bare": a,
        "with_fallbacks": a.with_fallbacks([b]),
        "ChatFailover": ChatFailover(targets=[a, b]),
        'ChatFailover, hedge="off"': ChatFailover(targets=[a, b], settings=Settings(hedge="off")),
    }


def measure_sync(call: Callable[[Any], Any], calls: int) -> dict[str, float]:
    """Microseconds a call, for each variant."""
    models = variants()
    times: dict[str, list[float]] = {name: [] for name in models}
    for round_number in range(ROUNDS + 3):
        for name, model in models.items():
            began = time.perf_counter()
            for _ in range(calls):
                call(model)
            if round_number >= 3:
                times[name].append((time.perf_counter() - began) / calls * 1e6)
    return {name: min(values) for name, values in times.items()}


async def measure_async(call: Callable[[Any], Awaitable[Any]], calls: int) -> dict[str, float]:
    models = variants()
    times: dict[str, list[float]] = {name: [] for name in models}
    for round_number in range(ROUNDS + 3):
        for name, model in models.items():
            began = time.perf_counter()
            for _ in range(calls):
                await call(model)
            if round_number >= 3:
                times[name].append((time.perf_counter() - began) / calls * 1e6)
    return {name: min(values) for name, values in times.items()}


def drain(model: Any) -> None:
    for _ in model.stream("hi"):
        pass


async def adrain(model: Any) -> None:
    async for _ in model.astream("hi"):
        pass


def import_ms(statement: str) -> float:
    """What an import adds, in milliseconds: the quickest of some fresh interpreters that find compiled files."""
    code = (
        "import time, langchain_core.language_models.chat_models\n"
        f"t = time.perf_counter()\n{statement}\nprint((time.perf_counter() - t) * 1e3)"
    )
    with TemporaryDirectory() as compiled:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled, "PYTHONDONTWRITEBYTECODE": ""}
        command = [sys.executable, "-c", code]
        runs = [subprocess.run(command, capture_output=True, text=True, check=True, env=environment) for _ in range(9)]
    return min(float(run.stdout) for run in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    arguments = parser.parse_args()
    figures: dict[str, dict[str, float]] = {
        "invoke": measure_sync(lambda model: model.invoke("hi"), CALLS),
        "ainvoke": asyncio.run(measure_async(lambda model: model.ainvoke("hi"), CALLS)),
        f"stream, {CHUNKS} chunks": measure_sync(drain, 1),
        f"astream, {CHUNKS} chunks": asyncio.run(measure_async(adrain, 1)),
    }
    result = {
        "microseconds": figures,
        "added_microseconds": {
            style: {name: value - values["bare"] for name, value in values.items() if name != "bare"}
            for style, values in figures.items()
        },
        "import_ms": import_ms("import langchain_failover"),
        "first_use_ms": import_ms("from langchain_failover import ChatFailover"),
    }
    if not arguments.json:
        for style, values in figures.items():
            print(f"\n{style:24} {'microseconds':>12} {'added':>8}")
            for name, value in values.items():
                print(f"  {name:26} {value:8.1f} {value - values['bare']:8.1f}")
        print(f"\nimport langchain_failover adds {result['import_ms']:.1f} ms")
        print(f"from langchain_failover import ChatFailover adds {result['first_use_ms']:.1f} ms\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
