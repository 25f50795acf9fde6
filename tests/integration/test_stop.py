"""Stopping: everything asked to end ends, and the launcher tells how it went."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.support.launching import Launcher, Stub, can_bind
from tests.support.processes import is_alive
from tests.support.wait import wait_until

STUBBORN = {"stub_ignore_term": True}
QUICK = {"stop_timeout_s": 0.3}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_run_told_to_stop_ends_with_0_and_frees_the_port(
    launcher: Launcher, number: signal.Signals
) -> None:
    stub = Stub()
    run = launcher.start(stub)
    run.wait_healthy()
    run.signal(number)
    assert run.wait() == 0
    assert launcher.left() == []
    assert can_bind(stub.port)
    assert run.said()[-2:] == [
        f"vllmd: got {number.name}: stopping",
        "vllmd: a: stopped (exit code 0)",
    ]


def test_run_with_server_that_ignores_term_kills_it_after_its_timeout(launcher: Launcher) -> None:
    run = launcher.start(Stub(server=STUBBORN, control=QUICK))
    run.wait_healthy()
    run.signal(signal.SIGTERM)
    assert run.wait() == 137
    assert launcher.left() == []
    assert run.said()[-2:] == [
        "vllmd: a: did not stop within 0.3 s: killing it",
        "vllmd: a: stopped (killed by SIGKILL)",
    ]


def test_run_told_twice_kills_now(launcher: Launcher) -> None:
    run = launcher.start(Stub(server=STUBBORN, control={"stop_timeout_s": 600}))
    run.wait_healthy()
    run.signal(signal.SIGTERM)
    run.wait_for("stopping")
    run.insist(signal.SIGTERM)
    assert run.wait() == 137
    assert "vllmd: got SIGTERM: stopping now" in run.said()
    assert launcher.left() == []


def test_signal_during_the_last_words_does_not_change_the_code(launcher: Launcher) -> None:
    server = {"stub_lines": 50_000, "stub_die": 5}
    stub = Stub(server=server, control={"background": False})
    run = launcher.start(stub, stdout=subprocess.PIPE)
    run.wait_for("a: ended while starting (exit code 5)")
    wait_until(lambda: not os.path.lexists(launcher.socket()), "a launcher that has done its work")
    run.signal(signal.SIGTERM)
    assert run.wait() == 5


def test_run_told_twice_in_a_moment_gives_servers_their_grace(launcher: Launcher) -> None:
    run = launcher.start(*(Stub(name=name) for name in "abc"))
    run.wait_healthy("a", "b", "c")
    run.signal_together(signal.SIGTERM, signal.SIGINT)
    assert run.wait() == 0
    assert "stopping now" not in run.stderr()


def test_run_with_stopped_server_kills_it_all_the_same(launcher: Launcher) -> None:
    run = launcher.start(Stub(control=QUICK))
    run.wait_healthy()
    os.kill(run.pid_of(), signal.SIGSTOP)
    run.signal(signal.SIGTERM)
    assert run.wait() == 137
    assert launcher.left() == []


def test_run_told_to_stop_while_loading_stops(launcher: Launcher) -> None:
    run = launcher.start(Stub(server={"stub_slow": 60}))
    run.wait_for("started (pid")
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert launcher.left() == []


def test_server_that_loses_the_first_term_while_loading_is_asked_again(launcher: Launcher) -> None:
    server = {"stub_lose_term": True, "stub_say": "hi", "stub_hang": True}
    run = launcher.start(Stub(server=server, control={"stop_timeout_s": 600}))
    wait_until(lambda: "first line" in launcher.status()["timeline"], "a server that handles TERM")
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert launcher.left() == []
    assert run.said()[-1] == "vllmd: a: stopped (exit code 0)"


def test_run_told_to_stop_never_starts_those_that_wait(launcher: Launcher) -> None:
    first = Stub(
        name="a",
        control={"gpu_ids": "0"},
        server={"stub_hang": True, "gpu_memory_utilization": 0.4},
    )
    second = Stub(name="b", control={"gpu_ids": "0"}, server={"gpu_memory_utilization": 0.4})
    run = launcher.start(first, second)
    run.wait_for("a: started")
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert "b: " not in run.stderr()


def test_run_stops_instances_together(launcher: Launcher) -> None:
    stubs = [Stub(name=name, server=STUBBORN, control=QUICK) for name in "abc"]
    run = launcher.start(*stubs)
    run.wait_healthy("a", "b", "c")
    run.signal(signal.SIGTERM)
    assert run.wait() == 137
    said = run.said()
    killed = [f"vllmd: {name}: did not stop within 0.3 s: killing it" for name in "abc"]
    ended = [f"vllmd: {name}: stopped (killed by SIGKILL)" for name in "abc"]
    assert max(map(said.index, killed)) < min(map(said.index, ended))


def test_child_that_ignores_term_is_killed_after_its_server_has_ended(launcher: Launcher) -> None:
    run = launcher.start(Stub(server={"stub_child": True}))
    run.wait_healthy()
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert launcher.left() == []
    text = "vllmd: a: left processes behind that are still there after 5 s: killing them"
    assert text in run.said()


def test_daemon_in_a_session_of_its_own_is_gone_at_the_end(launcher: Launcher) -> None:
    run = launcher.start(Stub(server={"stub_daemon": True}))
    run.wait_healthy()
    assert len(launcher.left()) == 3
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert launcher.left() == []


def test_server_killed_from_outside_takes_its_children_with_it(launcher: Launcher) -> None:
    run = launcher.start(Stub(server={"stub_child": True}), Stub(name="b"))
    run.wait_healthy("a", "b")
    os.kill(run.pid_of("a"), signal.SIGKILL)
    wait_until(lambda: len(launcher.left()) == 2, "only the launcher and b are left")
    assert is_alive(run.pid_of("b"))
