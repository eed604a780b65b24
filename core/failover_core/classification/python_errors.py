"""Python's own errors: a fault of ours, or a target's garbage that some parser stumbled over?

`TypeError: 'NoneType' object is not subscriptable` is a bug in the caller's code, or an SDK reading an HTML page where
JSON was promised. The traceback tells: the innermost frame that is neither Python's nor a plumbing library's belongs
to an SDK or an integration (then the answer was unusable, or the request could not be built), or to somebody else.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from types import TracebackType

from failover_core.failure import FailureKind as K

from . import anthropic

_NEVER_A_TARGETS = (
    NameError,
    ImportError,
    SyntaxError,
    NotImplementedError,
    AssertionError,
    RecursionError,
    MemoryError,
    SystemError,
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
    GeneratorExit,
    KeyboardInterrupt,
    SystemExit,
    StopIteration,
    StopAsyncIteration,
    Warning,
)
_PARSERS_STUMBLE_OVER = (TypeError, AttributeError, LookupError, ArithmeticError)

_SDKS = re.compile(
    r"(?:openai|anthropic|google|vertexai|groq|mistralai|cohere|together|fireworks|ollama|litellm|botocore|boto3|huggingface_hub"
    r"|replicate|cerebras|zai|zhipuai|dashscope|xai_sdk|llama_index|failover_core\.providers"
    # LangChain's own packages by name: `langchain_utils` may well be the user's
    r"|langchain(?:_(?:core|classic|community|openai|anthropic|google\w*|aws|azure\w*|mistralai|groq|cohere|fireworks|together"
    r"|ollama|deepseek|xai|perplexity|huggingface|nvidia\w*|ibm|litellm|openrouter|cerebras|sambanova|upstage))?)(?:\.|\Z)"
)
_PLUMBING = re.compile(
    r"(?:httpx2?|httpcore2?|h11|aiohttp|urllib3|requests|anyio|pydantic\w*|tenacity|wrapt|jiter|orjson|typing_extensions"
    r"|llama_index\.core\.(?:instrumentation|callbacks|llms\.callbacks)|llama_index_instrumentation|langchain_core\.(?:callbacks|runnables|tracers))(?:\.|\Z)"
)
# Functions that build the request or check the caller's arguments, by the words in their names. All the others
# in an SDK's way are taken to handle the answer.
_BUILDS_REQUEST = re.compile(
    r"(?:\A|_)(?:to|prepare|payload|convert|coerce|format|build|encode|serialize|validate|transform|bind|init|params|kwargs|request"
    r"|messages?_to|get_model|required_args|inputs?)(?:_|\Z)|\At_"
)
_READS_ANSWER = re.compile(r"output|response|result|chunk|stream|delta|choice|parse|completion_to|from_")
_WRONG_CALL = re.compile(
    r"unexpected keyword argument|required (?:positional|keyword)|positional arguments? but"
    r"|multiple values for (?:keyword )?argument|Cannot instantiate typing"
)
_PYTHON_SAYS = re.compile(
    r"invalid literal for|could not convert string|values to unpack|substring not found|math domain|not in list"
    r"|dictionary changed size|generator already executing|I/O operation on closed file|generator raised Stop"
)


def kind_of(error: BaseException) -> K | None:
    """What a Python error means whatever it says; None where its words may tell."""
    cls = type(error)
    if isinstance(error, _NEVER_A_TARGETS) or _is_control_flow(cls):
        return K.LOCAL_ERROR
    if issubclass(cls, ValueError) and (cls.__name__ == "JSONDecodeError" or issubclass(cls, UnicodeDecodeError)):
        return K.INVALID_OUTPUT
    if issubclass(cls, ValueError) and cls.__name__ == "ValidationError":  # pydantic; its text quotes the data
        return K.LOCAL_ERROR if _whose(error) == "request" else K.INVALID_OUTPUT
    if cls.__module__ == "builtins" and isinstance(error, _PARSERS_STUMBLE_OVER):
        return _stumbled(error)
    return None


def last_resort(error: BaseException) -> K | None:
    """What a plain Python error means that has told nothing else."""
    cls = type(error)
    if isinstance(error, TimeoutError):
        return K.TIMEOUT
    if isinstance(error, OSError) and cls.__module__ in ("builtins", "socket", "ssl"):
        return K.CONNECTION if isinstance(error, ConnectionError) or error.errno in _NETWORK_ERRNOS else K.LOCAL_ERROR
    if cls.__module__ != "builtins" or not isinstance(error, ValueError | RuntimeError | LookupError):
        return None
    whose = _whose(error)
    if whose == "answer":
        return K.INVALID_OUTPUT
    if whose == "request":
        return K.INVALID_REQUEST  # how integrations refuse what they cannot translate
    return K.LOCAL_ERROR if _PYTHON_SAYS.search(_first_words(error)) else None


def reported(names: Iterable[str], *, answered: bool) -> K | None:
    """The same for an error that is known by its class name only.

    Args:
        answered: there was a response, so a parser stumbled over it.
    """
    for name in names:
        if name == "JSONDecodeError":
            return K.INVALID_OUTPUT
        if name in _PYTHON_NAMES:
            return K.INVALID_OUTPUT if answered else K.LOCAL_ERROR
    return None


_PYTHON_NAMES = frozenset({"TypeError", "AttributeError", "NameError", "KeyError", "IndexError", "ImportError"})

# ENETDOWN, ENETUNREACH, ENETRESET, ECONNABORTED, ECONNRESET, ENOTCONN, ETIMEDOUT, ECONNREFUSED, EHOSTDOWN,
# EHOSTUNREACH, EPIPE, EADDRNOTAVAIL; Linux, macOS and Windows number them differently.
_NETWORK_ERRNOS = frozenset(
    {32, 50, 51, 52, 53, 54, 57, 60, 61, 64, 65, 99, 100, 101, 102, 103, 104, 107, 110, 111, 112, 113}
    | {10049, 10050, 10051, 10052, 10053, 10054, 10057, 10060, 10061, 10064, 10065}
)


def _stumbled(error: BaseException) -> K:
    words = _first_words(error)
    if anthropic.NO_KEY in words.lower():
        return K.AUTH
    if not _WRONG_CALL.search(words) and _whose(error) == "answer":
        return K.INVALID_OUTPUT
    return K.LOCAL_ERROR


def _whose(error: BaseException) -> str | None:
    """Whose work failed: an SDK's on the "answer" or on the "request", or None for anybody else's."""
    frames: list[tuple[str, str]] = []
    step: TracebackType | None = error.__traceback__
    while step is not None:
        frame = step.tb_frame
        frames.append((str(frame.f_globals.get("__name__", "")), frame.f_code.co_name))
        step = step.tb_next
        if len(frames) > 2000:  # only the innermost matter
            del frames[:1000]
    for module, function in reversed(frames):
        if _PLUMBING.match(module) or module.partition(".")[0] in sys.stdlib_module_names:
            continue
        if not _SDKS.match(module):
            return None
        return "request" if _BUILDS_REQUEST.search(function) and not _READS_ANSWER.search(function) else "answer"
    return None


def _is_control_flow(cls: type) -> bool:
    # asyncio's, trio's and anyio's cancellation (concurrent.futures' is an Error like any other),
    # and LangGraph's interrupts
    return any(c.__name__ in ("CancelledError", "Cancelled", "GraphBubbleUp") for c in cls.__mro__)


def _first_words(error: BaseException) -> str:
    words = error.args[0] if error.args else ""
    return words[:500] if isinstance(words, str) else ""
