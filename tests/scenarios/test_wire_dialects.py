"""Other servers than the official ones: the same answer written differently, and failures in shapes of their own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest

import lc_targets
from call_styles import STYLES
from failover_core import Settings
from failover_core.testing import Answer, Ask, Fault, faults
from failover_core.testing.wires import OpenAIWire
from fault_stage import KINDS, STORY, Stage, Turn, problems_of, second_of, stage
from raw_server import raw_server
from wire_dialects import BROKEN, BROKEN_STREAMS, DIALECTS, REFUSED, Dialect

QUICK = Settings(backoff_s=0.02)
TALE = STORY.replace("everybody", "„jederfrau und jedermann“ — 東京 🚀 —")
ONE_OF_EACH = ("langchain-invoke", "langchain-astream", "llamaindex-achat", "llamaindex-stream_chat")
STREAMS = ("langchain-stream", "langchain-astream", "llamaindex-stream_chat", "llamaindex-astream_chat")


@pytest.fixture(scope="module")
def scene() -> Iterator[Stage]:
    # The second provider begins its answer anew where it is asked to go on, as most models do that do not understand.
    with stage(answer=TALE, continuation=False) as made:
        yield made


@pytest.fixture(autouse=True)
def clean(scene: Stage) -> Iterator[None]:
    yield
    scene.clear()


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name.replace(" ", "_"))
def test_every_dialect_is_understood(scene: Stage, dialect: Dialect) -> None:
    turns = [
        scene.turn(style.name, kind, fault=dialect)
        for kind in KINDS
        for style in STYLES.values()
        if kind.rstrip(":") in dialect.wires and (dialect.streams if style.streaming else dialect.answers)
    ]
    scene.play(turns)

    def problems(turn: Turn) -> Iterator[str]:
        got = turn.got[0]
        if got.error is not None or got.text != TALE:
            yield f"got {got.text!r}, {got.error!r}"
        if (len(turn.first), len(turn.second)) != (1, 0):
            yield f"the providers saw {len(turn.first)} and {len(turn.second)} calls"
        if got.elapsed_s > 5:
            yield f"it took {got.elapsed_s:.1f} s"

    assert problems_of(turns, problems) == {}


def switches(turn: Turn) -> Iterator[str]:
    got = turn.got[0]
    if got.error is not None or got.text != TALE:
        yield f"got {got.text!r}, {got.error!r}"
    if not 1 <= len(turn.first) <= 2 or len(turn.second) != 1:
        yield f"the providers saw {len(turn.first)} and {len(turn.second)} calls"


def play_all(scene: Stage, faults: Mapping[str, Fault], kind: str, styles: tuple[str, ...]) -> dict[str, Turn]:
    turns = {
        f"{name}, {style}": scene.turn(style, kind, settings=QUICK, fault=fault)
        for name, fault in faults.items()
        for style in styles
    }
    scene.play(list(turns.values()))
    return turns


@pytest.mark.parametrize("kind", KINDS)
def test_broken_in_any_shape_another_answers(scene: Stage, kind: str) -> None:
    turns = play_all(scene, BROKEN, kind, ONE_OF_EACH) | play_all(scene, BROKEN_STREAMS, kind, STREAMS)
    found = {name: list(switches(turn)) for name, turn in turns.items()}
    assert {name: problems for name, problems in found.items() if problems} == {}


@pytest.mark.parametrize("kind", KINDS)
def test_refused_in_any_shape_nobody_else_is_asked(scene: Stage, kind: str) -> None:
    turns = play_all(scene, {name: fault for name, (fault, _) in REFUSED.items()}, kind, ONE_OF_EACH)
    for name, turn in turns.items():
        assert turn.got[0].failure_kind == REFUSED[name.partition(",")[0]][1], name
        assert (len(turn.first), len(turn.second)) == (1, 0), name


@pytest.mark.parametrize("kind", KINDS)
def test_retry_after_in_any_shape_is_kept(scene: Stage, kind: str) -> None:
    shapes: dict[str, tuple[dict[str, str], float]] = {
        "in milliseconds": ({"retry-after-ms": "400"}, 0.4),
        "with a fraction": ({"Retry-After": "0.4"}, 0.4),
        "as a date": ({"Retry-After": formatdate(time.time() + 2, usegmt=True)}, 0.5),
        "at once": ({"Retry-After": "0"}, 0.0),
    }
    turns = {
        (name, style): scene.turn(style, kind, script=[faults.Status(429, headers=headers), None])
        for name, (headers, _) in shapes.items()
        for style in ONE_OF_EACH
    }
    scene.play(list(turns.values()))
    for (name, style), turn in turns.items():
        assert (turn.got[0].text, len(turn.first), len(turn.second)) == (TALE, 2, 0), (name, style)
        assert turn.first[1].received_s - turn.first[0].received_s >= shapes[name][1], (name, style)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n"


@pytest.mark.parametrize("style", STREAMS)
@pytest.mark.parametrize(
    ("head", "share", "stays"),
    [(HEAD, 1.0, True), (HEAD, 0.5, False), (HEAD + b"content-length: 100000\r\n", 0.5, False)],
    ids=["whole, until the connection closes", "cut, which only the text tells", "cut, which the length tells"],
)
def test_bodies_without_chunked_encoding(scene: Stage, head: bytes, share: float, stays: bool, style: str) -> None:
    events = b"".join(part.data for part in OpenAIWire().stream(Ask("openai", "m", ()), Answer(TALE), 1).parts)
    turn = scene.turn(style, "openai:")
    with raw_server() as server:
        server.answer(head + b"\r\n" + events[: int(len(events) * share)])
        first: Any = lc_targets.build(
            "openai:", SimpleNamespace(openai_url=server.url, anthropic_url="", gemini_url="")
        )
        second = scene.model("langchain", second_of("openai:"), "second")
        turn.model = turn.style.failover([first, replace(second)], QUICK)
        scene.play([turn])
        scene.on_loop(lc_targets.close(first)).result()
    assert turn.got[0].text == TALE
    assert len(turn.second) == (0 if stays else 1)
