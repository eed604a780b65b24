"""Native targets as LlamaIndex LLMs: full citizens, without any integration."""

from __future__ import annotations

import base64
import subprocess
import sys
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    ChatMessage,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from failover_core import ConfigError, Settings, Target
from failover_core.providers import (
    ChatChunk,
    File,
    Image,
    Reasoning,
    Text,
    Thinking,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    Usage,
)
from failover_core.providers import ChatMessage as NeutralMessage
from failover_core.providers import ChatResponse as NeutralResponse
from failover_core.testing import Ask, ProviderServer
from failover_core.testing import ToolCall as ServerCall
from failover_core.testing.answers import Said
from llamaindex_failover import FailoverLLM
from llamaindex_failover.translation import StreamedMessage, neutral_message, response_of
from llamaindex_targets import NATIVE, WRAPPED, Shop

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


ADD = FunctionTool.from_defaults(add)


class Sum(BaseModel):
    """A sum."""

    total: int


# -- translation --------------------------------------------------------------------------------------------------


def test_messages_become_neutral() -> None:
    user = ChatMessage(
        role="user",
        blocks=[
            TextBlock(text="look"),
            ImageBlock(image=PIXEL),
            ImageBlock(url="https://example.com/a.png", detail="low"),
            DocumentBlock(data=b"%PDF-1.4", title="a.pdf", document_mimetype="application/pdf"),
        ],
    )
    text, picture, linked, file = neutral_message(user).parts
    assert Text("look") == text
    assert isinstance(picture, Image)
    assert (picture.data, picture.media_type) == (PIXEL, "image/png")
    assert Image(url="https://example.com/a.png", mime="image/png", detail="low") == linked
    assert isinstance(file, File)
    assert (file.name, file.media_type) == ("a.pdf", "application/pdf")

    called = ChatMessage(
        role="assistant", blocks=[ToolCallBlock(tool_call_id="1", tool_name="add", tool_kwargs='{"a": 1}')]
    )
    assert NeutralMessage("assistant", [ToolCall("1", "add", {"a": 1})]) == neutral_message(called)
    answered = ChatMessage("42", role="tool", additional_kwargs={"tool_call_id": "1"})
    assert NeutralMessage("tool", [ToolResult("1", "42")]) == neutral_message(answered)
    assert neutral_message(ChatMessage("x", role="developer")).role == "system"
    stored = ChatMessage(
        "", role="assistant", additional_kwargs={"tool_calls": [{"id": "1", "name": "add", "input": {}}]}
    )
    assert ToolCall("1", "add") in neutral_message(stored).parts


@pytest.mark.parametrize(
    "part",
    [
        Reasoning("hm", "abc", "anthropic"),
        Reasoning("hm", base64.b64encode(b"proof").decode(), "google"),
        ToolCall("1", "add", {"a": 1}),
        ToolCall("1", "add", {"a": 1}, signature=base64.b64encode(b"proof").decode(), provider="google"),
        Text("so"),
    ],
    ids=lambda part: f"{type(part).__name__} {getattr(part, 'provider', None)}",
)
def test_what_a_native_target_says_comes_back_to_it_unchanged(part: Any) -> None:
    answer = NeutralResponse(NeutralMessage("assistant", [part]), "stop", provider=getattr(part, "provider", None))
    assert (part,) == neutral_message(response_of(answer).message).parts


def test_thoughts_signed_for_anthropics_class_are_signed_for_the_native_target() -> None:
    block = ThinkingBlock(content="hm", additional_information={"signature": "abc"})
    message = ChatMessage(role="assistant", blocks=[block])
    assert (Reasoning("hm", "abc", "anthropic"),) == neutral_message(message).parts


