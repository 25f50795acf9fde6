"""`vllmd` as a user runs it: a child process, watched from outside."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from tests.support.processes import all_pids, read_proc, session_of
from tests.support.wait import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MARKER = "VLLMD_TEST_RUN"
STOP_S = 120.0


class Running:
    """A running `vllmd`. Its standard error is collected as it comes."""

    def __init__(self, process: subprocess.Popen[str], mark: str) -> None:
        self.process = process
        self._mark = mark
        self._lines: list[str] = []
        self._sessions: set[int] = set()  # every one that a process of ours has been seen in
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self._lines.append(line)

    @property
    def stderr(self) -> str:
        """What it has said so far."""
        return "".join(self._lines)

    def wait_for(self, text: str, timeout_s: float) -> None:
        """Wait until it has said `text`."""

        def said() -> bool:
            assert self.process.poll() is None or text in self.stderr, self.stderr
            return text in self.stderr

        try:
            wait_until(said, f"the launcher to say {text!r}", timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; it said:\n{self.stderr}") from None

    def stop(self, timeout_s: float = STOP_S) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def wait(self, timeout_s: float) -> int:
        """Wait for the end and return the exit code."""
        code = self.process.wait(timeout_s)
        self._thread.join(PATIENCE_S)
        return code

    def descendants(self) -> list[int]:
        """Return the pids of all processes that inherited its environment, itself excepted.

        vLLM's engine and workers write their names over their environment. They are known by the
        session of the server that started them, once that has been seen here.
        """
        wanted = f"{MARKER}={self._mark}".encode()
        pids = [pid for pid in all_pids() if pid != self.process.pid]
        marked = [pid for pid in pids if wanted in read_proc(pid, "environ").split(b"\0")]
        own = session_of(self.process.pid)
        self._sessions |= {session_of(pid) for pid in marked} - {own, 0}
        others = [pid for pid in pids if session_of(pid) in self._sessions]
        return sorted({*marked, *others})


@contextlib.contextmanager
def running(
    words: Sequence[str], environ: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
) -> Iterator[Running]:
    """Start `vllmd WORDS`; at the end nothing of it is left, whatever the test did.

    `prefix` is a program that executes it, like `ip netns exec`.
    """
    mark = f"{os.getpid()}.{time.monotonic_ns()}"
    process = subprocess.Popen(
        [*prefix, sys.executable, "-m", "launcher", *words],
        env={**os.environ, **(environ or {}), MARKER: mark},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    run = Running(process, mark)
    try:
        yield run
    finally:
        run.descendants()  # while the servers can still tell which sessions are theirs
        process.kill()
        run.wait(PATIENCE_S)
        for pid in run.descendants():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
