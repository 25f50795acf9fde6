"""Start, watch and stop the processes that are measured."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.servers import Server

PATIENCE_S = 60.0


@contextlib.contextmanager
def running(argv: tuple[str, ...], environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a launcher in a session of its own; afterwards nothing of it is left.

    Its messages are on the pipe `stdout`.
    """
    process = subprocess.Popen(
        argv,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        left = descendants(process.pid)
        process.terminate()
        try:
            process.communicate(timeout=PATIENCE_S)
        finally:
            started_since = descendants(process.pid)  # by one that does not heed SIGTERM
            for pid in (process.pid, *left, *started_since):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


def descendants(pid: int) -> list[int]:
    """Return the children of a process, their children, and so on (proc(5), `children`).

    Each thread has those that it has made itself.
    """
    try:
        tasks = sorted(Path(f"/proc/{pid}/task").iterdir())
        words = [word for task in tasks for word in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [below for word in words for below in (int(word), *descendants(int(word)))]


def wait_listening(servers: tuple[Server, ...]) -> None:
    """Wait until every server takes connections.

    Raises:
        TimeoutError: one does not.
    """
    until = time.monotonic() + PATIENCE_S
    for server in servers:
        while not _listens(server.port):
            if time.monotonic() > until:
                raise TimeoutError(f"{server.name} does not listen on port {server.port}")
            time.sleep(0.02)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def seconds_to_end(argv: tuple[str, ...], environ: Mapping[str, str]) -> float:
    """Run a program to its end and return how long that took."""
    before = time.monotonic()
    subprocess.run(
        argv, env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=600
    )
    return time.monotonic() - before


@dataclass(frozen=True)
class Memory:
    """Memory of one process in kB: all that is mapped in, and that divided by who shares it."""

    rss: int
    pss: int


def memory_of(pid: int) -> Memory:
    """Read a process's memory (proc(5), smaps_rollup)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    values = {words[0]: int(words[1]) for words in map(str.split, text.splitlines()[1:])}
    return Memory(rss=values["Rss:"], pss=values["Pss:"])


def wakeups_of(pid: int) -> int:
    """Read how often a process has gone to sleep of its own will, so far."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(text.split("voluntary_ctxt_switches:")[1].split()[0])
