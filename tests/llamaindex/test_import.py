"""What an import of the adapter needs, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import llamaindex_failover


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


def test_without_llamaindex_the_error_names_the_extra() -> None:
    done = run(
        "import sys\n"
        "sys.modules['llama_index'] = None\n"
        "try:\n"
        "    import llamaindex_failover\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    assert 'pip install "failover-kit[llamaindex]"' in done.stdout


def test_no_sdk_and_no_integration_is_imported() -> None:
    done = run(
        "import sys, llama_index.core.llms\n"
        "before = set(sys.modules)\n"
        "import llamaindex_failover\n"
        "new = set(sys.modules) - before\n"
        "sdks = ('openai', 'anthropic', 'google', 'aiohttp', 'httpx')\n"
        "print(sorted(name for name in new if name.split('.')[0] in sdks))\n"
        "print(sorted(name for name in new if name.startswith(('llama_index.llms', 'langchain'))))\n"
    )
    assert done.stdout.splitlines() == ["[]", "[]"]


def test_the_public_names() -> None:
    assert sorted(llamaindex_failover.__all__) == ["FailoverLLM", "wrap"]
