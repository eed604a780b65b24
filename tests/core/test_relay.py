"""Long streams: passed on without asking the engine about each chunk, read quickly where a chunk is only text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from failover_core import Failover, Settings, Target
from failover_core.drivers.world import MAX_WAITING_CHARS, MAX_WAITING_CHUNKS, Room
from failover_core.health.latency import typical_s
from failover_core.output import Reading
from failover_core.providers.answers import ChatChunk, GrowingAnswer, ToolCallDelta, accumulate
from failover_core.providers.chat import Reasoning
from failover_core.providers.chat import Text as TextPart
from failover_core.providers.reading import ChatReader
from failover_core.stream.inlet import Inlet
from failover_core.stream.relay import LAST_WORDS_S, Relay
from failover_core.stream.text import PIECES_IN_A_BLOCK, Text
from failover_core.testing.clock import VirtualLoop, VirtualWorld
from failover_core.testing.scripted import Finish, ScriptedReader


def test_a_growing_text_is_the_sum_of_its_pieces() -> None:
    text, pieces = Text(), [f"w{number} " for number in range(2 * PIECES_IN_A_BLOCK + 7)]
    for piece in pieces:
        text.write(piece)
    assert str(text) == "".join(pieces)
    assert len(text) == len("".join(pieces))


def test_a_text_becomes_what_goes_on_from_it_and_nothing_else() -> None:
    text = Text()
    one, two = "one ", "".join(["one ", "two "])
    assert text.becomes(one, "one ")
    assert text.becomes(two, "two ")
    assert str(text) is two, "not a copy"
    for whole, piece in (("three", "three"), (two + "4", "three"), (None, "three"), (two + "threE", "three")):
        assert not text.becomes(whole, piece)
    assert str(text) is two
    text.write("three")
    assert not text.is_gathered
    assert not text.becomes(two + "three and", " and"), "not before the loose pieces are put together"
    assert str(text) == two + "three"
    assert text.becomes(two + "three and", " and")


class Whole(str):
    """A chunk: a piece of text that knows all the text so far."""

    so_far: str | None = None


def whole(piece: str, so_far: str | None) -> Whole:
    chunk = Whole(piece)
    chunk.so_far = so_far
    return chunk


class WholeReader(ScriptedReader):
    expects_finish = False

    def text_so_far(self, chunk: Any) -> str | None:
        return chunk.so_far


class QuickWholeReader(WholeReader):
    def plain_text(self, chunk: Any) -> str | None:
        return chunk


@pytest.mark.parametrize("reader", [WholeReader(), QuickWholeReader()], ids=["slow", "quick"])
def test_text_that_the_chunks_hold_is_not_kept_twice(reader: Any) -> None:
    relay = Relay(Inlet(Target("a", call=print, reader=reader), 0, 0.0), 0.0)
    text = ""
    for number in range(5):
        text += f"{number} "
        relay.take(whole(f"{number} ", text), 1.0)
        assert relay.inlet.finished().text is text
    relay.take(whole("odd ", "odd "), 1.0)
    relay.take(whole("more ", text + "odd more "), 1.0)
    assert relay.inlet.text == text + "odd more "


def test_text_is_kept_where_the_chunks_cannot_be_read_for_it() -> None:
    relay = Relay(Inlet(Target("a", call=print, reader=WholeReader()), 0, 0.0), 0.0)
    for word in ("one ", "two "):
        assert relay.take(word, 1.0) == word  # a str has no `so_far`
    assert relay.inlet.text == "one two "


THOUGHT_FIRST = (
    ChatChunk(deltas=(Reasoning("What would they like to hear?"),)),
    *(ChatChunk(deltas=(TextPart(f"word{number} "),)) for number in range(5)),
    ChatChunk(finish_reason="stop", raw_finish_reason="stop"),
)


@pytest.mark.parametrize("hedge", ["overdue", "off"])
def test_thoughts_that_are_shown_before_the_first_word_do_not_make_the_answer_empty(hedge: Any) -> None:
    def failover(world: Any = None) -> Failover:
        targets = [Target(name, stream=stream(world), astream=astream, reader=ChatReader()) for name in ("a", "b")]
        return Failover(targets, Settings(hedge=hedge), world=world)

    def stream(world: Any) -> Any:
        def chunks(request: str) -> Iterator[ChatChunk]:
            for chunk in THOUGHT_FIRST:
                yield chunk
                world.sleep(1.0)

        return chunks

    async def astream(request: str) -> AsyncIterator[ChatChunk]:
        for chunk in THOUGHT_FIRST:
            yield chunk
            await asyncio.sleep(1.0)

    async def read() -> None:
        model = failover()
        assert [chunk async for chunk in model.astream("hi")] == list(THOUGHT_FIRST)
        assert model.health()["a"].suspicion == 0.0

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(read())
    with VirtualWorld() as world:
        model = failover(world)
        assert list(model.stream("hi")) == list(THOUGHT_FIRST)
        assert model.health()["a"].suspicion == 0.0


HEAVY = MAX_WAITING_CHARS + 1
SHOWN_AT_ONCE = Settings(deadline_s=10_000, hold_back_tokens=0)


def test_chunks_that_hold_long_texts_do_not_pile_up_before_a_slow_reader() -> None:
    with VirtualWorld() as world:
        made: list[int] = []

        def stream(request: str) -> Iterator[str]:
            for number in range(20):
                made.append(number)
                yield whole(f"w{number} ", "x" * HEAVY)

        failover = Failover([Target("a", stream=stream, reader=WholeReader())], SHOWN_AT_ONCE, world=world)
        for number, _ in enumerate(failover.stream("hi"), start=1):
            world.sleep(1.0)
            assert len(made) == number
        assert len(made) == 20


def test_chunks_that_hold_long_texts_do_not_pile_up_on_asyncio() -> None:
    made: list[int] = []

    async def silent(request: str) -> AsyncIterator[str]:
        await asyncio.sleep(1e6)
        yield "never"

    async def stream(request: str) -> AsyncIterator[str]:
        for number in range(20):
            made.append(number)
            yield whole(f"w{number} ", "x" * HEAVY)

    async def read() -> None:
        targets = [
            Target("silent", astream=silent, reader=WholeReader()),
            Target("a", astream=stream, reader=WholeReader()),
        ]
        number = 0
        async for _ in Failover(targets, Settings(first_token_s=1.0, hold_back_tokens=0)).astream("hi"):
            number += 1
            await asyncio.sleep(1.0)
            assert len(made) == number
        assert number == 20

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(read())


@pytest.mark.parametrize(
    ("chars", "room"),
    [(0, MAX_WAITING_CHUNKS), (10, MAX_WAITING_CHUNKS), (MAX_WAITING_CHARS // 3, 3), (HEAVY, 0)],
)
def test_how_many_chunks_may_wait(chars: int, room: int) -> None:
    assert Room(lambda chunk: chunk).after("x" * chars) == room
    assert Room(lambda chunk: None).after("x" * chars) == MAX_WAITING_CHUNKS
    assert Room(None).after("x" * chars) == MAX_WAITING_CHUNKS
    assert Room(len).after(1) == MAX_WAITING_CHUNKS, "a reader that fails"  # type: ignore[arg-type]


def test_chunks_that_share_one_text_are_light() -> None:
    """As those of LlamaIndex's `MockLLM`."""
    text, room = "x" * HEAVY, Room(lambda chunk: chunk)
    assert [room.after(text), room.after(text), room.after(text + "x")] == [0, MAX_WAITING_CHUNKS, 0]


