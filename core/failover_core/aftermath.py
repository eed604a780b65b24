"""What becomes of a probe that has lost its race: it runs on, and tells the health book how the target is."""

from __future__ import annotations

from .checks import judge
from .effects import Chunk, Elapsed, Event, Failed, Returned
from .failure import Failure, FailureKind, own_bug
from .live import Desk, Live, durations_of
from .model import RequestInfo
from .output import Finished
from .policy.verdicts import RULES


class Aftermath:
    """Takes the events of a detached attempt and settles its permit at the end.

    Args:
        desk: classifier, settings and health book.
        info: what is known of the request, for the target's habits.
        live: the attempt; its trace is closed and not touched any more.
    """

    def __init__(self, desk: Desk, info: RequestInfo, live: Live) -> None:
        self._desk = desk
        self._info = info
        self._live = live

    def __call__(self, event: Event) -> None:
        inlet = self._live.inlet
        if isinstance(event, Chunk):
            if inlet is not None:
                inlet.take(event.value, event.at_s)
            return
        book, permit = self._desk.book, self._live.permit
        if isinstance(event, Elapsed) and inlet is not None and inlet.first_content_s is not None:
            book.cancelled(permit, event.at_s)  # it has begun to answer, and nobody needs the rest
            return
        failure = self._failure(event)
        if failure is None:
            durations = durations_of(self._live, self._info, event.at_s)
            book.answered(permit, event.at_s, durations, self._live.rate_limit)
        else:
            rule = RULES[failure.kind]
            book.failed(permit, event.at_s, failure, rule.evidence_nats, parks=rule.parks)

    def _failure(self, event: Event) -> Failure | None:
        if isinstance(event, Failed):
            return self._desk.classify(event.error)
        if isinstance(event, Elapsed):
            return Failure(FailureKind.TIMEOUT, f"no answer in {event.at_s - self._live.began_s:.1f} s")
        target, inlet = self._live.target, self._live.inlet
        if isinstance(event, Returned):
            try:
                finished = Finished.of(event.value, target.reader.read(event.value), target.reader)
            except Exception as error:
                return own_bug(target.name, "its reader's read", error)
        else:
            assert inlet is not None
            if inlet.bug is not None:
                return inlet.bug
            finished = inlet.finished()
        settings = self._desk.settings
        return judge(finished, settings.validators, checks=settings.output_checks, demand=self._info.json)
