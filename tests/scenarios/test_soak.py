"""Many requests at once while one in ten of the primary's calls fails in some way: every word arrives, once, and
nothing leaks.

`FAILOVER_SOAK=10` makes it ten times as long, `FAILOVER_SOAK=0.1` a tenth.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest

from failover_core import Failover, Settings, Target
from failover_core.drivers import workers
from failover_core.testing import Fault, ProviderServer, faults

STORY = (
    "Once upon a time there was a small service in a large data centre far away from everybody who used it. "
    "It answered every question it was asked, by day and by night, and nobody ever thanked it for that. Then one "
    "morning it fell silent, and for the very first time all of the people noticed how much they had relied on it."
)
FAULTS: list[Fault] = [
    faults.Status(503),
    faults.Status(429, retry_after_s=1),
    faults.html(502),
    faults.Reset(),
    faults.Reset(after_chunks=20),
    faults.Cut(after_chunks=15),
    faults.Stall(after_chunks=10),
    faults.Silence(),
    faults.Malformed(after_chunks=8),
    faults.NoFinishReason(),
    faults.Empty(),
    faults.ErrorEvent(),
    faults.ErrorEvent(after_chunks=12),
]
SIZE = float(os.environ.get("FAILOVER_SOAK", "1"))
STREAMS = int(2_000 * SIZE)
CALLS = int(10_000 * SIZE)


POOLS = 8
"""Of connections, each with an SDK client of its own: the time in httpx's pool grows with the square of its queue."""


@contextmanager
def two_providers(
    settings: Settings, requests: int, pools: int = 1, network_s: float = 60.0
) -> Iterator[tuple[list[Failover], list[ProviderServer]]]:
    """Two providers, and failovers that share what they know about them.

    Args:
        network_s: the longest silence of the network: it is what ends a thread that was given up.
    """
    rng = Random(3)
    with (
        ProviderServer(answer=STORY, words_per_chunk=2) as first,
        ProviderServer(answer=STORY, words_per_chunk=2) as second,
    ):
        first.script([rng.choice(FAULTS) if rng.random() < 0.1 else None for _ in range(2 * requests)])
        options: dict[str, Any] = {"api_key": "any", "timeout_s": network_s}
        failovers: list[Failover] = []
        for _ in range(pools):
            targets = [
                Target.native("openai:gpt-4o-mini", base_url=first.openai_url, **options),
                Target.native("anthropic:claude-haiku-4-5", base_url=second.anthropic_url, **options),
            ]
            failovers.append(Failover(targets, settings, health_of=failovers[0] if failovers else None))
        yield failovers, [first, second]


async def test_concurrent_streams_lose_no_word_and_leave_no_task_and_no_connection() -> None:
    settings = Settings(first_token_s=30, stall_s=30, retry_budget_tokens=1000)  # all of them want two cores at once
    with two_providers(settings, STREAMS, POOLS) as (failovers, servers):

        async def one(number: int) -> tuple[str, bool]:
            stream = failovers[number % POOLS].astream_chat("Tell me a story.")
            text = "".join([chunk.text async for chunk in stream])
            assert stream.trace is not None
            return text, stream.trace.switched

        answers = await asyncio.gather(*(one(number) for number in range(STREAMS)))
        assert {text for text, _ in answers} == {STORY}
        assert sum(switched for _, switched in answers) > STREAMS // 50
        for target in [target for failover in failovers for target in failover.targets]:
            await target.source.aclose()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        if rest:
            await asyncio.wait(rest, timeout=30)  # a probe that was left behind ends by itself
        assert len(asyncio.all_tasks()) == 1
        assert all(health.in_flight == 0 for health in failovers[0].health().values())
        assert await asyncio.to_thread(comes_true, lambda: sum(server.connections for server in servers) == 0)


def test_threads_lose_no_word_and_go_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "IDLE_S", 0.2)
    settings = Settings(first_token_s=2, answer_s=2, stall_s=2, retry_budget_tokens=1000)
    with two_providers(settings, CALLS, network_s=4.0) as ((failover,), servers):
        before = threading.active_count()

        def one(number: int) -> str:
            if number % 10:
                return failover.chat("Tell me a story.").text
            return "".join(chunk.text for chunk in failover.stream_chat("Tell me a story."))

        with ThreadPoolExecutor(16) as pool:
            assert set(pool.map(one, range(CALLS))) == {STORY}
        assert comes_true(lambda: threading.active_count() <= before)
        assert all(health.in_flight == 0 for health in failover.health().values())
        assert all(health.abandoned == 0 for health in failover.health().values())
        for target in failover.targets:
            target.source.close()
        assert comes_true(lambda: sum(server.connections for server in servers) == 0)


def comes_true(condition: Callable[[], bool]) -> bool:
    for _ in range(600):
        if condition():
            return True
        threading.Event().wait(0.05)
    return False
