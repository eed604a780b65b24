"""Judges of finished output that you can switch on: `Settings(validators=(complete, written_in("latin")))`.

They are not on by default because they can be wrong: a summary may be meant to end at the limit, and code is not prose.
Each raises `OutputRejected`, and the next target is asked. Write your own in the same way: a function of `Finished`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from .failure import ConfigError, FailureKind, OutputRejected
from .output import Finished, Validator

LENGTH_REASONS = frozenset({"length", "max_tokens", "max_output_tokens", "model_length", "incomplete"})
ENOUGH_LETTERS = 40
MOJIBAKE_SHARE = 0.005
ENOUGH_WORDS = 30
STOP_WORD_SHARE = 0.1

_WORD = re.compile(r"[a-z']+")
_STOP_WORDS = frozenset(
    """the of and to in a is that it for on with as are was be this by not or an at from but have which you they has his
    her we can will if their there all what when one your its my were been do so how some would more up out""".split()
)
_REFUSAL = re.compile(
    r"\W*(?:i['\u2019]?m (?:very |really )?sorry|sorry|i apologi[sz]e|unfortunately)?[,;:. ]*(?:but )?"
    r"i (?:can(?:no|['\u2019])?t|am (?:not able|unable)|won['\u2019]t) (?:\w+ ){0,3}"
    r"(?:help|assist|comply|provide|fulfil|answer|discuss|do that)",
    re.IGNORECASE,
)


def complete(finished: Finished) -> None:
    """Rejects answers that the output limit has cut off."""
    if (finished.finish_reason or "").lower() in LENGTH_REASONS:
        raise OutputRejected(f"the output limit cut the answer off ({finished.finish_reason})", output=finished.output)


def no_refusal(finished: Finished) -> None:
    """Rejects answers that begin by refusing, in English. Soft: the words may be a quotation."""
    if _REFUSAL.match(finished.text[:200]):
        reason = f"the answer is a refusal: {finished.text[:80]!r}"
        raise OutputRejected(reason, output=finished.output, kind=FailureKind.CONTENT_FILTERED)


def no_gibberish(finished: Finished) -> None:
    """Rejects broken characters (more than one in 200 is U+FFFD or a control character) and English word salad.

    Word salad means fewer than 10 % stop words among at least 30 words. Measured on real outputs that is wrong for 3 %
    of prose and 19 % of code, so use it for prose only.
    """
    text = finished.text
    broken = sum(c == "\ufffd" or (unicodedata.category(c) == "Cc" and c not in "\t\n\r") for c in text)
    if broken > MOJIBAKE_SHARE * len(text):
        raise OutputRejected(f"the answer holds {broken} broken characters", output=finished.output)
    words = _WORD.findall(text.lower())
    if len(words) >= ENOUGH_WORDS and sum(map(len, words)) > len(text) / 2:
        share = sum(word in _STOP_WORDS for word in words) / len(words)
        if share < STOP_WORD_SHARE:
            raise OutputRejected(f"the answer reads like word salad ({share:.0%} stop words)", output=finished.output)


def written_in(*scripts: str, share: float = 0.5) -> Validator:
    """A validator that rejects answers written mostly in other scripts.

    Args:
        scripts: as Unicode names them, such as "latin", "cyrillic", "cjk", "hiragana", "arabic", "devanagari".
        share: the part of the letters, 0 to 1, that must be of these scripts, once there are at least 40 letters.

    Raises:
        ConfigError: without a script.
    """
    if not scripts:
        raise ConfigError("written_in() needs a script, such as written_in('latin')")
    wanted = {script.upper() for script in scripts}

    def validator(finished: Finished) -> None:
        found = Counter(unicodedata.name(c, "?").partition(" ")[0] for c in finished.text if c.isalpha())
        letters = found.total()
        if letters >= ENOUGH_LETTERS and sum(found[script] for script in wanted) < share * letters:
            most = found.most_common(1)[0][0].lower()
            reason = f"the answer is written in {most}, not in {' or '.join(scripts)}"
            raise OutputRejected(reason, output=finished.output)

    return validator
