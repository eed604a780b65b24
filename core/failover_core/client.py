"""`Failover`: the framework-agnostic front. It owns the targets' health and hands each request to a driver."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .classify import classify
from .drivers import aio, sync
from .drivers.world import RealWorld, World
from .effects import Flow
from .engine import answer_flow, plan, stream_flow
from .failure import ConfigError
from .forks import Chance
from .health.book import HealthBook
from .health.latency import typical_s
from .health.state import TargetHealth, TargetState
from .live import Desk
from .model import NO_INFO, RequestInfo, Target, is_async
from .policy.guards import Style, siblings
from .policy.ranking import Policy, named
from .route import Route
from .settings import Settings
from .telemetry import Listener, Telemetry
from .trace import RouteTrace

if TYPE_CHECKING:
    from .drivers.watch import Watch
    from .providers import ChatRequest, ChatResponse


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer and the way it came."""

    value: Any
    trace: RouteTrace


class Failover:
    """Sends each request to the best target and, when that one fails, is late or answers rubbish, to another.

    Args:
        targets: `Target`s, native specs such as "openai:gpt-4o-mini", or plain callables `request -> answer`
            (coroutine functions for async use), in order of preference.
        settings: the rules; the defaults suit interactive use.
        policy: "priority", "weighted", "fastest", "least_busy", "cheapest", or a function; see
            `failover_core.policy.ranking`.
        world: clock and threads of synchronous code; tests pass a simulated one.
        rng: source of jitter and of random choices.
        health_of: share the health and the listeners of another `Failover`: targets of one name are one target.
        on_event: called with each event of `failover_core.events`.

    Raises:
        ConfigError: no targets, two of one name, something that is no target, an unknown policy.
    """

    def __init__(
        self,
        targets: Sequence[Target | str | Callable[[Any], Any]],
        settings: Settings | None = None,
        policy: str | Policy = "priority",
        *,
        world: World | None = None,
        rng: Random | None = None,
        health_of: Failover | None = None,
        on_event: Listener | None = None,
    ) -> None:
        self.settings = settings if settings is not None else Settings()
        if not isinstance(self.settings, Settings):
            raise ConfigError(f"settings={settings!r}: pass Settings(...), such as Settings(deadline_s=20)")
        if on_event is not None and not callable(on_event):
            raise ConfigError(f"on_event={on_event!r}: pass a function that takes one event of failover_core.events")
        if health_of is not None and not isinstance(health_of, Failover):
            raise ConfigError(f"health_of={health_of!r}: pass another Failover")
        self.targets = checked_targets(targets)
        self.policy: str | Policy = policy
        shared = health_of._world if health_of is not None else None
        self._world: World = world or shared or RealWorld()
        rng = rng if rng is not None else Chance()
        self._telemetry: Telemetry = Telemetry() if health_of is None else health_of._telemetry
        if on_event is not None:
            self._telemetry.subscribe(on_event)
        self._book: HealthBook = self._new_book(rng) if health_of is None else health_of._book
        self._book.add({one.name: one.max_concurrent for one in self.targets}, siblings(self.targets))
        self._desk = Desk(self.targets, self.settings, named(policy), self._book, rng, classify, self._telemetry)
        self._watch: Watch | None = self._new_watch(None if health_of is None else health_of._watch)

    def _new_book(self, rng: Random) -> HealthBook:
        return HealthBook(
            rng=rng,
            emit=self._telemetry.emit,
            park_s=self.settings.park_s,
            retry_budget_tokens=self.settings.retry_budget_tokens,
            retry_budget_refill=self.settings.retry_budget_refill,
            staged=self.settings.recovery == "staged",
        )

    def _new_watch(self, shared: Watch | None) -> Watch | None:
        """Who runs the health checks; the targets of those who share their health are checked by one."""
        if self.settings.health_check_s is None:
            return None
        from .drivers.watch import Watch  # loaded only by those who use health checks

        watch = shared if shared is not None else Watch(self._desk, self._world)
        watch.add(self.targets)
        return watch

    def _plan(self, request: Any, info: RequestInfo, style: Style, now: float) -> Route:
        if self._watch is not None:
            self._watch.wake()
        return plan(self._desk, request, info, style, now)

    def call(self, request: Any, info: RequestInfo = NO_INFO) -> Any:
        """The answer of the first target that gives a good one.

        Raises:
            AllTargetsFailed, RequestRejected, NoTargetAvailable, DeadlineExceeded: with `.attempts`, and the last
                original error as `__cause__`.
        """
        route = self._plan(request, info, "call", self._world.now())
        return sync.run(answer_flow(route), self._world)

    async def acall(self, request: Any, info: RequestInfo = NO_INFO) -> Any:
        """`call` for asyncio."""
        route = self._plan(request, info, "acall", aio.now())
        return await aio.run(answer_flow(route), self._world.abandoned)

    def run(self, request: Any, info: RequestInfo = NO_INFO) -> Outcome:
        """`call`, with the trace."""
        route = self._plan(request, info, "call", self._world.now())
        return Outcome(sync.run(answer_flow(route), self._world), route.trace)

    async def arun(self, request: Any, info: RequestInfo = NO_INFO) -> Outcome:
        """`acall`, with the trace."""
        route = self._plan(request, info, "acall", aio.now())
        return Outcome(await aio.run(answer_flow(route), self._world.abandoned), route.trace)

    def stream(self, request: Any, info: RequestInfo = NO_INFO) -> RoutedStream:
        """The chunks of the first target whose stream works, joined to another's if it breaks on the way.

        With `Settings(midstream="replace")` a `StreamRestarted` may come in place of a chunk: what was shown before it
        is void, and another target's whole answer follows.

        Raises (while it is read):
            StreamInterrupted: it broke after text was shown and nobody could go on; `.partial` holds the text.
            AllTargetsFailed, RequestRejected, NoTargetAvailable, DeadlineExceeded: as for `call`.
        """
        return RoutedStream(self, request, info)

    def astream(self, request: Any, info: RequestInfo = NO_INFO) -> AsyncRoutedStream:
        """`stream` for asyncio."""
        return AsyncRoutedStream(self, request, info)

    def flow(self, request: Any, info: RequestInfo = NO_INFO, *, now: float, streamed: bool = False) -> Flow:
        """The request as a generator of effects, for a driver of your own: so `failover_core.simulate` runs it.

        Args:
            now: the driver's clock, in seconds.
            streamed: it emits chunks; otherwise it returns the answer.
        """
        route = plan(self._desk, request, info, "stream" if streamed else "call", now)
        return stream_flow(route) if streamed else answer_flow(route)

    def chat(self, prompt: Any, **options: Any) -> ChatResponse:
        """Chat with native targets, with no framework: `Failover(["openai:gpt-4o-mini"]).chat("hi").text`.

        Args:
            prompt: a str, or a list of messages; see `failover_core.providers.as_chat_request`.
            options: `system`, `tools`, `temperature`, `max_output_tokens` and the other fields of `ChatRequest`.

        Raises:
            ConfigError: for a prompt or an option that cannot work; else as `call`.
        """
        request, info = _chat_request(prompt, options)
        answer: ChatResponse = self.call(request, info)
        return answer

    async def achat(self, prompt: Any, **options: Any) -> ChatResponse:
        """`chat` for asyncio."""
        request, info = _chat_request(prompt, options)
        answer: ChatResponse = await self.acall(request, info)
        return answer

    def stream_chat(self, prompt: Any, **options: Any) -> RoutedStream:
        """`chat` as a stream of `ChatChunk`s; see `stream`."""
        return self.stream(*_chat_request(prompt, options))

    def astream_chat(self, prompt: Any, **options: Any) -> AsyncRoutedStream:
        """`stream_chat` for asyncio."""
        return self.astream(*_chat_request(prompt, options))

    def health(self) -> Mapping[str, TargetHealth]:
        """What is believed of each target now. Never blocks."""
        now = self._world.now()
        return MappingProxyType({name: self._picture(name, state, now) for name, state in self._book.snapshot.items()})

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each event from now on; returns a function that ends it."""
        return self._telemetry.subscribe(listener)

    def _picture(self, name: str, state: TargetState, now: float) -> TargetHealth:
        return TargetHealth(
            state=state.breaker.state.value,
            suspicion=state.doubt(now),
            degraded=not state.is_healthy(now) or name in self._book.doubted(now),
            reason=state.breaker.reason,
            available_in_s=state.available_in_s(now),
            in_flight=state.in_flight,
            asked=state.asked,
            answered=state.answered,
            failed=state.failed,
            abandoned=self._world.abandoned.count(name),
            first_token_s=typical_s(self._book.habits.own(name, ("first_token", False, ""))),
            answer_s=typical_s(self._book.habits.own(name, ("answer", False, ""))),
        )


class RoutedStream(Iterator[Any]):
    """A stream on its way. Iterate it once; close it when you stop early.

    Attributes:
        trace: the request's record; complete after the end. None before the first chunk was asked for.
    """

    def __init__(self, failover: Failover, request: Any, info: RequestInfo) -> None:
        self.trace: RouteTrace | None = None
        self._asked = (failover, request, info)
        self._chunks: Generator[Any, None, None] | None = None

    def __iter__(self) -> Iterator[Any]:
        return self._begun()  # itself would do, but a loop is quicker without the step in between

    def __next__(self) -> Any:
        return next(self._begun())

    def _begun(self) -> Generator[Any, None, None]:
        if self._chunks is None:
            failover, request, info = self._asked
            route = failover._plan(request, info, "stream", failover._world.now())
            self.trace = route.trace
            self._attempts = sync.streaming(failover._world)
            self._chunks = sync.stream(stream_flow(route), self._attempts)
        return self._chunks

    def close(self) -> None:
        """Stop: the target's stream is closed and nobody is blamed.

        From any thread: a loop that waits for the next chunk in another thread just ends, and the trace says that it
        was cancelled. Where the target runs in that very thread (see `drivers.sync`), it has to say something first,
        unless it has set `AttemptContext.hang_up`, as native targets do.
        """
        if self._chunks is None:
            self._chunks = (chunk for chunk in list[Any]())
        try:
            self._chunks.close()
        except ValueError as error:
            if "already executing" not in str(error):
                raise
            self._attempts.stop()


class AsyncRoutedStream(AsyncIterator[Any]):
    """`RoutedStream` for asyncio."""

    def __init__(self, failover: Failover, request: Any, info: RequestInfo) -> None:
        self.trace: RouteTrace | None = None
        self._asked = (failover, request, info)
        self._chunks: AsyncGenerator[Any, None] | None = None

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._begun()

    async def __anext__(self) -> Any:
        return await self._begun().__anext__()

    def _begun(self) -> AsyncGenerator[Any, None]:
        if self._chunks is None:
            failover, request, info = self._asked
            route = failover._plan(request, info, "astream", aio.now())
            self.trace = route.trace
            self._chunks = aio.stream(stream_flow(route), failover._world.abandoned)
        return self._chunks

    async def aclose(self) -> None:
        """Stop: the target's stream is closed and nobody is blamed."""
        if self._chunks is None:
            self._chunks = _no_chunks()
        await self._chunks.aclose()


