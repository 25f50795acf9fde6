"""The file of results: one writer, whole lines, and a half-written last one repaired."""

from __future__ import annotations

import fcntl
import os
import stat
from typing import TYPE_CHECKING

from launcher.client.batch.lines import BEGINNING
from launcher.errors import HostError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


class ResultFile:
    """Results, appended line by line. Nobody else writes to the file while it is open.

    Raises:
        UsageError: the file cannot be opened, is no regular file, or another batch has it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            self._descriptor = os.open(path, flags, 0o666)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UsageError(f"cannot write to '{path}': {reason}", "name another file") from None
        try:
            self._take()
        except BaseException:
            os.close(self._descriptor)
            raise
        self._size = os.fstat(self._descriptor).st_size

    def _take(self) -> None:
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            hint = "name a file: results are read again when a batch goes on"
            raise UsageError(f"'{self.path}' is not a regular file", hint)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = "wait for it, or name another file"
            raise UsageError(f"another batch is writing to '{self.path}'", hint) from None

    def lines(self) -> Iterator[bytes]:
        """Yield the complete lines. Then a half-written last one, if it is one of ours, is gone."""
        end = 0
        with open(self.path, "rb") as file:
            for line in file:
                if not line.endswith(b"\n") and _is_torn(line):
                    self._cut(end)
                    return
                end += len(line)
                yield line

    def _cut(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)
        self._size = size

    def append(self, line: bytes) -> None:
        """Append a line as a whole, or not at all.

        Raises:
            HostError: it cannot be written.
        """
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self._cut(self._size)
            reason = (error.strerror or str(error)).lower()
            hint = "make room, then start the batch again: it goes on where it ended"
            raise HostError(f"cannot write to '{self.path}': {reason}", hint) from error
        self._size += len(line)

    def close(self) -> None:
        """Bring everything to the disk, and let others write."""
        try:
            os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)


def _is_torn(line: bytes) -> bool:
    """Tell a line that we began, or what a power failure leaves of it, from somebody's text."""
    return line.startswith(BEGINNING) or BEGINNING.startswith(line) or not line.strip(b"\0")
