"""What `run` says about the machine, and what it keeps from its servers."""

from __future__ import annotations

import json
import os
import signal

from tests.support.launching import Launcher, Stub


def test_hijacked_port_variable_is_told_and_kept_from_the_server(launcher: Launcher) -> None:
    report = launcher.folder / "report.json"
    stub = Stub(server={"stub_report": str(report)})
    run = launcher.start(stub, env={"VLLM_PORT": "tcp://10.0.0.1:8000"})
    run.wait_healthy()
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert "warning: 'VLLM_PORT' is 'tcp://10.0.0.1:8000'" in run.stderr()
    assert "VLLM_PORT" not in json.loads(report.read_text())["env"]


def test_port_variable_that_is_a_number_reaches_the_server(launcher: Launcher) -> None:
    report = launcher.folder / "report.json"
    run = launcher.start(Stub(server={"stub_report": str(report)}), env={"VLLM_PORT": "9000"})
    run.wait_healthy()
    assert "VLLM_PORT" not in run.stderr()
    assert json.loads(report.read_text())["env"]["VLLM_PORT"] == "9000"


def test_cache_that_cannot_be_made_is_told(launcher: Launcher) -> None:
    blocked = launcher.folder / "file"
    blocked.touch()
    run = launcher.start(Stub(), env={"HF_HOME": str(blocked / "hf"), "HOME": "/"})
    run.wait_healthy()
    assert f"warning: '{blocked}/hf' cannot be written by user id {os.getuid()}" in run.stderr()
