"""The timer of one request on asyncio."""

from __future__ import annotations

import asyncio


class LazyTimer:
    """Times move with every chunk, a timer seldom: an earlier one is left alone, and `_look` sees when it fires whether
    it is time already.
    """

    __slots__ = ("_loop", "_timer")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def _look(self) -> None:
        raise NotImplementedError

    def _arm(self, until_s: float) -> None:
        if self._timer is not None:
            if self._timer.when() <= until_s:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(until_s, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._look()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _is_time(self, until_s: float) -> bool:
        """Is it? Else look again later."""
        if until_s - self._loop.time() <= 1e-6:
            return True
        self._arm(until_s)
        return False
