"""The demo's traffic: when real users asked, and how long the answers were.

The slice is one minute of the Azure LLM inference trace of 2023 (CC-BY 4.0, see `testing/data/NOTICE`). It holds times
and token counts; what is asked and answered is made up here, the same for every lane.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from itertools import islice, takewhile
from random import Random

SLICE = "azure_llm_conv_2023_minute.csv"
SPEED = 1.2
MINUTE_S = 60.0 / SPEED
KEEP_EVERY = 2  # all of them, in three lanes, would be too much for one busy process
CHARS_PER_TOKEN = 4

_WORDS = re.findall(
    r"\w+",
    """
    answer attempt bridge budget caller circuit clock cloud coast copper course delta echo engine error evening field
    figure garden gate harbour health hour island junction keeper lantern ledger letter level limit market meadow
    measure message mirror morning north number office orchard outage paper path pattern piece plan pocket probe queue
    question railway reason record region request river route sample second signal silence station stream summer table
    target tide token tower traffic valley verdict village voice water weather window winter wire word yard
    """,
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request of the trace.

    Args:
        number: counts from 1.
        at_s: seconds since the replay began.
        answer_tokens: length of the answer it got then.
    """

    number: int
    at_s: float
    answer_tokens: int

    @property
    def question(self) -> str:
        return f"Question {self.number}: what should we know? Please use about {self.answer_tokens} tokens."


def arrivals(seconds: float) -> list[Arrival]:
    """Every second request of the minute, a little faster than then; `MINUTE_S` later the minute comes again."""
    asked = islice(takewhile(lambda row: row[0] < seconds, _endless()), 0, None, KEEP_EVERY)
    return [Arrival(number, at_s, tokens) for number, (at_s, tokens) in enumerate(asked, start=1)]


def answer_to(question: str) -> str:
    """What every provider says to a question of the demo, so that a lane's answer can be checked to the last letter."""
    number, tokens = map(int, re.findall(r"Question (\d+).* (\d+) tokens", question)[-1])
    rng = Random(number)
    words = [f"Answer {number}:"]
    length = len(words[0])
    while length < tokens * CHARS_PER_TOKEN:
        words.append(rng.choice(_WORDS))
        length += len(words[-1]) + 1
    return " ".join(words) + "."


def _endless() -> Iterator[tuple[float, int]]:
    minute = _minute()
    offset_s = 0.0
    while True:
        yield from ((offset_s + at_s, tokens) for at_s, tokens in minute)
        offset_s += MINUTE_S


def _minute() -> list[tuple[float, int]]:
    """(seconds of the replay, generated tokens) of each row of the slice."""
    text = files("failover_core.testing").joinpath("data", SLICE).read_text(encoding="utf-8")
    rows = [
        # The published times have seven decimals, one more than `datetime` reads.
        (datetime.fromisoformat(row["TIMESTAMP"][:-1]), int(row["GeneratedTokens"]))
        for row in csv.DictReader(text.splitlines())
    ]
    began = rows[0][0].replace(second=0, microsecond=0)
    return [((at - began).total_seconds() / SPEED, tokens) for at, tokens in rows]
