"""Servers forked from a fork server: like cold ones, and never dependent on it."""

from __future__ import annotations

import json
import operator
import os
import re
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from launcher.process.forkserver import ForkServer, Refused, Wanted, server_spec
from launcher.process.spec import ProcessSpec, Warm
from tests.support.fake_vllm import make_vllm
from tests.support.launching import ROOT, Stub
from tests.support.ports import free_port
from tests.support.processes import all_pids, children_of, is_alive, read_proc, status_field
from tests.support.wait import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.launching import Launcher, Run

FORK = {"start_mode": "fork"}
AGAIN = {"restart": "on-failure"}
OWN = {"pid", "sid", "pgid", "random", "authkey", "fds"}  # that no two processes share


def fork_server(run: Run) -> int:
    """Return the pid of the fork server that was started last."""
    run.wait_for("ready after")
    return int(re.findall(r"fork server \d+: importing \(pid (\d+)\)", run.stderr())[-1])


def report_of(launcher: Launcher, mode: str, port: int) -> dict[str, Any]:
    """Return what a server says of itself that was started in this mode."""
    path = launcher.folder / "report.json"
    stub = Stub(server={"stub_report": str(path)}, port=port)
    run = launcher.start(stub, master={"start_mode": mode})
    run.wait_healthy()
    report: dict[str, Any] = json.loads(path.read_text())
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    path.unlink()
    return report


def test_forked_server_is_our_child_and_said_to_be_forked(launcher: Launcher) -> None:
    run = launcher.start(Stub(), Stub(name="b"), master=FORK)
    run.wait_healthy("a", "b")
    assert " a: started (pid " in run.stderr()
    assert ", forked, waiting for" in run.stderr()
    assert status_field(run.pid_of("a"), "PPid") == str(run.pid)
    assert launcher.status("b")["forked"] is True
    wait_until(lambda: len(children_of(run.pid)) == 3, "one fork server for both")


def test_forked_server_is_like_a_cold_one(launcher: Launcher) -> None:
    port = free_port()
    cold, fork = report_of(launcher, "cold", port), report_of(launcher, "fork", port)
    assert {key: fork[key] for key in fork.keys() - OWN} == {
        key: cold[key] for key in cold.keys() - OWN
    }
    assert fork["fds"].keys() == cold["fds"].keys()
    assert (fork["fds"]["0"], fork["sid"], fork["pgid"]) == (
        cold["fds"]["0"], fork["pid"], fork["pid"],
    )  # fmt: skip


def test_forked_servers_share_neither_variables_nor_random_numbers(launcher: Launcher) -> None:
    paths = {name: launcher.folder / f"{name}.json" for name in "ab"}
    stubs = [
        Stub(
            name=name,
            server={"stub_report": str(path)},
            env={"VLLM_API_KEY": f"key-{name}"},
            control={"gpu_ids": number},
        )
        for number, (name, path) in enumerate(paths.items())
    ]
    run = launcher.start(*stubs, master=FORK)
    run.wait_healthy("a", "b")
    first, second = (json.loads(path.read_text()) for path in paths.values())
    for name in ("VLLM_API_KEY", "CUDA_VISIBLE_DEVICES", "VLLMD_INSTANCE"):
        assert first["env"][name] != second["env"][name]
    assert first["random"] != second["random"]
    assert first["authkey"] != second["authkey"]
    assert "key-" not in read_proc(fork_server(run), "environ").decode()
    assert b"VLLM_API_KEY=key-a" in read_proc(run.pid_of("a"), "environ")


def test_other_variables_get_a_fork_server_of_their_own(launcher: Launcher) -> None:
    stubs = Stub(env={"OMP_NUM_THREADS": "1"}), Stub(name="b", env={"OMP_NUM_THREADS": "2"})
    run = launcher.start(*stubs, master=FORK)
    run.wait_healthy("a", "b")
    run.wait_for("fork server 1: ready")
    run.wait_for("fork server 2: ready")


