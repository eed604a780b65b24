"""The `failover` command: `failover demo` shows what failover does, `failover doctor SPEC...` checks providers.

Arguments only; what a command does is imported when it runs, so that `failover --version` needs nothing installed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec

DEMO_NEEDS = {
    "rich": "rich",
    "aiohttp": "aiohttp",
    "langchain_core": "langchain-core",
    "llama_index.core": "llama-index-core",
    "openai": "openai",
    "anthropic": "anthropic",
    "google.genai": "google-genai",
}
STOPPED = 130  # 128 + SIGINT, as shells do


def main(argv: Sequence[str] | None = None) -> int:
    """The command's entry point; returns the exit status."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 0
    try:
        return _demo(arguments) if arguments.command == "demo" else _doctor(arguments.specs)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return STOPPED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="failover", description="LLM failover inside LangChain and LlamaIndex apps.")
    parser.add_argument("--version", action="version", version=f"failover-kit {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="a minute of real traffic through a provider outage; needs no key and no network",
        description="Replays a minute of real traffic while a provider on loopback goes slow, silent and down. "
        "Shows Failover Kit beside one model alone and LangChain's with_fallbacks. Exits with 0 only if Failover Kit "
        "lost no request.",
    )
    demo.add_argument("--seconds", type=_duration, default=50.0, metavar="N", help="length of the replay (50)")
    demo.add_argument("--seed", type=int, default=1, help="of the providers' response times (1)")
    demo.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    demo.add_argument(
        "--live",
        nargs="*",
        metavar="SPEC",
        help="ask real providers instead: those whose keys are in the environment, or these (openai:gpt-4o-mini ...)",
    )
    doctor = commands.add_parser("doctor", help="check keys, addresses and model names with the cheapest free call")
    doctor.add_argument("specs", nargs="+", metavar="SPEC", help="such as openai:gpt-4o-mini, google:gemini-2.5-flash")
    return parser


def _demo(arguments: argparse.Namespace) -> int:
    missing = [package for module, package in DEMO_NEEDS.items() if not _is_there(module)]
    if missing:
        print(f"failover demo needs {', '.join(missing)}: pip install 'failover-kit[demo]'", file=sys.stderr)
        return 2
    from rich.console import Console

    out, err = Console(), Console(stderr=True)
    if arguments.live is not None:
        if arguments.json:
            print("failover demo: --json gives the figures of a replay, which --live has not", file=sys.stderr)
            return 2
        from .live import run_live

        return run_live(arguments.live, out, err)
    from .demo import DemoOptions, run_demo

    return run_demo(DemoOptions(arguments.seconds, arguments.seed, arguments.json), out, err)


def _doctor(specs: Sequence[str]) -> int:
    from ..failure import ConfigError
    from ..model import Target
    from .doctor import run_doctor

    try:
        targets = [Target.native(spec) for spec in specs]
    except (ConfigError, ImportError) as error:
        print(error, file=sys.stderr)
        return 2
    return run_doctor(targets, sys.stdout)


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is missing
        return False


def _duration(text: str) -> float:
    seconds = float(text)
    if not 1.0 <= seconds <= 3600.0:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 3600 seconds")
    return seconds


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("failover-kit")
    except PackageNotFoundError:
        return "from source"
