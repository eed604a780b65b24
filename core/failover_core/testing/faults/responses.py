"""Errors that come as a response of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...failure import FailureKind
from ..reply import Part, Reply, Role
from ..wires.base import Incoming
from .base import Fault, check_error_kind

HTML_PAGE = """<html>
<head><title>502 Bad Gateway</title></head>
<body>
<center><h1>502 Bad Gateway</h1></center>
<hr><center>cloudflare</center>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class Status(Fault):
    """An HTTP status with the provider's usual error for it, or with any body.

    Args:
        status: any status, also 200.
        message: the words of the error, in place of the usual ones.
        body: a str or bytes is sent as it is, anything else as JSON; None = the provider's envelope.
        headers: further response headers.
        retry_after_s: seconds to wait: a Retry-After header, or Google's RetryInfo.
        code: the error code, in place of the usual one (OpenAI).
        content_type: of a given body; None = HTML or JSON, as it looks.
    """

    status: int
    message: str | None = None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after_s: float | None = None
    code: str | None = None
    content_type: str | None = None

    def instead(self, incoming: Incoming) -> Reply | None:
        if self.body is None:
            problem = incoming.problem_of_status(self.status, self.message)
            problem = replace(problem, retry_after_s=self.retry_after_s, code=self.code or problem.code)
            reply = incoming.wire.error(problem)
            return replace(reply, headers={**reply.headers, **self.headers})
        retry = {} if self.retry_after_s is None else {"retry-after": f"{self.retry_after_s:g}"}
        body = self.body if isinstance(self.body, str | bytes) else json.dumps(self.body)
        body = body.encode() if isinstance(body, str) else body
        return Reply(
            parts=(Part(Role.CONTENT, body),) if body else (),
            status=self.status,
            headers={**retry, **self.headers},
            content_type=self.content_type or ("text/html" if body.lstrip().startswith(b"<") else "application/json"),
            from_provider=False,
        )


def html(status: int = 502) -> Status:
    """A gateway's HTML page: under a 5xx, or `html(200)` where an answer should be."""
    return Status(status, body=HTML_PAGE)


def empty_body(status: int = 200) -> Status:
    """A response without a body."""
    return Status(status, body=b"")


@dataclass(frozen=True, slots=True)
class ApiError(Fault):
    """The provider's real error for a kind of failure: quota, billing, context overflow, region, ...

    Args:
        kind: one of the kinds that come as an error response; others raise ValueError.
        message: in place of the provider's words.
        retry_after_s: seconds to wait, as the provider says it.
        status: in place of the provider's status; 200 gives the error JSON inside a success.
    """

    kind: FailureKind
    message: str | None = None
    retry_after_s: float | None = None
    status: int | None = None

    def __post_init__(self) -> None:
        check_error_kind(self.kind)

    def instead(self, incoming: Incoming) -> Reply | None:
        problem = incoming.problem_of_kind(self.kind, self.message)
        reply = incoming.wire.error(replace(problem, retry_after_s=self.retry_after_s))
        return replace(reply, status=self.status or reply.status)


@dataclass(frozen=True, slots=True)
class PromptBlocked(Fault):
    """The prompt is blocked: Gemini's promptFeedback in a 200, the others' content filter 400."""

    def instead(self, incoming: Incoming) -> Reply | None:
        return incoming.wire.prompt_blocked(incoming.stream)
