"""Start, stop and status with real guests: what the small ones of the integration suite cannot say.

Each backend's whole behaviour is tested in tests/integration/vmm; here are a kernel, an init and
an entrypoint that take part.
"""

from __future__ import annotations

import os
import signal
from contextlib import closing
from typing import TYPE_CHECKING

from launcher.hypervisor.qemu.client import Monitor
from tests.support.guests import END_S
from tests.support.processes import is_alive
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.guests import Guest

SHORT_GRACE = {"VLLMD_HYPERVISOR_STOP_TIMEOUT": "2"}


def runs(status: dict[str, object]) -> bool:
    return status["state"] == "running" and status["guest"] is not None


def test_guest_that_ignores_the_button_is_forced(guest: Guest) -> None:
    # A shell as the first process: it waits at its prompt, and knows no button.
    words = [
        word for word in guest.image.cmdline.split() if not word.startswith(("init=", "quiet"))
    ]
    cmdline = {"VLLMD_HYPERVISOR_CMDLINE": " ".join([*words, "init=/bin/sh"])}
    process = guest.start(env={**cmdline, **SHORT_GRACE})
    guest.wait_for("Run /init as init process")
    guest.wait_status(lambda status: status["state"] == "running", "it runs")
    stopped = guest.ask("stop", env=SHORT_GRACE)
    assert (stopped.code, stopped.stderr) == (5, f"guest '{guest.name}' had to be forced\n")
    assert process.wait(END_S) == 137
    assert guest.left() == []


def test_interrupted_start_shuts_the_guest_down(guest: Guest) -> None:
    process = guest.start()
    guest.wait_healthy()
    process.send_signal(signal.SIGINT)
    assert process.wait(END_S) == 0
    assert "the power button was pressed" in guest.said()
    assert "the guest has shut down" in guest.said()
    assert guest.left() == []


def test_guest_powered_off_from_inside_is_not_a_failure(guest: Guest) -> None:
    process = guest.start()
    guest.wait_healthy()
    # The monitor's button, pressed by nobody that the supervisor knows: the guest's own decision.
    path = os.path.join(guest.folder, "vllmd-hypervisor", guest.name, "control.sock")
    with closing(Monitor(path, END_S)) as monitor:
        monitor.ask("system_powerdown")
    assert process.wait(END_S) == 0
    assert "the guest powered off" in guest.said()
    assert guest.ask("status").code == 3


def test_killed_vmm_is_noticed_and_cleaned_up_after(guest: Guest) -> None:
    process = guest.start()
    pid = guest.wait_status(runs, "a guest that reports")["pid"]
    os.kill(pid, signal.SIGKILL)
    assert process.wait(END_S) == 137
    assert "the VMM was killed by SIGKILL" in guest.said()
    assert guest.ask("status").code == 3
    assert os.listdir(os.path.join(guest.folder, "vllmd-hypervisor")) == []


def test_start_twice_is_refused_and_leaves_the_first_alone(guest: Guest) -> None:
    guest.start()
    guest.wait_healthy()
    again = guest.ask("start")
    assert again.code == 69
    assert "is running already" in again.stderr
    guest.wait_healthy()


def test_two_guests_serve_side_by_side(new_guest: Callable[..., Guest]) -> None:
    first, second = new_guest("a"), new_guest("b")
    first.start()
    second.start()
    first.wait_healthy()
    second.wait_healthy()
    assert first.ask("stop").code == 0
    assert first.get() == 0
    second.wait_healthy()


def test_crash_of_supervisor_and_vmm_is_no_obstacle(guest: Guest) -> None:
    assert guest.ask("start", "--detach").code == 0
    found = guest.wait_status(runs, "a guest that reports")
    for pid in (found["supervisor_pid"], found["pid"]):
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: not is_alive(pid), "it has gone", END_S)  # type: ignore[misc]
    assert guest.status()["state"] == "stopped"
    guest.start()
    guest.wait_healthy()


def test_detached_guest_reports_and_stops(guest: Guest) -> None:
    assert guest.ask("start", "--detach").code == 0
    guest.wait_healthy()
    guest.wait_status(runs, "a guest that reports")
    assert guest.ask("stop").code == 0
    assert guest.left() == []