async def _no_chunks() -> AsyncGenerator[Any, None]:
    return
    yield


def _chat_request(prompt: Any, options: dict[str, Any]) -> tuple[ChatRequest, RequestInfo]:
    from .providers import as_chat_request, request_info  # loaded only by those who use native targets

    request = as_chat_request(prompt, **options)
    return request, request_info(request)


def checked_targets(targets: Sequence[Target | str | Callable[[Any], Any]]) -> tuple[Target, ...]:
    """Targets made of whatever may be given for one.

    Raises:
        ConfigError: for none, for two of one name, for anything that is not a target.
    """
    if isinstance(targets, str) or not isinstance(targets, Sequence):
        raise ConfigError(f"targets={targets!r}: pass a list, such as Failover(['openai:gpt-4o-mini', ...])")
    if not targets:
        raise ConfigError("There are no targets: pass at least one, two to have something to fail over to")
    made = tuple(as_target(target) for target in targets)
    names = [target.name for target in made]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"Two targets are called {', '.join(map(repr, twice))}: health is kept by name, so give each its own name="
        )
    return made


def as_target(target: Target | str | Callable[[Any], Any]) -> Target:
    if isinstance(target, Target):
        return target
    if isinstance(target, str):
        return Target.native(target)
    if callable(target):
        name = getattr(target, "__name__", type(target).__name__)
        return Target(name, acall=target) if is_async(target) else Target(name, call=target)
    raise ConfigError(
        f"{target!r} is not a target: pass a Target, a string such as 'openai:gpt-4o-mini', or a callable"
    )
