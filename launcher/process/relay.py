"""The output of one process: from its pipe to its log, to stdout, and into a short memory."""

from __future__ import annotations

import os
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.process.console import Console
    from launcher.process.logfile import LogFile

CHUNK = 65536
# Bytes of output kept for when the process fails. vLLM tells the cause up to 120 lines before the
# end, and prints 20 kB of usage before it names a wrong flag.
REMEMBERED = 65536
FULLEST_PIPE = 1_048_576  # bytes that a pipe holds at most, unless root raised it (pipe(7))
LONGEST_LINE = 65536  # a longer one is passed on in parts


class Relay:
    """Reads a process's output when there is some. Whole lines only go to the log and stdout."""

    def __init__(self, descriptor: int, log: LogFile, console: Console | None, prefix: str) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        self._log = log
        self._console = console
        self._prefix = prefix.encode()
        self._partial = b""
        self._recent: deque[bytes] = deque()
        self._remembered = 0
        self.log_is_full = False
        self.listener: Callable[[bytes], None] | None = None  # hears what is passed on
        self.finished = False  # every writer has closed the pipe

    def read(self) -> bool:
        """Pass on a piece of what is there; tell whether there was anything."""
        try:
            chunk = os.read(self.descriptor, CHUNK)
        except BlockingIOError:
            return False
        if not chunk:
            self._pass_on(self._partial)
            self._partial = b""
            self.finished = True
            return False
        data = self._partial + chunk
        end = data.rfind(b"\n") + 1
        if end == 0 and len(data) >= LONGEST_LINE:
            end = len(data)
        self._partial = data[end:]
        self._pass_on(data[:end])
        return True

    def drain(self) -> None:
        """Pass on all that is there now, but no more: somebody may be writing without end."""
        for _ in range(FULLEST_PIPE // CHUNK):
            if self.finished or not self.read():
                return

    def last_lines(self, count: int) -> list[str]:
        """Return the last lines of the output."""
        return [line for line in self.recent().splitlines() if line.strip()][-count:]

    def recent(self) -> str:
        """Return as much of the end of the output as is remembered."""
        data = b"".join((*self._recent, self._partial))
        return data[-REMEMBERED:].decode("utf-8", "replace")

    def close(self) -> None:
        """Close the pipe; the log stays open, for the next start."""
        self._pass_on(self._partial)
        os.close(self.descriptor)

    def _pass_on(self, data: bytes) -> None:
        if not data:
            return
        self.log_is_full = not self._log.write(data)
        if self.listener is not None:
            self.listener(data)
        self._remember(data)
        if self._console is not None:
            lines = data.splitlines(keepends=True)
            end = b"" if data.endswith((b"\n", b"\r")) else b"\n"  # the next may be another's
            self._console.write(b"".join(self._prefix + line for line in lines) + end)

    def _remember(self, data: bytes) -> None:
        """Keep a piece of output without copying it, and drop the oldest that are not needed."""
        self._recent.append(data)
        self._remembered += len(data)
        while self._remembered - len(self._recent[0]) >= REMEMBERED:
            self._remembered -= len(self._recent.popleft())
