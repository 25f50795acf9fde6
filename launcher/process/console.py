"""Our own standard output and error, written without ever waiting for the reader.

A log collector that stops reading must not stop the supervisor. A pipe is written in pieces that
fit whenever poll(2) calls it writable; what has to wait is kept, up to a bound, then dropped and
counted. (O_NONBLOCK is not an option: it belongs to the open file, which others share.)
"""

from __future__ import annotations

import os
import select

PIECE = 4096  # PIPE_BUF: what a writable pipe takes at once (pipe(7))
BACKLOG = 1_000_000  # bytes kept for a reader that lags


class Console:
    """One of our standard streams."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._waiting = bytearray()
        self._dropped = 0
        self._broken = False
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    @property
    def is_behind(self) -> bool:
        """Tell whether something waits for the reader."""
        return bool(self._waiting)

    def write(self, data: bytes) -> None:
        """Write as much as the reader takes now and keep the rest."""
        if len(self._waiting) + len(data) > BACKLOG:
            self._dropped += data.count(b"\n")
            return
        self._waiting += data
        self.flush()

    def flush(self) -> None:
        """Write what waits, as far as the reader takes it."""
        while self._waiting and not self._broken and self._is_writable():
            try:
                written = os.write(self.descriptor, self._waiting[:PIECE])
            except BlockingIOError:
                return
            except OSError:
                self._broken = True  # nobody reads any more: the log files still have it all
                break
            del self._waiting[:written]
            if self._dropped and not self._waiting:
                lost = f"vllmd: {self._dropped} lines not shown: the reader is too slow\n"
                self._waiting += lost.encode()
                self._dropped = 0
        if self._broken:
            self._waiting.clear()

    def _is_writable(self) -> bool:
        return any(event & (select.POLLOUT | select.POLLERR) for _, event in self._poll.poll(0))