def test_a_thread_that_waits_for_room_goes_on_when_the_reader_waits() -> None:
    """The real mailbox, with real threads: every chunk is handed over before the next one is made."""
    made = 0

    def stream(request: str) -> Iterator[str]:
        nonlocal made
        while made < 500:
            made += 1
            yield whole(f"w{made} ", "x" * HEAVY)

    failover = Failover([Target("a", stream=stream, reader=WholeReader())], SHOWN_AT_ONCE)
    number = 0
    for _ in failover.stream("hi"):
        number += 1
        assert made <= number + 1
    assert number == 500


class QuickReader(ScriptedReader):
    def plain_text(self, chunk: Any) -> str | None:
        return chunk if isinstance(chunk, str) else None


CHUNKS: list[Any] = ["one ", "two ", "", "three", Finish()]


def relayed(reader: Any, shown: str = "") -> tuple[Relay, list[Any]]:
    relay = Relay(Inlet(Target("a", call=print, reader=reader), 0, 0.0, shown), 0.0)
    return relay, [relay.take(chunk, float(now)) for now, chunk in enumerate(CHUNKS, start=1)]


def test_quick_reading_gives_what_slow_reading_gives() -> None:
    quick, told_quickly = relayed(QuickReader())
    slow, told_slowly = relayed(ScriptedReader())
    assert told_quickly == told_slowly == CHUNKS
    for name in ("text", "chunks", "finish_reason", "progress_s"):
        assert getattr(quick.inlet, name) == getattr(slow.inlet, name)
    assert quick.until_s == slow.until_s == len(CHUNKS) + LAST_WORDS_S


def test_a_text_that_is_being_joined_is_never_read_quickly() -> None:
    asked = []

    class Watched(QuickReader):
        def plain_text(self, chunk: Any) -> str | None:
            asked.append(chunk)
            return None

    relayed(Watched(), shown="This much was shown already. ")
    assert asked == []
    relayed(Watched())
    assert asked == CHUNKS


