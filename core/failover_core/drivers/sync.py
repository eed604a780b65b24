"""The engine in ordinary, blocking code.

An attempt that nobody may have to interrupt runs inline, in the caller's own thread. A watched one runs on a worker
thread with a copy of the caller's context, so that it can be raced or given up. Python cannot stop a thread: an attempt
given up is told at its next chunk, and its late result falls on deaf ears. Until then it counts as abandoned, and a
target with `MAX_ABANDONED` of them is asked no more. Where the system has no thread left, an attempt fails at once, and
nobody is blamed.

`sync_attempt` makes one attempt, `workers` and `world` are its threads and its clock.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from contextvars import copy_context
from typing import Any

from ..effects import (
    AttemptEvent,
    Cancel,
    Chunk,
    Detach,
    Effect,
    Elapsed,
    Emit,
    Event,
    Failed,
    Flow,
    Start,
    Wait,
    abandon,
)
from ..failure import FailureKind
from ..stream.relay import Relay
from .abandoned import MAX_ABANDONED, busy, threadless
from .sync_attempt import (
    NOBODY,
    Attempt,
    Closed,
    call_inline,
    call_on_thread,
    close,
    pull_inline,
    pull_on_thread,
    relay_inline,
    relay_mail,
)
from .world import Mailbox, World


def run(flow: Flow, world: World) -> Any:
    """Performs an `answer_flow`; returns its answer."""
    attempts = Attempts(world, call_inline, call_on_thread)
    reply: Any = None
    try:
        while True:
            effect = flow.send(reply)
            reply = attempts.perform(effect)
    except StopIteration as stop:
        return stop.value
    finally:
        try:
            abandon(flow, world.now())
        finally:  # a second Ctrl-C
            attempts.close()


def streaming(world: World) -> Attempts:
    """What `stream` needs; any thread may `stop` it."""
    return Attempts(world, pull_inline, pull_on_thread)


def stream(flow: Flow, attempts: Attempts) -> Generator[Any, None, None]:
    """Performs a `stream_flow`; yields its chunks."""
    world = attempts.world
    reply: Any = None
    away_s = 0.0
    try:
        while True:
            effect = flow.send(reply)
            if isinstance(effect, Emit):
                left_s = world.now()
                yield effect.chunk
                reply = world.now()
                away_s += reply - left_s
            elif isinstance(effect, Wait) and effect.relay is not None:
                reply = yield from attempts.relay(effect.relay, away_s)
                away_s = 0.0
            else:
                reply = attempts.perform(effect)
    except (StopIteration, Closed):
        return
    finally:
        try:
            abandon(flow, world.now())
        finally:
            attempts.close()


class Attempts:
    """What one request has under way."""

    def __init__(
        self,
        world: World,
        inline: Callable[[Attempt, World], AttemptEvent],
        on_thread: Callable[[Attempt, World, Mailbox], None],
    ) -> None:
        self.world = world
        self._inline = inline
        self._on_thread = on_thread
        self._live: dict[int, Attempt] = {}
        self._mailbox: Mailbox | None = None
        self._stopped = False

    def perform(self, effect: Effect) -> Any:
        if isinstance(effect, Wait):
            return self._wait(effect.until_s)
        if isinstance(effect, Start):
            self._begin(effect)
        elif isinstance(effect, Cancel):
            self._end(effect.number)
        elif isinstance(effect, Detach):
            self._detach(effect)
        return self.world.now()

    def _begin(self, start: Start) -> None:
        attempt = Attempt(start, threaded=start.watched or bool(self._live))
        self._live[start.number] = attempt
        if attempt.threaded:
            mailbox = self._mailbox = self._mailbox or self.world.mailbox()
            count = self.world.abandoned.count(start.context.target.name)
            if count >= MAX_ABANDONED:
                mailbox.put(Failed(start.number, busy(count), self.world.now()))
                return
            context, world, on_thread = copy_context(), self.world, self._on_thread

            def work() -> None:
                if attempt.begins():
                    try:
                        context.run(on_thread, attempt, world, mailbox)
                    finally:
                        attempt.ended(world.abandoned)

            try:
                world.spawn(work)
            except RuntimeError as error:
                mailbox.put(Failed(start.number, threadless(error), world.now()))

    def _wait(self, until_s: float | None) -> Event:
        for attempt in self._live.values():
            if not attempt.threaded:
                return self._noted(self._inline(attempt, self.world))
        mailbox = self._mailbox = self._mailbox or self.world.mailbox()
        while not self._stopped and (event := mailbox.get(until_s)) is not None:
            if event.number in self._live:  # else it was given up
                return self._noted(event)
        if self._stopped:
            raise Closed
        return Elapsed(self.world.now())

    def _noted(self, event: AttemptEvent) -> Event:
        if self._stopped:  # by whatever has ended the attempt
            raise Closed
        attempt = self._live[event.number]
        if not isinstance(event, Chunk):
            del self._live[event.number]
            close(attempt.opened)
        return event

    def relay(self, relay: Relay, away_s: float) -> Generator[Any, None, Event]:
        """Passes on the chunks of the attempt that is left; returns what else has happened. `away_s` = how long the
        caller was busy with what was held back.
        """
        (attempt,) = self._live.values()
        if not attempt.threaded:
            relay.inlet.idle_s += away_s
            return self._noted((yield from relay_inline(attempt, relay, self.world)))
        assert self._mailbox is not None
        event = yield from relay_mail(attempt, relay, self._mailbox, self.world)
        return event if isinstance(event, Elapsed) else self._noted(event)

    def _detach(self, detach: Detach) -> None:
        attempt, mailbox, world = self._live.pop(detach.number), self._mailbox, self.world
        assert mailbox is not None
        with ExitStack() as silence:  # what the others say meanwhile would come before what they have said already
            for one in (attempt, *self._live.values()):
                silence.enter_context(one.lock)
            attempt.watch = detach.watch
            others: list[AttemptEvent] = []
            while (event := mailbox.poll()) is not None:
                (detach.watch if event.number == detach.number else others.append)(event)
            for event in others:
                mailbox.put(event)
        mailbox.look_again()

        def end(event: Event) -> None:
            with attempt.lock:
                detach.watch(event)
            attempt.give_up(world.abandoned)

        def expire() -> None:
            world.sleep(detach.until_s - world.now())
            end(Elapsed(world.now()))

        try:
            world.spawn(expire)
        except RuntimeError as error:  # nobody could end it later
            end(Failed(detach.number, threadless(error, FailureKind.LOCAL_ERROR), world.now()))

    def _end(self, number: int) -> None:
        attempt = self._live.pop(number, None)
        if attempt is None:
            return
        attempt.give_up(self.world.abandoned)
        if self._mailbox is not None:
            self._mailbox.look_again()
        close(attempt.opened)

    def close(self) -> None:
        for number in list(self._live):
            self._end(number)

    def stop(self) -> None:
        """From another thread than that of the reader, who is to end the stream as soon as he wakes up. An inline
        target that cannot be hung up on has to say something first.
        """
        self._stopped = True
        for attempt in self._live.copy().values():
            if not attempt.threaded:
                attempt.cancelled = True
                attempt.hang_up()
        if self._mailbox is not None:
            self._mailbox.put(Failed(NOBODY, Closed(), self.world.now()))
