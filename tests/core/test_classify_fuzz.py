"""Whatever an exception or a body holds, `classify` returns a `Failure`, soon, and lets no secret through."""

from __future__ import annotations

import json
import timeit
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from failover_core.classification import _classify as unguarded  # no bug may hide behind the guard
from failover_core.classify import classify
from failover_core.failure import ErrorReport, Failure, FailureKind

# fmt: off
WORDS = st.sampled_from((
    "rate", "limit", "quota", "exceeded", "context", "length", "tokens", "maximum", "overloaded", "billing",
    "credits", "invalid", "api", "key", "timeout", "blocked", "content", "model", "not", "found", "429", "503",
    "retry", "after", "20", "seconds", "try", "again", "in", "1.5s", "daily", "error",
))
# fmt: on
# fmt: off
KEYS = st.sampled_from((
    "error", "message", "code", "type", "status", "details", "reason", "metadata", "raw", "retryDelay",
    "quotaId", "input", "detail", "body", "cause",
))
# fmt: on
CODES = st.sampled_from(
    ["insufficient_quota", "RESOURCE_EXHAUSTED", "overloaded_error", "ThrottlingException", "429", "x", ""]
)
PROSE = st.lists(WORDS | st.text(max_size=8), max_size=30).map(" ".join)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | CODES | PROSE | st.binary(max_size=20)
BODIES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=5)
)
STATUSES = st.none() | st.integers(min_value=-1, max_value=1000) | st.sampled_from([200, 400, 403, 404, 429, 500, 529])
WAITS = st.sampled_from(["5", "1.5", "-1", "nan", "1e400", "9" * 400, "Thu, 01 Jan 2026 12:00:00 GMT", "6m0s", "²"])
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "retry-after-ms", "x-ratelimit-reset", "x-ratelimit-reset-tokens", "date", "x"])
    | st.text(max_size=6),
    WAITS | st.text(max_size=30),
    max_size=4,
)


def check(failure: Failure, error: object) -> None:
    assert isinstance(failure.kind, FailureKind)
    assert len(failure.message) <= 302
    assert "\n" not in failure.message
    assert failure.status is None or 100 <= failure.status <= 599
    assert failure.retry_after_s is None or 0 <= failure.retry_after_s < float("inf")
    assert failure.exception is (error if isinstance(error, BaseException) else None)


def as_text(body: Any) -> str:
    if isinstance(body, str):
        return body
    try:
        return json.dumps(body)
    except (TypeError, ValueError):
        return repr(body)


@settings(max_examples=400, deadline=None)
@given(status=STATUSES, body=BODIES, headers=HEADERS, code=st.none() | CODES, name=st.none() | st.text(max_size=20))
def test_any_report(status: int | None, body: Any, headers: dict[str, str], code: str | None, name: str | None) -> None:
    report = ErrorReport(status=status, message=as_text(body), headers=headers, code=code, exception_type=name)
    check(unguarded(report, lambda: 0.0), report)


class Weird(Exception):
    """Its attributes are what the strategy says; those that are exceptions are raised."""

    def __init__(self, attributes: Mapping[str, Any], *args: object) -> None:
        super().__init__(*args)
        self.held = attributes

    def __getattr__(self, name: str) -> Any:
        if name == "held" or name not in self.held:
            raise AttributeError(name)
        value = self.held[name]
        if isinstance(value, Exception):
            raise value
        return value

    def __str__(self) -> str:
        return self.__getattr__("text")  # type: ignore[no-any-return]


class RaisingMapping(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("no")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no")

    def __len__(self) -> int:
        raise RuntimeError("no")

    def items(self) -> Any:
        raise RuntimeError("no")


# fmt: off
NAMES = st.sampled_from((
    "status_code", "http_status", "status", "code", "type", "body", "details", "detail", "error", "response",
    "headers", "message", "text", "reason",
))
# fmt: on
VALUES = BODIES | STATUSES | HEADERS | st.builds(RuntimeError, PROSE) | st.builds(RaisingMapping) | st.builds(object)


@st.composite
def chains(draw: st.DrawFn) -> BaseException:
    """A few exceptions, each with some cause, context or group members among the others: cycles included."""
    plain: list[type[BaseException]] = [TypeError, ValueError, TimeoutError, OSError, RuntimeError, KeyboardInterrupt]
    errors: list[BaseException] = []
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["weird", "plain", "group"]))
        if kind == "weird":
            errors.append(Weird(draw(st.dictionaries(NAMES, VALUES, max_size=5)), *draw(st.lists(BODIES, max_size=2))))
        elif kind == "group" and errors:
            errors.append(BaseExceptionGroup(draw(PROSE) or "g", errors[-2:]))
        else:
            errors.append(draw(st.sampled_from(plain))(*draw(st.lists(LEAVES, max_size=3))))
    for error in errors:
        error.__cause__ = draw(st.none() | st.sampled_from(errors))
        error.__context__ = draw(st.none() | st.sampled_from(errors))
        error.__suppress_context__ = draw(st.booleans())
    return draw(st.sampled_from(errors))


