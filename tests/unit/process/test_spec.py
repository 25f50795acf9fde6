"""Values about processes: how one ended, in numbers and in words; addresses; secrets."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from launcher.process.spec import (
    Exited,
    Killed,
    Probe,
    Variable,
    describe_status,
    exit_code,
    exit_status,
)

if TYPE_CHECKING:
    from launcher.process.spec import ExitStatus

WAYS: list[tuple[str, ExitStatus, int, str]] = [
    ("os._exit(0)", Exited(code=0), 0, "exit code 0"),
    ("os._exit(255)", Exited(code=255), 255, "exit code 255"),
    ("os.kill(os.getpid(), 9)", Killed(signal=9), 137, "killed by SIGKILL"),
    ("os.kill(os.getpid(), 40)", Killed(signal=40), 168, "killed by signal 40"),
]


@pytest.mark.parametrize(("code", "status", "number", "words"), WAYS)
def test_end_of_a_real_process_is_read(
    code: str, status: ExitStatus, number: int, words: str
) -> None:
    pid = os.posix_spawn(sys.executable, [sys.executable, "-Sc", f"import os; {code}"], os.environ)
    found = exit_status(os.waitpid(pid, 0)[1])
    assert (found, exit_code(found), describe_status(found)) == (status, number, words)


def test_core_dump_is_read_as_the_signal() -> None:
    assert exit_status(0x80 | signal.SIGSEGV) == Killed(signal=signal.SIGSEGV)


@pytest.mark.parametrize(
    ("probe", "address"),
    [
        (Probe(host="127.0.0.1", port=1), "http://127.0.0.1:1"),
        (Probe(host="::1", port=1, tls=True), "https://[::1]:1"),
        (Probe(host="", port=0, socket_path="/run/a.sock"), "unix:/run/a.sock"),
    ],
)
def test_address_is_as_a_person_writes_it(probe: Probe, address: str) -> None:
    assert probe.address() == address


def test_variable_shows_no_value() -> None:
    assert "s3cret" not in repr(Variable(name="HF_TOKEN", value="s3cret"))
