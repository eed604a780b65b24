"""The thread of the health checks: when it runs, and when it ends. Waits for events; nothing sleeps."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

import pytest

from failover_core import Failover, Settings, Target
from failover_core.drivers import watch
from failover_core.drivers.world import RealWorld
from failover_core.events import TargetChecked

PATIENCE_S = 10.0


def watched(check: Callable[[], Any], on_event: Callable[[Any], None] | None = None) -> Failover:
    target = Target("a", call=str, acall=_answer, stream=iter, astream=_chunks, health_check=check)
    return Failover([target], Settings(health_check_s=0.01), on_event=on_event)


async def _answer(request: str) -> str:
    return request


async def _chunks(request: str) -> Any:
    yield request


def thread_of(failover: Failover) -> Thread | None:
    assert failover._watch is not None
    return failover._watch._thread


def test_it_starts_with_the_first_request_and_only_once() -> None:
    checked = Event()
    failover = watched(checked.set)
    assert thread_of(failover) is None and not checked.is_set()
    failover.call("hi")
    assert checked.wait(PATIENCE_S)
    thread = thread_of(failover)
    assert thread is not None and thread.daemon
    failover.call("hi")
    assert thread_of(failover) is thread


@pytest.mark.parametrize("style", ["acall", "astream"])
async def test_it_serves_asyncio_too(style: str) -> None:
    checked: SimpleQueue[None] = SimpleQueue()
    failover = watched(lambda: checked.put(None))
    if style == "acall":
        await failover.acall("hi")
    else:
        assert [chunk async for chunk in failover.astream("hi")] == ["hi"]
    checked.get(timeout=PATIENCE_S)  # blocks the loop: the checks do not need it


def test_it_ends_with_the_failover() -> None:
    failover = watched(lambda: None)
    failover.call("hi")
    thread = thread_of(failover)
    assert thread is not None
    del failover
    gc.collect()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_a_check_that_hangs_holds_up_neither_requests_nor_other_checks() -> None:
    hangs, checked = Event(), Event()
    slow = Target("slow", call=str, health_check=lambda: hangs.wait(PATIENCE_S))
    other = Target("other", call=str, health_check=checked.set)
    failover = Failover([slow, other], Settings(health_check_s=0.01))
    failover.call("hi")
    assert checked.wait(PATIENCE_S)
    checked.clear()
    assert checked.wait(PATIENCE_S)
    assert failover.call("hi") == "hi"
    hangs.set()


def test_whatever_a_check_raises_is_told_and_harms_nobody() -> None:
    told: SimpleQueue[Any] = SimpleQueue()

    def check() -> None:
        raise SystemExit("a strange check")

    failover = watched(check, lambda event: told.put(event) if isinstance(event, TargetChecked) else None)
    failover.call("hi")
    assert told.get(timeout=PATIENCE_S).failure is not None
    assert told.get(timeout=PATIENCE_S).failure is not None
    assert failover.call("hi") == "hi"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_has_checks_of_its_own() -> None:
    script = f"""
import os
from threading import Event
from failover_core import Failover, Settings, Target
checked = Event()
failover = Failover([Target("a", call=str, health_check=lambda: checked.set())], Settings(health_check_s=0.01))
failover.call("hi")
assert checked.wait({PATIENCE_S})
child = os.fork()
if child == 0:
    checked = Event()
    failover.call("hi")
    os._exit(0 if checked.wait({PATIENCE_S}) else 1)
_, status = os.waitpid(child, 0)
raise SystemExit(os.waitstatus_to_exitcode(status))
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=6 * PATIENCE_S)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_fork_while_the_thread_is_being_started() -> None:
    script = f"""
import os, threading
from failover_core import Failover, Settings, Target
checked = threading.Event()
failover = Failover([Target("a", call=str, health_check=lambda: checked.set())], Settings(health_check_s=0.01))
failover._watch._lock.acquire()  # as another thread would
child = os.fork()
if child == 0:
    threading.Timer({PATIENCE_S}, os._exit, [2]).start()
    failover.call("hi")
    os._exit(0 if checked.wait({PATIENCE_S}) else 1)
_, status = os.waitpid(child, 0)
raise SystemExit(os.waitstatus_to_exitcode(status))
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=6 * PATIENCE_S)


def test_requests_go_on_where_its_thread_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refused(Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    checked = Event()
    failover = watched(checked.set)
    with monkeypatch.context() as patched:
        patched.setattr(watch, "Thread", Refused)
        assert failover.call("hi") == "hi"
    assert not checked.is_set()
    assert failover.call("hi") == "hi"
    assert checked.wait(PATIENCE_S), "the next request starts it"


def test_a_check_without_a_thread_is_put_off_and_blames_nobody() -> None:
    class Threadless(RealWorld):
        def spawn(self, work: Callable[[], None]) -> None:  # type: ignore[override]
            raise RuntimeError("can't start new thread")

    target = Target("a", call=str, health_check=lambda: None)
    failover = Failover([target], Settings(health_check_s=10.0), world=Threadless())
    checks = failover._watch
    assert checks is not None
    now = failover._world.now() + 60.0
    assert checks.look(now) > 0.0
    assert checks._checkups["a"].running is None
    assert checks._checkups["a"].last_s == now
    assert failover.health()["a"].suspicion == 0.0
