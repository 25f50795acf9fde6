"""Reading a log that grows and rotates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.process.logfile import LogFile
from launcher.process.spec import LogSpec
from launcher.process.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def numbered(first: int, last: int) -> bytes:
    """Return lines of 5 bytes each."""
    return b"".join(b"%04d\n" % number for number in range(first, last))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogFile]:
    """Write a log that rotates after 100 bytes: 20 of the lines."""
    log = LogFile(LogSpec(path=str(tmp_path / "log"), max_bytes=100, keep=2))
    yield log
    log.close()


def read_all(tail: Tail) -> bytes:
    """Return everything that there is now."""
    return b"".join(iter(tail.read, b""))


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [(0, b""), (1, b"0009\n"), (3, numbered(7, 10)), (10, numbered(0, 10)), (99, numbered(0, 10))],
)
def test_tail_begins_so_many_lines_before_the_end(log: LogFile, lines: int, wanted: bytes) -> None:
    log.write(numbered(0, 10))
    tail = Tail(log.spec, lines)
    assert read_all(tail) == wanted
    tail.close()


def test_last_lines_of_a_large_log_are_found_across_blocks(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(numbered(0, 9999) * 4)
    tail = Tail(LogSpec(path=str(path), max_bytes=0, keep=0), 30_000)
    assert read_all(tail) == (numbered(0, 9999) * 4)[-150_000:]
    tail.close()


def test_unfinished_last_line_counts(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\nthr")
    tail = Tail(LogSpec(path=str(path), max_bytes=0, keep=0), 2)
    assert read_all(tail) == b"two\nthr"
    tail.close()


def test_tail_goes_through_a_rotation_without_losing_a_line(log: LogFile) -> None:
    log.write(numbered(0, 5))
    tail = Tail(log.spec, 100)
    assert read_all(tail) == numbered(0, 5)
    for number in range(5, 55):  # three rotations: two files are kept
        log.write(numbered(number, number + 1))
    assert read_all(tail) == numbered(5, 55)
    tail.close()


def test_tail_that_lags_behind_the_kept_files_goes_on_with_the_oldest(log: LogFile) -> None:
    log.write(numbered(0, 20))
    tail = Tail(log.spec, 0)
    log.write(numbered(20, 40))
    log.write(numbered(40, 60))
    log.write(numbered(60, 80))
    assert read_all(tail) == numbered(20, 80)
    tail.close()


def test_tail_of_a_log_that_keeps_nothing_begins_anew(tmp_path: Path) -> None:
    log = LogFile(LogSpec(path=str(tmp_path / "log"), max_bytes=100, keep=0))
    log.write(numbered(0, 20))
    tail = Tail(log.spec, 0)
    log.write(numbered(20, 22))
    assert read_all(tail) == numbered(20, 22)
    tail.close()
    log.close()
