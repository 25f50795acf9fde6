"""What an instance leaves behind when its first process has ended, and its end.

Most of it is in the process group that the first process led. A process that made a session of
its own has become our child (we are PID 1, or a subreaper) and is told by its session, or by the
variable that all processes of an instance inherit.
"""

from __future__ import annotations

import os
import select
import signal
import time

from launcher.process import child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

    from launcher.process.signals import SignalPipe


STRAGGLER_S = 2.0  # how long killed strangers may take to be reaped at the end
TRACKER = b"multiprocessing.resource_tracker"  # what the tracker of the standard library runs


class Adopted:
    """The children of ours that no one has started here, as they are now: one look for all."""

    def __init__(self, servers: Container[int]) -> None:
        """Look at all our children but those that we have started ourselves."""
        found = [pid for pid in child.children() if pid not in servers]
        self._strays = [(pid, _session(pid), _instance(pid)) for pid in found]

    def of(self, name: str, leader: int) -> list[int]:
        """Return those of the instance whose first process was `leader`."""
        mark = os.fsencode(name)
        return [
            pid
            for pid, session, instance in self._strays
            if pid != leader and (session == leader or instance == mark)
        ]


def has_leftovers(name: str, leader: int, adopted: Adopted) -> bool:
    """Tell whether anything is left of the instance whose first process was `leader`."""
    return child.has_group(leader) or bool(adopted.of(name, leader))


def kill_leftovers(name: str, leader: int, adopted: Adopted) -> None:
    """End the instance's group, and those of its processes that left the group."""
    child.send_group(leader, signal.SIGKILL)
    for pid in adopted.of(name, leader):
        child.send(pid, signal.SIGKILL)


def clear_leftovers(leader: int) -> None:
    """End the session that `leader` led, but for Python's resource trackers.

    These remove what the others shared (memory, semaphores) and end once the others have.
    """
    for name in os.listdir("/proc"):
        if name.isdigit() and _session(int(name)) == leader and not _is_tracker(name):
            child.send(int(name), signal.SIGKILL)


def end_strangers(signals: SignalPipe) -> None:
    """Kill whatever our processes left anywhere: as their reaper we have adopted it."""
    until = time.monotonic() + STRAGGLER_S
    while time.monotonic() < until:
        child.reap()
        left = child.children()
        if not left:
            return
        for pid in left:
            child.send(pid, signal.SIGKILL)
        select.select([signals.descriptor], [], [], 0.05)
        signals.read()


def _is_tracker(name: str) -> bool:
    try:
        with open(f"/proc/{name}/cmdline", "rb") as file:
            return TRACKER in file.read()
    except OSError:
        return False  # it has ended


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0  # it has ended


def _instance(pid: int) -> bytes:
    """Return the instance that a process was started for; empty for one that has ended."""
    mark = f"{child.MARKER}=".encode()
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read().split(b"\0")
    except OSError:
        return b""
    return next((each.removeprefix(mark) for each in variables if each.startswith(mark)), b"")
