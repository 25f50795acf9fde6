"""What every backend has to do, whoever plays the VMM. Test classes inherit it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.hypervisor import GRACE_S, SHORT_GRACE, Listener, kill
from tests.support.processes import is_alive
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from tests.support.hypervisor import Host

END_S = 150.0  # for `start` to end once there is a reason: a moment, unless the machine is busy


class VmmBehaviour:
    """The fixture `host` is where the guests run."""

    def test_status_tells_what_runs(self, host: Host) -> None:
        env = host.environ()
        host.run(env=env)
        found = host.wait_state("running", env)
        assert is_alive(found["pid"])
        assert found["supervisor_pid"] != found["pid"]
        assert (found["cpus"], found["memory_bytes"]) == (1, host.memory)
        assert found["backend"] == host.backend
        assert found["version"][0].isdigit()
        wait_until(lambda: host.ask("status", env=env).code == 0, "exit code 0", END_S)
        assert host.rundir().stat().st_mode & 0o777 == 0o700

    def test_stop_heard_by_the_guest_is_graceful(self, host: Host) -> None:
        env = host.environ()
        process = host.run(env=env)
        stopped = host.ask("stop", env=env)
        assert (stopped.code, stopped.stderr) == (0, "")
        assert process.wait(END_S) == 0
        assert "the guest has shut down" in host.said()
        assert host.left() == []
        assert host.ask("status", env=env).code == 3

    def test_stop_ignored_by_the_guest_is_forced(self, host: Host) -> None:
        env = host.environ(SHORT_GRACE, guest="ignores")
        process = host.run(env=env)
        stopped = host.ask("stop", env=env)
        assert stopped.code == 5
        assert stopped.stderr == f"guest '{host.name}' had to be forced\n"
        assert process.wait(END_S) == 137
        assert host.left() == []

    def test_stop_by_force_asks_nobody(self, host: Host) -> None:
        env = host.environ(guest="ignores")
        process = host.run(env=env)
        assert host.ask("stop", "--force", env=env).code == 5
        assert process.wait(END_S) == 137

    def test_stop_without_a_guest_is_fine(self, host: Host) -> None:
        stopped = host.ask("stop", env=host.environ())
        assert (stopped.code, stopped.stderr) == (0, f"guest '{host.name}' does not run\n")

    def test_interrupt_shuts_the_guest_down(self, host: Host) -> None:
        process = host.run(env=host.environ())
        process.send_signal(signal.SIGINT)
        assert process.wait(END_S) == 0
        assert f"SIGINT: the guest has {GRACE_S} s to shut down" in host.said()
        assert host.left() == []

    def test_second_signal_forces(self, host: Host) -> None:
        env = host.environ(guest="ignores")
        process = host.run(env=env)
        process.send_signal(signal.SIGTERM)
        host.wait_state("stopping", env)

        def ask_again() -> bool:
            process.send_signal(signal.SIGTERM)  # within a moment, it is the first once more
            return process.poll() is not None

        wait_until(ask_again, "it was forced", GRACE_S / 2)
        assert process.returncode == 137
        assert host.said().count("SIGTERM again: forcing the guest") == 1
        assert host.left() == []

    def test_interrupt_that_somebody_passes_on_is_one(self, host: Host) -> None:
        process = host.run(env=host.environ())
        # At the same moment, as when the terminal and `make` send them.
        for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
            process.send_signal(number)
        assert process.wait(END_S) == 0
        assert "again: forcing" not in host.said()

    def test_start_twice_is_refused(self, host: Host) -> None:
        env = host.environ()
        host.run(env=env)
        pid = host.wait_state("running", env)["pid"]
        again = host.ask("start", env=env)
        assert again.code == 69
        assert f"guest '{host.name}' is running already: process {pid}" in again.stderr
        assert host.status(env)["pid"] == pid

    def test_two_guests_run_by_their_names(self, host: Host) -> None:
        envs = [host.environ(other=other) for other in ("a", "b")]
        for env in envs:
            host.run(env=env)
        pids = {host.wait_state("running", env)["pid"] for env in envs}
        assert len(pids) == 2
        assert host.ask("stop", env=envs[0]).code == 0
        assert host.status(envs[0])["state"] == "stopped"
        assert host.wait_state("running", envs[1])["pid"] in pids

    def test_vmm_killed_is_noticed(self, host: Host) -> None:
        env = host.environ()
        process = host.run(env=env)
        os.kill(host.wait_state("running", env)["pid"], signal.SIGKILL)
        assert process.wait(END_S) == 137
        assert "the VMM was killed by SIGKILL" in host.said()
        assert host.left() == []
        assert host.ask("status", env=env).code == 3

    def test_supervisor_killed_takes_its_vmm_along(self, host: Host) -> None:
        env = host.environ()
        process = host.run(env=env)
        pid = host.wait_state("running", env)["pid"]
        process.kill()
        wait_until(lambda: not is_alive(pid), "the VMM has ended", END_S)
        assert host.status(env)["state"] == "stopped"
        assert host.left() == []

    def test_detached_guest_goes_on_without_us(self, host: Host) -> None:
        env = host.environ()
        assert host.ask("start", "--detach", env=env).code == 0
        found = host.wait_state("running", env)
        assert os.getsid(found["supervisor_pid"]) == found["supervisor_pid"]
        log = Path(env["VLLMD_HYPERVISOR_LOG_FILEPATH"])
        wait_until(lambda: host.hello in log.read_text(), "hello in the log", host.within_s)
        assert host.ask("stop", env=env).code == 0
        assert host.left() == []

    def test_detached_guest_without_supervisor_can_be_stopped(self, host: Host) -> None:
        env = host.environ()
        host.ask("start", "--detach", env=env)
        found = host.wait_state("running", env)
        wait_until(
            lambda: host.hello in host.ask("logs", env=env).stdout,
            "hello in the log",
            host.within_s,
        )
        kill(found["supervisor_pid"])
        assert host.wait_state("running", env)["detail"] == "its supervisor has gone"
        assert host.ask("start", env=env).code == 69
        assert host.ask("stop", env=env).code == 0
        assert not is_alive(found["pid"])
        assert host.left() == []

    def test_crash_of_everything_leaves_no_obstacle(self, host: Host) -> None:
        env = host.environ()
        host.ask("start", "--detach", env=env)
        found = host.wait_state("running", env)
        kill(found["supervisor_pid"])
        kill(found["pid"])
        assert any(path.endswith(".sock") for path in host.left())
        process = host.run(env=env)
        assert host.wait_state("running", env)["pid"] != found["pid"]
        assert process.poll() is None

    def test_status_after_a_crash_sweeps(self, host: Host) -> None:
        env = host.environ()
        host.ask("start", "--detach", env=env)
        found = host.wait_state("running", env)
        kill(found["supervisor_pid"])
        kill(found["pid"])
        asked = host.ask("status", env=env)
        assert asked.code == 3
        assert "it ended without its supervisor" in asked.stdout
        assert host.left() == []

    def test_ready_is_told_to_systemd_once_the_guest_runs(self, host: Host) -> None:
        listener = Listener(host.folder)
        host.run(env=host.environ({"NOTIFY_SOCKET": listener.path}))
        wait_until(lambda: listener.has("READY=1"), "READY=1", END_S)
        assert any(line.startswith("STATUS=") for line in listener.heard)
        listener.close()

    def test_logs_follow_until_the_guest_ends(self, host: Host) -> None:
        env = host.environ({"VLLMD_HYPERVISOR_LOG_FILEPATH": "/dev/stdout"})
        host.start(env=env)
        wait_until(lambda: host.hello in host.said(), "hello on our standard output", host.within_s)
        assert host.hello in host.ask("logs", env=env).stdout
        host.ask("stop", env=env)
        assert host.hello in host.ask("logs", "-f", env=env).stdout
