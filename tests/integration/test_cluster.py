"""A server on several machines: two launchers and the link between them, on stub servers."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.launching import Launcher, Stub
from tests.support.ports import free_port
from tests.support.processes import is_alive
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.launching import Run

CONTROL = {"restart": "on-failure", "stop_timeout_s": 2}


class Pair:
    """Two machines with one configuration; each has a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.stub = Stub(
            control=CONTROL,
            server={"tensor_parallel_size": 2},
            cluster={
                "nodes": 2, "leader": "127.0.0.1", "port": free_port(), "link_port": free_port()
            },
        )  # fmt: skip
        self.launchers = [Launcher(folder / name) for name in ("leader", "worker")]
        for launcher in self.launchers:
            launcher.folder.mkdir()

    def start(self, rank: int, **cluster: object) -> Run:
        changed = {**self.stub.cluster, **cluster}
        stub = Stub(port=self.stub.port, control=CONTROL, server=self.stub.server, cluster=changed)
        return self.launchers[rank].start(stub, env={"VLLMD_CLUSTER_RANK": str(rank)})

    def wait_restarts(self, count: int) -> None:
        for launcher in self.launchers:
            wait_until(lambda at=launcher: at.status()["restarts"] == count, "a restart")  # type: ignore[misc]
            launcher.wait_state("ready")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    yield made
    for launcher in made.launchers:
        launcher.clean()


def both(pair: Pair) -> tuple[Run, Run]:
    """Start both; return them when the leader is healthy and the worker runs."""
    leader, worker = pair.start(0), pair.start(1)
    leader.wait_healthy()
    worker.pid_of()
    return leader, worker


def test_worker_waits_for_its_leader_and_needs_no_http(pair: Pair) -> None:
    worker = pair.start(1)
    worker.wait_for("a: waiting for its leader at 127.0.0.1:")
    assert pair.launchers[1].status()["state"] == "waiting"
    pair.start(0).wait_healthy()
    assert pair.launchers[1].wait_state("ready")["pid"] == worker.pid_of()


@pytest.mark.parametrize("victim", [0, 1])
def test_server_that_dies_restarts_the_group(pair: Pair, victim: int) -> None:
    runs = both(pair)
    former = [run.pid_of() for run in runs]
    os.kill(former[victim], signal.SIGKILL)
    pair.wait_restarts(1)
    assert not any(is_alive(pid) for pid in former)
    told = ("a: lost the machine of rank 1: stopping it", "a: lost its leader at 127.0.0.1:")
    assert told[1 - victim] in runs[1 - victim].stderr()


@pytest.mark.parametrize("victim", [0, 1])
def test_launcher_that_is_killed_is_missed_and_may_come_back(pair: Pair, victim: int) -> None:
    runs = both(pair)
    os.kill(runs[victim].pid, signal.SIGKILL)
    runs[1 - victim].wait_for("a: lost ")
    wait_until(lambda: pair.launchers[victim].left() == [], "its port to be free")
    pair.start(victim)
    wait_until(lambda: pair.launchers[1 - victim].status()["restarts"] == 1, "a restart")
    for launcher in pair.launchers:
        launcher.wait_state("ready")


def test_restart_by_command_restarts_the_group(pair: Pair) -> None:
    leader, worker = both(pair)
    former = leader.pid_of(), worker.pid_of()
    assert pair.launchers[1].ask("restart", "a", "--socket", pair.launchers[1].socket()).code == 0
    leader.wait_for("a: lost the machine of rank 1")
    wait_until(lambda: pair.launchers[0].status()["pid"] not in {None, former[0]}, "a new leader")
    assert pair.launchers[1].wait_state("ready")["pid"] != former[1]


def test_worker_that_disagrees_is_told_so(pair: Pair) -> None:
    pair.start(0).wait_healthy()
    stub_sizes = {"nodes": 3}
    pair.stub.server["tensor_parallel_size"] = 3  # type: ignore[index]
    worker = pair.start(1, **stub_sizes)
    worker.wait_for("(the leader has nodes = 2, the worker 3)")


def test_stranger_on_the_link_port_changes_nothing(pair: Pair) -> None:
    leader, _ = both(pair)
    port = pair.stub.cluster["link_port"]
    assert isinstance(port, int)
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert stranger.recv(100) == b"no this is no greeting of vllmd's\n"
    with socket.create_connection(("127.0.0.1", port)):
        pass
    assert pair.launchers[0].status()["restarts"] == 0
    assert "lost" not in leader.stderr()


def test_stop_of_both_leaves_nothing(pair: Pair) -> None:
    for run in both(pair):
        run.signal(signal.SIGTERM)
    assert [launcher.runs[0].wait() for launcher in pair.launchers] == [0, 0]
    assert [launcher.left() for launcher in pair.launchers] == [[], []]


def test_worker_that_waits_can_be_stopped(pair: Pair) -> None:
    worker = pair.start(1)
    worker.wait_for("a: waiting for its leader at")
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0


def test_leader_known_by_a_name_listens_for_everybody(pair: Pair) -> None:
    # A machine's own name is often on the loopback in /etc/hosts.
    pair.start(0, leader="localhost").wait_healthy()
    pair.start(1, leader="127.0.0.2").pid_of()


def test_name_that_nobody_knows_is_waited_for(pair: Pair) -> None:
    worker = pair.start(1, leader="nobody.invalid")
    worker.wait_for("a: waiting for its leader at nobody.invalid:")
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0


def test_link_port_that_is_taken_is_a_failure_of_the_leader(pair: Pair) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        leader = pair.start(0, link_port=holder.getsockname()[1])
        leader.wait_for("a: the link cannot listen on 127.0.0.1:")
    leader.wait_healthy()
