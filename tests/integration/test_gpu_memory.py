"""A restart waits until the driver has returned the GPU memory of the dead server.

The management library is a fake that reads its numbers from a file.
"""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.fake_vllm import make_vllm
from tests.support.launching import PROGRAMS, ROOT, Launcher, Run, Stub
from tests.support.require import require_program
from tests.support.wait import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from pathlib import Path

GIB = 2**30
STARTED = "vllmd: a: started (pid "


class Driver:
    """The fake library and what it tells."""

    def __init__(self, folder: Path) -> None:
        compiler = require_program("integration", "gcc")
        self.numbers = folder / "gpus"
        words = [compiler, "-shared", "-fPIC", "-o", str(folder / "libnvidia-ml.so.1")]
        subprocess.run([*words, os.path.join(PROGRAMS, "fake_nvml.c")], check=True)
        self.environ = {"LD_LIBRARY_PATH": str(folder), "FAKE_NVML": str(self.numbers)}

    def tell(self, *used: int) -> None:
        """Let the GPUs have so many bytes in use."""
        part = self.numbers.with_suffix(".part")
        part.write_text("\n".join(map(str, used)) + "\n")
        part.replace(self.numbers)


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    return Driver(tmp_path)


def start(launcher: Launcher, driver: Driver) -> Run:
    stub = Stub(control={"gpu_ids": "1", "restart": "on-failure"})
    run = launcher.start(stub, env=driver.environ)
    run.wait_healthy()
    return run


def kill(run: Run) -> None:
    os.kill(run.pid_of(), signal.SIGKILL)
    run.wait_for("a: starting it again in 1 s")


def restarts(run: Run) -> int:
    return run.stderr().count(STARTED) - 1


def test_restart_waits_for_the_memory_of_the_dead(launcher: Launcher, driver: Driver) -> None:
    driver.tell(5 * GIB, 1 * GIB)
    run = start(launcher, driver)
    driver.tell(5 * GIB, 41 * GIB)
    kill(run)
    with pytest.raises(AssertionError, match="the restart"):
        wait_restarted(run, 2.5)  # the pause is over after 1 s
    driver.tell(5 * GIB, 1 * GIB + 1000)
    wait_restarted(run)
    run.signal(signal.SIGTERM)
    assert run.wait() == 0


def test_memory_that_is_back_already_delays_nothing(launcher: Launcher, driver: Driver) -> None:
    driver.tell(9 * GIB, 1 * GIB)
    run = start(launcher, driver)
    driver.tell(70 * GIB, 1 * GIB)  # another GPU is nobody's business
    kill(run)
    wait_restarted(run)
    assert "not waiting longer" not in run.stderr()


def test_memory_that_never_comes_back_is_told_and_not_waited_for(
    launcher: Launcher, driver: Driver
) -> None:
    driver.tell(0, 0)
    run = start(launcher, driver)
    driver.tell(0, 3 * GIB)
    kill(run)
    run.wait_for("a: more memory than before its start is in use on GPU 1 (3.0 GiB)")
    wait_restarted(run)


def test_stop_during_the_wait_is_heeded_at_once(launcher: Launcher, driver: Driver) -> None:
    driver.tell(0, 0)
    run = start(launcher, driver)
    driver.tell(0, 3 * GIB)
    kill(run)
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert restarts(run) == 0
    assert "not waiting longer" not in run.stderr()


def test_machine_without_the_library_waits_for_nothing(launcher: Launcher) -> None:
    stub = Stub(control={"gpu_ids": "1", "restart": "on-failure"})
    run = launcher.start(stub)
    run.wait_healthy()
    kill(run)
    wait_restarted(run)


def test_memory_of_kept_weights_is_not_waited_for(
    launcher: Launcher, driver: Driver, tmp_path: Path
) -> None:
    driver.tell(0, 1 * GIB)
    control = {"gpu_ids": "1", "restart": "on-failure", "weight_cache": True}
    run = launcher.start(
        Stub(control=control, server={"model": "org/model"}),
        master={"api_server_module": "vllm.entrypoints.openai.api_server"},
        env={**driver.environ, "PYTHONPATH": f"{make_vllm(tmp_path / 'site')}:{ROOT}"},
    )
    run.wait_healthy()
    driver.tell(0, 41 * GIB)
    kill(run)
    driver.tell(0, 21 * GIB)  # what the keeper has
    wait_restarted(run)
    assert "not waiting longer" not in run.stderr()


def wait_restarted(run: Run, within_s: float = PATIENCE_S) -> None:
    """Wait until it has been started once more."""
    wait_until(lambda: restarts(run) == 1, "the restart", within_s)