def test_a_stream_is_built_up_as_llamaindex_has_it() -> None:
    built = StreamedMessage()
    said = [
        ChatChunk((Reasoning("hm"),)),
        ChatChunk((Text("so "),)),
        ChatChunk((Text("be it"), ToolCallDelta(0, "1", "add", '{"a":'))),
        ChatChunk((ToolCallDelta(0, arguments=" 1}"),)),
        ChatChunk(finish_reason="tool_calls", usage=Usage(3, 4), model="m"),
    ]
    responses = [built.taking(chunk) for chunk in said]
    assert [response.delta for response in responses] == ["", "so ", "be it", "", ""]
    assert [response.message.content for response in responses] == ["", "so ", "so be it", "so be it", "so be it"]
    assert responses[0].additional_kwargs["thinking_delta"] == "hm"
    calls = [block.tool_kwargs for block in responses[2].message.blocks if isinstance(block, ToolCallBlock)]
    assert calls == ['{"a":']
    last = responses[-1]
    assert last.message.role == MessageRole.ASSISTANT
    assert [block.block_type for block in last.message.blocks] == ["thinking", "text", "tool_call"]
    assert last.message.blocks[-1].tool_kwargs == {"a": 1}
    assert last.additional_kwargs == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert (last.raw["finish_reason"], last.raw["model"]) == ("tool_calls", "m")


# -- as LLMs ------------------------------------------------------------------------------------------------------


def test_a_string_is_enough() -> None:
    llm = FailoverLLM(["openai:gpt-4o-mini", "anthropic:claude-sonnet-4-5", "gemini:gemini-2.5-flash"])
    assert [target.provider for target in llm.failover.targets] == ["openai", "anthropic", "google"]
    assert llm.metadata.context_window == 128_000
    assert llm.metadata.is_function_calling_model
    assert FailoverLLM([Target.native("openai:x", context_window_tokens=8_000)]).metadata.context_window == 8_000


@pytest.mark.parametrize("kind", NATIVE)
def test_arguments_of_the_call_reach_the_wire(kind: str, first: ProviderServer, llms: Shop) -> None:
    llm = FailoverLLM([llms.make(kind, first)])
    llm.chat([ChatMessage("hello")], max_tokens=7, temperature=0.5, stop=["end"])
    body = first.log[0].body
    config = body.get("generationConfig", body)
    limits = {"openai:": "max_completion_tokens", "anthropic:": "max_tokens", "google:": "maxOutputTokens"}
    assert config.get(limits[kind], config.get("max_tokens")) == 7
    assert config["temperature"] == 0.5
    assert (config.get("stop") or config.get("stop_sequences") or config.get("stopSequences")) == ["end"]


def test_further_arguments_go_to_the_providers_own_call(first: ProviderServer, llms: Shop) -> None:
    FailoverLLM([llms.make("openai:", first)]).chat([ChatMessage("hello")], service_tier="flex")
    assert first.log[0].body["service_tier"] == "flex"


@pytest.mark.parametrize("kind", NATIVE)
def test_tokens_are_counted(kind: str, first: ProviderServer, llms: Shop) -> None:
    tokens = TokenCountingHandler(tokenizer=str.split)
    llm = FailoverLLM([llms.make(kind, first)], callback_manager=CallbackManager([tokens]))
    response = llm.chat([ChatMessage("hello there")])
    (count,) = tokens.llm_token_counts
    assert response.raw["usage"]["input_tokens"] == count.prompt_token_count
    assert response.raw["usage"]["output_tokens"] == count.completion_token_count > 5


@pytest.mark.parametrize("kind", NATIVE)
@pytest.mark.parametrize("lacks", [set(), {"json_schema"}])
def test_tokens_of_structured_output_are_counted(kind: str, lacks: set[str], llms: Shop) -> None:
    tokens = TokenCountingHandler(tokenizer=str.split)
    with ProviderServer() as server:
        target = llms.make(kind, server, lacks=lacks)
        llm = FailoverLLM([target], callback_manager=CallbackManager([tokens]))
        llm.structured_predict(Sum, PromptTemplate("Add {a}."), a="1 and 2")
        (count,) = tokens.llm_token_counts
        assert count.total_token_count > 0
        list(llm.stream_structured_predict(Sum, PromptTemplate("Add {a}."), a="1 and 2"))
        assert len(tokens.llm_token_counts) == 2


