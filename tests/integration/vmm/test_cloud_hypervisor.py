"""What Cloud Hypervisor may do to us: the fake's knobs, one after another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from launcher.hypervisor.identity import find_identity
from launcher.hypervisor.rundir import API, RunDir, is_answered
from launcher.hypervisor.state import GuestState
from tests.support.hypervisor import FAKE, FAKE_CH, SHORT_GRACE, Listener, kill
from tests.support.processes import is_alive
from tests.support.vmm_behaviour import END_S
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from tests.support.hypervisor import Host

REPORT = {
    "v": 1,
    "entrypoint": "running",
    "exit_code": None,
    "message": "",
    "instances": [{"name": "a", "state": "ready", "host": "0.0.0.0", "port": 8000, "pid": 9}],  # noqa: S104
}


def with_knobs(host: Host, **knobs: object) -> dict[str, str]:
    """Return the environment of a guest in a fake that behaves in this way."""
    return host.environ({"FAKE_CH": json.dumps(knobs)})


def wait_created(host: Host) -> None:
    """Wait until the VMM has been told what to boot."""
    console = host.rundir() / "console.sock"
    wait_until(console.exists, "the guest is created", host.within_s)


@pytest.mark.parametrize("version", ["40.0.0", "47.0.0", "53.0.0", "54.0.0"])
def test_every_version_from_40_on_runs_and_stops(fake: Host, version: str) -> None:
    env = with_knobs(fake, version=version)
    process = fake.run(env=env)
    assert fake.wait_state("running", env)["version"] == version
    assert fake.ask("stop", env=env).code == 0
    assert process.wait(END_S) == 0
    assert fake.broken() == ""


@pytest.mark.parametrize("version", ["40.0.0", "53.0.0"])
def test_stale_api_socket_is_no_obstacle(fake: Host, version: str) -> None:
    # Up to version 52 a socket that a crash left behind ends the next one at once.
    env = with_knobs(fake, version=version)
    fake.ask("start", "--detach", env=env)
    found = fake.wait_state("running", env)
    kill(found["supervisor_pid"])
    kill(found["pid"])
    assert (fake.rundir() / "api.sock").exists()
    assert fake.ask("start", "--detach", env=env).code == 0
    assert fake.ask("stop", env=env).code == 0


def test_version_before_40_is_refused(fake: Host) -> None:
    asked = fake.ask("start", env=with_knobs(fake, version="39.0.0"))
    assert asked.code == 78
    assert "cloud-hypervisor 39.0.0 is older than 40.0" in asked.stderr


def test_reserved_memory_needs_version_53(fake: Host) -> None:
    memory = {"VLLMD_HYPERVISOR_MEMORY_CONFIG": "size=32M,reserve=on"}
    asked = fake.ask("start", env=with_knobs(fake, version="52.0.0") | memory)
    assert asked.code == 78
    assert "cloud-hypervisor 52.0.0 does not know reserve=on" in asked.stderr


@pytest.mark.parametrize("shape", ["list", "text", "object"])
def test_failed_boot_tells_the_innermost_cause(fake: Host, shape: str) -> None:
    asked = fake.ask("start", env=with_knobs(fake, boot="fail", errors=shape))
    assert asked.code == 69
    assert "error: cloud-hypervisor: Kernel lacks PVH header\n" in asked.stderr
    assert "hint: give a bzImage" in asked.stderr
    assert fake.left() == []


def test_failed_boot_without_a_reason_tells_the_code(fake: Host) -> None:
    asked = fake.ask("start", env=with_knobs(fake, boot="fail", errors="empty"))
    assert "error: cloud-hypervisor: it answered 500 without a reason\n" in asked.stderr


def test_failed_creation_leaves_nothing(fake: Host) -> None:
    asked = fake.ask("start", env=with_knobs(fake, create="fail"))
    assert asked.code == 69
    assert "error: cloud-hypervisor: no console\n" in asked.stderr
    assert fake.left() == []


def test_boot_that_hangs_is_starting_not_stopped(fake: Host) -> None:
    env = with_knobs(fake, boot="hang")
    fake.start(env=env)
    wait_created(fake)
    found = fake.wait_state("starting", env)
    wait_until(lambda: "busy" in (fake.status(env)["detail"] or ""), "it is busy", fake.within_s)
    assert is_alive(found["pid"])
    assert fake.ask("status", env=env).code == 4


def test_guest_that_is_not_created_yet_is_starting(fake: Host) -> None:
    env = fake.environ()
    fake.rundir().mkdir(parents=True)
    rundir = RunDir(path=str(fake.rundir()))
    words = [sys.executable, str(FAKE), "--api-socket", f"path={rundir.file(API)}"]
    with subprocess.Popen(words, env=env) as vmm:
        us = find_identity(os.getpid())
        assert us is not None
        state = GuestState(
            name=fake.name, backend=FAKE_CH, accelerator="kvm", why="", supervisor=us, cpus=1,
            memory=1, started_at=time.time(), vmm=find_identity(vmm.pid),
        )  # fmt: skip
        rundir.write_state(state)
        wait_until(lambda: is_answered(rundir.file(API)), "it listens", fake.within_s)
        found = fake.status(env)
        vmm.kill()
    assert (found["state"], found["detail"]) == ("starting", None)


def test_boot_that_hangs_can_be_interrupted(fake: Host) -> None:
    process = fake.start(env=with_knobs(fake, boot="hang"))
    wait_created(fake)
    process.send_signal(signal.SIGINT)
    assert process.wait(END_S) == 0
    assert "the guest is not up yet, it is stopped" in fake.said()
    assert fake.left() == []


def test_boot_that_hangs_can_be_stopped(fake: Host) -> None:
    env = with_knobs(fake, boot="hang", signals="ignore")
    process = fake.start(env=env)
    wait_created(fake)
    assert fake.ask("stop", env=env).code == 0
    assert process.wait(END_S) == 0
    assert "the guest has shut down" in fake.said()
    assert fake.left() == []


def test_button_that_is_refused_forces_at_once(fake: Host) -> None:
    env = with_knobs(fake, button="refuse")
    fake.run(env=env)
    assert fake.ask("stop", env=env).code == 5
    assert fake.left() == []


def test_vmm_that_obeys_nothing_is_killed(fake: Host) -> None:
    env = with_knobs(fake, button="ignore", quit="ignore", signals="ignore") | SHORT_GRACE
    process = fake.run(env=env)
    assert fake.ask("stop", env=env).code == 5
    assert process.wait(END_S) == 137
    assert fake.left() == []


def test_paused_guest_is_resumed_to_hear_the_button(fake: Host) -> None:
    env = with_knobs(fake, paused=True)
    fake.run(env=env)
    assert fake.wait_state("paused", env)
    assert fake.ask("status", env=env).code == 4
    assert fake.ask("stop", env=env).code == 0


def test_report_of_the_guest_is_in_its_status(fake: Host) -> None:
    env = with_knobs(fake, reports=[{"junk": 1}, REPORT])
    fake.run(env=env)
    wait_until(lambda: fake.status(env)["guest"], "a report", fake.within_s)
    found = fake.status(env)["guest"]
    assert found["entrypoint"] == "running"
    assert found["instances"] == [{**REPORT["instances"][0], "restarts": 0}]  # type: ignore[index]
    assert "a: ready, 0.0.0.0:8000" in fake.ask("status", env=env).stdout


def test_entrypoints_code_is_that_of_start(fake: Host) -> None:
    ended = {**REPORT, "entrypoint": "ended", "exit_code": 3}
    env = with_knobs(fake, reports=[ended])
    process = fake.run(env=env)
    wait_until(lambda: fake.status(env)["guest"], "a report", fake.within_s)
    # The guest's own power-off, as far as its supervisor can tell: nobody has asked for it.
    found = fake.wait_state("running", env)
    os.kill(found["pid"], signal.SIGTERM)
    assert process.wait(END_S) == 3
    assert "its entrypoint ended with exit code 3" in fake.said()


def test_panic_of_the_guest_fails(fake: Host) -> None:
    env = with_knobs(fake, events=[["guest", "panic"]])
    fake.run(env=env)
    wait_until(lambda: "the kernel of the guest panicked" in fake.said(), "the panic", END_S)
    assert fake.status(env)["event"] == "panic"


@pytest.mark.parametrize("answer", ["ok", "hang"])
def test_guest_that_reboots_for_ever_is_stopped(fake: Host, answer: str) -> None:
    # Its reboots may be heard of before the VMM's answer that it has booted.
    events = [["vm", "rebooted"]] * 4
    process = fake.start(env=with_knobs(fake, events=events, booted=answer))
    assert process.wait(END_S) == 1
    assert "the guest rebooted again and again" in fake.said()
    assert fake.left() == []


def test_dry_run_prints_the_config_and_starts_nothing(fake: Host) -> None:
    asked = fake.ask("start", "--dry-run", env=fake.environ())
    config = json.loads(asked.stdout)
    assert config["memory"]["size"] == 32 << 20
    assert config["console"] == {"mode": "Off"}
    assert fake.left() == []


def test_dry_run_of_a_file_leaves_no_config_image(fake: Host) -> None:
    file = fake.folder / "vllm.toml"
    file.write_text('[guest]\n[instance.a.server]\nmodel = "org/model"\n')
    state = {"VLLMD_HYPERVISOR_STATE_DIR": str(fake.folder / "state")}
    asked = fake.ask("start", "--dry-run", "--config", str(file), env=fake.environ(state))
    assert asked.code == 0
    assert str(fake.folder / "state") in asked.stdout
    assert list((fake.folder / "state").iterdir()) == []


def test_stopping_is_told_to_systemd(fake: Host) -> None:
    listener = Listener(fake.folder)
    process = fake.run(env=fake.environ({"NOTIFY_SOCKET": listener.path}))
    process.send_signal(signal.SIGTERM)
    assert process.wait(END_S) == 0
    assert listener.has("STOPPING=1")
    listener.close()
