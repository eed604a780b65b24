"""The demo's lanes: one way each to get the same answers, every one with providers of its own.

What a user of Failover Kit writes is in `failover_lane` and `built_apps`: a LangChain chain and a LlamaIndex chat
engine over three native targets, with default settings.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from random import Random
from typing import Any

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.memory import ChatMemoryBuffer

from langchain_failover import ChatFailover
from llamaindex_failover import FailoverLLM

from ..client import Failover
from ..model import Target
from ..testing.server import ProviderServer
from .incident import HEALTHY, WORDS_PER_CHUNK, Phase
from .plain import KEY, plain_anthropic, plain_google, plain_openai
from .traffic import answer_to

SYSTEM = "You answer briefly."
PROMPT = ChatPromptTemplate.from_messages([("system", SYSTEM), ("user", "{question}")])
MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5", "google": "gemini-2.5-flash"}
PROVIDERS = tuple(MODELS)

Ask = Callable[[str], AsyncIterator[str]]
"""A question in, the pieces of the answer out."""


class Providers:
    """Three providers on loopback; the incident strikes the first one.

    Args:
        seed: of their first-token times.
    """

    def __init__(self, seed: int) -> None:
        self._rng = {name: Random(f"{name} {seed}") for name in PROVIDERS}
        self.servers = {
            name: ProviderServer(lambda ask: answer_to(ask.question), words_per_chunk=WORDS_PER_CHUNK)
            for name in PROVIDERS
        }

    def __enter__(self) -> Providers:
        for server in self.servers.values():
            # Before the replay they draw from another source, so that all lanes see the same times in it.
            server.start().always(HEALTHY.applied(Random(0)))
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers.values():
            server.stop()

    def enter(self, phase: Phase) -> None:
        """From now on the first provider behaves as in `phase`, the others are healthy."""
        for name, server in self.servers.items():
            server.always((phase if name == PROVIDERS[0] else HEALTHY).applied(self._rng[name]))

    def url(self, name: str) -> str:
        server = self.servers[name]
        return {"openai": server.openai_url, "anthropic": server.anthropic_url, "google": server.gemini_url}[name]


@dataclass(frozen=True, slots=True)
class Lane:
    """One way to get answers.

    Args:
        name: for the screen.
        providers: its own.
        apps: take turns with the questions.
        warm_up: what to ask once before the replay, so that imports and first connections are not measured.
        failovers: for Failover Kit's lane, the `Failover` of each app by the app's name.
        closers: close what would stay open; Failover Kit's native targets see to that themselves.
    """

    name: str
    providers: Providers
    apps: tuple[Ask, ...]
    warm_up: tuple[Ask, ...]
    failovers: Mapping[str, Failover] = field(default_factory=dict)
    closers: tuple[Callable[[], Awaitable[None]], ...] = ()


def failover_lane(providers: Providers) -> Lane:
    """Failover Kit with its default settings."""
    targets = [
        Target.native(f"{name}:{model}", name=name, base_url=providers.url(name), api_key=KEY)
        for name, model in MODELS.items()
    ]
    apps, failovers = built_apps(targets)
    return Lane("Failover Kit", providers, apps, (*map(alone, targets), *apps), failovers)


def single_lane(providers: Providers) -> Lane:
    """The first provider's model and nothing else."""
    model = plain_openai(providers.url("openai"), MODELS["openai"])
    app = chained(model)
    return Lane("one model alone", providers, (app,), (app,), closers=(model.close,))


def fallbacks_lane(providers: Providers) -> Lane:
    """LangChain's own way."""
    made = {"openai": plain_openai, "anthropic": plain_anthropic, "google": plain_google}
    models = [made[name](providers.url(name), model) for name, model in MODELS.items()]
    app = chained(models[0].with_fallbacks(models[1:]))
    closers = tuple(model.close for model in models)
    return Lane("with_fallbacks", providers, (app,), tuple(map(chained, models)), closers=closers)


def built_apps(targets: Sequence[Target]) -> tuple[tuple[Ask, Ask], dict[str, Failover]]:
    """A LangChain chain and a LlamaIndex chat engine over the same targets, and the `Failover` under each of them."""
    chat_model = ChatFailover(targets=list(targets))
    llm = FailoverLLM(targets=targets)

    async def chat(question: str) -> AsyncIterator[str]:
        memory = ChatMemoryBuffer.from_defaults(llm=llm)  # each question is a conversation of its own
        engine = SimpleChatEngine.from_defaults(llm=llm, memory=memory, system_prompt=SYSTEM)
        response = await engine.astream_chat(question)
        async with aclosing(response.async_response_gen()) as pieces:
            async for piece in pieces:
                yield piece

    failovers = {"LangChain chain": chat_model.failover, "LlamaIndex chat": llm.failover}
    return (chained(chat_model), chat), failovers


def chained(model: Runnable[Any, Any]) -> Ask:
    """`prompt | model | parser`, streamed."""
    chain = PROMPT | model | StrOutputParser()

    async def ask(question: str) -> AsyncIterator[str]:
        async with aclosing(chain.astream({"question": question})) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                yield piece

    return ask


def alone(target: Target) -> Ask:
    """One target, without the failover around it."""

    async def ask(question: str) -> AsyncIterator[str]:
        assert target.astream is not None
        async for chunk in target.astream(question):
            yield chunk.text

    return ask