@settings(max_examples=400, deadline=None)
@given(error=chains())
def test_any_chain_of_any_exceptions(error: BaseException) -> None:
    check(unguarded(error, None), error)


# -- time ------------------------------------------------------------------------------------------

MEGABYTE = 1_000_000
FRAGMENTS = [
    "rate limit ", "token ", "context length exceeds maximum ", "not ", "model ", "api key ", "in 5 seconds ", "1h",
    "please try again in 1", "'", '"', "\\", '\\"', "{", "[", '{"a":', "[[{", "{'message': '", '"message": "a"',
    '{"error": {"message": "', "<html>", "<title>", "<p>x</p>", "&nbsp;", "error 4", "status ", "Error: ", "aaaa", " ",
    "\n", "\t", "é", "过", "token=", "sk-", "Bearer ", "eyJ", "http://a:b@", "api_key='", "-----BEGIN ", "AKIA", "x-",
    "a_", "A_", "AaError", "credit'available", "access token ", "retry-after: ", "0.", "1,",
    "limit of 10 tokens per ", '{"input": {', "“",
]  # fmt: skip


SAMPLE = "x" * (MEGABYTE // 10)


def looks(case: object) -> float:
    """The work of classifying, in units of a plain look at each of a million characters, measured at the same time: the
    question is how much is read, not how fast this machine is.
    """
    work_s = min(timeit.repeat(lambda: classify(case), number=1, repeat=15))  # type: ignore[arg-type]
    look_s = 10 * min(timeit.repeat(lambda: sum(map(ord, SAMPLE)), number=1, repeat=5))
    return work_s / look_s


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_a_megabyte_of_anything_is_not_read_to_its_end(fragment: str) -> None:
    text = fragment * (MEGABYTE // len(fragment))
    cases = [ErrorReport(status=status, message=text) for status in (None, 400)] + [RuntimeError(text)]
    assert max(map(looks, cases)) < 0.3


@settings(max_examples=60, deadline=None)
@given(parts=st.lists(st.sampled_from(FRAGMENTS) | PROSE, min_size=1, max_size=4), status=st.sampled_from([None, 400]))
def test_a_megabyte_of_any_mixture(parts: list[str], status: int | None) -> None:
    unit = "".join(parts) or "x"
    assert looks(ErrorReport(status=status, message=unit * (MEGABYTE // len(unit)))) < 0.7


def test_a_huge_body_of_an_exception_is_not_walked_to_its_end() -> None:
    class WithBody(Exception):
        status_code = 500

        def __init__(self, body: object) -> None:
            self.body = body

    wide = {f"k{i}": {"message": f"m{i}"} for i in range(100_000)}
    deep: dict[str, Any] = {}
    for _ in range(10_000):
        deep = {"error": deep}
    endless: list[Any] = [{"message": "x"}]
    endless.append(endless)
    for body in (wide, deep, endless, [wide] * 1000, b'{"message": "x' + b"y" * MEGABYTE):
        assert looks(WithBody(body)) < 0.3


# -- secrets ---------------------------------------------------------------------------------------

SECRETS = st.sampled_from(
    ["sk-proj-aB3dE6gH9jK2mN5pQ8sT1vW4", "sk-ant-api03-aB3dE6gH9jK2mN5p", "AIzaSyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q"]
)


@settings(max_examples=200, deadline=None)
@given(secret=SECRETS, before=PROSE, after=PROSE, key=KEYS, status=STATUSES)
@example(secret="sk-proj-aB3dE6gH9jK2mN5pQ8sT1vW4", before="key " * 72, after="", key="message", status=401)
def test_no_key_gets_into_a_message(secret: str, before: str, after: str, key: str, status: int | None) -> None:
    text = f"{before} {secret} {after}"
    for body in (text, json.dumps({key: text}), json.dumps({"error": {"message": json.dumps({key: text})}})):
        assert secret[:16] not in classify(ErrorReport(status=status, message=body)).message
    assert secret[:16] not in classify(RuntimeError(text)).message
