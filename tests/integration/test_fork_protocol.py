"""Between launcher and fork server: what is under way when either gives up or is killed."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from launcher.process.forkserver import LARGEST, Forked, ForkServer, Refused, Wanted, server_spec
from launcher.process.spec import ProcessSpec, Variable, Warm
from launcher.record import replace
from tests.support.launching import ROOT
from tests.support.processes import is_alive
from tests.support.wait import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WARM = Warm(modules=(), log_dir="/nowhere")
SPEC = ProcessSpec(
    name="a",
    argv=(sys.executable, "-m", "tests.programs.stub_server", "--stub-hang"),
    warm=WARM,
)
ENVIRON = {"PYTHONPATH": ROOT}
HELD = ["HTTP", "HTTP over IPv6", "HTTP over a UNIX socket", "a caller", "a pair", "no address"]
PR_SET_CHILD_SUBREAPER = 36
# A fork server that is killed when it has told of a process, and before it lets it go on.
KILLED_BETWEEN = """
import ctypes, json, os, signal, socket
from launcher.warm import server

ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
tell = server._tell

def tell_and_die(channel, answer):
    tell(channel, answer)
    os.kill(os.getpid(), signal.SIGKILL)

server._tell = tell_and_die
fork_server = os.fork()
if fork_server == 0:
    server._fork(theirs, {"id": 1})
    os._exit(0)
os.waitpid(fork_server, 0)
_, status = os.waitpid(json.loads(ours.recv(4096))["pid"], 0)
print(os.waitstatus_to_exitcode(status))
"""


@pytest.fixture
def fork_server() -> Iterator[ForkServer]:
    """Start a fork server whose processes become ours, as they become the launcher's."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    quiet = os.open(os.devnull, os.O_WRONLY)
    server = ForkServer(server_spec("fork server 1", SPEC, WARM), WARM, ENVIRON, quiet, 0.0)
    os.close(quiet)
    try:
        yield server
    finally:
        server.kill()
        server.end("the test is over")
        os.waitpid(server.pid, 0)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def test_forked_workers_hold_neither_the_port_of_their_server_nor_tell_it_of_their_signals(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    wait_readable(fork_server)
    assert fork_server.tend(time.monotonic()) == []
    warm = replace(WARM, workers=True)
    argv = (sys.executable, "-m", "tests.programs.fork_worker", str(tmp_path))
    spec = replace(SPEC, argv=argv, warm=warm)
    output = os.open(tmp_path / "output", os.O_WRONLY | os.O_CREAT)
    fork_server.warm = warm
    assert fork_server.want(Wanted(spec=spec, output=output), time.monotonic()) == []
    wait_readable(fork_server)
    (forked,) = fork_server.tend(time.monotonic())
    assert isinstance(forked, Forked)
    assert os.waitstatus_to_exitcode(os.waitpid(forked.pid, 0)[1]) == 0
    said = (tmp_path / "output").read_text()
    assert json.loads(said) == {"server": HELD, "worker": HELD[3:], "heard": "hello"}, said


def fork_one(server: ForkServer) -> int:
    """Ask for a process and return its pid when the answer is there, and has not been read."""
    wait_readable(server)
    assert server.tend(time.monotonic()) == []
    return fork_one_more(server)


def fork_one_more(server: ForkServer) -> int:
    """Do so with a fork server that is ready."""
    wanted = Wanted(spec=SPEC, output=os.open(os.devnull, os.O_WRONLY))
    assert server.want(wanted, time.monotonic()) == []
    wait_readable(server)
    with socket.socket(fileno=os.dup(server.descriptor)) as same:
        pid: int = json.loads(same.recv(LARGEST, socket.MSG_PEEK))["pid"]
    assert is_alive(pid)
    return pid


def wait_readable(server: ForkServer) -> None:
    assert select.select([server.descriptor], [], [], PATIENCE_S)[0]


def wait_killed(pid: int) -> None:
    wait_until(lambda: not is_alive(pid), "its end")
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def test_process_that_was_told_of_too_late_is_ended_with_the_fork_server(
    fork_server: ForkServer,
) -> None:
    pid = fork_one(fork_server)
    assert fork_server.call_off("a")
    fork_server.end("is not needed any more")
    wait_killed(pid)


def test_process_that_was_called_off_is_ended_when_it_is_told_of(fork_server: ForkServer) -> None:
    pid = fork_one(fork_server)
    assert fork_server.call_off("a")
    assert fork_server.tend(time.monotonic()) == []
    wait_killed(pid)


def test_more_variables_than_a_message_holds_cost_a_cold_start_only(
    fork_server: ForkServer,
) -> None:
    wait_readable(fork_server)
    assert fork_server.tend(time.monotonic()) == []
    many = tuple(Variable(name=f"V{number}", value="x" * 100_000) for number in range(3))
    wanted = Wanted(spec=replace(SPEC, env=many), output=0)
    reason = "words and variables are more than 256 KiB"
    assert fork_server.want(wanted, time.monotonic()) == [Refused(wanted=wanted, reason=reason)]
    pid = fork_one_more(fork_server)  # it still serves the others
    os.kill(pid, signal.SIGKILL)
    wait_killed(pid)


def test_fork_server_that_is_ended_can_be_ended_again(fork_server: ForkServer) -> None:
    assert fork_server.end("has ended") == []
    assert fork_server.end("is not needed any more") == []
    assert fork_server.failure == "has ended"


def test_process_of_a_fork_server_that_was_killed_between_does_not_end_well() -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_BETWEEN],
        capture_output=True, text=True, check=True, timeout=PATIENCE_S, env={"PYTHONPATH": ROOT},
    )  # fmt: skip
    assert done.stdout == f"-{signal.SIGKILL:d}\n"
