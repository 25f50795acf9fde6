"""Instances that end by themselves: who goes with them, and which code is told."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.launching import Launcher, Stub
from tests.support.processes import is_alive
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

FOREGROUND = {"background": False}


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ({"stub_die_after": 0.2, "stub_code": 7}, 7),
        ({"stub_die_after": 0.2, "stub_code": 0}, 0),
        ({"stub_die_after": 0.2, "stub_signal": 11}, 139),
        ({"stub_die": 3}, 3),
    ],
)
def test_end_of_foreground_instance_ends_all_with_its_code(
    launcher: Launcher, end: Mapping[str, object], code: int
) -> None:
    run = launcher.start(Stub(name="back"), Stub(name="front", control=FOREGROUND, server=end))
    assert run.wait() == code
    assert launcher.left() == []
    assert "vllmd: back: stopped (" in run.stderr()  # it may not have come to its handler


def test_foreground_killed_from_outside_gives_128_and_the_signal(launcher: Launcher) -> None:
    run = launcher.start(Stub(control=FOREGROUND))
    run.wait_healthy()
    os.kill(run.pid_of(), signal.SIGKILL)
    assert run.wait() == 137
    text = "vllmd: a: ended without being asked (killed by SIGKILL) after"
    assert any(line.startswith(text) for line in run.said())


def test_end_of_background_instance_leaves_the_others_alone(launcher: Launcher) -> None:
    run = launcher.start(Stub(name="a"), Stub(name="b"))
    run.wait_healthy("a", "b")
    os.kill(run.pid_of("a"), signal.SIGTERM)
    run.wait_for("a: ended without being asked (exit code 0) after")
    assert is_alive(run.pid_of("b"))
    run.signal(signal.SIGTERM)
    assert run.wait() == 0


def test_end_of_every_background_instance_ends_with_the_first_failure(launcher: Launcher) -> None:
    gate = launcher.folder / "gate"
    first = Stub(name="a", server={"stub_die_after": 0.1, "stub_code": 0})
    server = {"stub_gate": str(gate), "stub_die_after": 0.1, "stub_code": 9}
    run = launcher.start(first, Stub(name="b", server=server))
    run.wait_for("a: ended ")
    gate.touch()
    assert run.wait() == 1  # 0 that nobody asked for is a failure
    assert launcher.left() == []


def test_server_that_dies_at_once_shows_its_last_lines(launcher: Launcher) -> None:
    server = {"stub_die": 3, "stub_say": ["loading", "ValueError: no"], "stub_partial": "the end"}
    run = launcher.start(Stub(server=server))
    assert run.wait() == 3
    start, *lines = run.said()
    assert start.startswith("vllmd: a: started (pid ")
    assert lines[0].startswith("vllmd: a: ended while starting (exit code 3) after ")
    assert lines[1:] == [
        "    | loading",
        "    | ValueError: no",
        "    | the end",
        f"vllmd: a: the whole log is in {run.log()}",
    ]


def test_module_that_does_not_exist_is_told_in_pythons_words(launcher: Launcher) -> None:
    run = launcher.start(Stub(), master={"api_server_module": "no_such_module"})
    assert run.wait() == 1
    assert run.said()[-4:] == [
        f"    | {sys.executable}: No module named no_such_module",
        f"vllmd: a: the whole log is in {run.log()}",
        "vllmd: a: it was: this Python lacks a module that is needed",
        "vllmd: a: hint: name the Python that has vLLM in master.python, or install vLLM in it",
    ]


def test_program_that_cannot_be_executed_ends_with_71(launcher: Launcher) -> None:
    python = launcher.folder / "python"
    python.write_text("#!/no/such/interpreter\n")
    python.chmod(0o755)
    run = launcher.start(Stub(), master={"python": str(python)})
    assert run.wait() == 71
    reason = f"'{python}': no such file or directory"
    assert run.said() == [f"vllmd: a: could not be started: {reason}"]


def test_start_without_descriptors_left_ends_with_71(launcher: Launcher) -> None:
    limit = ("sh", "-c", 'ulimit -n 12; exec "$@"', "sh")
    run = launcher.start(*(Stub(name=name) for name in "abc"), prefix=limit)
    assert run.wait() == 71
    assert "could not be started: too many open files" in run.stderr()
    assert launcher.left() == []


@pytest.mark.parametrize("server", [{"stub_hang": True}, {"stub_mute": True}, {"stub_status": 500}])
def test_server_that_is_not_healthy_in_time_is_stopped_and_has_failed(
    launcher: Launcher, server: Mapping[str, object]
) -> None:
    run = launcher.start(Stub(server=server, control={"startup_timeout_s": 0.6}))
    assert run.wait() == 1
    assert launcher.left() == []
    assert "vllmd: a: not healthy within 0.6 s: stopping it" in run.said()
    assert run.said()[-1].startswith("vllmd: a: stopped (")  # or had not come to its handler


def test_foreground_that_is_never_healthy_ends_all(launcher: Launcher) -> None:
    control = {"startup_timeout_s": 0.4, "background": False}
    run = launcher.start(Stub(name="b"), Stub(server={"stub_hang": True}, control=control))
    assert run.wait() == 1
    assert launcher.left() == []


def test_slow_server_is_healthy_when_it_answers_and_not_before(launcher: Launcher) -> None:
    run = launcher.start(Stub(server={"stub_slow": 0.8}))
    run.wait_healthy()
    line = next(line for line in run.said() if "healthy after" in line)
    assert float(line.split("after ")[1].split()[0]) >= 0.8


def test_process_in_a_session_of_its_own_ends_with_its_instance(launcher: Launcher) -> None:
    """An engine that left the group would hold its GPU while the launcher lives on."""
    daemon = {"stub_daemon": True, "stub_die_after": 0.5}
    run = launcher.start(Stub(name="a", server=daemon), Stub(name="b"))
    run.wait_for("a: left processes behind")
    wait_until(lambda: len(launcher.left()) <= 2, "only the launcher and b to be left")
    assert is_alive(run.pid_of("b"))
    run.signal(signal.SIGTERM)
    assert run.wait() == 0


def test_servers_end_with_a_launcher_that_is_killed(launcher: Launcher) -> None:
    """Outside a container nobody else would: they would hold their GPUs and ports for ever."""
    run = launcher.start(Stub(name="a"), Stub(name="b"))
    run.wait_healthy("a")
    run.wait_healthy("b")
    run.signal(signal.SIGKILL)
    assert run.wait() == 137
    wait_until(lambda: launcher.left() == [], "every server to end")
