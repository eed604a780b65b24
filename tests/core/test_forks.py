"""A forked child begins without what its parent's other threads held, as under gunicorn's preload_app."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")

SETUP = """
import os, threading
from failover_core import Failover, Settings, Target
failover = Failover([Target("a", call=str, max_concurrent=1)], Settings(hedge="off", retry_after_patience_s=0.0))
"""


def child(setup: str, passes: str) -> None:
    """Forks after `setup`; fails unless `passes` is true in the child, within a few seconds."""
    script = f"""{SETUP}{setup}
child = os.fork()
if child == 0:
    threading.Timer(5.0, os._exit, [2]).start()
    os._exit(0 if {passes} else 1)
_, status = os.waitpid(child, 0)
raise SystemExit(os.waitstatus_to_exitcode(status))
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=60)


def test_a_lock_that_another_thread_held() -> None:
    child("failover._book._lock.acquire()", "failover.call('hi') == 'hi'")


def test_attempts_that_are_under_way_in_the_parent() -> None:
    child("failover._book.admit('a', 0.0)", "failover.call('hi') == 'hi' and failover.health()['a'].in_flight == 0")


def test_an_attempt_that_was_under_way_is_not_counted_twice() -> None:
    setup = "permit = failover._book.admit('a', 0.0)"
    child(setup, "failover._book.answered(permit, 1.0) or failover.health()['a'].in_flight == 0")


def test_attempts_that_still_hold_a_thread_of_the_parent() -> None:
    child("failover._world.abandoned.add('a')", "failover.health()['a'].abandoned == 0")


def test_request_ids_are_the_child_s_own() -> None:
    setup = """
ours, theirs = os.pipe()
def request_id():
    return failover.run("hi").trace.request_id.encode()
def told():
    os.write(theirs, request_id())
    return True
for _ in range(2):
    if os.fork() == 0:
        os._exit(0 if told() else 1)
ids = {os.read(ours, 16), os.read(ours, 16), request_id()}
"""
    child(setup, "len(ids) == 3")
