"""A disk that is full pauses a log, and nothing else; when there is room again, it goes on."""

from __future__ import annotations

import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from launcher.process.logfile import LogFile
from launcher.process.spec import LogSpec
from tests.support.launching import Launcher, Run, Stub
from tests.support.require import require, require_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 1_048_576  # bytes: the whole disk
MISSING = re.compile(rb"\[vllmd: the disk was full: (\d+) bytes of output are missing here\]\n")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of one megabyte."""
    mount = require_program("integration", "mount")
    folder = tmp_path / "disk"
    folder.mkdir()
    words = [mount, "-t", "tmpfs", "-o", f"size={SIZE}", "vllmd-test", str(folder)]
    mounted = subprocess.run(words, capture_output=True, check=False).returncode == 0
    require("integration", "this user cannot mount a small tmpfs", present=mounted)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Take all that is free; return the file that has it."""
    path = disk / "ballast"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return path


def log_on(path: Path) -> LogFile:
    return LogFile(LogSpec(path=str(path), max_bytes=0, keep=1))


def test_log_on_a_full_disk_counts_what_is_lost_and_says_it_in_its_place(disk: Path) -> None:
    log = log_on(disk / "a.log")
    assert log.write(b"first\n")
    ballast = fill(disk)
    chunk = b"0123456789abcde\n" * 4096
    log.write(chunk)  # the rest of the page that the first line has begun is still free
    log.write(chunk)
    lost = log.lost
    assert len(chunk) < lost < 2 * len(chunk)
    ballast.unlink()
    assert log.write(b"last\n")
    log.close()
    assert (log.lost, log.told) == (0, lost)
    data = (disk / "a.log").read_bytes()
    assert data.startswith(b"first\n0123456789abcde\n")
    assert MISSING.findall(data) == [b"%d" % lost]
    assert data.endswith(b"missing here]\nlast\n")


def test_pieces_that_are_and_those_that_are_missing_make_up_the_whole(disk: Path) -> None:
    log = log_on(disk / "a.log")
    written = 0
    for turn in range(3):
        ballast = fill(disk)
        for _ in range(5):
            log.write(b"%d" % turn * 49_999 + b"\n")
            written += 50_000
        ballast.unlink()
        log.write(b"ok\n")
        written += 3
    log.close()
    data = (disk / "a.log").read_bytes()
    kept = MISSING.sub(b"", data)
    lost = sum(int(count) for count in MISSING.findall(data))
    assert 0 <= len(kept) + lost - written <= 3  # a line that was cut gets an end
    assert kept.count(b"ok\n") == 3


def test_instance_on_a_full_disk_serves_on_and_its_log_goes_on_when_there_is_room(
    launcher: Launcher, disk: Path
) -> None:
    ballast = fill(disk)
    path = disk / "a.log"
    server = {"stub_lines": 20_000, "stub_width": 100, "stub_chatty": 0.01}
    run = launcher.start(Stub(control={"log_file": str(path)}, server=server))
    run.wait_healthy()  # two megabytes were to go to a disk that has no room at all
    run.wait_for("a: the log cannot be written (disk full?): output is being lost")
    ballast.unlink()
    run.wait_for("a: the log can be written again: ")
    stop(run)
    told = int(run.stderr().split("written again: ")[1].split(" bytes were lost")[0])
    assert told >= 1_000_000
    assert sum(int(count) for count in MISSING.findall(path.read_bytes())) == told
    assert path.read_bytes().endswith(b"chat\n")


def stop(run: Run) -> None:
    """Stop a launcher and see that it was no trouble."""
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