@pytest.mark.parametrize("kind", ["anthropic:", "google:"])  # OpenAI's chat API shows no reasoning
async def test_reasoning_is_shown_and_kept(kind: str, first: ProviderServer, allms: Shop) -> None:
    thinking = Thinking(budget_tokens=2_000, show=True)
    llm = FailoverLLM([allms.make(kind, first, defaults={"thinking": thinking})])
    response = await llm.achat([ChatMessage("hello")])
    assert "thinking" in [block.block_type for block in response.message.blocks]
    got = [chunk async for chunk in await llm.astream_chat([ChatMessage("hello")])]
    assert any(chunk.additional_kwargs.get("thinking_delta") for chunk in got)
    again = await llm.achat([ChatMessage("hello"), got[-1].message, ChatMessage("and now?")])
    assert again.message.content


def test_known_lacks_keep_requests_away(first: ProviderServer, llms: Shop) -> None:
    picture = ChatMessage(role="user", blocks=[TextBlock(text="look"), ImageBlock(image=PIXEL)])
    blind = llms.make("openai:", first, lacks={"images"}, name="blind")
    seeing = llms.make("anthropic:", first, name="seeing")
    assert FailoverLLM([blind, seeing]).chat([picture]).additional_kwargs["failover"]["target"] == "seeing"


def test_a_provider_without_a_key_fails_alone(
    first: ProviderServer, llms: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    llm = FailoverLLM(["openai:gpt-4o-mini", llms.make("anthropic:", first)])
    trace = llm.chat([ChatMessage("hello")]).additional_kwargs["failover"]
    assert trace["attempts"][0]["kind"] == "auth"
    assert trace["provider"] == "anthropic"


def test_a_plain_core_failover_is_not_taken_for_one_of_llamaindex() -> None:
    from failover_core import Failover

    with pytest.raises(ConfigError, match="does not speak LlamaIndex"):
        FailoverLLM(failover=Failover([Target("mine", call=lambda request: "hi")]))


def test_health_is_shared_with_langchain_by_name(first: ProviderServer, second: ProviderServer, llms: Shop) -> None:
    from langchain_failover import ChatFailover

    targets = [llms.make("openai:", first, name="one"), llms.make("openai:", second, name="two")]
    llm = FailoverLLM(targets)
    chain = ChatFailover(targets=targets, failover=llm.failover)
    first.refuse()
    for _ in range(4):
        llm.complete("hi")
    first.accept()

    assert chain.invoke("hi").response_metadata["failover"]["target"] == "two"
    assert FailoverLLM(targets, failover=chain.failover).failover.health()["one"].state == "open"
    with pytest.raises(ConfigError, match="does not speak LangChain"):
        ChatFailover(failover=llm.failover)
    for settings in (None, Settings(max_attempts=2)):
        with pytest.raises(ConfigError, match="does not speak LlamaIndex"):
            FailoverLLM(failover=chain.failover, settings=settings)


@pytest.mark.parametrize("kind", [*NATIVE, *WRAPPED])
def test_a_tool_loop_by_hand(kind: str, llms: Shop) -> None:
    def script(ask: Ask) -> Said:
        return f"It is {ask.tool_results[0]}." if ask.tool_results else ServerCall("add", {"a": 2, "b": 3})

    with ProviderServer(script) as server:
        llm = FailoverLLM([llms.make(kind, server)])
        history = [ChatMessage("Add 2 and 3.")]
        response = llm.chat_with_tools([ADD], chat_history=history)
        (call,) = llm.get_tool_calls_from_response(response)
        assert (call.tool_name, call.tool_kwargs) == ("add", {"a": 2, "b": 3})
        result = ChatMessage("5", role="tool", additional_kwargs={"tool_call_id": call.tool_id})
        again = llm.chat_with_tools([ADD], chat_history=[*history, response.message, result])
        assert again.message.content == "It is 5."
        assert len(history) == 1


def test_native_targets_need_no_integration() -> None:
    script = (
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.startswith('llama_index.llms'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
        "from llamaindex_failover import FailoverLLM\n"
        "specs = ['openai:gpt-4o', 'anthropic:claude-sonnet-4-5', 'google:gemini-2.5-flash']\n"
        "print(FailoverLLM(specs).metadata.model_name)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "gpt-4o | claude-sonnet-4-5 | gemini-2.5-flash"
