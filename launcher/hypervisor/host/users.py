"""Which processes have a file open: a device that is in use cannot leave its driver."""

from __future__ import annotations

import os

from launcher.hypervisor.sysfs import list_names, read_line
from launcher.record import record


@record
class User:
    """A process. `name` is what the kernel calls it: 15 letters at most."""

    pid: int
    name: str

    @property
    def words(self) -> str:
        """Say which process it is."""
        return f"'{self.name}' (process {self.pid})"


def find_users(paths: tuple[str, ...], procfs: str = "/proc") -> list[User]:
    """Return the processes that have one of some files open, by their numbers.

    Only root sees those of others.
    """
    pids = sorted(int(name) for name in list_names(procfs) if name.isdecimal())
    return [
        User(pid=pid, name=read_line(f"{procfs}/{pid}/comm"))
        for pid in pids
        if _has_open(f"{procfs}/{pid}/fd", paths)
    ]


def _has_open(folder: str, paths: tuple[str, ...]) -> bool:
    return any(_target(f"{folder}/{name}") in paths for name in list_names(folder))


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""
