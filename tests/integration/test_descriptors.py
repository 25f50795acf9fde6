"""A launcher that has no descriptor left."""

from __future__ import annotations

import os
import resource
import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.launching import Stub
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from tests.support.launching import Launcher

WATCHED_S = 1.0


def cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        words = file.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def limit(pid: int, descriptors: int) -> None:
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (descriptors, hard))


def test_client_without_a_descriptor_waits_and_costs_nothing(launcher: Launcher) -> None:
    run = launcher.start(Stub())
    run.wait_healthy()
    wait_until(lambda: os.path.exists(launcher.socket()), "the control socket")
    limit(run.pid, 3)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(launcher.socket())
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        before = cpu_seconds(run.pid)
        client.settimeout(WATCHED_S)
        with pytest.raises(TimeoutError):
            client.recv(100)
        assert cpu_seconds(run.pid) - before < WATCHED_S / 4
        limit(run.pid, 1000)
        client.settimeout(10)
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
