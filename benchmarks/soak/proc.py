"""The launcher and its processes from outside: /proc, and a mark that descendants inherit."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = "SOAK_MARK"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    """A living process that one of our instances has started, or that instance's server itself."""

    pid: int
    parent: int
    session: int
    start: int  # clock ticks since boot
    instance: str
    is_stopped: bool  # by SIGSTOP


def list_processes(mark: str) -> list[Process]:
    """Return every living process that carries the mark and belongs to an instance."""
    return [process for process in _all(mark) if process.instance]


def servers_of(processes: list[Process], launcher: int) -> dict[str, list[Process]]:
    """Return, by instance, those that the launcher itself has started."""
    found: dict[str, list[Process]] = {}
    for each in processes:
        if each.parent == launcher and each.session == each.pid:
            found.setdefault(each.instance, []).append(each)
    return found


def zombies_of(pid: int) -> set[int]:
    """Return the children that a process has not reaped."""
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    stats = ((each, _stat(each)) for each in pids)
    return {each for each, stat in stats if stat and stat[1] == str(pid) and stat[0] == "Z"}


def descriptors_of(pid: int) -> Counter[str]:
    """Count a process's open descriptors: sockets, pipes, files."""
    found: Counter[str] = Counter()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            target = os.readlink(f"/proc/{pid}/fd/{name}")
            kind = target.partition(":")[0] if ":" in target else "file"
            found[kind] += 1
    return found


def cpu_seconds_of(pid: int) -> float:
    """Return the processor time that a process has used."""
    stat = _stat(pid)
    return (int(stat[11]) + int(stat[12])) / TICKS if stat else 0.0


def kill_marked(mark: str, within_s: float = 10.0) -> list[int]:
    """Kill every process that carries the mark; return those found first."""
    found = left = [each.pid for each in _all(mark)]
    until = time.monotonic() + within_s
    while left and time.monotonic() < until:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        left = [each.pid for each in _all(mark)]
    return found


def _all(mark: str) -> Iterator[Process]:
    wanted = f"{MARK}={mark}".encode()
    for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
        variables = _environ(pid)
        stat = _stat(pid) if wanted in variables else []
        if stat and stat[0] not in "ZX":
            names = [each for each in variables if each.startswith(b"VLLMD_INSTANCE=")]
            name = names[0].partition(b"=")[2].decode() if names else ""
            yield Process(pid, int(stat[1]), int(stat[3]), int(stat[19]), name, stat[0] == "T")


def _environ(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat behind the name: state, parent, group, session, ..."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
