"""Where a guest's console goes: a file, or our standard output with a copy in the run directory.

The guest decides how much there is of it, and what: files are rotated, a terminal gets no control
characters, and a reader who is too slow misses something rather than stopping the guest.
"""

from __future__ import annotations

import contextlib
import os
import re
import select

from launcher.errors import HostError, StartError
from launcher.hypervisor.read import STREAMS
from launcher.hypervisor.rundir import CONSOLE_LOG
from launcher.process.logfile import LogFile
from launcher.process.spec import LogSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.rundir import RunDir

MIB = 1 << 20
LOG_BYTES, LOG_KEEP = 64 * MIB, 3
COPY_BYTES, COPY_KEEP = 1 * MIB, 1
PIECE = 2048  # bytes; poll(2) promises that a pipe takes as many (PIPE_BUF is 4096)
# All control characters but tab, newline and return; C1 ones as they are in UTF-8.
CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]")


def log_spec(log_path: str, rundir: RunDir) -> LogSpec:
    """Return which file holds the console of a guest with this log path."""
    if log_path in STREAMS:
        return LogSpec(path=rundir.file(CONSOLE_LOG), max_bytes=COPY_BYTES, keep=COPY_KEEP)
    return LogSpec(path=os.path.abspath(log_path), max_bytes=LOG_BYTES, keep=LOG_KEEP)


class Console:
    """Takes the bytes of a console."""

    def __init__(self, log_path: str, rundir: RunDir, *, detached: bool) -> None:
        """Open the file; a detached guest has no standard output.

        Raises:
            HostError: the file cannot be opened.
        """
        try:
            self._file = LogFile(log_spec(log_path, rundir))
        except StartError as error:
            raise HostError(error.message, "give another VLLMD_HYPERVISOR_LOG_FILEPATH") from None
        self._stream = None if detached else STREAMS.get(log_path)
        self._is_terminal = self._stream is not None and os.isatty(self._stream)

    def write(self, data: bytes) -> None:
        """Write what came."""
        self._file.write(data)
        if self._stream is not None:
            self._show(CONTROLS.sub(b"?", data) if self._is_terminal else data)

    def close(self) -> None:
        """Close the file; one that nothing was written to is not kept."""
        self._file.close()
        path = self._file.spec.path
        with contextlib.suppress(OSError):
            if os.path.getsize(path) == 0:
                os.unlink(path)

    def _show(self, data: bytes) -> None:
        stream = self._stream
        assert stream is not None  # noqa: S101  (for the type checker)
        poll = select.poll()
        poll.register(stream, select.POLLOUT)
        view = memoryview(data)
        try:
            while view and poll.poll(0):
                written = os.write(stream, view[:PIECE])
                view = view[written:]
        except OSError:
            self._stream = None  # whoever read it has gone
