"""A launcher that has no descriptor left."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.launching import Stub
from tests.support.processes import is_alive, zombies_of
from tests.support.wait import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from tests.support.launching import Launcher

WATCHED_S = 1.0
# Python itself needs some to start, so the limit comes afterwards.
STARVED = """
import resource, sys
from launcher.cli.main import main
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), hard))
sys.exit(main(sys.argv[2:]))
"""


def cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        words = file.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def limit(pid: int, descriptors: int) -> None:
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (descriptors, hard))


@pytest.mark.parametrize("asked_before", [False, True])
def test_client_without_a_descriptor_waits_and_costs_nothing(
    launcher: Launcher, asked_before: bool
) -> None:
    run = launcher.start(Stub())
    run.wait_healthy()
    wait_until(lambda: os.path.exists(launcher.socket()), "the control socket")
    if asked_before:
        assert launcher.ask("status", "--socket", launcher.socket()).code == 0
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
        client.settimeout(PATIENCE_S)
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")


def test_crash_without_a_descriptor_is_survived(launcher: Launcher) -> None:
    control = {"restart": "on-failure"}
    run = launcher.start(Stub(control=control), Stub(name="b", control=control))
    run.wait_healthy("a", "b")
    limit(run.pid, 3)
    os.kill(run.pid_of("a"), signal.SIGKILL)
    run.wait_for("a: could not be started: too many open files")
    limit(run.pid, 1000)
    wait_until(lambda: run.stderr().count("a: healthy after") == 2, "a is healthy again")
    wait_until(lambda: zombies_of(run.pid) == [], "all that ended to be reaped")
    assert is_alive(run.pid_of("b"))


def test_reload_without_a_descriptor_changes_nothing(launcher: Launcher) -> None:
    run = launcher.start(Stub())
    run.wait_healthy()
    limit(run.pid, 3)
    run.signal(signal.SIGHUP)
    run.wait_for("the configuration cannot be used: everything stays as it is")
    limit(run.pid, 1000)
    assert is_alive(run.pid_of())
    run.signal(signal.SIGTERM)
    assert run.wait() == 0


@pytest.mark.parametrize("words", ["run", "run vllm.toml", "check vllm.toml", "status"])
def test_command_without_a_descriptor_says_so(launcher: Launcher, words: str) -> None:
    launcher.write(Stub())
    code, said = run_starved(launcher, 3, words)
    assert (code, said) == (
        71, "error: too many open files\nhint: raise the limit, like: ulimit -n 1024\n"
    )  # fmt: skip


@pytest.mark.parametrize("count", [4, 5, 6])
@pytest.mark.parametrize("words", ["run nothing.toml", "run vllm.toml", "check nothing.toml"])
def test_command_with_few_descriptors_tells_what_is_wrong(
    launcher: Launcher, words: str, count: int
) -> None:
    launcher.write(Stub(server={"port": "x"}))
    code, said = run_starved(launcher, count, words)
    assert code in {71, 78}
    assert "Traceback" not in said


def run_starved(launcher: Launcher, count: int, words: str) -> tuple[int, str]:
    """Run a command that may have so many descriptors, the standard streams among them."""
    done = subprocess.run(
        [sys.executable, "-c", STARVED, str(count), *words.split()],
        cwd=launcher.folder, env=launcher.environ(), stdin=subprocess.DEVNULL, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    return done.returncode, done.stdout
