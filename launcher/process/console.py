"""Our own standard output and error, written without ever waiting for the reader.

A log collector that stops reading must not stop the supervisor. A pipe is written in pieces that
fit whenever poll(2) calls it writable; what has to wait is kept, up to a bound. Then a reader that
is merely slower than a burst gets a moment; after that, lines are dropped and counted.
(O_NONBLOCK is not an option: it belongs to the open file, which others share.)
"""

from __future__ import annotations

import os
import select
import time

STDERR = 2
PIECE = 4096  # PIPE_BUF: what a writable pipe takes at once (pipe(7))
BACKLOG = 1_000_000  # bytes kept for a reader that lags
ROOM_S = 1.0  # how long a reader may take to make room, once, before lines are dropped


def open_missing_streams() -> None:
    """Give us the standard streams that whoever started us has closed, to nowhere.

    Else the next file that is opened, a log or a pipe of ours, would get their numbers, and what
    is meant for a person would be written there.
    """
    descriptor = os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    while descriptor <= STDERR:
        os.set_inheritable(descriptor, True)  # noqa: FBT003
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


class Console:
    """One of our standard streams."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._waiting = bytearray()
        self._dropped = 0
        self._lagging = False  # from the first dropped line until the reader has caught up
        self._broken = False
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    @property
    def is_behind(self) -> bool:
        """Tell whether something waits for the reader."""
        return bool(self._waiting)

    def write(self, data: bytes) -> None:
        """Write as much as the reader takes now and keep the rest."""
        if not self._has_room(len(data)):
            self._lagging = True
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
            if self._lagging and not self._waiting:
                lost = f"vllmd: {self._dropped} lines not shown: the reader is too slow\n"
                self._waiting += lost.encode()
                self._dropped = 0
                self._lagging = False
        if self._broken:
            self._waiting.clear()

    def _has_room(self, size: int) -> bool:
        """Tell whether so much more can be kept; the first time it cannot, wait a moment."""
        until = time.monotonic() + ROOM_S
        while len(self._waiting) + size > BACKLOG:
            left_s = until - time.monotonic()
            if self._lagging or left_s <= 0 or not self._poll.poll(left_s * 1000):
                return False
            self.flush()
        return True

    def finish(self, within_s: float) -> None:
        """Write what waits, for so long as the reader takes some every `within_s` seconds."""
        self.flush()
        while self.is_behind and self._poll.poll(within_s * 1000):
            self.flush()

    def _is_writable(self) -> bool:
        return any(event & (select.POLLOUT | select.POLLERR) for _, event in self._poll.poll(0))