def test_death_of_the_fork_server_leaves_servers_alone_and_is_made_good(launcher: Launcher) -> None:
    run = launcher.start(Stub(control=AGAIN), master=FORK)
    run.wait_healthy()
    former = fork_server(run)
    os.kill(former, signal.SIGKILL)
    run.wait_for("fork server 1: ended (killed by SIGKILL)")
    wait_until(lambda: run.stderr().count("ready after") == 2, "another fork server")
    assert launcher.status()["state"] == "ready"
    assert launcher.status()["pid"] == run.pid_of("a")
    os.kill(run.pid_of("a"), signal.SIGKILL)
    run.wait_for("a: starting it again in 0.2 s")
    assert launcher.wait_state("ready")["forked"] is True


def test_stopped_fork_server_costs_a_cold_start(launcher: Launcher) -> None:
    run = launcher.start(Stub(control=AGAIN), master=FORK)
    run.wait_healthy()
    os.kill(fork_server(run), signal.SIGSTOP)
    os.kill(run.pid_of("a"), signal.SIGKILL)
    run.wait_for("a: a cold start, because the fork server did not fork in time")
    assert launcher.wait_state("ready")["forked"] is False


def test_stop_while_a_fork_is_awaited_is_heeded_at_once(launcher: Launcher) -> None:
    run = launcher.start(Stub(control=AGAIN), master=FORK)
    run.wait_healthy()
    os.kill(fork_server(run), signal.SIGSTOP)
    os.kill(run.pid_of("a"), signal.SIGKILL)
    run.wait_for("a: starting it again")
    launcher.wait_state("starting")
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert "a cold start" not in run.stderr()  # the fork was not waited for
    assert launcher.left() == []


def test_stop_during_the_import_is_heeded_at_once(launcher: Launcher, tmp_path: Path) -> None:
    site = make_vllm(tmp_path / "site")
    (site / "vllm" / "__init__.py").write_text("import time\ntime.sleep(600)\n")
    run = launcher.start(
        Stub(server={"model": "org/model"}),
        master={**FORK, "api_server_module": "vllm.entrypoints.openai.api_server"},
        env={"PYTHONPATH": f"{site}:{ROOT}"},
    )
    run.wait_for("fork server 1: importing")
    launcher.wait_state("starting")
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert launcher.left() == []


def test_python_that_cannot_be_a_fork_server_costs_a_cold_start(launcher: Launcher) -> None:
    python = launcher.folder / "python"
    python.write_text(f'#!/bin/sh\n[ "$1" = -c ] && exit 3\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    run = launcher.start(Stub(), master={**FORK, "python": str(python)})
    run.wait_for("a: a cold start, because the fork server has ended")
    run.wait_healthy()
    run.wait_for("fork server 1: ended (exit code 3)")


def test_fork_server_that_is_not_kept_ends_when_all_are_healthy(launcher: Launcher) -> None:
    run = launcher.start(Stub(control=AGAIN), master={**FORK, "warm_keep": False})
    run.wait_healthy()
    server = fork_server(run)
    wait_until(lambda: not is_alive(server), "the fork server's end")
    os.kill(run.pid_of("a"), signal.SIGKILL)
    run.wait_for("a: starting it again")
    assert launcher.wait_state("ready")["forked"] is True


def test_killed_launcher_takes_forked_servers_with_it(launcher: Launcher) -> None:
    run = launcher.start(Stub(), master=FORK)
    run.wait_healthy()
    pids = children_of(run.pid)
    run.signal(signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, pids)), "the end of all")


def test_what_leaves_the_session_of_a_forked_server_is_found(launcher: Launcher) -> None:
    run = launcher.start(Stub(server={"stub_daemon": True}), master=FORK)
    run.wait_healthy()
    before = set(all_pids())
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert not before & set(launcher.left())


