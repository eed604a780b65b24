"""Requests of a simulated application: when they come, and how large they are.

Times follow a recorded rate (the start in the recording depends on the seed), with independent arrivals within each
bin: a Poisson process of changing rate, which is what the Azure conversation trace looks like (its counts a second
scatter as much as its rate a minute explains). Sizes are drawn from the trace's own quantiles; prompt and answer
sizes are independent (their rank correlation there is 0.07).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from . import fits
from .fields import need_choice, need_flags, need_numbers, need_shares

CHARS_PER_TOKEN = 4
_WORDS = (
    "answer bridge circuit delta evening figure garden harbour island junction keeper lantern market message north "
    "orchard pattern quarter railway signal station token tower value village voice water window winter yard"
).split()


def _long_text() -> str:
    rng = Random(1)
    return " ".join(rng.choice(_WORDS) for _ in range(12_000))


_TEXT = _long_text()


@dataclass(frozen=True, slots=True)
class Ask:
    """One request of the application.

    Args:
        number: counts from 0.
        at_s: when it arrives.
        prompt_tokens, output_tokens: sizes; the answer has this length wherever it comes from.
        streamed: asked for as a stream.
        thinking: reasoning was asked for.
    """

    number: int
    at_s: float
    prompt_tokens: int
    output_tokens: int
    streamed: bool
    thinking: bool = False

    @property
    def text(self) -> str:
        """The answer, the same from every target."""
        start = 37 * self.number % 40_000
        return _TEXT[start : start + CHARS_PER_TOKEN * self.output_tokens]


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the application asks for. As data: `Traffic(**{"rate": 5.0})`.

    Args:
        rate: mean requests a second.
        trace: whose rate over time: "azure_conversation", "azure_code" (bursts), "mooncake", "servegen_days", or
            "steady".
        sizes: whose sizes: "azure_conversation", "azure_code" or "mooncake" (long prompts).
        streamed_share: of all requests.
        thinking_share: of all requests.
        thinking_told: whether the application tells that it asks for reasoning.

    Raises:
        ConfigError: naming the field and what to write instead.
    """

    rate: float = 5.0
    trace: str = "azure_conversation"
    sizes: str = "azure_conversation"
    streamed_share: float = 0.5
    thinking_share: float = 0.0
    thinking_told: bool = True

    def __post_init__(self) -> None:
        need_numbers(self, "rate", above=0.0)
        need_choice(self, "trace", ("steady", *fits.TRACES))
        need_choice(self, "sizes", fits.SIZES)
        need_shares(self, "streamed_share", "thinking_share")
        need_flags(self, "thinking_told")


def asks(traffic: Traffic, start_s: float, seconds: float, rng: Random) -> Iterator[Ask]:
    """The requests of `seconds` seconds, from `start_s` on."""
    prompts, outputs = fits.size(traffic.sizes, "prompt_tokens"), fits.size(traffic.sizes, "output_tokens")
    for number, at_s in enumerate(_times(traffic, seconds, rng)):
        yield Ask(
            number,
            start_s + at_s,
            max(1, round(prompts.at(rng.random()))),
            max(1, round(outputs.at(rng.random()))),
            rng.random() < traffic.streamed_share,
            rng.random() < traffic.thinking_share,
        )


def _times(traffic: Traffic, seconds: float, rng: Random) -> Iterator[float]:
    bin_s, profile = (60.0, (1.0,)) if traffic.trace == "steady" else fits.rates(traffic.trace)
    began = rng.randrange(len(profile))
    now = 0.0
    credit = rng.expovariate(1.0)  # the integral of the rate until the next arrival
    while now < seconds:
        number = int(now / bin_s)
        ends_s = (number + 1) * bin_s
        rate = traffic.rate * profile[(began + number) % len(profile)]
        passing = rate * (ends_s - now)
        if passing < credit:
            credit -= passing
            now = ends_s + 1e-9
            continue
        now += credit / rate
        credit = rng.expovariate(1.0)
        if now < seconds:
            yield now
