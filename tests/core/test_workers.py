"""The pool of threads: it grows with demand, is used again, and is let go. These tests are about real threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from failover_core.drivers import workers
from failover_core.drivers.workers import Workers

PATIENCE_S = 5.0


def do(pool: Workers, work: Callable[[], None] = lambda: None) -> threading.Thread:
    """Runs `work` on the pool and waits until its thread rests; returns the thread."""
    seen: list[threading.Thread] = []
    done = threading.Event()

    def noted() -> None:
        work()
        seen.append(threading.current_thread())
        done.set()

    pool.submit(noted)
    assert done.wait(PATIENCE_S)
    rests(pool)
    return seen[0]


def rests(pool: Workers, busy: int = 0) -> None:
    for _ in range(1000):
        if pool.busy == busy:
            return
        threading.Event().wait(0.001)
    raise AssertionError(f"{pool.busy} workers are still busy")


def test_a_resting_worker_is_used_again() -> None:
    pool = Workers()
    assert len({do(pool) for _ in range(10)}) == 1


def test_the_pool_grows_with_demand() -> None:
    pool, release, arrived = Workers(), threading.Event(), threading.Semaphore(0)
    seen = set()

    def work() -> None:
        seen.add(threading.current_thread())
        arrived.release()
        release.wait(PATIENCE_S)

    for _ in range(30):
        pool.submit(work)
    assert all(arrived.acquire(timeout=PATIENCE_S) for _ in range(30)), "nobody waits for another to end"
    assert (len(seen), pool.busy) == (30, 30)
    release.set()
    rests(pool)
    assert do(pool) in seen


def test_idle_workers_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "IDLE_S", 0.01)
    pool = Workers()
    first = do(pool)
    first.join(PATIENCE_S)
    assert not first.is_alive()
    assert pool._idle == []
    assert do(pool) is not first


def test_work_handed_over_in_the_last_moment_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose rest has just ended may already have been given the next work."""
    monkeypatch.setattr(workers, "IDLE_S", 0.0)
    pool, count = Workers(), 100
    done = threading.Semaphore(0)
    for _ in range(count):
        pool.submit(lambda: done.release() and None)
    assert all(done.acquire(timeout=PATIENCE_S) for _ in range(count))
    rests(pool)


def test_a_thread_that_cannot_start_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refused(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    pool, done = Workers(), threading.Event()
    with monkeypatch.context() as patched:
        patched.setattr(workers, "Thread", Refused)
        with pytest.raises(RuntimeError, match="new thread"):
            pool.submit(done.set)
    assert (pool.busy, pool._idle) == (0, [])
    do(pool)
    assert not done.is_set(), "what was refused is not done later"


def test_a_resting_worker_keeps_nothing_alive() -> None:
    import gc
    import weakref

    class Request:
        pass

    pool, request = Workers(), Request()
    alive = weakref.ref(request)

    def work(held: Request = request) -> None:
        assert held is not None

    do(pool, work)
    del request, work
    gc.collect()
    assert alive() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_does_not_wait_for_threads_that_it_has_not() -> None:
    """As under gunicorn's preload_app, after the parent has made a request."""
    script = f"""
import os
from threading import Event
from failover_core import Failover, Target
from failover_core.drivers.workers import WORKERS
failover = Failover([Target("a", call=str), Target("b", call=str)])
failover.call("hi")
while WORKERS.busy:
    Event().wait(0.001)
child = os.fork()
if child == 0:
    os._exit(0 if failover.run("hi").trace.elapsed_s < {PATIENCE_S} else 1)
_, status = os.waitpid(child, 0)
raise SystemExit(os.waitstatus_to_exitcode(status))
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=60)
