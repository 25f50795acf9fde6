"""What an instance leaves behind when its first process has ended, and its end.

Most of it is in the process group that the first process led. A process that made a session of
its own has become our child (we are PID 1, or a subreaper) and is told by its session, or by the
variable that all processes of an instance inherit.
"""

from __future__ import annotations

import os
import signal

from launcher.process import child


def has_leftovers(name: str, leader: int) -> bool:
    """Tell whether anything is left of the instance whose first process was `leader`."""
    return child.has_group(leader) or bool(_adopted(name, leader))


def kill_leftovers(name: str, leader: int) -> None:
    """End the instance's group, and those of its processes that left the group."""
    child.send_group(leader, signal.SIGKILL)
    for pid in _adopted(name, leader):
        child.send(pid, signal.SIGKILL)


def _adopted(name: str, leader: int) -> list[int]:
    mark = f"{child.MARKER}={name}".encode()
    return [
        pid
        for pid in child.children()
        if pid != leader and (_session(pid) == leader or mark in _environment(pid))
    ]


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0  # it has ended


def _environment(pid: int) -> list[bytes]:
    """Return the variables that a process was started with; none for one that has ended."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []
