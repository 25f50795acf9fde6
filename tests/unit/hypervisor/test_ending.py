"""What the end of a VMM means."""

from __future__ import annotations

import pytest

from launcher.hypervisor.ending import Ending, judge_ending
from launcher.hypervisor.report import GuestReport

ENDED = GuestReport(entrypoint="ended", exit_code=3)


@pytest.mark.parametrize(
    ("ending", "code", "words"),
    [
        (Ending(code=0), 0, "the guest powered off"),
        (Ending(code=0, report=ENDED), 3, "its entrypoint ended with exit code 3"),
        (Ending(code=0, report=GuestReport(entrypoint="running")), 0, "the guest powered off"),
        (Ending(code=0, panicked=True, report=ENDED), 1, "panicked"),
        (Ending(code=0, asked=True, report=ENDED), 0, "has shut down"),
        (Ending(code=0, asked=True, forced=True), 137, "was forced"),
        (Ending(code=-9, asked=True, forced=True), 137, "was forced"),
        (Ending(code=-9), 137, "killed by SIGKILL"),
        (Ending(code=-6), 134, "killed by SIGABRT"),
        (Ending(code=-40), 168, "killed by signal 40"),
        (Ending(code=1), 1, "failed with exit code 1"),
        (Ending(code=0, loops=True, forced=True), 1, "rebooted again and again"),
    ],
)
def test_ending_has_a_code_and_words(ending: Ending, code: int, words: str) -> None:
    found, said = judge_ending(ending)
    assert found == code
    assert words in said
