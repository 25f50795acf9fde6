"""Logs: where they are, what is in them, and that nobody who reads or stores them can stop us."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

from tests.support.launching import Launcher, Run, Stub
from tests.support.require import require, require_program
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOREGROUND = {"background": False}
LINES = 200_000
WIDTH = 100  # bytes: 20 MB in all


def stop(run: Run) -> None:
    """Stop a launcher and see that it was no trouble."""
    run.signal(signal.SIGTERM)
    assert run.wait() == 0


def numbers(files: Iterator[Path]) -> list[int]:
    """Return the numbers of the stub's numbered lines in files."""
    lines = b"".join(file.read_bytes() for file in files).splitlines()
    return [int(line[:8]) for line in lines if line[:8].isdigit()]


def test_background_output_goes_to_the_log_alone(launcher: Launcher) -> None:
    usual = ("sh", "-c", 'umask 022; exec "$@"', "sh")
    run = launcher.start(Stub(server={"stub_say": "hello"}), prefix=usual)
    run.wait_healthy()
    stop(run)
    assert run.log().read_text() == "hello\nlistening\n"
    assert run.log().stat().st_mode & 0o777 == 0o640
    assert run.stdout() == ""


def test_foreground_output_goes_to_stdout_too_with_the_name(launcher: Launcher) -> None:
    run = launcher.start(Stub(server={"stub_say": "hello"}, control=FOREGROUND), Stub(name="b"))
    run.wait_healthy("a", "b")
    stop(run)
    assert run.log("a").read_text() == "hello\nlistening\n"
    assert run.stdout() == "[a] hello\n[a] listening\n"


def test_log_file_is_used_and_its_folders_made(launcher: Launcher) -> None:
    path = launcher.folder / "deep" / "er" / "mine.log"
    run = launcher.start(Stub(control={"log_file": str(path)}))
    run.wait_healthy()
    stop(run)
    assert path.read_text() == "listening\n"
    assert not run.log().exists()


def test_log_of_former_run_is_kept(launcher: Launcher) -> None:
    for _ in range(2):
        run = launcher.start(Stub())
        run.wait_healthy()
        stop(run)
    log = launcher.runs[-1].log()
    assert log.read_text() == "listening\n" * 2


def test_partial_last_line_is_in_log_and_on_stdout(launcher: Launcher) -> None:
    server = {"stub_die_after": 0.1, "stub_partial": "no line end"}
    run = launcher.start(Stub(control=FOREGROUND, server=server))
    assert run.wait() == 0
    assert run.log().read_text() == "listening\nno line end"
    assert run.stdout() == "[a] listening\n[a] no line end\n"


def test_rotation_at_full_speed_loses_no_line(launcher: Launcher) -> None:
    control = {"log_max_mb": 1, "log_keep": 50}
    server = {"stub_lines": LINES, "stub_width": WIDTH}
    run = launcher.start(Stub(control=control, server=server))
    run.wait_healthy()
    stop(run)
    count = len(list(run.log().parent.iterdir())) - 1
    names = [f"{run.log()}.{number}" for number in range(count, 0, -1)]
    assert count >= 20
    files = [run.log().with_name(os.path.basename(name)) for name in names]
    assert all(file.stat().st_size <= 1_000_000 for file in files)
    assert numbers(iter([*files, run.log()])) == list(range(LINES))


def test_rotation_keeps_as_many_as_it_was_told(launcher: Launcher) -> None:
    control = {"log_max_mb": 1, "log_keep": 2}
    run = launcher.start(Stub(control=control, server={"stub_lines": 60_000}))
    run.wait_healthy()
    stop(run)
    log = run.log()
    assert sorted(file.name for file in log.parent.iterdir()) == [
        log.name, f"{log.name}.1", f"{log.name}.2",
    ]  # fmt: skip
    kept = numbers(iter([log.with_name(f"{log.name}.2"), log.with_name(f"{log.name}.1"), log]))
    assert kept == list(range(kept[0], 60_000))


def test_foreground_at_full_speed_reaches_a_reader_that_keeps_up(launcher: Launcher) -> None:
    server = {"stub_lines": LINES // 2, "stub_width": WIDTH, "stub_die_after": 0.01}
    run = launcher.start(Stub(control=FOREGROUND, server=server), stdout=subprocess.PIPE)
    assert run.process.stdout
    lines = run.process.stdout.read().splitlines()
    assert run.wait() == 0
    assert lines[-1] == b"[a] listening"
    assert len(lines) == LINES // 2 + 1
    assert "reader is too slow" not in run.stderr()


def test_reader_of_stdout_that_stops_reading_stops_nobody(launcher: Launcher) -> None:
    server = {"stub_lines": 50_000, "stub_width": WIDTH}
    run = launcher.start(Stub(control=FOREGROUND, server=server), stdout=subprocess.PIPE)
    run.wait_healthy()  # after 5 MB, of which nobody has read a byte
    assert len(run.log().read_bytes().splitlines()) == 50_001
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert launcher.left() == []


def test_reader_of_stdout_that_goes_away_stops_nobody(launcher: Launcher) -> None:
    server = {"stub_lines": 50_000, "stub_width": WIDTH}
    run = launcher.start(Stub(control=FOREGROUND, server=server), stdout=subprocess.PIPE)
    assert run.process.stdout
    run.process.stdout.close()
    run.wait_healthy()
    assert len(run.log().read_bytes().splitlines()) == 50_001
    stop(run)


def test_leftover_that_writes_without_end_cannot_keep_us_busy(launcher: Launcher) -> None:
    run = launcher.start(Stub(server={"stub_flood": True}, control={"log_max_mb": 1}))
    run.wait_healthy()
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert launcher.left() == []


def test_full_disk_stops_nobody_and_is_told(launcher: Launcher) -> None:
    mount = require_program("integration", "mount")
    disk = launcher.folder / "disk"
    disk.mkdir()
    words = [mount, "-t", "tmpfs", "-o", "size=256k", "vllmd-test", str(disk)]
    mounted = subprocess.run(words, capture_output=True, check=False).returncode == 0
    require("integration", "this user cannot mount a small tmpfs", present=mounted)
    try:
        path = disk / "a.log"
        server = {"stub_lines": 20_000, "stub_width": WIDTH}
        run = launcher.start(Stub(control={"log_file": str(path)}, server=server))
        run.wait_healthy()
        run.wait_for("a: the log cannot be written (disk full?): output is being lost")
        assert path.stat().st_size > 200_000
        path.write_bytes(b"")  # somebody makes room
        os.kill(run.pid_of(), signal.SIGUSR1)
        run.wait_for("a: the log can be written again")
        assert path.read_text().endswith("bytes of output are missing here]\ngot SIGUSR1\n")
        stop(run)
    finally:
        launcher.clean()
        subprocess.run(["umount", str(disk)], check=True)


def test_log_that_was_removed_or_renamed_by_hand_stops_nobody(launcher: Launcher) -> None:
    control = {"log_max_mb": 1, "log_keep": 1}
    gate, shared = launcher.folder / "gate", {"gpu_memory_utilization": 0.4}
    first = Stub(name="b", control={"gpu_ids": "0"}, server={**shared, "stub_gate": str(gate)})
    server = {**shared, "stub_lines": 30_000}
    run = launcher.start(first, Stub(control={**control, "gpu_ids": "0"}, server=server))
    wait_until(run.log().exists, "the log to be made, long before its server starts")
    run.log().unlink()
    gate.touch()
    run.wait_healthy()
    stop(run)
    assert "listening" in run.log().read_text()
