"""When nobody's answer is what was asked for, the last one may still be of more use than an error.

Agents show a tool call that does not fit its schema to the model, which then corrects itself; and `include_raw=True`
promises the raw message. `checks` says which answers these are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from failover_core import AllTargetsFailed, FailoverError, FailureKind, Outcome, StreamInterrupted

from .checks import AnswerRejected


def second_best(error: FailoverError, shown: Any = None) -> Outcome | None:
    """The answer to give instead of `error`; of a stream, the chunks that are still to be shown.

    Args:
        error: with which the request has ended.
        shown: the last chunk that the caller was given, None where there was none.
    """
    if error.failure is not None and error.failure.kind is FailureKind.LOCAL_ERROR:
        return None  # a mistake of the application, or an interrupt of its graph, is not to be covered up
    for attempt in reversed(error.attempts):
        rejection = attempt.failure.exception if attempt.failure is not None else None
        if not isinstance(rejection, AnswerRejected) or rejection.answer is None:
            continue
        answer: Any = rejection.answer
        if isinstance(answer, list):
            place = next((number for number, chunk in enumerate(answer, 1) if chunk is shown), 0)
            if shown is not None and not place and not isinstance(error, AllTargetsFailed):
                continue  # the caller has seen a part of another answer
            answer = answer[place:]
        elif isinstance(error, StreamInterrupted):
            continue
        assert error.trace is not None
        return Outcome(answer, replace(error.trace, target=attempt.target))
    return None
