"""The `failover` command: `demo` shows what failover does, `simulate` compares it in outages, `doctor` checks keys.

Arguments only; what a command does is imported when it runs, so that `failover --version` needs nothing installed.
"""

from __future__ import annotations

import argparse
import os
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
        match arguments.command:
            case "demo":
                return _demo(arguments)
            case "simulate":
                return _simulate(arguments)
            case _:
                return _doctor(arguments.specs)
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
    _add_simulate(commands.add_parser("simulate", help="outages in simulated time, beside the policies of others"))
    doctor = commands.add_parser("doctor", help="check keys, addresses and model names with the cheapest free call")
    doctor.add_argument("specs", nargs="+", metavar="SPEC", help="such as openai:gpt-4o-mini, google:gemini-2.5-flash")
    return parser


def _add_simulate(simulate: argparse.ArgumentParser) -> None:
    simulate.description = (
        "Lives through incidents in simulated time: recorded traffic, measured response times, Failover Kit beside "
        "others' policies. Exits with 0 only if Failover Kit kept its promises."
    )
    add = simulate.add_argument
    add("scenarios", nargs="*", metavar="SCENARIO", help="such as 'black hole', or the path of a JSON file (all)")
    add("--list", action="store_true", help="the scenarios and the policies")
    add("--seeds", type=_count, default=3, metavar="N", help="how many days with other arrivals and other luck (3)")
    add("--seed", type=int, default=1, metavar="FIRST", help="the first of these seeds (1)")
    add("--policy", action="append", default=[], metavar="NAME", help="only this one, or 'ours'; repeatable")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of Failover Kit, as in hedge=off")
    add("--ranking", default="priority", metavar="NAME", help="Failover Kit's policy=, such as fastest (priority)")
    add("--json", default="", metavar="FILE", help="write the figures as JSON; - = to stdout, instead of the table")
    add("--plot", default="", metavar="FILE", help="draw one scenario into an .svg or .png instead")
    add("--workers", type=_count, default=os.cpu_count() or 1, metavar="N", help="processes (one a core)")


def _simulate(arguments: argparse.Namespace) -> int:
    from ..failure import ConfigError
    from .simulate import SimulateOptions, list_scenarios, run_simulate

    if arguments.list:
        return list_scenarios(sys.stdout)
    options = SimulateOptions(
        arguments.scenarios,
        arguments.policy,
        range(arguments.seed, arguments.seed + arguments.seeds),
        arguments.set,
        arguments.ranking,
        arguments.json,
        arguments.plot,
        arguments.workers,
    )
    try:
        return run_simulate(options, sys.stdout)
    except (ConfigError, ImportError, OSError) as error:
        print(f"failover simulate: {error}", file=sys.stderr)
        return 2


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


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number between 1 and 1000")
    return int(text)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("failover-kit")
    except PackageNotFoundError:
        return "from source"
