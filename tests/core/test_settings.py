"""Settings are checked when they are made, and the message says what to write instead."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from math import inf, nan
from typing import Any

import pytest

from failover_core import ConfigError, FailoverError, Settings

LIMITS = ["deadline_s", "first_token_s", "stall_s", "answer_s"]
AMOUNTS = [
    "retry_after_patience_s",
    "backoff_s",
    "hold_back_s",
    "retry_budget_tokens",
    "retry_budget_refill",
    "park_s",
]
COUNTS = {"same_target_retries": 0, "max_attempts": 1, "hold_back_tokens": 0}
CHOICES = {
    "hedge": ("overdue", "off", "budgeted"),
    "midstream": ("resume", "raise", "replace"),
    "on_content_filter": ("raise", "next"),
    "on_invalid_request": ("raise", "next"),
    "recovery": ("staged", "fast"),
}


def test_the_pinned_defaults() -> None:
    settings = Settings()
    assert (settings.deadline_s, settings.first_token_s, settings.stall_s, settings.answer_s) == (None,) * 4
    assert (settings.same_target_retries, settings.retry_after_patience_s, settings.max_attempts) == (1, 2.0, 4)
    assert (settings.hedge, settings.midstream) == ("overdue", "resume")
    assert (settings.on_content_filter, settings.on_invalid_request) == ("raise", "raise")


def test_settings_cannot_be_changed_later() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().deadline_s = 3  # type: ignore[misc]


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", [0, -1, -0.5, inf, nan, True, "5", [5]])
def test_limits_are_seconds_above_zero_or_none(name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(**{name: value})
    assert str(caught.value) == f"Settings({name}={value!r}): write a number of seconds above 0, or None"


@pytest.mark.parametrize("name", AMOUNTS)
@pytest.mark.parametrize("value", [-1, -0.001, inf, nan, None, False, "1"])
def test_amounts_are_not_negative(name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(**{name: value})
    assert str(caught.value) == f"Settings({name}={value!r}): write a number that is not negative"


@pytest.mark.parametrize("name", AMOUNTS)
def test_amounts_may_be_zero(name: str) -> None:
    assert getattr(Settings(**{name: 0}), name) == 0


@pytest.mark.parametrize(("name", "least"), COUNTS.items())
def test_counts_are_whole_numbers_with_a_minimum(name: str, least: int) -> None:
    assert getattr(Settings(**{name: least}), name) == least
    wrong: list[Any] = [least - 1, least + 0.5, str(least), None, True]
    for value in wrong:
        with pytest.raises(ConfigError) as caught:
            Settings(**{name: value})
        assert str(caught.value) == f"Settings({name}={value!r}): write a whole number of at least {least}"


@pytest.mark.parametrize(("name", "words"), CHOICES.items())
def test_choices_list_what_can_be_chosen(name: str, words: tuple[str, ...]) -> None:
    for word in words:
        assert getattr(Settings(**{name: word}), name) == word
    for wrong in ("never", None, ["off"]):
        with pytest.raises(ConfigError) as caught:
            Settings(**{name: wrong})
        assert str(caught.value).startswith(f"Settings({name}={wrong!r}): write one of ")
        assert all(repr(word) in str(caught.value) for word in words)


def test_validators_are_kept_as_a_tuple() -> None:
    assert Settings(validators=[print]).validators == (print,)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [["is it polite?"], [None], print, None, 5])
def test_validators_are_functions_in_a_sequence(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"Settings\(validators=.*pass (functions|a sequence of functions)"):
        Settings(validators=value)


def test_an_async_validator_would_never_judge() -> None:
    async def polite(finished: Any) -> None:
        raise AssertionError

    with pytest.raises(ConfigError, match=r"Settings\(validators=.*polite.* is async, and nobody would await it"):
        Settings(validators=(polite,))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["output_checks", "hold_tool_calls"])
@pytest.mark.parametrize("value", ["no", None, 1])
def test_switches_are_true_or_false(name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(**{name: value})
    assert str(caught.value) == f"Settings({name}={value!r}): write True or False"


def test_a_config_error_is_a_failover_error_without_a_trace() -> None:
    with pytest.raises(FailoverError) as caught:
        Settings(max_attempts=0)
    assert caught.value.trace is None
    assert list(caught.value.attempts) == []
