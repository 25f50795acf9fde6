"""Who a process is: a pid alone is given to somebody else after it."""

from __future__ import annotations

import os

from launcher.record import record

BOOT_ID = "/proc/sys/kernel/random/boot_id"
# proc(5), stat: numbered from 1, and the first two stand before the last parenthesis.
STATE_FIELD, START_FIELD = 3, 22
ENDED = ("Z", "X")


@record
class Identity:
    """A process of this boot of the machine. `start` is in clock ticks since boot."""

    pid: int
    start: int
    boot: str


def find_identity(pid: int) -> Identity | None:
    """Return who has a pid now; None where nobody has, or what is left of it is a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        with open(BOOT_ID, encoding="ascii") as file:
            boot = file.read().strip()
    except OSError:
        return None
    if fields[STATE_FIELD - 3] in ENDED:
        return None
    return Identity(pid=pid, start=int(fields[START_FIELD - 3]), boot=boot)


def is_alive(identity: Identity | None) -> bool:
    """Tell whether that very process still runs."""
    return identity is not None and find_identity(identity.pid) == identity


def open_process(identity: Identity) -> int | None:
    """Return a descriptor that stands for that very process (pidfd_open(2)); None: it has ended.

    Once it is open it cannot come to mean another process.
    """
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return None
    if is_alive(identity):
        return descriptor
    os.close(descriptor)
    return None