def test_a_reader_whose_quick_reading_fails_is_read_slowly() -> None:
    class Broken(ScriptedReader):
        def plain_text(self, chunk: Any) -> str | None:
            raise ValueError("a bug")

    _, told = relayed(Broken())
    assert told == CHUNKS


@pytest.mark.parametrize(
    "chunk",
    [
        ChatChunk((TextPart("word"),), model="m", provider="openai"),
        ChatChunk((TextPart("word"),), finish_reason="stop"),
        ChatChunk((TextPart("word"),), refusal="no"),
        ChatChunk((TextPart("word"),), flaw="broken"),
        ChatChunk((TextPart("word"), TextPart("s"))),
        ChatChunk((Reasoning("hm"),)),
        ChatChunk((ToolCallDelta(0, "id", "name", "{}"),)),
        ChatChunk(),
    ],
)
def test_plain_text_of_native_chunks_leaves_nothing_out(chunk: ChatChunk) -> None:
    text, reading = ChatReader().plain_text(chunk), ChatReader().read_chunk(chunk)
    if text is not None:
        assert reading == Reading(text=text, has_content=True, model=chunk.model)
    else:
        assert reading != Reading(text=reading.text, has_content=bool(reading.text)) or len(chunk.deltas) != 1


def test_a_growing_answer_is_the_accumulated_one() -> None:
    chunks = [
        ChatChunk((TextPart("a"),), model="m"),
        ChatChunk((TextPart("b"), Reasoning("hm"), TextPart("c"))),
        ChatChunk((ToolCallDelta(0, "id", "name", '{"x":'),)),
        ChatChunk((ToolCallDelta(0, None, None, " 1}"), TextPart("d"))),
        ChatChunk((TextPart("e"),), finish_reason="stop"),
    ]
    answer = GrowingAnswer()
    for chunk in chunks:
        answer.add(chunk)
    parts = answer.response().message.parts
    assert [part.text for part in parts if isinstance(part, TextPart)] == ["ab", "c", "de"]
    assert answer.response() == accumulate(chunks)


# -- a slow reader ----------------------------------------------------------------------------------------------------

GAP_S = 0.1
INLINE, ON_A_THREAD = Settings(hedge="off"), Settings(deadline_s=10_000)


def gap_of(failover: Failover) -> float | None:
    return typical_s(failover._book.habits.own("a", ("gap", False, "")))


@pytest.mark.parametrize("settings", [INLINE, ON_A_THREAD], ids=["inline", "thread"])
def test_the_gaps_that_are_learned_are_the_target_s_own(settings: Settings) -> None:
    with VirtualWorld() as world:

        def stream(request: str) -> Iterator[str]:
            for number in range(3 * MAX_WAITING_CHUNKS):
                world.sleep(GAP_S)
                yield f"word{number} "

        failover = Failover([Target("a", stream=stream)], settings, world=world)
        for _ in failover.stream("hi"):
            world.sleep(5.0)
        learned_s = gap_of(failover)
        assert learned_s is not None
        assert learned_s == pytest.approx(GAP_S, rel=0.15)


@pytest.mark.parametrize("settings", [INLINE, ON_A_THREAD], ids=["inline", "task"])
def test_the_gaps_that_are_learned_on_asyncio(settings: Settings) -> None:
    async def stream(request: str) -> AsyncIterator[str]:
        for number in range(3 * MAX_WAITING_CHUNKS):
            await asyncio.sleep(GAP_S)
            yield f"word{number} "

    failover = Failover([Target("a", astream=stream)], settings)

    async def read() -> None:
        async for _ in failover.astream("hi"):
            await asyncio.sleep(5.0)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(read())
    learned_s = gap_of(failover)
    assert learned_s is not None
    assert learned_s == pytest.approx(GAP_S, rel=0.15)


def test_virtual_time_goes_on_while_a_worker_waits_for_room() -> None:
    with VirtualWorld() as world:
        words = [f"word{number} " for number in range(5 * MAX_WAITING_CHUNKS)]
        failover = Failover([Target("a", stream=lambda request: iter(words))], ON_A_THREAD, world=world)
        began_s, told = world.now(), []
        for word in failover.stream("hi"):
            told.append(word)
            world.sleep(1.0)
        assert told == words
        assert world.now() - began_s == pytest.approx(len(words))


def test_keep_alives_that_waited_in_a_queue_do_not_put_off_a_stall() -> None:
    """The reader was away for 30 s, and each of them would count that time once more."""
    relay = Relay(Inlet(Target("a", stream=iter), 0, 0.0), 100.0)
    relay.stall_s = 10.0
    for at_s in (100.0, *range(101, 130)):
        relay.reader_back(at_s, 130.0)
    assert relay.until_s == 140.0
