"""Servers that fail, and are started again."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests.support.launching import Stub
from tests.support.processes import is_alive
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from tests.support.launching import Launcher

ON_FAILURE = {"restart": "on-failure"}
WATCHED = {**ON_FAILURE, "health_interval_s": 0.2, "health_failures": 1, "stop_timeout_s": 0.5}


def test_killed_server_is_started_again(launcher: Launcher) -> None:
    run = launcher.start(Stub(control=ON_FAILURE))
    run.wait_healthy()
    os.kill(run.pid_of("a"), signal.SIGKILL)
    run.wait_for("a: starting it again in 1 s (restart 1 of 5 within 3600 s)")
    found = launcher.wait_state("ready")
    assert found["restarts"] == 1
    assert found["pid"] != run.pid_of("a")
    assert "killed by SIGKILL" in found["failure"]


def test_killed_server_on_a_unix_socket_is_healthy_again(launcher: Launcher) -> None:
    path = str(launcher.folder / "api.sock")
    run = launcher.start(Stub(control=ON_FAILURE, server={"uds": path}))
    run.wait_healthy()
    os.kill(run.pid_of("a"), signal.SIGKILL)  # the socket's file stays: `bind` would fail
    run.wait_for("a: starting it again in 1 s (restart 1 of 5 within 3600 s)")
    assert launcher.wait_state("ready")["restarts"] == 1


def test_exit_0_that_nobody_asked_for_is_a_failure(launcher: Launcher) -> None:
    run = launcher.start(Stub(control=ON_FAILURE))
    run.wait_healthy()
    os.kill(run.pid_of("a"), signal.SIGTERM)
    run.wait_for("a: ended without being asked (exit code 0)")
    run.wait_for("a: starting it again in 1 s")


def test_pauses_grow_and_the_budget_ends(launcher: Launcher) -> None:
    control = {**ON_FAILURE, "max_restarts": 2}
    run = launcher.start(Stub(control=control, server={"stub_die": 9}))
    assert run.wait() == 9
    said = run.stderr()
    assert said.count("a: started (pid ") == 3
    assert "again in 1 s (restart 1 of 2" in said
    assert "again in 2 s (restart 2 of 2" in said
    assert "a: failed for good: 2 restarts within 3600 s" in said


def test_failure_for_good_leaves_the_others_running(launcher: Launcher) -> None:
    control = {**ON_FAILURE, "max_restarts": 1}
    stubs = Stub(name="a"), Stub(name="b", control=control, server={"stub_die": 9})
    run = launcher.start(*stubs)
    run.wait_for("b: failed for good")
    assert launcher.wait_state("failed", "b")["restarts"] == 1
    assert launcher.status("a")["state"] == "ready"
    assert run.process.poll() is None


def test_always_has_no_budget(launcher: Launcher) -> None:
    control = {"restart": "always", "max_restarts": 1}
    run = launcher.start(Stub(control=control, server={"stub_die": 9}))
    run.wait_for("a: starting it again in 2 s (restart 2)")


def test_no_means_no(launcher: Launcher) -> None:
    run = launcher.start(Stub(control={"restart": "no"}, server={"stub_die": 9}))
    assert run.wait() == 9
    assert "starting it again" not in run.stderr()


def test_foreground_server_with_a_policy_is_started_again(launcher: Launcher) -> None:
    control = {**ON_FAILURE, "background": False, "max_restarts": 1}
    run = launcher.start(Stub(control=control, server={"stub_die": 9}))
    assert run.wait() == 9
    assert run.stderr().count("a: started (pid ") == 2


def test_server_that_answers_500_is_found_and_started_again(launcher: Launcher) -> None:
    sick = launcher.folder / "sick"
    run = launcher.start(Stub(control=WATCHED, server={"stub_sick_while": str(sick)}))
    run.wait_healthy()
    sick.touch()
    run.wait_for("a: not healthy 1 time in a row (status 500 from /health): stopping it")
    run.wait_for("a: starting it again in 1 s")
    sick.unlink()
    assert launcher.wait_state("ready")["restarts"] == 1


def test_frozen_server_is_found_killed_and_started_again(launcher: Launcher) -> None:
    run = launcher.start(Stub(control=WATCHED))
    run.wait_healthy()
    os.kill(run.pid_of("a"), signal.SIGSTOP)
    run.wait_for("a: not healthy 1 time in a row (no answer")
    run.wait_for("a: did not stop within 0.5 s: killing it")
    run.wait_for("a: starting it again in 1 s")
    assert not is_alive(run.pid_of("a"))


def test_stop_during_the_pause_is_heeded(launcher: Launcher) -> None:
    stubs = Stub(name="a"), Stub(name="b", control=ON_FAILURE, server={"stub_die": 9})
    run = launcher.start(*stubs)
    run.wait_for("b: starting it again in 2 s")
    run.signal(signal.SIGTERM)
    assert run.wait() == 0


def test_start_during_the_pause_comes_at_once(launcher: Launcher) -> None:
    run = launcher.start(Stub(name="a"), Stub(name="b", control=ON_FAILURE, server={"stub_die": 9}))
    run.wait_for("b: starting it again in 2 s")

    def has_new_budget() -> bool:
        assert launcher.ask("start", "b").code == 0
        return run.stderr().count("b: starting it again in 1 s (restart 1 of 5") > 1

    wait_until(has_new_budget, "a start with a budget of its own")
