"""What a forked child must not take over from its parent, as under gunicorn's `preload_app`.

A lock that another thread held just then would stay locked for ever, an attempt of another thread would never end, and
what is drawn at random, request ids among it, would be the same in every child.
"""

from __future__ import annotations

import os
from random import Random
from typing import Protocol
from weakref import WeakSet


class Forgetful(Protocol):
    def forget(self) -> None:
        """Called in a forked child, before anything else runs there."""


_living: WeakSet[Forgetful] = WeakSet()


def forget_in_child(one: Forgetful) -> None:
    """From now on `one.forget()` is called in each forked child, as long as it lives."""
    _living.add(one)


class Chance(Random):
    """A source of random numbers that is another one in each child."""

    def __init__(self) -> None:
        super().__init__()
        forget_in_child(self)

    def forget(self) -> None:
        self.seed()


def _forget() -> None:
    for one in list(_living):
        one.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
