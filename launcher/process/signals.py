"""Signals as bytes on a descriptor, so that one `poll` waits for everything."""

from __future__ import annotations

import os
import signal

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
FORWARDED = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)


class SignalPipe:
    """Catches signals from its making on; `read` returns those that came since."""

    def __init__(self) -> None:
        self.descriptor, self._writer = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(self._writer, False)
        # Whoever started us may have blocked signals; a mask survives an exec, into servers too.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        # Python writes each caught signal's number here; the handler itself has nothing to do.
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (*STOPPING, *FORWARDED, signal.SIGCHLD):
            signal.signal(number, _noted)

    def read(self) -> list[int]:
        """Return the numbers of the signals that arrived."""
        numbers: list[int] = []
        while True:
            try:
                chunk = os.read(self.descriptor, 512)
            except BlockingIOError:
                return numbers
            numbers += chunk

    def close(self) -> None:
        """Stop catching: what comes from now on is ignored, for what happens is decided.

        Left to Python, its end would make them deadly again, and our exit code a lie.
        """
        for number in (*STOPPING, *FORWARDED):
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        os.close(self.descriptor)
        os.close(self._writer)


def _noted(_number: int, _frame: object) -> None:
    """Handle nothing: the number is on the pipe already."""
