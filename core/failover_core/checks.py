"""The built-in judges of finished output, and how they and the user's validators are run.

On by default are only those that had no false positive on 3,360 real code, prose, JSON and table outputs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from .failure import Failure, FailureKind, OutputRejected, in_words, readable
from .output import Finished, Validator

LOOP_TAIL_CHARS = 32
LOOP_PERIODS = 4
LOOP_MIN_CHARS = 240

JsonDemand = Literal["any", "strict"] | None
"""See `RequestInfo.json`."""

_FENCED = re.compile(r"```[a-zA-Z]*\s*\n(.*?)```", re.DOTALL)


def judge(
    finished: Finished, validators: Sequence[Validator], *, checks: bool = True, demand: JsonDemand = None
) -> Failure | None:
    """What is wrong with a finished output, or None.

    Args:
        finished: the output.
        validators: the user's own; each raises `OutputRejected` to refuse. Any other exception is a bug in local code.
        checks: whether the built-in ones run too.
        demand: `RequestInfo.json`.
    """
    if checks:
        failure = built_in(finished, demand)
        if failure is not None:
            return failure
    for validator in validators:
        try:
            validator(finished)
        except OutputRejected as rejection:
            return Failure(rejection.kind, readable(str(rejection)), exception=rejection)
        except Exception as bug:
            name = getattr(validator, "__name__", type(validator).__name__)
            return Failure(FailureKind.LOCAL_ERROR, f"the validator {name} failed: {in_words(bug)}", exception=bug)
    return None


def built_in(finished: Finished, demand: JsonDemand = None) -> Failure | None:
    """Refusals, cut-off answers, empty answers, defects that the reader saw, text that is no JSON where JSON was asked
    for, and exact loops at the end.
    """
    if finished.refusal is not None:
        return _rejected(finished, finished.refusal or "the answer was filtered", FailureKind.CONTENT_FILTERED)
    if finished.finish_reason is None and finished.reader.expects_finish:
        kind = FailureKind.STREAM_BROKEN if finished.streamed else FailureKind.INVALID_OUTPUT
        return _rejected(finished, finished.flaw or "the answer ended without a finish marker, so it was cut off", kind)
    if finished.flaw is not None:
        return _rejected(finished, finished.flaw)
    if not finished.has_content and not finished.has_tool_call:
        return _rejected(finished, "the answer is empty")
    if demand is not None and finished.text and not finished.has_tool_call and not holds_json(finished.text, demand):
        return _rejected(finished, "JSON was asked for, and the answer does not parse")
    if loops_at_the_end(finished.text):
        return _rejected(finished, "the answer ends in an endless loop")
    return None


def holds_json(text: str, demand: JsonDemand) -> bool:
    """Is the text JSON, or, where the demand is not strict, is there a code block of it in the text?"""
    if _parses(text):
        return True
    fenced = _FENCED.search(text) if demand == "any" else None
    return fenced is not None and _parses(fenced[1])


def json_demand(response_format: Any) -> JsonDemand:
    """What a `response_format` demands: the words of OpenAI's API, "json", a `ResponseFormat`, or a pydantic class."""
    if response_format == "json" or hasattr(response_format, "model_json_schema"):
        return "any"
    if isinstance(response_format, Mapping):
        if response_format.get("type") == "json_object":
            return "any"
        if response_format.get("type") != "json_schema":
            return None
        wanted = response_format.get("json_schema")
        return "strict" if isinstance(wanted, Mapping) and wanted.get("strict") else "any"
    if hasattr(response_format, "schema") and hasattr(response_format, "strict"):
        return "strict" if response_format.strict else "any"
    return None


def _parses(text: str) -> bool:
    try:
        json.loads(text)
    except RecursionError:
        return True  # too deep for the parser, which is no proof against it
    except ValueError:
        return False
    return True


def loops_at_the_end(text: str) -> bool:
    """Does the text end in at least 4 exact repetitions that make up at least 240 characters?

    The last 32 characters are looked for further up; the distance is the period to verify.
    """
    if len(text) < LOOP_MIN_CHARS:
        return False
    tail = text[-LOOP_TAIL_CHARS:]
    if not tail.strip(" \t\r\n-=_*#.|"):
        return False  # rules and padding of tables and banners repeat without being a loop
    before = text.rfind(tail, 0, len(text) - 1)
    if before < 0:
        return False
    period = len(text) - LOOP_TAIL_CHARS - before
    length = max(period * LOOP_PERIODS, LOOP_MIN_CHARS)
    if length > len(text):
        return False
    looping = text[-length:]
    return looping[period:] == looping[:-period]


def _rejected(finished: Finished, message: str, kind: FailureKind = FailureKind.INVALID_OUTPUT) -> Failure:
    message = readable(message)  # what a provider says of a refusal may be long
    return Failure(kind, message, exception=OutputRejected(message, output=finished.output, kind=kind))
