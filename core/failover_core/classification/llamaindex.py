"""LlamaIndex' integrations, which mostly let the SDKs' errors through and raise plain ValueErrors for the rest."""

from __future__ import annotations

from collections.abc import Mapping

from failover_core.failure import FailureKind as K

from .evidence import Evidence, peek

NAMES: Mapping[str, K | int] = {"OutputParserError": K.INVALID_OUTPUT}

NO_CANDIDATES = "Response has no candidates"


def read(error: BaseException, evidence: Evidence) -> None:
    """GoogleGenAI says the same for a blocked prompt and for an empty answer; its frame still holds the response."""
    if not evidence.text.startswith(NO_CANDIDATES):
        return
    step = error.__traceback__
    while step is not None:
        feedback = peek(step.tb_frame.f_locals.get("response"), "prompt_feedback")
        reason = peek(peek(feedback, "block_reason"), "name")
        if isinstance(reason, str):
            evidence.names.insert(0, "content_filter")
            evidence.code = reason
            evidence.messages.append(f"the prompt was blocked: {reason}")
        step = step.tb_next
