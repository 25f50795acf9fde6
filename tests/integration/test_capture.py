"""Short commands whose output is collected, within a time limit."""

from __future__ import annotations

import os
import time
import uuid

import pytest

from launcher.pixi.capture import LIMIT, Answer, capture
from tests.support.processes import MARK, kill_marked, marked_pids
from tests.support.wait import PATIENCE_S, wait_until

OURS = uuid.uuid4().hex
ENVIRON = {"PATH": os.environ["PATH"], MARK: OURS}
LONG_S = 1000  # what is not waited for


def shell(script: str, within_s: float = PATIENCE_S) -> Answer:
    return capture(("/bin/sh", "-c", script), ENVIRON, within_s)


def test_output_and_code_come_back() -> None:
    assert shell("echo out; echo err >&2; exit 3") == Answer(code=3, out="out\n", err="err\n")


def test_end_by_a_signal_is_a_code_above_128() -> None:
    assert shell("kill -TERM $$").code == 143


def test_more_than_a_pipe_holds_comes_back() -> None:
    answer = shell("head -c 300000 /dev/zero | tr '\\0' x; head -c 300000 /dev/zero >&2")
    assert (answer.code, len(answer.out), len(answer.err)) == (0, 300_000, 300_000)


def test_standard_input_is_empty() -> None:
    assert shell("cat").code == 0


def test_command_that_takes_too_long_is_killed_with_its_children() -> None:
    begun = time.monotonic()
    assert shell(f"echo begun; sleep {LONG_S} & wait", 0.2).code is None
    assert time.monotonic() - begun < LONG_S / 2
    wait_until(lambda: marked_pids(OURS) == [], "the end of the children")


def test_child_that_keeps_the_output_open_holds_nobody_up() -> None:
    begun = time.monotonic()
    assert shell(f"sleep {LONG_S} & echo done", LONG_S).out == "done\n"
    assert time.monotonic() - begun < LONG_S / 2
    kill_marked(OURS)


def test_output_without_end_is_cut_off() -> None:
    answer = shell("yes")
    assert answer.code is None
    assert len(answer.out) < LIMIT + 200_000


def test_program_that_is_none_raises() -> None:
    with pytest.raises(FileNotFoundError):
        capture(("/no/program",), ENVIRON, 1)


def test_descriptors_are_all_closed_again() -> None:
    before = len(os.listdir("/proc/self/fd"))
    shell("true")
    assert len(os.listdir("/proc/self/fd")) == before