@pytest.mark.timeout(400)
def test_twenty_starts_and_stops_leave_nothing(launcher: Launcher) -> None:
    run = launcher.start(Stub(), Stub(name="keep"), master=FORK)
    run.wait_healthy("a", "keep")
    server = fork_server(run)

    def sizes() -> list[int]:
        opened = [len(os.listdir(f"/proc/{pid}/fd")) for pid in (run.pid, server)]
        return [len(children_of(run.pid)), *opened, int(status_field(server, "VmRSS").split()[0])]

    asked = [launcher.ask("restart", "a", "--socket", launcher.socket()).code for _ in range(2)]
    launcher.wait_state("ready")
    first = sizes()
    for _ in range(20):
        asked.append(launcher.ask("restart", "a", "--socket", launcher.socket()).code)
        launcher.wait_state("ready")
    assert set(asked) == {0}
    most = [*first[:3], first[3] + 1024]  # the last in kB
    wait_until(lambda: all(map(operator.le, sizes(), most)), f"no more than {most}")
    assert "cold start" not in run.stderr()


def test_forked_server_that_answers_otherwise_is_started_cold(launcher: Launcher) -> None:
    token = launcher.folder / "token"
    token.write_text("x")
    run = launcher.start(Stub(control=AGAIN, server={"stub_says": str(token)}), master=FORK)
    run.wait_healthy()
    token.write_text("y")
    os.kill(run.pid_of("a"), signal.SIGKILL)
    run.wait_for(
        "a: it answers 'y' to the known question, and first it was 'x': "
        "it is started cold from now on"
    )
    found = launcher.wait_state("ready")
    assert (found["forked"], found["restarts"]) == (False, 1)
    assert run.stderr().count("a: healthy after") == 2  # in between, nobody took it for ready


def test_fork_server_is_replaced_when_its_packages_have_changed(
    launcher: Launcher, tmp_path: Path
) -> None:
    site = make_vllm(tmp_path / "site")
    run = launcher.start(
        Stub(control=AGAIN, server={"model": "org/model"}),
        master={**FORK, "api_server_module": "vllm.entrypoints.openai.api_server"},
        env={"PYTHONPATH": f"{site}:{ROOT}"},
    )
    run.wait_healthy()
    (site / "vllm" / "__init__.py").write_text("new = True\n")
    os.kill(run.pid_of("a"), signal.SIGKILL)
    run.wait_for("fork server 1: its packages have changed since the import")
    wait_until(lambda: run.stderr().count("forked, waiting") == 2, "a start from another one")
    assert launcher.wait_state("ready")["forked"] is True
    assert "cold start" not in run.stderr()


def test_phases_of_a_forked_start_begin_with_the_wait_for_the_fork(launcher: Launcher) -> None:
    run = launcher.start(Stub(), master=FORK)
    run.wait_healthy()
    phases = launcher.status()["timeline"]
    assert list(phases) == ["fork", "first line", "healthy"]
    assert sorted(phases.values()) == list(phases.values())


def test_fork_server_with_a_thread_left_refuses() -> None:
    warm = Warm(modules=("tests.programs.import_thread", "no.such.module"), log_dir="/nowhere")
    spec = ProcessSpec(name="a", argv=(sys.executable, "-m", "never"), warm=warm)
    environ = {"PYTHONPATH": ROOT}
    reader, writer = os.pipe()
    server = ForkServer(server_spec("fork server 1", spec, warm), warm, environ, writer, 0.0)
    os.close(writer)
    wanted = Wanted(spec=spec, output=reader)
    assert server.want(wanted, 0.0) == []
    select.select([server.descriptor], [], [], PATIENCE_S)
    reason = "the fork server is of no use: the import left a thread running (left-behind)"
    assert server.tend(time.monotonic()) == [Refused(wanted=wanted, reason=reason)]
    os.waitpid(server.pid, 0)
    os.close(reader)
