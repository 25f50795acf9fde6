"""`vllmd run CONFIG -- CMD`: the container's own program beside the servers."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.launching import PROGRAMS, Launcher, Stub
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

REPORTER = (sys.executable, f"{PROGRAMS}/self_report.py")
ON_SIGNAL = "trap 'echo got-{0}; exit {1}' {0}; echo ready; while :; do sleep 0.02; done"


def on_signal(name: str, code: int) -> tuple[str, ...]:
    """Return a program that says when a signal arrives, and ends with a code."""
    return ("sh", "-c", ON_SIGNAL.format(name, code))


@pytest.mark.parametrize("code", [0, 5])
def test_code_of_main_program_is_the_launchers(launcher: Launcher, code: int) -> None:
    run = launcher.start(Stub(), command=("sh", "-c", f"exit {code}"))
    assert run.wait() == code
    assert launcher.left() == []
    assert f"vllmd: main program: ended (exit code {code})" in run.said()


def test_main_program_that_is_killed_gives_128_and_the_signal(launcher: Launcher) -> None:
    run = launcher.start(Stub(), command=("sh", "-c", "kill -9 $$"))
    assert run.wait() == 137
    assert launcher.left() == []


def test_main_program_gets_term_and_tells_the_code(launcher: Launcher) -> None:
    run = launcher.start(Stub(), command=on_signal("TERM", 4))
    wait_until(lambda: "ready" in run.stdout(), "the main program to be ready")
    run.signal(signal.SIGTERM)
    assert run.wait() == 4
    assert run.stdout() == "ready\ngot-TERM\n"
    assert launcher.left() == []


def test_main_program_gets_other_signals_passed_on(launcher: Launcher) -> None:
    run = launcher.start(Stub(), command=on_signal("USR1", 6))
    wait_until(lambda: "ready" in run.stdout(), "the main program to be ready")
    run.signal(signal.SIGUSR1)
    assert run.wait() == 6
    assert run.stdout() == "ready\ngot-USR1\n"


def test_main_program_starts_when_the_instances_run(launcher: Launcher) -> None:
    run = launcher.start(Stub(server={"stub_hang": True}), command=("echo", "here"))
    assert run.wait() == 0
    assert run.stdout() == "here\n"
    assert "healthy" not in run.stderr()


def test_main_program_told_to_wait_starts_when_all_are_healthy(launcher: Launcher) -> None:
    stubs = [Stub(name="a"), Stub(name="b", server={"stub_slow": 0.5})]
    run = launcher.start(*stubs, options=["--wait-ready"], command=("echo", "here"))
    assert run.wait() == 0
    said = run.stderr()
    assert max(said.index(f"{name}: healthy after") for name in "ab") < said.index("main program:")


def test_main_program_told_to_wait_never_starts_when_an_instance_fails(launcher: Launcher) -> None:
    stubs = [Stub(name="a"), Stub(name="b", server={"stub_die": 9})]
    run = launcher.start(*stubs, options=["--wait-ready"], command=("echo", "here"))
    assert run.wait() == 9
    assert run.stdout() == ""
    text = "main program: will not be started: an instance failed before all were healthy"
    assert f"vllmd: {text}" in run.said()
    assert launcher.left() == []


def test_foreground_instance_that_fails_decides_the_code_over_the_main_program(
    launcher: Launcher,
) -> None:
    front = Stub(server={"stub_die_after": 0.2, "stub_code": 7}, control={"background": False})
    run = launcher.start(front, command=("sleep", "60"))
    assert run.wait() == 7
    assert launcher.left() == []


def test_main_program_that_does_not_exist_ends_with_71(launcher: Launcher) -> None:
    run = launcher.start(Stub(), command=("/no/such/program",))
    assert run.wait() == 71
    reason = "'/no/such/program': no such file or directory"
    assert f"vllmd: main program: could not be started: {reason}" in run.said()
    assert launcher.left() == []


def report_of(path: Path) -> dict[str, object]:
    report: dict[str, object] = json.loads(path.read_text())
    return report


def test_command_without_configuration_is_executed_in_our_place(launcher: Launcher) -> None:
    file = launcher.folder / "report"
    run = launcher.start_words("--", *REPORTER, str(file), "5")
    assert run.wait() == 5
    assert report_of(file)["pid"] == run.pid
    assert run.stderr() == ""


def test_command_without_configuration_that_does_not_exist_ends_with_69(launcher: Launcher) -> None:
    run = launcher.start_words("--", "no-such-program")
    assert run.wait() == 69
    assert run.stderr() == (
        "error: cannot execute 'no-such-program': no such file or directory\n"
        "hint: correct the command behind '--'\n"
    )


def test_main_program_runs_alone_where_the_launcher_is_switched_off(launcher: Launcher) -> None:
    run = launcher.start(Stub(), master={"enable": False}, command=("sh", "-c", "exit 3"))
    assert run.wait() == 3
    assert not run.log().exists()


def test_command_beside_instance_keeps_our_standard_streams(launcher: Launcher) -> None:
    file = launcher.folder / "report"
    run = launcher.start(Stub(), command=(*REPORTER, str(file)))
    assert run.wait() == 0
    fds = report_of(file)["fds"]
    assert isinstance(fds, dict)
    assert fds["1"] == os.fspath(launcher.folder / "stdout")
    assert set(fds) == {"0", "1", "2"}


def test_instances_switched_off_leave_nothing_to_run(launcher: Launcher) -> None:
    run = launcher.start(Stub(control={"enabled": False}))
    assert run.wait() == 0
    assert run.stderr() == "vllmd: nothing to run ('a': control.enabled is false)\n"
    assert not run.log().exists()


def test_instance_switched_off_is_skipped(launcher: Launcher) -> None:
    run = launcher.start(Stub(name="a", control={"enabled": False}), Stub(name="b"))
    run.wait_healthy("b")
    assert " a: " not in run.stderr()
    assert not run.log("a").exists()


def test_launcher_switched_off_has_nothing_to_run(launcher: Launcher) -> None:
    run = launcher.start(Stub(), master={"enable": False})
    assert run.wait() == 0
    assert run.stderr() == "vllmd: nothing to run ('a': master.enable is false)\n"
    assert not run.log().exists()
