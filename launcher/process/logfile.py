"""A log file with rotation by size. A full disk pauses it; it never stops the server."""

from __future__ import annotations

import os
import stat

from launcher.errors import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.process.spec import LogSpec

# Prompts and answers may be in a log: it is not for everybody.
FILE_MODE = 0o640
LOST_NOTE = b"[vllmd: the disk was full: %d bytes of output are missing here]\n"
FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class LogFile:
    """Appends to the file that a `LogSpec` names."""

    def __init__(self, spec: LogSpec) -> None:
        """Open the file, making its folders.

        Raises:
            StartError: the path is a link, not a regular file, another user's, or not writable.
        """
        self.spec = spec
        self.lost = 0  # bytes that a full disk has not taken since it became full
        self.told = 0  # bytes lost before that, which the log tells of
        self._cut = False  # the disk became full in the middle of a line
        try:
            os.makedirs(os.path.dirname(spec.path), exist_ok=True)
            self._open()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise StartError(
                f"the log '{spec.path}' cannot be opened: {reason}",
                "give another log_dir or log_file",
            ) from None

    def write(self, data: bytes) -> bool:
        """Append whole lines; tell whether the disk took them.

        What it does not take is counted in `lost`. As soon as it takes something again, the log
        says in that place what is missing, and `lost` becomes `told`.
        """
        if self.spec.max_bytes and self._size and self._size + len(data) > self.spec.max_bytes:
            self._rotate()
        former = self.lost
        if former:
            # In one piece with the note: a disk with room for half a line is still full.
            data = (b"\n" if self._cut else b"") + LOST_NOTE % former + data
        written = self._append(data)
        if written == len(data):
            self.lost, self._cut = 0, False
            self.told += former
            return True
        if former:
            self._take_back(written)
            self.lost += len(data) - len(LOST_NOTE % former) - self._cut
        else:
            self.lost = len(data) - written
            self._cut = written > 0 and data[written - 1 : written] != b"\n"
        return False

    def _append(self, data: bytes) -> int:
        """Write as much as the disk takes; return how many bytes that were."""
        view = memoryview(data)
        try:
            while view:
                written = os.write(self._descriptor, view)
                self._size += written
                view = view[written:]
        except OSError:
            pass
        return len(data) - len(view)

    def _take_back(self, count: int) -> None:
        """Cut off the bytes written last: they were not all, and will be written again."""
        if count:
            self._size = max(0, os.fstat(self._descriptor).st_size - count)
            os.ftruncate(self._descriptor, self._size)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _open(self) -> None:
        descriptor = os.open(self.spec.path, FLAGS, FILE_MODE)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            os.close(descriptor)
            raise OSError(0, "not a regular file of this user")
        self._descriptor = descriptor
        self._size = status.st_size

    def _rotate(self) -> None:
        """Shift `log` -> `log.1` -> `log.2`, the oldest falling off; keep writing if that fails."""
        path, keep = self.spec.path, self.spec.keep
        try:
            for number in range(keep, 0, -1):
                source = path if number == 1 else f"{path}.{number - 1}"
                if os.path.lexists(source):
                    os.replace(source, f"{path}.{number}")
            if keep == 0:
                os.truncate(self._descriptor, 0)
                self._size = 0
                return
            former = self._descriptor
            self._open()
            os.close(former)
        except OSError:
            self._size = 0  # try again when as much has been written once more
