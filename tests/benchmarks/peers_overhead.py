"""What failover costs on a healthy call: ours, LangChain's `with_fallbacks` and LiteLLM's Router, in one run.

    python tests/benchmarks/peers_overhead.py [--litellm-python VENV/bin/python] [--rounds N] [--json]

Each has three targets that answer at once, in process, and the first one answers. What is compared is what each adds
to the same call without failover: `Failover` to a Python function, `with_fallbacks` and `ChatFailover` to a LangChain
model, the Router to `litellm.completion(mock_response=...)`. The totals are not comparable: a function does nothing,
while litellm's own call already builds requests, responses and logging, as SDKs do. Work that a library leaves to
background threads (litellm's logging) counts as far as it delays the calls.

LiteLLM pins its dependencies, so it runs in an environment of its own, driven in lockstep: all take turns in each
round, and of each the quickest round counts, since a busy machine can only add.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter
from typing import Any

CALLS = 100
WARM_UP_ROUNDS = 3
ANSWER = "It is forty-two."

Row = Callable[[], float]
"""One round of one row: microseconds a call."""


def sync_row(call: Callable[[], object]) -> Row:
    def measure() -> float:
        began = perf_counter()
        for _ in range(CALLS):
            call()
        return (perf_counter() - began) / CALLS * 1e6

    return measure


def async_row(call: Callable[[], Awaitable[object]], loop: asyncio.AbstractEventLoop) -> Row:
    async def measure() -> float:
        began = perf_counter()
        for _ in range(CALLS):
            await call()
        return (perf_counter() - began) / CALLS * 1e6

    return lambda: loop.run_until_complete(measure())


# -- the rows: "style | library | what", where "bare" is what the others of its library are measured against ----------


def core_rows(loop: asyncio.AbstractEventLoop) -> dict[str, Row]:
    from failover_core import Failover, Settings, Target

    def answer(request: str) -> str:
        return ANSWER

    async def answer_async(request: str) -> str:
        return ANSWER

    def failover(**settings: Any) -> Failover:
        targets = [Target(name, call=answer, acall=answer_async) for name in ("a", "b", "c")]
        return Failover(targets, Settings(**settings))

    default, unwatched = failover(), failover(hedge="off")
    return {
        "sync | core | bare": sync_row(lambda: answer("hi")),
        "sync | core | Failover": sync_row(lambda: default.call("hi")),
        'sync | core | Failover, hedge="off"': sync_row(lambda: unwatched.call("hi")),
        "async | core | bare": async_row(lambda: answer_async("hi"), loop),
        "async | core | Failover": async_row(lambda: default.acall("hi"), loop),
    }


def langchain_rows(loop: asyncio.AbstractEventLoop) -> dict[str, Row]:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration, ChatResult

    from failover_core import Settings
    from langchain_failover import ChatFailover

    class InProcess(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "in-process"

        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
            return ChatResult(generations=[ChatGeneration(message=AIMessage(ANSWER))])

        async def _agenerate(
            self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> ChatResult:
            return ChatResult(generations=[ChatGeneration(message=AIMessage(ANSWER))])

    a, b, c = InProcess(), InProcess(), InProcess()
    models: dict[str, Any] = {
        "bare": a,
        "with_fallbacks": a.with_fallbacks([b, c]),
        "ChatFailover": ChatFailover(targets=[a, b, c]),
        'ChatFailover, hedge="off"': ChatFailover(targets=[a, b, c], settings=Settings(hedge="off")),
    }
    rows: dict[str, Row] = {}
    for name, model in models.items():
        rows[f"sync | LangChain | {name}"] = sync_row(lambda model=model: model.invoke("hi"))
        rows[f"async | LangChain | {name}"] = async_row(lambda model=model: model.ainvoke("hi"), loop)
    return rows


def litellm_rows(loop: asyncio.AbstractEventLoop) -> dict[str, Row]:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the network at import
    import litellm

    litellm.suppress_debug_info = True
    plain = {"model": "openai/gpt-4o-mini", "api_key": "none", "mock_response": ANSWER}
    messages = [{"role": "user", "content": "hi"}]

    def router(*groups: str, **options: Any) -> Any:
        return litellm.Router([{"model_name": group, "litellm_params": dict(plain)} for group in groups], **options)

    routers = {
        "Router, fallbacks": router("a", "b", "c", fallbacks=[{"a": ["b", "c"]}]),
        "Router, 3 deployments": router("a", "a", "a"),
    }
    rows = {
        "sync | LiteLLM | bare": sync_row(lambda: litellm.completion(messages=messages, **plain)),
        "async | LiteLLM | bare": async_row(lambda: litellm.acompletion(messages=messages, **plain), loop),
    }
    for name, one in routers.items():
        rows[f"sync | LiteLLM | {name}"] = sync_row(lambda one=one: one.completion("a", messages))
        rows[f"async | LiteLLM | {name}"] = async_row(lambda one=one: one.acompletion("a", messages), loop)
    return rows


# -- the other interpreter --------------------------------------------------------------------------------------------


def serve_litellm() -> None:
    """In LiteLLM's environment: one line of JSON about itself, then one for each line read."""
    from importlib.metadata import version

    answers, sys.stdout = sys.stdout, sys.stderr  # whatever the library prints must not get in between
    rows = litellm_rows(asyncio.new_event_loop())
    print(json.dumps(version("litellm")), file=answers, flush=True)
    for _ in sys.stdin:
        print(json.dumps({name: row() for name, row in rows.items()}), file=answers, flush=True)


