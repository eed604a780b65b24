"""One attempt in blocking code: inline, in the caller's thread, or on a worker thread that tells its mailbox."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from math import inf
from threading import RLock
from typing import Any

from ..context import enter, leave
from ..effects import AttemptEvent, Chunk, Elapsed, Ended, Event, Failed, Returned, Start
from ..stream.relay import Relay
from .abandoned import Abandoned
from .world import Mailbox, Room, World

NOBODY = 0


class Closed(Exception):
    """Another thread has closed the stream that is being read. A reader who waits is told as if attempt `NOBODY` had
    failed with it.
    """


class Attempt:
    """One started attempt. A stream pulled inline has an `opened` object, to be closed, and its iterator `source`; one
    that is pulled on a thread has been `idle_s` seconds without being asked for more. It is `running` while it holds
    that thread.
    """

    __slots__ = (
        "abandoned",
        "cancelled",
        "idle_s",
        "lock",
        "opened",
        "running",
        "source",
        "start",
        "threaded",
        "watch",
    )

    def __init__(self, start: Start, threaded: bool) -> None:
        self.start = start
        self.threaded = threaded
        self.cancelled = False
        self.running = False
        self.abandoned = False
        self.opened: Any = None
        self.source: Iterator[Any] | None = None
        self.idle_s = 0.0
        self.lock = RLock()  # the garbage collector may end a forgotten stream in a thread that is just telling
        self.watch: Callable[[Event], None] | None = None

    def give_up(self, abandoned: Abandoned) -> None:
        with self.lock:
            self.cancelled = True
            if self.running and not self.abandoned:
                self.abandoned = True
                abandoned.add(self.start.context.target.name)
                self.hang_up()

    def hang_up(self) -> None:
        if (hang_up := self.start.context.hang_up) is not None:
            with suppress(Exception):  # it has just ended by itself
                hang_up()

    def begins(self) -> bool:
        """Its thread has come; False when it has been given up before that, and is not to be made at all."""
        with self.lock:
            self.running = not self.cancelled
            return self.running

    def ended(self, abandoned: Abandoned) -> None:
        """Its thread is free again."""
        with self.lock:
            self.running = False
            if self.abandoned:
                abandoned.remove(self.start.context.target.name)

    def is_waited_for(self) -> bool:
        return not self.cancelled and self.watch is None

    def tell(self, event: AttemptEvent, mailbox: Mailbox) -> None:
        """From the attempt's own thread: what has happened, to whoever wants to know now."""
        with self.lock:
            if self.watch is None:
                mailbox.put(event)
            else:
                self.watch(event)


def call_inline(attempt: Attempt, world: World) -> AttemptEvent:
    start = attempt.start
    target = start.context.target
    assert target.call is not None
    outer = enter(start.context)
    try:
        return Returned(start.number, target.call(start.request), world.now())
    except Exception as error:
        return Failed(start.number, error, world.now())
    finally:
        leave(outer)


def pull_inline(attempt: Attempt, world: World) -> AttemptEvent:
    start = attempt.start
    outer = enter(start.context)
    try:
        if attempt.source is None:
            assert start.context.target.stream is not None
            attempt.opened = start.context.target.stream(start.request)
            attempt.source = iter(attempt.opened)
        return Chunk(start.number, next(attempt.source), world.now())
    except StopIteration:
        return Ended(start.number, world.now())
    except Exception as error:
        return Failed(start.number, error, world.now())
    finally:
        leave(outer)


def relay_inline(attempt: Attempt, relay: Relay, world: World) -> Generator[Any, None, AttemptEvent]:
    start, source, inlet = attempt.start, attempt.source, relay.inlet
    assert source is not None
    now, take, context = world.now, relay.take, start.context
    while True:
        outer = enter(context)
        try:
            chunk = next(source)
        except StopIteration:
            return Ended(start.number, now())
        except Exception as error:
            return Failed(start.number, error, now())
        finally:
            leave(outer)
        if attempt.cancelled:
            return Ended(start.number, now())
        at_s = now()
        passed = take(chunk, at_s)
        if passed is not None:
            yield passed
            inlet.idle_s += now() - at_s


def relay_mail(
    attempt: Attempt, relay: Relay, mailbox: Mailbox, world: World
) -> Generator[Any, None, AttemptEvent | Elapsed]:
    number, now, take, poll = attempt.start.number, world.now, relay.take, mailbox.poll
    deadline_s = inf if relay.deadline_s is None else relay.deadline_s
    seen_s = now()  # chunks may wait in the mailbox: the caller's time is what counts, not theirs
    while True:
        event = poll() or mailbox.get(relay.until_s)
        if event is None:
            relay.inlet.idle_s = attempt.idle_s
            return Elapsed(now())
        if event.number != number:
            if event.number == NOBODY:
                raise Closed
            continue  # it was given up
        if not isinstance(event, Chunk):
            relay.inlet.idle_s = attempt.idle_s
            return event
        if seen_s >= deadline_s and relay.inlet.finish_reason is None:  # else the last words may pass
            relay.inlet.idle_s = attempt.idle_s
            return Elapsed(seen_s)
        passed = take(event.value, event.at_s)
        if passed is None:
            seen_s = event.at_s
        else:
            yield passed
            seen_s = now()
            relay.reader_back(event.at_s, seen_s)


def call_on_thread(attempt: Attempt, world: World, mailbox: Mailbox) -> None:
    start = attempt.start
    target = start.context.target
    assert target.call is not None
    enter(start.context)
    try:
        value = target.call(start.request)
    except BaseException as error:
        attempt.tell(Failed(start.number, error, world.now()), mailbox)
    else:
        attempt.tell(Returned(start.number, value, world.now()), mailbox)


def pull_on_thread(attempt: Attempt, world: World, mailbox: Mailbox) -> None:
    start, now = attempt.start, world.now
    target = start.context.target
    assert target.stream is not None
    enter(start.context)
    opened: Any = None
    room = Room(getattr(target.reader, "text_so_far", None))
    try:
        opened = target.stream(start.request)
        for chunk in opened:
            if attempt.cancelled:
                break
            event = Chunk(start.number, chunk, now())
            attempt.tell(event, mailbox)
            if mailbox.waited_for_room(attempt.is_waited_for, room.after(chunk)):
                attempt.idle_s += now() - event.at_s
        else:
            attempt.tell(Ended(start.number, world.now()), mailbox)
    except BaseException as error:
        attempt.tell(Failed(start.number, error, world.now()), mailbox)
    finally:
        close(opened)


def close(opened: Any) -> None:
    """Generators and SDK streams hold a connection until they are closed."""
    close = getattr(opened, "close", None)
    if close is not None:
        try:
            close()
        except Exception:
            return  # it is being given up; what its cleanup says changes nothing
