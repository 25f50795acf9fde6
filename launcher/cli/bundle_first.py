"""Install the offline bundle before `vllmd run` plans: in a process of its own, as PID 1's child.

Only imported where AUTO_INFER_VLLM_BUNDLE_PATH is set. What installs packages is 80 MB of code,
and takes minutes: the launcher stays small, and heeds signals meanwhile.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

from launcher.errors import EX_OK
from launcher.process import child
from launcher.process.leftovers import Adopted, has_leftovers, kill_leftovers
from launcher.process.orphans import adopt_orphans
from launcher.process.signals import STOPPING
from launcher.process.spec import ProcessSpec, exit_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.process.signals import SignalPipe
    from launcher.process.spec import ExitStatus

NAME = "bundle"
GRACE_S = 10.0  # how long a stopped installation may take to clear away what it has begun
LEFTOVER_S = 2.0  # how long the killed may take to be gone
PAUSE_S = 0.01
KILLED = 137


def install_bundle(
    config: str, assignments: tuple[str, ...], environ: Mapping[str, str], signals: SignalPipe
) -> int | None:
    """Run `vllmd bundle install` to its end; None where it has been, else the exit code.

    Raises:
        StartError: it cannot be started.
    """
    words = [*_own_words(), "bundle", "install", "--config", config]
    for assignment in assignments:
        words += ["--set", assignment]
    adopt_orphans()
    pid = child.start(ProcessSpec(name=NAME, argv=tuple(words), main=True), environ, None)
    wait = _Wait(pid, signals)
    status = wait.for_end()
    wait.for_leftovers()
    child.take_terminal(pid)
    if wait.stopping:
        return KILLED if wait.killed else EX_OK
    return exit_code(status) or None


def _own_words() -> list[str]:
    """Return the words that started us, up to the command: a module, a script or an archive."""
    before = len(sys.orig_argv) - len(sys.argv) + 1
    return [sys.executable, *sys.orig_argv[1:before]]


class _Wait:
    """Waits for the end of an installation. A stop is passed on; a second one is for now."""

    def __init__(self, pid: int, signals: SignalPipe) -> None:
        self._pid = pid
        self._signals = signals
        self._deadline: float | None = None
        self.stopping = False
        self.killed = False

    def for_end(self) -> ExitStatus:
        """Return how it ended. Whoever else ends meanwhile is reaped, as PID 1 has to."""
        poll = select.poll()
        poll.register(self._signals.descriptor, select.POLLIN)
        while True:
            poll.poll(self._patience_ms())
            for number in self._signals.read():
                self._heed(number)
            for pid, status in child.reap():
                if pid == self._pid:
                    return status
            if self._deadline is not None and time.monotonic() >= self._deadline:
                self._kill()

    def for_leftovers(self) -> None:
        """End what an installation has left that was killed: a pixi, in a group of its own."""
        until = time.monotonic() + LEFTOVER_S
        while has_leftovers(NAME, self._pid, Adopted(())) and time.monotonic() < until:
            kill_leftovers(NAME, self._pid, Adopted(()))
            time.sleep(PAUSE_S)
            child.reap()

    def _patience_ms(self) -> int | None:
        if self._deadline is None:
            return None
        return max(0, int((self._deadline - time.monotonic()) * 1000) + 1)

    def _heed(self, number: int) -> None:
        if number not in STOPPING or (number == signal.SIGHUP and not os.isatty(0)):
            return  # nothing has been read yet that SIGHUP could have us read again
        name = signal.Signals(number).name
        how = " now" if self.stopping else ""
        print(f"vllmd: got {name}: stopping the installation{how}", file=sys.stderr, flush=True)
        if self.stopping:
            self._kill()
            return
        self.stopping = True
        self._deadline = time.monotonic() + GRACE_S
        child.send(self._pid, signal.SIGTERM)

    def _kill(self) -> None:
        self._deadline, self.killed = None, True
        child.send_group(self._pid, signal.SIGKILL)
