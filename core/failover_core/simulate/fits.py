"""What was measured of real traffic and real providers, as quantiles and rates: `data/fits.json`, `data/NOTICE`."""

from __future__ import annotations

import json
from bisect import bisect_right
from functools import cache
from importlib.resources import files
from math import exp, log
from typing import Any

PROVIDER_KINDS = ("majors", "hosts")
SIZES = ("azure_conversation", "azure_code", "mooncake")
TRACES = (*SIZES, "servegen_days")


class Quantiles:
    """A measured distribution of positive values. Draws lie between the quantiles, in the logarithm.

    Args:
        shares: which quantiles are given, from 0 to 1.
        values: the quantiles.
    """

    def __init__(self, shares: list[float], values: list[float]) -> None:
        self._shares = shares
        self._logs = [log(value) for value in values]

    def at(self, share: float) -> float:
        """The quantile of `share`, in [0, 1)."""
        right = min(bisect_right(self._shares, share), len(self._shares) - 1)
        low, high = self._shares[right - 1], self._shares[right]
        part = (share - low) / (high - low)
        return exp(self._logs[right - 1] + part * (self._logs[right] - self._logs[right - 1]))


@cache
def _fits() -> Any:
    return json.loads(files("failover_core.simulate").joinpath("data", "fits.json").read_text(encoding="utf-8"))


@cache
def first_token_ratio(providers: str) -> Quantiles:
    """Time to the first token over its median, at "majors" (OpenAI, Anthropic, Google) or "hosts" of open models."""
    return Quantiles(_fits()["shares"], _fits()["first_token_ratio"][providers])


@cache
def token_time_ratio() -> Quantiles:
    """Time per output token of a call over its median."""
    return Quantiles(_fits()["shares"], _fits()["token_time_ratio"])


@cache
def size(trace: str, what: str) -> Quantiles:
    """`what` = "prompt_tokens" or "output_tokens" of the requests of a trace."""
    return Quantiles(_fits()["shares"], _fits()["sizes"][trace][what])


@cache
def rates(trace: str) -> tuple[float, tuple[float, ...]]:
    """Seconds in a bin, and the rate in each bin over the trace's mean rate."""
    return (600.0 if trace == "servegen_days" else 10.0), tuple(_fits()["rates"][trace])
