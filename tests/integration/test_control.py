"""Commands to a running launcher, as their user sees them."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.launching import Stub, is_listening
from tests.support.processes import open_files
from tests.support.wait import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from tests.support.launching import Launcher, Run


def start_two(launcher: Launcher) -> Run:
    """Start two healthy instances."""
    run = launcher.start(Stub(name="a"), Stub(name="b"))
    run.wait_healthy("a", "b")
    return run


def test_status_shows_each_instance(launcher: Launcher) -> None:
    run = start_two(launcher)
    asked = launcher.ask("status")
    assert asked.code == 0
    head, _, names, first, second = asked.stdout.splitlines()
    assert f"pid {run.pid}, up " in head
    assert head.endswith(f"{launcher.folder}/vllm.toml: 2 of 2 ready")
    assert names.split() == ["NAME", "STATE", "PID", "UP", "RESTARTS", "GPUS", "ADDRESS"]
    assert first.split()[:3] == ["a", "ready", str(run.pid_of("a"))]
    assert second.split()[:3] == ["b", "ready", str(run.pid_of("b"))]


def test_status_without_a_launcher_is_69(launcher: Launcher) -> None:
    asked = launcher.ask("status", env={"VLLMD_SOCKET": launcher.socket()})
    assert asked.code == 69
    said = (
        f"error: no launcher listens on '{launcher.socket()}'\nhint: start one with 'vllmd run'\n"
    )
    assert asked.stderr == said


def test_status_is_1_while_one_is_not_ready(launcher: Launcher) -> None:
    launcher.start(Stub(server={"stub_slow": 60})).wait_for("a: started")
    assert launcher.wait_state("starting")["pid"]
    assert launcher.ask("status").code == 1


def test_status_shows_backoff_and_why(launcher: Launcher) -> None:
    control = {"restart": "always"}  # the pauses grow until one is seen
    stubs = Stub(name="a"), Stub(name="b", control=control, server={"stub_die": 7})
    launcher.start(*stubs).wait_for("b: starting it again in 2 s")
    found = launcher.wait_state("backoff", "b")
    assert found["restarts"] >= 2
    assert found["failure"].startswith("ended while starting (exit code 7) after")


def test_status_shows_failed_for_good(launcher: Launcher) -> None:
    run = launcher.start(Stub(name="a"), Stub(name="b", server={"stub_die": 7}))
    run.wait_healthy("a")
    assert launcher.wait_state("failed", "b")["pid"] is None
    assert "exit code 7" in launcher.ask("status").stdout


def test_status_tells_what_a_failure_was_and_what_to_do(launcher: Launcher) -> None:
    words = "torch.OutOfMemoryError: CUDA out of memory."
    broken = Stub(name="b", server={"stub_say": words, "stub_die": 1})
    launcher.start(Stub(name="a"), broken).wait_healthy("a")
    found = launcher.wait_state("failed", "b")
    assert found["diagnosis"]["kind"] == "gpu-memory"
    shown = launcher.ask("status").stdout
    assert found["diagnosis"]["what"] in shown
    assert f"hint: {found['diagnosis']['advice']}" in shown


def test_status_tells_how_the_start_went(launcher: Launcher) -> None:
    launcher.start(Stub()).wait_healthy()
    phases = list(launcher.status()["timeline"])
    assert phases == ["first line", "healthy"]


def test_stop_and_start_leave_the_other_alone(launcher: Launcher) -> None:
    run = start_two(launcher)
    stopped = launcher.ask("stop", "--wait", "a")
    assert (stopped.code, stopped.stdout.splitlines()[-1]) == (0, "'a' is stopped")
    assert launcher.status("a")["wanted"] is False
    assert launcher.ask("status").code == 0, "one that is not wanted need not be ready"
    started = launcher.ask("start", "--wait", "a")
    assert (started.code, started.stdout) == (0, "'a' starts\n'a' is ready\n")
    assert launcher.status("a")["pid"] != run.pid_of("a")
    assert launcher.status("b")["pid"] == run.pid_of("b")


def test_launcher_stays_when_all_have_been_stopped(launcher: Launcher) -> None:
    run = launcher.start(Stub())
    run.wait_healthy()
    assert launcher.ask("stop", "--wait", "a").code == 0
    assert launcher.ask("start", "--wait", "a").code == 0
    assert run.process.poll() is None


def test_start_during_a_stop_starts_afterwards(launcher: Launcher) -> None:
    control = {"stop_timeout_s": 600}
    run = launcher.start(Stub(control=control, server={"stub_ignore_term": True}))
    run.wait_healthy()
    assert launcher.ask("stop", "a").code == 0
    asked = launcher.ask("start", "a")
    assert (asked.code, asked.stdout) == (0, "'a' starts when it has stopped\n")
    os.kill(run.pid_of("a"), signal.SIGKILL)
    assert launcher.wait_state("ready")["pid"] != run.pid_of("a")


def test_restart_waits_for_the_new_process(launcher: Launcher) -> None:
    run = launcher.start(Stub())
    run.wait_healthy()
    asked = launcher.ask("restart", "--wait", "a")
    assert (asked.code, asked.stdout) == (0, "'a' stops and starts again\n'a' is ready\n")
    assert launcher.status("a")["pid"] != run.pid_of("a")


def test_start_that_fails_is_1_with_the_reason(launcher: Launcher) -> None:
    start = Stub(name="a"), Stub(name="b", server={"stub_die": 7})
    launcher.start(*start).wait_healthy("a")
    launcher.wait_state("failed", "b")
    asked = launcher.ask("start", "--wait", "b")
    assert asked.code == 1
    assert asked.stderr.startswith("error: 'b' is failed: ended while starting (exit code 7)")


def test_unknown_instance_is_64_with_the_nearest(launcher: Launcher) -> None:
    launcher.start(Stub(name="chat")).wait_healthy("chat")
    asked = launcher.ask("stop", "caht")
    assert asked.code == 64
    assert asked.stderr == "error: there is no instance 'caht'\nhint: did you mean 'chat'?\n"


def test_name_that_no_instance_can_have_is_64(launcher: Launcher) -> None:
    launcher.start(Stub()).wait_healthy()
    for verb, name in (("stop", "é"), ("logs", "a?lines=1"), ("start", "a b"), ("wake", "")):
        asked = launcher.ask(verb, name)
        message = f"error: there is no instance '{name}'\nhint: known here: a\n"
        assert (asked.code, asked.stderr) == (64, message)


def test_socket_is_for_its_owner_and_goes_with_the_launcher(launcher: Launcher) -> None:
    run = launcher.start(Stub())
    run.wait_healthy()
    path = launcher.socket()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert not os.path.lexists(path)


def test_socket_of_a_killed_launcher_is_taken_over(launcher: Launcher) -> None:
    first = launcher.start(Stub())
    first.wait_healthy()
    first.signal(signal.SIGKILL)
    first.wait()
    assert os.path.lexists(launcher.socket())
    second = launcher.start(Stub(name="b"))
    second.wait_healthy("b")
    assert launcher.status("b")["state"] == "ready"


def test_second_launcher_has_a_socket_of_its_own(launcher: Launcher) -> None:
    first = launcher.start(Stub(name="a"))
    first.wait_healthy("a")
    second = launcher.start(Stub(name="b"))
    second.wait_healthy("b")
    own = f"{launcher.folder}/vllmd/vllmd-{second.pid}.sock"
    second.wait_for(f"another launcher has {launcher.socket()}: this one is reached at {own}")
    asked = launcher.ask("status")
    assert (asked.code, asked.stderr.splitlines()[0]) == (64, "error: 2 launchers are running")
    assert launcher.ask("status", "--socket", own).stdout.splitlines()[-1].startswith("b ")
    named = launcher.ask("status", env={"VLLMD_SOCKET": launcher.socket()})
    assert named.stdout.splitlines()[-1].startswith("a ")


def test_sockets_of_killed_launchers_do_not_pile_up(launcher: Launcher) -> None:
    folder = launcher.folder / "vllmd"
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "vllmd-1234.sock"))
    launcher.start(Stub()).wait_healthy()
    wait_until(lambda: os.listdir(folder) == ["vllmd.sock"], "only the living one")


def test_folder_of_another_kind_is_not_used(launcher: Launcher) -> None:
    (launcher.folder / "vllmd").symlink_to(launcher.folder / "elsewhere")
    (launcher.folder / "elsewhere").mkdir()
    run = launcher.start(Stub())
    run.wait_healthy()
    assert os.listdir(launcher.folder / "elsewhere") == []


def test_socket_can_be_chosen(launcher: Launcher) -> None:
    path = str(launcher.folder / "own.sock")
    launcher.start(Stub(), master={"control_socket": path}).wait_healthy()
    assert launcher.ask("status", "--socket", path).code == 0
    assert not os.path.lexists(launcher.socket())


def test_path_that_is_no_socket_is_left_alone(launcher: Launcher) -> None:
    path = launcher.folder / "precious"
    path.write_text("data")
    run = launcher.start(Stub(), master={"control_socket": str(path)})
    run.wait_for(f"no control socket, so no 'vllmd status': {path}: something that is no socket")
    assert path.read_text() == "data"


def test_logs_are_followed_through_rotation_and_restart(launcher: Launcher) -> None:
    run = launcher.start(Stub(server={"stub_say": "first", "stub_lines": 25_000}))
    run.wait_healthy()
    words = [sys.executable, "-m", "launcher", "logs", "-f", "-n", "1", "a"]
    out = launcher.folder / "followed"
    with out.open("wb") as file:
        follower = subprocess.Popen(words, env=launcher.environ(), stdout=file)
    wait_until(lambda: out.read_bytes() == b"listening\n", "the last line")
    assert launcher.ask("restart", "--wait", "a").code == 0
    wait_until(lambda: out.read_bytes().count(b"listening\n") == 2, "the lines of the next start")
    run.signal(signal.SIGTERM)
    assert follower.wait(PATIENCE_S) == 0
    lines = out.read_bytes().splitlines()
    assert [line[:8] for line in lines[2:-1]] == [b"%08d" % number for number in range(25_000)]


def test_rotated_log_is_followed_without_a_gap(launcher: Launcher) -> None:
    control = {"log_max_mb": 1, "log_keep": 9}
    run = launcher.start(Stub(control=control, server={"stub_slow": 1, "stub_lines": 60_000}))
    wait_until(launcher.listens, "the control socket")
    words = [sys.executable, "-m", "launcher", "logs", "-f", "-n", "99999", "a"]
    out = launcher.folder / "followed"
    with out.open("wb") as file:
        follower = subprocess.Popen(words, env=launcher.environ(), stdout=file)
    run.wait_healthy()
    wait_until(lambda: b"listening\n" in out.read_bytes()[-20:], "the end of the log")
    follower.terminate()
    follower.wait(PATIENCE_S)
    assert (launcher.folder / "logs" / "vllm-server-a.log.5").exists()
    lines = out.read_bytes().splitlines()
    numbers = [int(line[:8]) for line in lines[:-1]]
    assert numbers == list(range(numbers[0], 60_000))


def test_logs_of_nobody_are_64(launcher: Launcher) -> None:
    launcher.start(Stub()).wait_healthy()
    assert launcher.ask("logs", "b").code == 64


def test_reload_restarts_only_what_changed(launcher: Launcher) -> None:
    same, changed, removed = Stub(name="same"), Stub(name="changed"), Stub(name="removed")
    run = launcher.start(same, changed, removed)
    run.wait_healthy("same", "changed", "removed")
    new = Stub(name="changed", port=changed.port, server={"max_model_len": 5})
    launcher.write(same, new, Stub(name="added"))
    asked = launcher.ask("reload")
    assert (asked.code, asked.stdout) == (
        0,
        "added: starts; changed: restarts with new settings; removed: stops for good\n",
    )
    assert launcher.wait_state("ready", "added")["pid"]
    assert launcher.wait_state("ready", "changed")["pid"] != run.pid_of("changed")
    assert launcher.status("same")["pid"] == run.pid_of("same")
    run.wait_for("removed: stopped")
    names = [
        each["name"] for each in json.loads(launcher.ask("status", "--json").stdout)["instances"]
    ]
    assert names == ["same", "changed", "added"]
    assert not is_listening(removed.port)


def test_removing_an_instance_closes_its_log(launcher: Launcher) -> None:
    kept = Stub(name="kept")
    run = launcher.start(kept, Stub(name="removed"))
    run.wait_healthy("kept", "removed")
    launcher.write(kept)
    assert launcher.ask("reload").code == 0
    run.wait_for("removed: stopped")
    log = str(run.log("removed"))

    wait_until(lambda: log not in open_files(run.pid), "the log is closed")


def test_broken_reload_changes_nothing(launcher: Launcher) -> None:
    run = start_two(launcher)
    (launcher.folder / "vllm.toml").write_text("[instance.a.server]\nport = \n")
    asked = launcher.ask("reload")
    assert (asked.code, asked.stdout) == (78, "")
    assert "vllm.toml:2:8" in asked.stderr
    assert asked.stderr.endswith("the configuration cannot be used: everything stays as it is\n")
    assert launcher.status("a")["pid"] == run.pid_of("a")
    assert launcher.status("b")["pid"] == run.pid_of("b")


def test_hangup_reloads_too(launcher: Launcher) -> None:
    run = start_two(launcher)
    launcher.write(Stub(name="a"), Stub(name="c"))
    run.signal(signal.SIGHUP)
    run.wait_healthy("c")
    run.wait_for("b: stopped")


def test_broken_hangup_changes_nothing(launcher: Launcher) -> None:
    run = start_two(launcher)
    (launcher.folder / "vllm.toml").write_text("nonsense")
    run.signal(signal.SIGHUP)
    run.wait_for("the configuration cannot be used: everything stays as it is")
    assert launcher.status("a")["pid"] == run.pid_of("a")


def test_watch_refreshes_until_interrupted(launcher: Launcher) -> None:
    launcher.start(Stub()).wait_healthy()
    words = [sys.executable, "-m", "launcher", "status", "--watch", "--json"]
    watch = subprocess.Popen(words, env=launcher.environ(), stdout=subprocess.PIPE)
    assert watch.stdout
    with watch.stdout:
        states = [json.loads(watch.stdout.readline()) for _ in range(2)]
        watch.send_signal(signal.SIGINT)
    assert watch.wait(PATIENCE_S) == 130
    assert states[0]["launcher"]["uptime_s"] < states[1]["launcher"]["uptime_s"]
