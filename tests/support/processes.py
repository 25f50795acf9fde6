"""Processes as seen from outside: /proc, and a mark that descendants inherit."""

from __future__ import annotations

import contextlib
import os
import signal

MARK = "LAUNCH_MARK"  # an environment variable: whoever carries it was started by the test


def all_pids() -> list[int]:
    """Return every process, zombies too."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def read_proc(pid: int, name: str) -> bytes:
    """Return a file of /proc/PID; empty where the process has gone."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def marked_pids(mark: str) -> list[int]:
    """Return the living processes that carry the mark in their environment."""
    wanted = f"{MARK}={mark}".encode()
    return [pid for pid in all_pids() if wanted in read_proc(pid, "environ").split(b"\0")]


def status_field(pid: int, name: str) -> str:
    """Return a field of /proc/PID/status, like `State` or `SigIgn`; empty where there is none."""
    for line in read_proc(pid, "status").decode().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    return ""


def session_of(pid: int) -> int:
    """Return the session of a process; 0 where it has gone or is a zombie."""
    # proc(5), stat: behind the name come state, parent, group and session.
    words = read_proc(pid, "stat").rpartition(b")")[2].split()
    return int(words[3]) if len(words) > 3 and words[0] != b"Z" else 0


def children_of(pid: int) -> list[int]:
    """Return the children of a process, zombies too."""
    return [each for each in all_pids() if status_field(each, "PPid") == str(pid)]


def zombies_of(pid: int) -> list[int]:
    """Return the children that a process has not reaped."""
    return [each for each in children_of(pid) if status_field(each, "State").startswith("Z")]


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    return status_field(pid, "State")[:1] not in {"", "Z", "X"}


def open_files(pid: int) -> list[str]:
    """Return what a process has open; what it closes meanwhile is left out."""
    found = []
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return found


def kill_marked(mark: str) -> list[int]:
    """Kill every process that carries the mark, until there is none; return those found first."""
    found = left = marked_pids(mark)
    while left:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        left = marked_pids(mark)
    return found
