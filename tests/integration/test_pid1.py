"""The launcher as process 1 of a PID namespace: what a container sees."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.launching import ORPHANS, Launcher, Stub
from tests.support.processes import children_of, status_field, zombies_of
from tests.support.require import require, require_program
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from tests.support.launching import Run

# `--kill-child`: should the test fail, the whole namespace ends with the outer process.
NAMESPACE = ("--pid", "--fork", "--kill-child", "--mount-proc")


@pytest.fixture(scope="module")
def namespace() -> tuple[str, ...]:
    """Return the words that run a program as process 1."""
    words = (require_program("integration", "unshare"), *NAMESPACE)
    allowed = subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
    require("integration", "this user may not make a PID namespace", present=allowed)
    return words


def inner_pid(run: Run) -> int:
    """Return the pid that process 1 of the namespace has outside."""
    return wait_until(lambda: children_of(run.pid), "process 1 to be there")[0]


def outer_pid(run: Run, name: str) -> int:
    """Return the pid that a child of process 1 has outside; its own is the one that was said."""
    said = str(run.pid_of(name))
    for pid in children_of(inner_pid(run)):
        if status_field(pid, "NSpid").split()[-1:] == [said]:
            return pid
    raise AssertionError(f"process 1 has no child {said}")


def test_process_1_told_to_stop_ends_with_0(launcher: Launcher, namespace: tuple[str, ...]) -> None:
    run = launcher.start(Stub(), prefix=namespace)
    run.wait_healthy()
    os.kill(inner_pid(run), signal.SIGTERM)
    assert run.wait() == 0
    assert launcher.left() == []


def test_process_1_tells_the_code_of_its_main_program(
    launcher: Launcher, namespace: tuple[str, ...]
) -> None:
    run = launcher.start(Stub(), prefix=namespace, command=("sh", "-c", "exit 42"))
    assert run.wait() == 42
    assert launcher.left() == []


def test_process_1_reaps_strangers(launcher: Launcher, namespace: tuple[str, ...]) -> None:
    run = launcher.start(Stub(), prefix=namespace, command=("sh", "-c", ORPHANS))
    run.wait_healthy()
    pid = inner_pid(run)
    own = {outer_pid(run, name) for name in ("a", "main program")}
    wait_until(lambda: len(children_of(pid)) == 2 + 3, "strangers to be adopted")
    for stranger in set(children_of(pid)) - own:
        os.kill(stranger, signal.SIGKILL)
    wait_until(lambda: set(children_of(pid)) == own, "strangers to be reaped")
    os.kill(pid, signal.SIGTERM)
    assert run.wait() == 143


def test_process_1_kills_a_daemon_in_a_session_of_its_own(
    launcher: Launcher, namespace: tuple[str, ...]
) -> None:
    run = launcher.start(Stub(server={"stub_daemon": True}), prefix=namespace)
    run.wait_healthy()
    os.kill(inner_pid(run), signal.SIGTERM)
    assert run.wait() == 0
    assert launcher.left() == []


def test_process_1_told_to_stop_while_it_reads_its_configuration_starts_nothing(
    launcher: Launcher, namespace: tuple[str, ...]
) -> None:
    text = Path(launcher.write(Stub())).read_text()
    fifo = launcher.folder / "fifo"
    os.mkfifo(fifo)
    run = launcher.start_words(str(fifo), prefix=namespace)
    with fifo.open("w") as config:  # opens when process 1 has begun to read it
        os.kill(inner_pid(run), signal.SIGTERM)
        config.write(text)
    assert run.wait() == 0
    assert run.said() == ["vllmd: got SIGTERM: stopping"]
    assert launcher.left() == []


def test_process_1_forks_servers_and_starts_them_again(
    launcher: Launcher, namespace: tuple[str, ...]
) -> None:
    stub = Stub(control={"restart": "on-failure"})
    run = launcher.start(stub, prefix=namespace, master={"start_mode": "fork"})
    run.wait_healthy()
    os.kill(outer_pid(run, "a"), signal.SIGKILL)
    wait_until(lambda: run.stderr().count("forked, waiting") == 2, "a forked restart")
    wait_until(lambda: run.stderr().count("a: healthy after") == 2, "its health")
    wait_until(lambda: zombies_of(inner_pid(run)) == [], "all that ended to be reaped")
    os.kill(inner_pid(run), signal.SIGTERM)
    assert run.wait() == 0
    assert launcher.left() == []
