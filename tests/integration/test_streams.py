"""Pipes and files of the supervisor, one by one: console, relay, log file."""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING

import pytest

from launcher.errors import StartError
from launcher.process.console import BACKLOG, ROOM_S, Console
from launcher.process.logfile import LogFile
from launcher.process.relay import CHUNK, LONGEST_LINE, Relay
from launcher.process.spec import LogSpec
from tests.support.require import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Pipe = tuple[int, int]
LINE = b"x" * 99 + b"\n"


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Return the reading and the writing end of a pipe."""
    ends = os.pipe()
    yield ends
    for end in ends:
        if os.path.exists(f"/proc/self/fd/{end}"):
            os.close(end)


def log_in(folder: Path, *, max_bytes: int = 0, keep: int = 3) -> LogFile:
    return LogFile(LogSpec(path=str(folder / "a.log"), max_bytes=max_bytes, keep=keep))


def read_all(reader: int, console: Console) -> bytes:
    """Read like a reader that has woken up, until the console has nothing left."""
    data = b""
    while console.is_behind:
        data += os.read(reader, 1_000_000)
        console.flush()
    os.close(console.descriptor)
    while chunk := os.read(reader, 1_000_000):
        data += chunk
    return data


def test_console_without_a_reader_waits_once_and_then_drops(pipe: Pipe) -> None:
    console = Console(pipe[1])
    begun = time.monotonic()
    for _ in range(3 * BACKLOG // len(LINE)):
        console.write(LINE)
    assert time.monotonic() - begun < 30 * ROOM_S
    assert console.is_behind


def test_console_tells_a_late_reader_how_much_it_missed(pipe: Pipe) -> None:
    console = Console(pipe[1])
    count = 3 * BACKLOG // len(LINE)
    for _ in range(count):
        console.write(LINE)
    *lines, last = read_all(pipe[0], console).splitlines(keepends=True)
    assert set(lines) == {LINE}
    assert last == b"vllmd: %d lines not shown: the reader is too slow\n" % (count - len(lines))


def test_console_without_anybody_at_the_other_end_is_silent(pipe: Pipe) -> None:
    console = Console(pipe[1])
    os.close(pipe[0])
    for _ in range(3):
        console.write(LINE)
    assert not console.is_behind


def test_console_finishes_for_a_reader_no_longer_than_it_takes(pipe: Pipe) -> None:
    console = Console(pipe[1])
    console.write(LINE * 5000)
    begun = time.monotonic()
    console.finish(0.1)
    assert time.monotonic() - begun > 0.05


def test_relay_drain_ends_although_more_keeps_coming(pipe: Pipe, tmp_path: Path) -> None:
    fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, 1_048_576)
    os.set_blocking(pipe[1], False)
    relay = Relay(pipe[0], log_in(tmp_path), None, "")
    full = os.write(pipe[1], b"\n" * 1_048_576)
    relay.drain()
    assert (tmp_path / "a.log").stat().st_size == full


def test_relay_passes_on_a_line_that_is_too_long_in_parts(pipe: Pipe, tmp_path: Path) -> None:
    relay = Relay(pipe[0], log_in(tmp_path), None, "")
    os.write(pipe[1], b"x" * LONGEST_LINE)
    assert relay.read()
    assert (tmp_path / "a.log").stat().st_size == LONGEST_LINE
    assert CHUNK >= LONGEST_LINE


def test_relay_keeps_a_partial_line_until_its_end(pipe: Pipe, tmp_path: Path) -> None:
    relay = Relay(pipe[0], log_in(tmp_path), None, "")
    os.write(pipe[1], b"one\ntw")
    relay.read()
    assert (tmp_path / "a.log").read_text() == "one\n"
    assert relay.last_lines(5) == ["one", "tw"]
    os.write(pipe[1], b"o\n")
    relay.read()
    assert (tmp_path / "a.log").read_text() == "one\ntwo\n"


def test_log_is_never_longer_than_its_limit(tmp_path: Path) -> None:
    log = log_in(tmp_path, max_bytes=250, keep=2)
    for number in range(10):
        log.write(b"%099d\n" % number)
    sizes = {file.name: file.stat().st_size for file in tmp_path.iterdir()}
    assert sizes == {"a.log": 200, "a.log.1": 200, "a.log.2": 200}
    assert int((tmp_path / "a.log").read_text().split()[-1]) == 9


def test_log_without_old_files_starts_again(tmp_path: Path) -> None:
    log = log_in(tmp_path, max_bytes=250, keep=0)
    for number in range(3):
        log.write(b"%099d\n" % number)
    assert [file.name for file in tmp_path.iterdir()] == ["a.log"]
    assert (tmp_path / "a.log").read_text().split() == [f"{2:099d}"]


def test_log_whose_folder_has_gone_is_written_on(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    log = log_in(folder, max_bytes=150)
    log.write(LINE)
    (folder / "a.log").unlink()
    folder.rmdir()
    assert log.write(LINE)  # would rotate: nowhere to go, and no reason to fail


def make_link(path: Path) -> None:
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("make", [make_link, os.mkdir, os.mkfifo])
def test_log_that_is_no_file_of_ours_is_refused(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "a.log")
    with pytest.raises(StartError, match="cannot be opened"):
        log_in(tmp_path)


def test_log_of_another_user_is_refused(tmp_path: Path) -> None:
    require("integration", "only root can make a file of another user", present=os.geteuid() == 0)
    (tmp_path / "a.log").touch()
    os.chown(tmp_path / "a.log", 65534, 65534)
    with pytest.raises(StartError, match="not a regular file of this user"):
        log_in(tmp_path)
