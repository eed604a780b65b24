"""`failover doctor`: does each configured native target answer at all? Its cheapest free call, listing models, tells.

One line a target; keys are never printed. The exit status is 0 when nothing is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import TextIO

from ..failure import FailoverError, Failure, FailureKind
from ..model import Target
from ..providers.native import NativeChat

TIMEOUT_S = 10.0

ADVICE = {
    FailureKind.AUTH: "check the API key",
    FailureKind.BILLING: "check the account's billing",
    FailureKind.QUOTA_EXHAUSTED: "check the account's quota",
    FailureKind.PERMISSION_OR_REGION: "check what the key may do, and from where",
    FailureKind.CONNECTION: "check the network and base_url",
    FailureKind.TIMEOUT: "check the network and base_url",
    FailureKind.MODEL_NOT_FOUND: "check base_url and the model's name",
}


def run_doctor(targets: Sequence[Target], out: TextIO, *, timeout_s: float = TIMEOUT_S) -> int:
    """Check each target, all at the same time, and write one line each.

    Args:
        targets: native ones are checked; of others it is only said that they are not.
        out: where to write.
        timeout_s: for each target, in seconds.

    Returns:
        0 when every native target is fine, else 1.
    """
    if not targets:
        out.write("no targets to check\n")
        return 1
    with ThreadPoolExecutor(max_workers=min(16, len(targets))) as pool:
        findings = list(pool.map(lambda target: _examined(target, timeout_s), targets))
    width = max(len(target.name) for target in targets)
    for target, (fine, text) in zip(targets, findings, strict=True):
        mark = {True: "ok  ", False: "FAIL", None: "--  "}[fine]
        out.write(f"{target.name:{width}}  {mark}  {text}\n")
    return 0 if all(fine is not False for fine, _ in findings) else 1


def _examined(target: Target, timeout_s: float) -> tuple[bool | None, str]:
    """Is it fine (None = cannot be told), and the line about it."""
    chat = target.source
    if not isinstance(chat, NativeChat):
        return None, "not checked: only native targets such as 'openai:MODEL' can be"
    started = perf_counter()
    try:
        models = chat.list_models(timeout_s)
    except Exception as error:
        return False, _diagnosis(error, chat)
    finally:
        chat.close()
    took = f"{(perf_counter() - started) * 1000:.0f} ms, {len(models)} models"
    if not _offers(models, chat.model):
        return False, f"model_not_found: {took}, but none is called {chat.model!r}"
    return True, took


def _offers(models: Sequence[str], model: str) -> bool:
    """Lists show dated and tagged names for aliases: "claude-haiku-4-5-20251001" stands for "claude-haiku-4-5" too."""
    wanted = model.removeprefix("models/").removesuffix("-latest")
    alias = re.compile(re.escape(wanted) + r"([-@:](\d.*|latest))?")
    return any(alias.fullmatch(name) for name in models)


def _diagnosis(error: Exception, chat: NativeChat) -> str:
    failure = _failure(error)
    said = " ".join(failure.message.split()) or type(error).__name__
    if chat.options.api_key:
        said = said.replace(chat.options.api_key, "[key]")
    advice = "" if isinstance(error, FailoverError) else ADVICE.get(failure.kind, "")  # ours say it themselves
    return f"{failure.kind}: {said:.200}" + (f" ({advice})" if advice else "")


def _failure(error: Exception) -> Failure:
    if isinstance(error, FailoverError) and error.failure is not None:
        return error.failure
    from ..classify import classify

    return classify(error)
