"""Simulated providers: how long an answer takes, what it costs, and what an incident does to it.

A provider's times are its medians times ratios drawn from measurements (`fits`): first token = (median + 0.1 ms for
each prompt token) * ratio, then one token after the other. The draws of an attempt depend only on the seed, the
request, the provider and how often the request has been there, so every policy meets the same luck.

Left out: incidents change what happens to attempts that begin during them, not to those under way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ..drivers.sim import Happens
from ..effects import Chunk, Ended, Failed, Returned, Start
from ..model import RequestInfo, Target
from ..testing.scripted import Finish, ScriptedError, ScriptedReader
from . import fits
from .faults import WELL, Bucket, Incident, Line
from .fields import need_choice, need_name, need_numbers, need_shares
from .traffic import CHARS_PER_TOKEN, Ask

PROMPT_TOKEN_S = 0.0001  # published slopes lie between .04 and .24 ms a token
REASONING_S = 10.5
CHUNK_S = 0.1  # several tokens a chunk keep the simulation fast; more than .1 s would change what counts as a stall
REPEATED_CHARS = 60  # a resumed answer begins by repeating this much
REFUSAL_S = 0.15
OUTPUT_PRICE = 4.0  # of a token, in prices of a prompt token


@dataclass(frozen=True, slots=True)
class Profile:
    """A provider when it is well. As data: `Profile(**{"name": "primary"})`.

    Args:
        name: of the target.
        first_token_s: median for a short prompt.
        tokens_per_s: median speed after that.
        ratios: whose spread of first tokens: "majors" or "hosts" (heavy tails).
        errors: share of attempts that fail although nothing is wrong. 0.42 % is what a published availability of
            99.58 % over 90 days leaves over.
        provider: its failure domain.

    Raises:
        ConfigError: naming the field and what to write instead.
    """

    name: str
    first_token_s: float = 0.6
    tokens_per_s: float = 64.0
    ratios: str = "majors"
    errors: float = 0.0042
    provider: str | None = None

    def __post_init__(self) -> None:
        need_name(self, "name")
        need_numbers(self, "first_token_s", "tokens_per_s", above=0.0)
        need_choice(self, "ratios", fits.PROVIDER_KINDS)
        need_shares(self, "errors")


# First tokens: medians of gpt-4-turbo, claude-3-sonnet and gemini-pro (thefastest.ai, 2024); speeds: llama-2-70b at
# Together and Anyscale, 7b at Anyscale (llmperf). Alike, as backups should be: else their own pace would hide what a
# policy adds.
PROFILES = (Profile("primary", 0.58, 64.0), Profile("second", 0.68, 65.0), Profile("third", 1.03, 53.0))


@dataclass(slots=True, eq=False)
class Call:
    """What a target is given: the request, and where to go on in its answer.

    Args:
        ask: the request.
        attempts: the names of the targets asked, with what each attempt is billed; shared by all attempts.
        from_chars: text that the caller has seen already.
    """

    ask: Ask
    attempts: list[tuple[str, float]] = field(default_factory=list)
    from_chars: int = 0

    def resumed(self, shown: str) -> Call:
        return Call(self.ask, self.attempts, len(shown))


def info_of(ask: Ask, *, thinking_told: bool) -> RequestInfo:
    return RequestInfo(prompt_tokens=ask.prompt_tokens, thinking=ask.thinking and thinking_told)


def price(ask: Ask) -> float:
    """Of a whole answer, in prices of a prompt token."""
    return ask.prompt_tokens + OUTPUT_PRICE * ask.output_tokens


class Provider:
    """One simulated provider.

    Args:
        profile: how it is when it is well.
        incidents: what happens to it.
        start_s: the clock's reading at second 0 of the scenario.
        seed: of its luck.
    """

    def __init__(self, profile: Profile, incidents: Sequence[Incident], start_s: float, seed: int) -> None:
        self.profile = profile
        self._incidents = [incident for incident in incidents if incident.hits(profile.name)]
        self._start_s = start_s
        self._seed = seed
        self._buckets: dict[Incident, Bucket] = {}
        self._line = Line()

    def target(self) -> Target:
        """For `Failover` and for the peers: it is never called, only planned."""
        return Target(
            self.profile.name,
            call=_never,
            stream=_never,
            provider=self.profile.provider,
            reader=ScriptedReader(),
            resume=lambda call, shown: call.resumed(shown),
        )

    def incident(self, now: float) -> Incident:
        """What is going on now."""
        at_s = now - self._start_s
        for incident in self._incidents:
            if incident.active(at_s):
                return incident
        return WELL

    def plan(self, start: Start, now: float) -> Iterator[tuple[float, Happens]]:
        """What an attempt that begins now would do, for `drivers.sim`.

        It is billed in full unless it is refused: whether providers charge for answers that nobody waited for differs,
        so the worst case is booked.
        """
        call: Call = start.request
        name = self.profile.name
        visits = sum(asked == name for asked, _ in call.attempts)
        luck = Random(((self._seed * 1_000_003 + call.ask.number) * 8 + visits) * 31 + sum(name.encode()))
        incident = self.incident(now)
        refusal = self._refusal(incident, now, luck)
        if refusal is not None:
            call.attempts.append((name, 0.0))
            return iter([(REFUSAL_S, _failed(refusal))])
        wait_s: float | None = 0.0
        if incident.limits_capacity:
            wait_s = self._line.wait_s(now, incident.capacity_per_s(now - self._start_s))
        if wait_s is None:
            call.attempts.append((name, 0.0))
            return iter([(REFUSAL_S, _failed(ScriptedError(503, "the line is too long")))])
        rest_tokens = call.ask.output_tokens - call.from_chars // CHARS_PER_TOKEN
        call.attempts.append((name, call.ask.prompt_tokens + OUTPUT_PRICE * rest_tokens))
        if luck.random() < incident.silent:
            return iter(())
        return self._answer(call, incident, wait_s, now, luck)

    def _refusal(self, incident: Incident, now: float, luck: Random) -> ScriptedError | None:
        if incident.limit_per_s:
            bucket = self._buckets.setdefault(incident, Bucket(incident.limit_per_s))
            wait_s = bucket.wait_s(now)
            if wait_s > 0.0:
                told = {"retry-after": f"{max(1.0, wait_s):.0f}"} if incident.tells_wait else None
                return ScriptedError(429, "Rate limit reached for requests", told)
        if luck.random() < incident.errors:
            return ScriptedError(incident.status, "The server had an error while processing your request")
        if luck.random() < self.profile.errors:
            return ScriptedError(500, "Internal server error")
        return None

    def _answer(
        self, call: Call, incident: Incident, wait_s: float, now: float, luck: Random
    ) -> Iterator[tuple[float, Happens]]:
        ask, profile, at_s = call.ask, self.profile, now - self._start_s
        ratio = fits.first_token_ratio(profile.ratios).at(luck.random())
        first_s = (profile.first_token_s + PROMPT_TOKEN_S * ask.prompt_tokens) * ratio
        if ask.thinking:
            first_s += REASONING_S * fits.first_token_ratio("majors").at(luck.random())
        first_s = wait_s + first_s * incident.factor(incident.slowdown, at_s)
        token_s = fits.token_time_ratio().at(luck.random()) / profile.tokens_per_s
        token_s *= incident.factor(incident.drag, at_s)
        breaks_off, where = luck.random() < incident.stalls + incident.cuts, luck.random()
        silently = luck.random() * (incident.stalls + incident.cuts) < incident.stalls
        text = ask.text
        if not ask.streamed:
            if not breaks_off or not silently:
                yield first_s + token_s * ask.output_tokens, _returned(text)
            return
        position = max(0, call.from_chars - REPEATED_CHARS)
        ends = int(position + where * (len(text) - position)) if breaks_off else len(text)
        step_chars = CHARS_PER_TOKEN * max(1, int(CHUNK_S * profile.tokens_per_s))
        step_s = token_s * step_chars / CHARS_PER_TOKEN
        after_s = first_s
        while position < ends:
            yield after_s, _chunk(text[position : min(position + step_chars, ends)])
            position += step_chars
            after_s = step_s
        if not breaks_off:
            yield 0.0, _chunk(_FINISH)
        if not breaks_off or not silently:
            yield 0.0, _ended


_FINISH = Finish()


def _never(request: object) -> Any:
    raise NotImplementedError("a simulated target is planned, not called")


def _failed(error: Exception) -> Happens:
    return lambda number, now: Failed(number, error, now)


def _returned(text: str) -> Happens:
    return lambda number, now: Returned(number, text, now)


def _chunk(value: object) -> Happens:
    return lambda number, now: Chunk(number, value, now)


def _ended(number: int, now: float) -> Ended:
    return Ended(number, now)
