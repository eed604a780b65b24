"""What a wire must be able to do: tell its requests, judge and read them, and write answers and errors."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NoReturn
from uuid import uuid4

from ...failure import FailureKind
from ..answers import Answer, Ask
from ..reply import Part, Reply, plain_reply

JSON = dict[str, Any]
Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Route:
    """What a path asks for. `model` and `stream` are None where they are in the body."""

    kind: Literal["answer", "list_models", "get_model"]
    model: str | None = None
    stream: bool | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """An error in a provider's words.

    Args:
        status: HTTP status.
        message: the text; "{model}" stands for the model that was asked for.
        type: the provider's error type, or Google's status word.
        code: the provider's error code.
        param: the parameter at fault (OpenAI).
        details: machine-readable details (Google).
        retry_after_s: when to come back, in seconds.
    """

    status: int
    message: str
    type: str | None = None
    code: str | None = None
    param: str | None = None
    details: tuple[JSON, ...] = ()
    retry_after_s: float | None = None


class Rejected(Exception):
    """The request is one that the real API answers with a 4xx."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Quota:
    """What the rate-limit headers say."""

    limit_requests: int
    remaining_requests: int
    limit_tokens: int
    remaining_tokens: int
    reset_s: float


class Wire(ABC):
    """One provider's HTTP API."""

    name: ClassVar[str]
    heartbeat: ClassVar[bytes]
    problems: ClassVar[Mapping[FailureKind, Problem]]
    """The real API's error for each kind of failure that comes as an error response."""

    @abstractmethod
    def route(self, method: str, path: str, headers: Headers) -> Route | None:
        """What is asked for, None when it is not a request of this wire."""

    @abstractmethod
    def check(self, body: JSON, model: str) -> None:
        """Raise `Rejected` for what the real API would not take."""

    @abstractmethod
    def read(self, body: JSON, model: str, stream: bool) -> Ask: ...

    @abstractmethod
    def plain(self, ask: Ask, answer: Answer) -> Reply: ...

    @abstractmethod
    def stream(self, ask: Ask, answer: Answer, words_per_chunk: int) -> Reply: ...

    @abstractmethod
    def error_body(self, problem: Problem) -> JSON: ...

    @abstractmethod
    def error_event(self, problem: Problem) -> Part:
        """The error as it comes inside a stream."""

    @abstractmethod
    def prompt_blocked(self, stream: bool) -> Reply:
        """What comes when the prompt itself is blocked."""

    @abstractmethod
    def headers(self, quota: Quota) -> dict[str, str]:
        """What the provider adds to each response: request id, rate limits."""

    @abstractmethod
    def list_models(self, names: Sequence[str]) -> JSON: ...

    @abstractmethod
    def get_model(self, name: str) -> JSON: ...

    def error(self, problem: Problem) -> Reply:
        return plain_reply(self.error_body(problem), status=problem.status, headers=retry_headers(problem))


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request as far as it is known before its body is understood."""

    wire: Wire
    model: str
    stream: bool

    def problem_of_status(self, status: int, message: str | None = None) -> Problem:
        """The provider's usual error for a status: its envelope, type and (unless given) its words."""
        kind = KIND_OF_STATUS.get(status)
        if kind is None:
            kind = FailureKind.SERVER_ERROR if status >= 500 else FailureKind.INVALID_REQUEST
            message = message or f"HTTP status {status}"
        return replace(self.problem_of_kind(kind, message), status=status)

    def problem_of_kind(self, kind: FailureKind, message: str | None = None) -> Problem:
        """The provider's real error for a kind of failure, one of `ERROR_KINDS`."""
        found = self.wire.problems[kind]
        return replace(found, message=message or found.message.replace("{model}", self.model))


ERROR_KINDS = frozenset(
    {
        FailureKind.RATE_LIMITED,
        FailureKind.QUOTA_EXHAUSTED,
        FailureKind.BILLING,
        FailureKind.OVERLOADED,
        FailureKind.SERVER_ERROR,
        FailureKind.TIMEOUT,
        FailureKind.CONTEXT_OVERFLOW,
        FailureKind.CONTENT_FILTERED,
        FailureKind.AUTH,
        FailureKind.PERMISSION_OR_REGION,
        FailureKind.MODEL_NOT_FOUND,
        FailureKind.INVALID_REQUEST,
    }
)
"""The failures that come as an error response; every wire has its own words for each."""

KIND_OF_STATUS: Mapping[int, FailureKind] = {
    400: FailureKind.INVALID_REQUEST,
    401: FailureKind.AUTH,
    402: FailureKind.BILLING,
    403: FailureKind.PERMISSION_OR_REGION,
    404: FailureKind.MODEL_NOT_FOUND,
    429: FailureKind.RATE_LIMITED,
    500: FailureKind.SERVER_ERROR,
    503: FailureKind.OVERLOADED,
    504: FailureKind.TIMEOUT,
    529: FailureKind.OVERLOADED,
}


def reject(status: int, message: str, **facts: Any) -> NoReturn:
    raise Rejected(Problem(status, message, **facts))


def retry_headers(problem: Problem) -> dict[str, str]:
    return {} if problem.retry_after_s is None else {"retry-after": f"{problem.retry_after_s:g}"}


def new_id(prefix: str, length: int = 24) -> str:
    return prefix + uuid4().hex[:length]


def with_ids(answer: Answer, prefix: str) -> Answer:
    """The answer with an id for each call that has none."""
    calls = tuple(replace(call, id=call.id or new_id(prefix)) for call in answer.tool_calls)
    return replace(answer, tool_calls=calls)


def now() -> int:
    return int(time.time())
