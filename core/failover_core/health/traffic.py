"""The requests as a whole: how often they come, and which extra attempts they have paid for."""

from __future__ import annotations

from contextlib import AbstractContextManager

from .hedges import HedgeBudget

COUNTED_REQUESTS = 20


class Traffic:
    """Part of the health book.

    Args:
        lock: the book's.
        retry_tokens, retry_refill: see `Settings.retry_budget_tokens`.
    """

    def __init__(self, lock: AbstractContextManager[bool], retry_tokens: float, retry_refill: float) -> None:
        self.lock = lock
        self._left = self._most = retry_tokens
        self._refill = retry_refill
        self._hedges = HedgeBudget()
        self._requests = 0
        self._since_s = 0.0
        self._every_s = 0.0

    def request_began(self, now: float = 0.0) -> None:
        """Each request pays a little into the retry budget."""
        if not self._requests:
            self._since_s = now
        self._requests += 1  # without the lock: a lost count is no harm
        if self._left < self._most:  # a look without the lock: while all is well there is nothing to refill
            self.refill()

    def refill(self) -> None:
        """Pay into the retry budget, for a request or for one that has waited on."""
        with self.lock:
            self._left = min(self._most, self._left + self._refill)

    def every_s(self, now: float) -> float:
        """Mean time between requests lately; 0 = not known yet."""
        if self._requests >= COUNTED_REQUESTS:
            self._every_s = (now - self._since_s) / self._requests
            self._since_s, self._requests = now, 0
        return self._every_s

    @property
    def retries_left(self) -> float:
        return self._left

    def spend_retry(self) -> bool:
        """Take one token from the retry budget; False when there is none."""
        with self.lock:
            if self._left < 1.0:
                return False
            self._left -= 1.0
            return True

    def earn_hedge(self) -> None:
        """Each request that may be hedged pays a little into the hedge budget."""
        with self.lock:
            self._hedges.earn()

    def spend_hedge(self) -> bool:
        """Take a token from both budgets: where retries are used up, nobody hedges."""
        with self.lock:
            if self._left < 1.0 or not self._hedges.spend():
                return False
            self._left -= 1.0
            return True
