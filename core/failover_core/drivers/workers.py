"""Threads that run attempts which somebody may have to stop waiting for.

`concurrent.futures` joins its threads when the interpreter exits, so one silent provider could keep a program from
ending; these are daemon threads, kept for a while and then let go.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Lock, Thread

from ..forks import forget_in_child

IDLE_S = 10.0


class Workers:
    """A pool that grows with demand: an attempt must never wait for another, silent one to end."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin without threads: a forked child has none of its parent's, and may have found the lock taken."""
        self._lock = Lock()
        self._idle: list[_Worker] = []
        self.busy = 0

    def submit(self, work: Callable[[], None]) -> None:
        """Run `work` on a thread now. `work` must not raise.

        Raises:
            RuntimeError: the system has no thread for it; it will not be run.
        """
        with self._lock:
            self.busy += 1
            worker = self._idle.pop() if self._idle else None
        if worker is not None:
            worker.inbox.put(work)
            return
        try:
            _Worker(self, work)
        except RuntimeError:
            with self._lock:
                self.busy -= 1
            raise

    def _rest(self, worker: _Worker) -> None:
        with self._lock:
            self.busy -= 1
            self._idle.append(worker)

    def _retire(self, worker: _Worker) -> bool:
        """False when work was handed to the worker in the last moment."""
        with self._lock:
            if worker in self._idle:
                self._idle.remove(worker)
                return True
            return False


class _Worker:
    def __init__(self, pool: Workers, work: Callable[[], None]) -> None:
        self.inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.inbox.put(work)  # before its thread starts, which the user may interrupt
        self._pool = pool
        Thread(target=self._run, name="failover-attempt", daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                work = self.inbox.get(timeout=IDLE_S)
            except Empty:
                if self._pool._retire(self):
                    return
                continue
            work()
            del work  # a resting thread must not keep a request alive
            self._pool._rest(self)


WORKERS = Workers()
forget_in_child(WORKERS)
