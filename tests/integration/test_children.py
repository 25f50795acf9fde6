"""What a server is given: its own session, no input, clean signals, descriptors, environment."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from tests.support.launching import ORPHANS, Launcher, Stub
from tests.support.processes import children_of, status_field
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

# sh changes no signal (but blocks all while it forks), while Python ignores SIGPIPE before a line
# of the stub has run.
RECORDING_PYTHON = """#!/bin/sh
while read -r line; do echo "$line"; done < /proc/$$/status > '{folder}/status.part'
mv '{folder}/status.part' '{folder}/status'
exec '{python}' "$@"
"""


def reported(path: Path) -> dict[str, Any]:
    """Return the report that a program writes about itself."""
    wait_until(path.exists, f"{path} to be written")
    report: dict[str, Any] = json.loads(path.read_text())
    return report


def signals_in(path: Path, name: str) -> set[signal.Signals]:
    """Return the signals of a mask in a copy of /proc/PID/status."""
    wait_until(path.exists, f"{path} to be written")
    line = next(line for line in path.read_text().splitlines() if line.startswith(f"{name}:"))
    mask = int(line.split()[1], 16)
    return {number for number in signal.Signals if mask >> (number - 1) & 1}


def test_server_leads_a_session_and_reads_nothing(launcher: Launcher) -> None:
    file = launcher.folder / "report"
    run = launcher.start(Stub(server={"stub_report": str(file)}))
    report = reported(file)
    assert report["pid"] == report["sid"] == report["pgid"] == run.pid_of()
    assert report["fds"]["0"] == "/dev/null"


def test_server_gets_three_descriptors_and_no_more(launcher: Launcher) -> None:
    files = [launcher.folder / f"report-{name}" for name in "abc"]
    launcher.start(
        *(
            Stub(name=name, server={"stub_report": str(file)}, control={"background": name != "b"})
            for name, file in zip("abc", files, strict=True)
        )
    )
    for file in files:
        assert set(reported(file)["fds"]) == {"0", "1", "2"}


def test_server_gets_its_signals_as_a_program_expects_them(launcher: Launcher) -> None:
    python = launcher.folder / "python"
    python.write_text(RECORDING_PYTHON.format(folder=launcher.folder, python=sys.executable))
    python.chmod(0o755)
    launcher.start(Stub(), master={"python": str(python)})
    status = launcher.folder / "status"
    assert signals_in(status, "SigIgn") == set()
    assert signals_in(status, "SigBlk") == set()


def test_server_is_not_given_the_launchers_own_variables(launcher: Launcher) -> None:
    file = launcher.folder / "report"
    config = launcher.write(Stub(server={"stub_report": str(file)}, env={"MINE": "1"}))
    overrides = '{"instance": {"a": {"env": {"THEIRS": "2"}}}}'
    env = {"AUTO_INFER_VLLM_CONFIG": config, "AUTO_INFER_VLLM_OVERRIDES": overrides}
    launcher.start_words(env=env)
    environ = reported(file)["env"]
    assert (environ["MINE"], environ["THEIRS"]) == ("1", "2")
    assert [name for name in environ if name.startswith("AUTO_INFER_")] == []


def test_server_sees_the_gpus_that_it_was_given(launcher: Launcher) -> None:
    seen = {}
    for gpus in ("all", "none", "1,0"):
        file = launcher.folder / f"report-{gpus}"
        launcher.start(Stub(server={"stub_report": str(file)}, control={"gpu_ids": gpus}))
        seen[gpus] = reported(file)["env"].get("CUDA_VISIBLE_DEVICES")
    assert seen == {"all": None, "none": "", "1,0": "1,0"}


def test_launcher_started_without_standard_streams_serves_all_the_same(launcher: Launcher) -> None:
    file = launcher.folder / "report"
    closing = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")
    stub = Stub(server={"stub_report": str(file)})
    run = launcher.start(stub, prefix=closing)
    fds = reported(file)["fds"]
    assert fds["0"] == "/dev/null"
    assert fds["1"] == fds["2"]
    assert fds["1"].startswith("pipe:")
    wait_until(lambda: run.log().read_text() == "listening\n", "the stub to listen")
    run.signal(signal.SIGTERM)
    assert run.wait() == 0


def test_idle_launcher_does_not_wake_up(launcher: Launcher) -> None:
    run = launcher.start(Stub(), Stub(name="b"))
    run.wait_healthy("a", "b")

    def wakeups() -> int:
        before = int(status_field(run.pid, "voluntary_ctxt_switches"))
        time.sleep(2)  # the interval that is measured
        return int(status_field(run.pid, "voluntary_ctxt_switches")) - before

    wait_until(lambda: wakeups() <= 1, "two seconds of sleep, after the last words of the start")


def test_strangers_that_lose_their_parent_are_reaped(launcher: Launcher) -> None:
    run = launcher.start(Stub(), command=("sh", "-c", ORPHANS))
    run.wait_healthy()
    own = {run.pid_of(), run.pid_of("main program")}
    wait_until(lambda: len(children_of(run.pid)) == 2 + 3, "strangers to be adopted")
    for stranger in set(children_of(run.pid)) - own:
        os.kill(stranger, signal.SIGKILL)
    wait_until(lambda: set(children_of(run.pid)) == own, "strangers to be reaped")
    os.kill(run.pid_of("main program"), signal.SIGKILL)
    assert run.wait() == 137


def test_signals_that_our_parent_has_blocked_reach_us_and_our_servers(launcher: Launcher) -> None:
    python = launcher.folder / "python"
    python.write_text(RECORDING_PYTHON.format(folder=launcher.folder, python=sys.executable))
    python.chmod(0o755)
    block = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGCHLD])"
    code = f"import os, signal, sys; {block}; os.execv(sys.argv[1], sys.argv[1:])"
    prefix = (sys.executable, "-c", code)
    run = launcher.start(Stub(), master={"python": str(python)}, prefix=prefix)
    run.wait_healthy()
    assert signals_in(launcher.folder / "status", "SigBlk") == set()
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
