"""The process that keeps a model's weights: a stand-in of vLLM's, for want of a GPU."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests.support.fake_vllm import make_vllm
from tests.support.launching import ROOT, Stub
from tests.support.processes import is_alive, read_proc

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.launching import Launcher


def test_weights_stay_while_their_server_is_started_again(
    launcher: Launcher, tmp_path: Path
) -> None:
    site = make_vllm(tmp_path / "site")
    control = {"weight_cache": True, "restart": "on-failure"}
    run = launcher.start(
        Stub(control=control, server={"model": "org/model"}),
        master={"api_server_module": "vllm.entrypoints.openai.api_server"},
        env={"PYTHONPATH": f"{site}:{ROOT}"},
    )
    run.wait_healthy()
    keeper = run.pid_of("a.weights")
    assert read_proc(keeper, "cmdline").split(b"\0")[3:6] == [b"preload", b"--model", b"org/model"]
    os.kill(run.pid_of("a"), signal.SIGKILL)
    run.wait_for("a: starting it again in 1 s")
    assert launcher.wait_state("ready")["restarts"] == 1
    assert is_alive(keeper)
    os.kill(keeper, signal.SIGKILL)
    run.wait_for("a.weights: starting it again in 1 s")
    assert launcher.wait_state("ready", "a.weights")["restarts"] == 1
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert run.said()[-1].startswith("vllmd: a.weights: stopped")  # after its server
    assert launcher.left() == []
