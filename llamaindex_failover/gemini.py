"""What GoogleGenAI (the LlamaIndex class) throws away of Gemini's answers, kept.

The class drops every chunk without content. So it drops the last chunk of many healthy streams, which carries only
the finish reason, and the only chunk of a blocked prompt, which carries only the reason; and it raises where an
answer has reached its token limit; where it makes an object of the answer, it does not look at the end at all. Here
its SDK client is mended from outside: an end is always visible, a blocked prompt is an error that says so, and an
answer at its limit is an answer, as with every other provider, unless an object was to be made of it and it is half.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import wraps
from typing import Any

from llama_index.core.llms import LLM

from failover_core import FailureKind, OutputRejected
from failover_core.checks import holds_json

from .errors import ended_early
from .parsing import cut_at_the_limit, cut_off

_MENDED = "_failover_mended"


def mend(llm: LLM) -> None:
    """Make the client of a GoogleGenAI tell how its answers end. Done once; the client is changed in place."""
    client = getattr(llm, "_client", None)
    if client is None:
        return
    models, aio_models = client.models, client.aio.models
    if getattr(models, _MENDED, False):
        return
    models.generate_content = _mended_call(models.generate_content)
    models.generate_content_stream = _mended_stream(models.generate_content_stream)
    aio_models.generate_content = _mended_acall(aio_models.generate_content)
    aio_models.generate_content_stream = _mended_astream(aio_models.generate_content_stream)
    setattr(models, _MENDED, True)


def completed(response: Any, *, for_object: bool = False, before: str = "") -> Any:
    """A response, or a chunk of one, whose end LlamaIndex will not overlook.

    Args:
        for_object: an object is to be made of it, without a look at its end.
        before: the text of the chunks before this one.

    Raises:
        OutputRejected: the prompt was blocked; or there was a bad end that would not be seen.
    """
    feedback = getattr(response, "prompt_feedback", None)
    blocked = getattr(feedback, "block_reason", None)
    candidates = response.candidates
    if not candidates:
        if blocked is not None:
            reason = getattr(blocked, "name", None) or str(blocked)
            raise OutputRejected(f"the prompt was blocked: {reason}", kind=FailureKind.CONTENT_FILTERED)
        return response
    candidate = candidates[0]
    if candidate.finish_reason is None:
        return response
    from google.genai import types

    if for_object:
        if candidate.finish_reason == types.FinishReason.MAX_TOKENS:
            if not holds_json(before + _text_of(response), "strict"):
                raise cut_at_the_limit()
        elif candidate.finish_reason != types.FinishReason.STOP:
            raise ended_early(candidate.finish_reason.name)
    has_parts = candidate.content is not None and bool(candidate.content.parts)
    if candidate.finish_reason == types.FinishReason.MAX_TOKENS:
        candidate.finish_message = candidate.finish_reason.name
        candidate.finish_reason = types.FinishReason.STOP
    if not has_parts:
        role = getattr(candidate.content, "role", None) or "model"
        candidate.content = types.Content(role=role, parts=[types.Part(text="")])
    return response


def _mended_call(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def generate_content(*args: Any, **kwargs: Any) -> Any:
        return completed(method(*args, **kwargs), for_object=_for_object(kwargs))

    return generate_content


def _mended_acall(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    async def generate_content(*args: Any, **kwargs: Any) -> Any:
        return completed(await method(*args, **kwargs), for_object=_for_object(kwargs))

    return generate_content


def _mended_stream(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def generate_content_stream(*args: Any, **kwargs: Any) -> Iterator[Any]:
        for_object, ended, said = _for_object(kwargs), False, ""
        for chunk in method(*args, **kwargs):
            ended = ended or _has_ended(chunk)
            so_far, said = said, said + _text_of(chunk) if for_object else ""
            yield completed(chunk, for_object=for_object, before=so_far)
        if for_object and not ended:
            raise cut_off(streamed=True)

    return generate_content_stream


def _mended_astream(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    async def generate_content_stream(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        async def chunks() -> AsyncIterator[Any]:
            for_object, ended, said = _for_object(kwargs), False, ""
            async for chunk in await method(*args, **kwargs):
                ended = ended or _has_ended(chunk)
                so_far, said = said, said + _text_of(chunk) if for_object else ""
                yield completed(chunk, for_object=for_object, before=so_far)
            if for_object and not ended:
                raise cut_off(streamed=True)

        return chunks()

    return generate_content_stream


def _for_object(kwargs: dict[str, Any]) -> bool:
    """The class asks like this, with a dict, where it makes objects of what comes, and in no other place."""
    config = kwargs.get("config")
    return isinstance(config, dict) and config.get("response_schema") is not None


def _text_of(response: Any) -> str:
    """What a response, or a chunk of one, says, without its thoughts."""
    content = response.candidates[0].content if response.candidates else None
    parts = (content.parts if content is not None else None) or ()
    return "".join(part.text for part in parts if part.text and not getattr(part, "thought", None))


def _has_ended(chunk: Any) -> bool:
    return bool(chunk.candidates) and chunk.candidates[0].finish_reason is not None
