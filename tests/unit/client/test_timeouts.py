"""Timeouts: profiles, milliseconds, and which of them counts."""

from __future__ import annotations

import pytest

from launcher.client.timeouts import (
    Timeout,
    choose_profile,
    parse_duration,
    read_timeout,
    render_duration,
)
from launcher.config.timeout_profiles import PROFILES
from launcher.errors import UsageError

MINUTE = 60_000


@pytest.mark.parametrize(
    ("profile", "minutes"),
    [("default", 2), ("streaming", 30), ("ml_inference", 10), ("batch_job", 60)],
)
def test_profile_lasts_as_documented(profile: str, minutes: int) -> None:
    assert Timeout.profile(profile).total_ms == minutes * MINUTE


def test_profiles_are_these_four() -> None:
    assert set(PROFILES) == {"default", "streaming", "ml_inference", "batch_job"}


def test_timeout_of_a_call_is_a_profile_or_exact_milliseconds() -> None:
    assert read_timeout("batch_job", "generate", {}).total_ms == 60 * MINUTE
    assert read_timeout(300_000, "generate", {}).total_s == 300
    assert read_timeout(Timeout(5, 1), "generate", {}) == Timeout(5, 1)


def test_stream_has_an_idle_timeout_besides() -> None:
    assert read_timeout("streaming", "stream", {}).idle_s == 120
    assert Timeout(None, None).idle_s is None
    assert Timeout(None, None).total_s is None


@pytest.mark.parametrize(
    ("call", "profile"),
    [("generate", "ml_inference"), ("stream", "streaming"), ("batch", "batch_job")],
)
def test_call_without_a_choice_has_its_usual_profile(call: str, profile: str) -> None:
    assert choose_profile(call, {}) == profile
    assert read_timeout(None, call, {}) == Timeout.profile(profile)


def test_variable_wins_over_the_file_and_the_call_over_both() -> None:
    environ = {"VLLMD_TIMEOUT_PROFILE": "batch_job"}
    assert choose_profile("generate", {}, "streaming") == "streaming"
    assert choose_profile("generate", environ, "streaming") == "batch_job"
    assert read_timeout("default", "generate", environ) == Timeout.profile("default")


@pytest.mark.parametrize("value", ["batch", 0, -1, float("nan")])
def test_timeout_that_means_nothing_is_refused(value: str | float) -> None:
    with pytest.raises(UsageError):
        read_timeout(value, "generate", {})


def test_variable_with_an_unknown_profile_is_named() -> None:
    with pytest.raises(UsageError, match="VLLMD_TIMEOUT_PROFILE: unknown timeout profile 'x'"):
        choose_profile("batch", {"VLLMD_TIMEOUT_PROFILE": "x"})


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("300s", 300_000), ("5m", 300_000), ("1.5h", 5_400_000), ("250ms", 250), ("none", None)],
)
def test_duration_is_a_number_and_a_unit(text: str, milliseconds: float | None) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize("text", ["", "300", "0s", "-1s", "5 m", "1d", "s", "1e3s", "inf"])
def test_duration_without_unit_or_sense_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (250, "250 ms"),
        (1000, "1 s"),
        (90_000, "1 min 30 s"),
        (3_600_000, "1 h"),
        (5_430_000, "1 h 30 min"),
    ],
)
def test_duration_is_said_in_its_largest_units(milliseconds: float, words: str) -> None:
    assert render_duration(milliseconds) == words