class LiteLLM:
    """Measures in LiteLLM's own environment, one round at a time."""

    def __init__(self, python: str) -> None:
        command = [python, str(Path(__file__).resolve()), "--serve-litellm"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.version: str = self._answer()

    def round(self) -> dict[str, float]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        figures: dict[str, float] = self._answer()
        return figures

    def close(self) -> None:
        self._process.communicate()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args[0]} cannot measure LiteLLM: is it installed there?")  # type: ignore[index]
        return json.loads(line)


# -- the run ----------------------------------------------------------------------------------------------------------


def measured(rounds: int, litellm: LiteLLM | None) -> dict[str, float]:
    """The quickest round of each row, in microseconds a call."""
    loop = asyncio.new_event_loop()
    rows = core_rows(loop) | langchain_rows(loop)
    best: dict[str, float] = {}
    for number in range(rounds + WARM_UP_ROUNDS):
        figures = {name: row() for name, row in rows.items()} | (litellm.round() if litellm is not None else {})
        if number >= WARM_UP_ROUNDS:
            best = {name: min(value, best.get(name, value)) for name, value in figures.items()}
    loop.close()
    return best


def added(best: dict[str, float]) -> dict[str, float]:
    """What each row adds to the bare call of its library, in microseconds."""
    bare = {name.rpartition(" | ")[0]: value for name, value in best.items() if name.endswith("| bare")}
    return {
        name: value - bare[name.rpartition(" | ")[0]] for name, value in best.items() if not name.endswith("| bare")
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--litellm-python", metavar="PATH", help="an interpreter that has litellm; without it, no row")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--serve-litellm", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve_litellm:
        serve_litellm()
        return
    litellm = LiteLLM(arguments.litellm_python) if arguments.litellm_python else None
    best = measured(arguments.rounds, litellm)
    more = added(best)
    if litellm is not None:
        litellm.close()
    if not arguments.json:
        print(f"{'healthy call, 3 targets in process':<46}{'total us':>10}{'added us':>10}{'x Failover':>12}")
        for name in sorted(best, key=lambda row: (row.split(" | ")[0], best[row])):
            base = more[f"{name.split(' | ')[0]} | core | Failover"]
            figures = f"{more[name]:>10.1f}{more[name] / base:>12.1f}" if name in more else ""
            print(f"{name:<46}{best[name]:>10.1f}{figures}")
    version = litellm.version if litellm is not None else None
    result = {"total_us": best, "added_us": more, "rounds": arguments.rounds, "calls": CALLS, "litellm": version}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
