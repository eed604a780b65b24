"""May this target take this request at all? Each guard gives a reason to skip a target, or None."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ..model import RequestInfo, Target

Style = Literal["call", "acall", "stream", "astream"]
SYNC_TWIN: dict[Style, Style] = {"acall": "call", "astream": "stream"}


def cannot(target: Target, info: RequestInfo, style: Style) -> str | None:
    """Why `target` cannot take the request, in words for the trace; None when it can."""
    return no_callable(target, style) or does_not_fit(target, info) or lacks(target, info)


def no_callable(target: Target, style: Style) -> str | None:
    if getattr(target, style) is not None:
        return None
    twin = SYNC_TWIN.get(style)
    if twin is not None and getattr(target, twin) is not None:
        return None
    return f"it has no {style}= callable"


def does_not_fit(target: Target, info: RequestInfo) -> str | None:
    window, prompt = target.context_window_tokens, info.prompt_tokens
    if window is None or prompt is None:
        return None
    wanted = prompt + (info.max_output_tokens or 0)
    if wanted <= window:
        return None
    return f"about {wanted:,} tokens do not fit its window of {window:,}"


def lacks(target: Target, info: RequestInfo) -> str | None:
    missing = target.lacks.intersection(info.needs)
    return f"it cannot do {', '.join(sorted(missing))}" if missing else None


def roomier(target: Target, than: Target) -> bool:
    """Could `target` hold what overflowed `than`? An unknown window gets the benefit of the doubt."""
    if target.context_window_tokens is None or than.context_window_tokens is None:
        return target.name != than.name
    return target.context_window_tokens > than.context_window_tokens


def together(target: Target, other: Target) -> bool:
    """Do they share a failure domain, so that one slow or broken part is likely to hit both? Those of one provider do,
    except in different regions.
    """
    if target.provider is None or target.provider != other.provider:
        return False
    return target.region is None or other.region is None or target.region == other.region


def siblings(targets: Sequence[Target]) -> dict[str, list[str]]:
    """For each target, the others in its failure domain."""
    return {one.name: [other.name for other in targets if other is not one and together(one, other)] for one in targets}
