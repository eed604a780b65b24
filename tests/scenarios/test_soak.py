"""Many requests at once while one in ten of the primary's calls fails in some way: every word arrives, once, and
nothing leaks.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

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
SETTINGS = Settings(first_token_s=6, answer_s=6, stall_s=3, retry_budget_tokens=1000)
REQUESTS = 600


@pytest.fixture
def failover() -> Iterator[Failover]:
    rng = Random(3)
    with (
        ProviderServer(answer=STORY, words_per_chunk=2, chunk_delay_s=0.002) as first,
        ProviderServer(answer=STORY, words_per_chunk=2, chunk_delay_s=0.002) as second,
    ):
        first.script([rng.choice(FAULTS) if rng.random() < 0.1 else None for _ in range(2 * REQUESTS)])
        targets = [
            Target.native("openai:gpt-4o-mini", base_url=first.openai_url, api_key="any"),
            Target.native("anthropic:claude-haiku-4-5", base_url=second.anthropic_url, api_key="any"),
        ]
        yield Failover(targets, SETTINGS)
        for target in targets:
            target.source.close()


async def test_concurrent_streams_lose_no_word_and_leave_no_task(failover: Failover) -> None:
    gate = asyncio.Semaphore(200)

    async def one() -> tuple[str, bool]:
        async with gate:
            stream = failover.astream_chat("Tell me a story.")
            text = "".join([chunk.text async for chunk in stream])
            assert stream.trace is not None
            return text, stream.trace.switched

    answers = await asyncio.gather(*(one() for _ in range(REQUESTS)))
    assert {text for text, _ in answers} == {STORY}
    assert any(switched for _, switched in answers)
    for target in failover.targets:
        await target.source.aclose()
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    if rest:
        await asyncio.wait(rest, timeout=30)  # a probe that was left behind ends by itself
    assert len(asyncio.all_tasks()) == 1
    assert all(health.in_flight == 0 for health in failover.health().values())


def test_threads_lose_no_word_and_go_home(failover: Failover, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "IDLE_S", 0.2)
    before = threading.active_count()

    def one(number: int) -> str:
        if number % 2:
            return failover.chat("Tell me a story.").text
        return "".join(chunk.text for chunk in failover.stream_chat("Tell me a story."))

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(one, range(REQUESTS))) == {STORY}
    for _ in range(600):
        if threading.active_count() <= before:
            break
        threading.Event().wait(0.05)
    assert threading.active_count() <= before
    assert all(health.in_flight == 0 for health in failover.health().values())
