"""Clients of the control socket that are slow, silent, rude or many."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.launching import Stub
from tests.support.require import require
from tests.support.wait import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.launching import Launcher, Run

STATUS = b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def run(launcher: Launcher) -> Run:
    """Run one healthy instance."""
    run = launcher.start(Stub())
    run.wait_healthy()
    wait_until(lambda: os.path.exists(launcher.socket()), "the control socket")
    return run


@contextlib.contextmanager
def connected(launcher: Launcher) -> Iterator[socket.socket]:
    """Connect to the control socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(launcher.socket())
        client.settimeout(PATIENCE_S)
        yield client


def read_all(client: socket.socket) -> bytes:
    """Return all that comes until the launcher closes the connection."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def ask(launcher: Launcher, request: bytes) -> bytes:
    """Return the whole answer to some bytes."""
    with connected(launcher) as client:
        client.sendall(request)
        return read_all(client)


def cpu_ticks(run: Run) -> int:
    """Return the processor time that the launcher has used (proc(5), utime and stime)."""
    with open(f"/proc/{run.pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"hello\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\r\n", b"400"),
        (b"x" * 100_000, b"431"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 10_000 + b"\r\n", b"431"),
        (b"POST /stop/a HTTP/1.1\r\nContent-Length: 9999999\r\n\r\nabc", b"413"),
        (b"DELETE /status HTTP/1.1\r\n\r\n", b"405"),
    ],
)
def test_garbage_is_refused(launcher: Launcher, request_: bytes, status: bytes) -> None:
    assert ask(launcher, request_).startswith(b"HTTP/1.1 " + status)
    assert ask(launcher, STATUS).startswith(b"HTTP/1.1 200")


@pytest.mark.usefixtures("run")
def test_request_that_comes_byte_by_byte_is_answered(launcher: Launcher) -> None:
    with connected(launcher) as client:
        for byte in STATUS:
            client.sendall(bytes([byte]))
        assert read_all(client).startswith(b"HTTP/1.1 200")


@pytest.mark.usefixtures("run")
def test_client_that_has_finished_writing_is_answered(launcher: Launcher) -> None:
    with connected(launcher) as client:
        client.sendall(STATUS)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client).startswith(b"HTTP/1.1 200")


def test_silent_clients_hold_up_nobody_and_are_dropped(launcher: Launcher) -> None:
    run = launcher.start(Stub(), Stub(name="b"))
    run.wait_healthy("a", "b")
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connected(launcher)) for _ in range(63)]
        assert ask(launcher, STATUS).startswith(b"HTTP/1.1 200")
        os.kill(run.pid_of("a"), signal.SIGKILL)
        run.wait_for("a: ended without being asked (killed by SIGKILL)")
        assert select.select(silent, [], [], 0)[0] == [], "nobody waited until they were dropped"
        used = cpu_ticks(run)
        assert [client.recv(1) for client in silent] == [b""] * 63
        assert cpu_ticks(run) - used < 20, "waiting for them costs no processor time"


@pytest.mark.usefixtures("run")
def test_two_hundred_at_once_are_all_answered(launcher: Launcher) -> None:
    with contextlib.ExitStack() as stack:
        clients = [socket.socket(socket.AF_UNIX) for _ in range(200)]
        for client in clients:
            stack.enter_context(client)
            client.connect(launcher.socket())
            client.settimeout(PATIENCE_S)
            client.sendall(STATUS)
        answers = [read_all(client)[:12] for client in clients]
    assert answers == [b"HTTP/1.1 200"] * 200


def test_clients_that_leave_at_any_moment_leak_nothing(launcher: Launcher, run: Run) -> None:
    folder = f"/proc/{run.pid}/fd"
    ask(launcher, STATUS)
    before = len(os.listdir(folder))
    for end in range(0, len(STATUS), 3):
        with connected(launcher) as client:
            client.sendall(STATUS[:end])
    with connected(launcher) as client:
        client.sendall(b"GET /logs/a?follow HTTP/1.1\r\n\r\n")
        client.recv(10)
    wait_until(lambda: len(os.listdir(folder)) <= before, "as many descriptors as before")


def test_follower_that_does_not_read_costs_nothing(launcher: Launcher, run: Run) -> None:
    with connected(launcher) as client:
        client.sendall(b"GET /logs/a?follow HTTP/1.1\r\n\r\n")
        client.recv(10)
        used = cpu_ticks(run)
        time.sleep(1)  # the time that is measured
        assert cpu_ticks(run) - used < 10
        assert ask(launcher, STATUS).startswith(b"HTTP/1.1 200")


@pytest.mark.usefixtures("run")
def test_another_user_is_refused(launcher: Launcher) -> None:
    require("integration", "only root can be somebody else", present=os.geteuid() == 0)
    folder = os.path.dirname(launcher.socket())
    for path, mode in ((folder, 0o755), (launcher.socket(), 0o666)):
        os.chmod(path, mode)
    descriptor = os.open(folder, os.O_PATH)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.fchdir(descriptor)
            os.setuid(65534)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect("vllmd.sock")
                client.sendall(STATUS)
                os.write(writer, client.recv(12))
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as answer:
        assert answer.read() == b"HTTP/1.1 403"
    os.close(descriptor)
