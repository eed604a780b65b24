"""Judges of output that users can switch on: what they reject, and what they leave alone."""

from __future__ import annotations

import pytest

from failover_core import ConfigError, Failover, FailureKind, OutputRejected, Settings, Target
from failover_core.output import Finished, Validator
from failover_core.validators import complete, no_gibberish, no_refusal, written_in

PROSE = (
    "A circuit breaker watches the calls that are made to a service. When too many of them fail it opens, and for a "
    "while nobody asks the service any more, so that it has the time to recover from whatever has happened to it."
)
CODE = "def area(width: float, height: float) -> float:\n    return width * height\n\nprint(area(3, 4))\n"
SALAD = "purple engine walrus quickly table seventeen mountain " * 6
JAPANESE = "回路遮断器は、失敗し続けるサービスへの呼び出しを止める仕組みです。" * 2
RUSSIAN = "Предохранитель следит за вызовами службы и размыкает цепь, когда слишком многие из них не удаются."


@pytest.mark.parametrize(
    ("validator", "finished"),
    [
        (complete, Finished(text=PROSE, finish_reason="length")),
        (complete, Finished(text=PROSE, finish_reason="MAX_TOKENS")),
        (no_refusal, Finished(text="I'm sorry, but I can't help with that.")),
        (no_refusal, Finished(text="I cannot assist with this request.")),
        (no_refusal, Finished(text="Unfortunately, I am unable to provide medical advice.")),
        (no_gibberish, Finished(text=PROSE[:80] + "\ufffd\ufffd" + PROSE[80:])),
        (no_gibberish, Finished(text="\x00\x01" + PROSE)),
        (no_gibberish, Finished(text=SALAD)),
        (written_in("latin"), Finished(text=RUSSIAN)),
        (written_in("cyrillic"), Finished(text=PROSE)),
    ],
)
def test_rejected(validator: Validator, finished: Finished) -> None:
    with pytest.raises(OutputRejected):
        validator(finished)


@pytest.mark.parametrize(
    ("validator", "finished"),
    [
        (complete, Finished(text=PROSE, finish_reason="stop")),
        (complete, Finished(text=PROSE)),
        (no_refusal, Finished(text=PROSE)),
        (no_refusal, Finished(text='He said: "I can\'t help with that", and left.')),
        (no_gibberish, Finished(text=PROSE)),
        (no_gibberish, Finished(text=CODE)),
        (no_gibberish, Finished(text=RUSSIAN)),
        (no_gibberish, Finished(text="")),
        (written_in("latin"), Finished(text=PROSE)),
        (written_in("latin"), Finished(text="42")),
        (written_in("latin", "cyrillic"), Finished(text=RUSSIAN)),
        (
            written_in("cjk", "hiragana", "katakana"),
            Finished(text="回路遮断器は、失敗し続けるサービスへの呼び出しを止める仕組みです。" * 2),
        ),
    ],
)
def test_accepted(validator: Validator, finished: Finished) -> None:
    validator(finished)


def test_a_rejected_answer_moves_on_to_the_next_target() -> None:
    targets = [Target("salad", call=lambda request: SALAD), Target("prose", call=lambda request: PROSE)]
    outcome = Failover(targets, Settings(validators=(no_gibberish,))).run("explain")
    assert outcome.value == PROSE
    assert [attempt.kind for attempt in outcome.trace.attempts] == [FailureKind.INVALID_OUTPUT, None]


def test_a_script_is_needed() -> None:
    with pytest.raises(ConfigError, match="needs a script"):
        written_in()
