"""The frozen values a request is made of: where it may go (`Target`) and what is known of it (`RequestInfo`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from inspect import isasyncgenfunction, iscoroutinefunction
from math import isfinite
from typing import Any, Literal

from .failure import ConfigError
from .output import PLAIN, OutputReader

CALL_STYLES = ("call", "acall", "stream", "astream")


@dataclass(frozen=True, slots=True)
class Target:
    """One model at one provider, or any callable: a place where a request can be answered.

    Each callable takes the request as it was given to `Failover` and knows nothing of failover. A target serves
    the call styles that it has a callable for; an async call falls back on a sync callable in a thread, never
    the other way round.

    Args:
        name: unique within a `Failover`; health is kept under it.
        call: `request -> answer`.
        acall: `request -> awaitable of the answer`.
        stream: `request -> iterator of chunks`.
        astream: `request -> async iterator of chunks`.
        provider: who runs it ("openai", ...); targets of one provider fail together more often.
        model: the model's name at the provider.
        region: where it runs, for rules and failure domains.
        context_window_tokens: input and output together; None = unknown, never a reason to skip.
        lacks: capabilities it is known not to have, out of `RequestInfo.needs`.
        tags: free labels for rules.
        weight: share of the traffic where a policy balances, > 0.
        tier: lower tiers first; targets of one tier are peers.
        max_concurrent: how many attempts may be under way at a time; more go to the next target. None = any number.
        input_usd_per_million, output_usd_per_million: prices in US dollars a million tokens; None = unknown.
        reader: how to read its outputs.
        resume: `(request, shown_text) -> request` that asks to go on after `shown_text`; None = cannot resume.
        health_check: a free call that raises when the provider does not answer; run off the hot path where
            `Settings.health_check_s` asks for it. None = it is not checked.
        source: the object behind the callables (a framework model, a native client), for adapters.

    Raises:
        ConfigError: for an empty name, no callable at all, an async one where a plain one is called, a reader that
            lacks something, or a quantity out of range.
    """

    name: str
    call: Callable[[Any], Any] | None = None
    acall: Callable[[Any], Awaitable[Any]] | None = None
    stream: Callable[[Any], Iterator[Any]] | None = None
    astream: Callable[[Any], AsyncIterator[Any]] | None = None
    provider: str | None = None
    model: str | None = None
    region: str | None = None
    context_window_tokens: int | None = None
    lacks: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    weight: float = 1.0
    tier: int = 0
    max_concurrent: int | None = None
    input_usd_per_million: float | None = None
    output_usd_per_million: float | None = None
    reader: OutputReader = field(default=PLAIN, repr=False)
    resume: Callable[[Any, str], Any] | None = field(default=None, repr=False)
    health_check: Callable[[], Any] | None = field(default=None, repr=False)
    source: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise ConfigError(f"Target(name={self.name!r}): give it a name, such as Target('primary', call=...)")
        for style in (*CALL_STYLES, "resume"):
            value = getattr(self, style)
            if value is not None and not callable(value):
                raise ConfigError(
                    f"Target({self.name!r}): {style}= must be a callable that takes the request, not "
                    f"{type(value).__name__}"
                )
        for style, instead in (("call", "acall="), ("stream", "astream="), ("resume", "a plain function")):
            if is_async(getattr(self, style)):
                raise ConfigError(
                    f"Target({self.name!r}): {style}= must not be async, since nobody would await it; pass {instead}"
                )
        if not any(getattr(self, style) for style in CALL_STYLES):
            raise ConfigError(
                f"Target({self.name!r}) has nothing to call: pass call=, acall=, stream= or astream=, "
                f"or write Target.native('openai:MODEL')"
            )
        self._check_reader()
        if self.health_check is not None and (not callable(self.health_check) or is_async(self.health_check)):
            raise ConfigError(
                f"Target({self.name!r}): health_check= must be a plain function without arguments, run on a thread of "
                f"its own, not {self.health_check!r:.80}"
            )
        self._check_quantities()
        for field_name in ("lacks", "tags"):
            labels = getattr(self, field_name)
            if isinstance(labels, str) or not isinstance(labels, Iterable):
                raise ConfigError(
                    f"Target({self.name!r}): {field_name} must be a set of labels, such as {{'tools'}}, not {labels!r}"
                )
            object.__setattr__(self, field_name, frozenset(labels))

    def _check_reader(self) -> None:
        reads = hasattr(self.reader, "read") or hasattr(self.reader, "read_chunk")
        missing = [part for part in ("expects_finish", "usage_adds_up") if not hasattr(self.reader, part)]
        if isinstance(self.reader, type) or not reads:
            raise ConfigError(f"Target({self.name!r}): reader= must be an OutputReader, not {self.reader!r:.80}")
        if missing:
            raise ConfigError(
                f"Target({self.name!r}): reader={self.reader!r:.80} lacks {' and '.join(missing)}: say True or False, "
                "or inherit what failover_core.output.PlainReader says"
            )

    def _check_quantities(self) -> None:
        weight, window = self.weight, self.context_window_tokens
        if not (_is(weight, int | float) and isfinite(weight) and weight > 0):
            raise ConfigError(f"Target({self.name!r}): weight must be a number above 0, not {weight!r}")
        if not _is(self.tier, int):
            raise ConfigError(
                f"Target({self.name!r}): tier must be a whole number, lower is asked first, not {self.tier!r}"
            )
        for price in ("input_usd_per_million", "output_usd_per_million"):
            usd = getattr(self, price)
            if usd is not None and not (_is(usd, int | float) and isfinite(usd) and usd >= 0):
                raise ConfigError(f"Target({self.name!r}): {price} must be US dollars, 0 or more, not {usd!r}")
        if self.max_concurrent is not None and not (_is(self.max_concurrent, int) and self.max_concurrent > 0):
            raise ConfigError(
                f"Target({self.name!r}): max_concurrent must be a whole number above 0, or None for any number, not "
                f"{self.max_concurrent!r}"
            )
        if window is not None and not (_is(window, int) and window > 0):
            raise ConfigError(
                f"Target({self.name!r}): context_window_tokens must be a whole number above 0, or None for unknown, "
                f"not {window!r}"
            )

    @staticmethod
    def native(spec: str, /, **options: Any) -> Target:
        """A target that calls a provider's official SDK: `Target.native("openai:gpt-4o-mini", base_url=...)`.

        Args:
            spec: "openai:MODEL", "anthropic:MODEL" or "google:MODEL" (aliases "google_genai:", "gemini:").
            options: `name`, `region`, `tags`, `tier` and other facts; `api_key`, `base_url`, `timeout_s`,
                `client_options` and `defaults`; see `failover_core.providers.native_target`.

        Raises:
            ConfigError: for a spec of another form.
            ImportError: naming the extra, when that provider's SDK is not installed.
        """
        from .providers import native_target

        return native_target(spec, **options)


TARGET_FIELDS = frozenset(f.name for f in fields(Target))
TARGET_FACTS = TARGET_FIELDS - {*CALL_STYLES, "reader", "resume", "source"}
"""What may be said of a target besides how it is called: the keyword arguments of the `wrap` functions."""


def is_async(function: Any) -> bool:
    """Would somebody have to await what it returns, or to iterate over it with `async for`?"""
    made = (function, getattr(function, "__call__", None))  # noqa: B004  # an object may be callable by an async method
    return any(iscoroutinefunction(one) or isasyncgenfunction(one) for one in made)


def _is(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """What is known about a request without understanding it. Everything is optional.

    Args:
        prompt_tokens: estimated size of the input, in tokens.
        max_output_tokens: the output limit asked for, in tokens.
        thinking: reasoning was asked for: first tokens come late and that is no fault.
        needs: capabilities that the request uses: "tools", "images", "files", "json_schema", ...
        structured: tools or a response format are in play: such output is never resumed in the middle.
        json: the answer must be JSON because the API was asked for it (JSON mode, a schema), not only the model
            in words. Text that is none is rejected; a stream is shown when it is whole. "any" lets the JSON be in a
            code fence, as models write it that only imitate a JSON mode; "strict" does not.
        side_effects: no attempt begins while another is under way. One that is given up, at `Settings.answer_s` for
            instance, is told to stop; blocking code cannot be, and may still run when the next one begins.
        session: requests of one session stay with one target where a policy balances, as long as it is available.
        task: a label for requests of one kind; latency is learned for each label, up to about 20 of them.
        tags: free labels for rules.
        deadline_s: for this request, seconds from its start; the smaller of it and `Settings.deadline_s` holds.
        metadata: anything else, for user-defined policies.
    """

    prompt_tokens: int | None = None
    max_output_tokens: int | None = None
    thinking: bool = False
    needs: frozenset[str] = frozenset()
    structured: bool = False
    json: Literal["any", "strict"] | None = None
    side_effects: bool = False
    session: str | None = None
    task: str = ""
    tags: frozenset[str] = frozenset()
    deadline_s: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


NO_INFO = RequestInfo()
