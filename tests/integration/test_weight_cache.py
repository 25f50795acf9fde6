"""The process that keeps a model's weights: a stand-in of vLLM's, for want of a GPU."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.fake_vllm import make_vllm
from tests.support.launching import ROOT, Stub
from tests.support.processes import is_alive, read_proc

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.launching import Launcher, Run

MASTER = {"api_server_module": "vllm.entrypoints.openai.api_server", "unknown_flags": "warn"}
CONTROL = {"weight_cache": True, "restart": "on-failure", "stop_timeout_s": 600}
SERVER = {"model": "org/model"}
# It ends when the test ends it, so that the test decides how long its keeper is needed.
STUBBORN = {**SERVER, "stub_ignore_term": True}
SERVER_ENDED, KEEPER_ENDED = (
    f"vllmd: {name}: stopped (killed by SIG{signal})"
    for name, signal in (("a", "KILL"), ("a.weights", "TERM"))
)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"PYTHONPATH": f"{make_vllm(tmp_path / 'site')}:{ROOT}"}


def start(launcher: Launcher, environ: dict[str, str], server: dict[str, object]) -> Run:
    run = launcher.start(Stub(control=CONTROL, server=server), master=MASTER, env=environ)
    run.wait_healthy()
    return run


def test_weights_stay_while_their_server_is_started_again(
    launcher: Launcher, environ: dict[str, str]
) -> None:
    run = start(launcher, environ, dict(SERVER))
    keeper = run.pid_of("a.weights")
    assert read_proc(keeper, "cmdline").split(b"\0")[3:6] == [b"preload", b"--model", b"org/model"]
    os.kill(run.pid_of("a"), signal.SIGKILL)
    run.wait_for("a: starting it again in 1 s")
    assert launcher.wait_state("ready")["restarts"] == 1
    assert is_alive(keeper)
    os.kill(keeper, signal.SIGKILL)
    run.wait_for("a.weights: starting it again in 1 s")
    assert launcher.wait_state("ready", "a.weights")["restarts"] == 1


def test_server_whose_weights_cannot_be_loaded_is_not_waited_for(
    launcher: Launcher, tmp_path: Path
) -> None:
    site = make_vllm(tmp_path / "site", preload="raise SystemExit(3)")
    stub = Stub(
        control={"weight_cache": True, "background": False}, server={**SERVER, "stub_hang": True}
    )
    run = launcher.start(stub, master=MASTER, env={"PYTHONPATH": f"{site}:{ROOT}"})
    assert run.wait() == 1
    assert "a.weights: ended without being asked (exit code 3)" in run.stderr()
    assert "a: 'a.weights' has ended, and what it keeps is needed: stopping it" in run.stderr()
    assert launcher.left() == []


def test_weights_stay_until_nothing_is_left_of_their_server(
    launcher: Launcher, environ: dict[str, str]
) -> None:
    run = start(launcher, environ, {**STUBBORN, "stub_child": True})
    run.signal(signal.SIGTERM)
    run.wait_for("got SIGTERM: stopping")
    os.kill(run.pid_of("a"), signal.SIGKILL)
    assert run.wait() == 0
    assert run.said()[-2:] == [SERVER_ENDED, KEEPER_ENDED]
    assert launcher.left() == []


def test_stopped_server_leaves_its_weights_for_the_next_start(
    launcher: Launcher, environ: dict[str, str]
) -> None:
    start(launcher, environ, dict(SERVER))
    keeper = launcher.status("a.weights")["pid"]
    asked = launcher.ask("stop", "--wait", "a")
    assert asked.code == 0, asked
    assert "'a.weights' stays, for its next start" in asked.stdout
    assert launcher.ask("start", "--wait", "a").code == 0
    assert launcher.status("a.weights")["pid"] == keeper


def test_weights_of_a_running_server_are_not_stopped(
    launcher: Launcher, environ: dict[str, str]
) -> None:
    start(launcher, environ, dict(SERVER))
    refused = launcher.ask("stop", "a.weights")
    assert refused.code == 71
    assert refused.stderr == "error: 'a' runs on what 'a.weights' keeps: stop 'a' first\n"
    assert launcher.ask("stop", "--wait", "a").code == 0
    assert launcher.ask("stop", "--wait", "a.weights").code == 0
    assert launcher.ask("start", "--wait", "a").code == 0
    assert launcher.status("a.weights")["state"] == "ready"


def test_removed_server_and_its_weights_go_in_order(
    launcher: Launcher, environ: dict[str, str]
) -> None:
    stub, other = Stub(control=CONTROL, server=STUBBORN), Stub(name="b", server=SERVER)
    run = launcher.start(stub, other, master=MASTER, env=environ)
    run.wait_healthy("a", "b")
    launcher.write(other, master=MASTER)
    assert launcher.ask("reload").code == 0
    os.kill(run.pid_of("a"), signal.SIGKILL)
    run.wait_for(KEEPER_ENDED)
    assert run.said()[-2:] == [SERVER_ENDED, KEEPER_ENDED]
