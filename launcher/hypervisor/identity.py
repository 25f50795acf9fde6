"""Who a process is: a pid alone is given to somebody else after it."""

from __future__ import annotations

import os
import time

from launcher.record import record

BOOT_ID = "/proc/sys/kernel/random/boot_id"
# proc(5), stat: numbered from 1, and the first two stand before the last parenthesis.
STATE_FIELD, START_FIELD = 3, 22
ENDED = ("Z", "X")
DYING_S, PAUSE_S = 5.0, 0.01


@record
class Identity:
    """A process of this boot of the machine. `start` is in clock ticks since boot."""

    pid: int
    start: int
    boot: str


# In place of a process whose first thread has ended, and others have not.
DYING = Identity(pid=0, start=0, boot="")


def find_identity(pid: int) -> Identity | None:
    """Return who has a pid now; None where nobody has, or it has ended.

    A process that was killed is there until its last thread has ended, and holds its files and
    their locks until then: a moment, which is waited for.
    """
    until = time.monotonic() + DYING_S
    while (found := _look(pid)) is DYING and time.monotonic() < until:
        time.sleep(PAUSE_S)
    return None if found is DYING else found


def _look(pid: int) -> Identity | None:
    """Return who has a pid; DYING while the first thread has ended and others have not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        with open(BOOT_ID, encoding="ascii") as file:
            boot = file.read().strip()
        threads = len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return None
    if fields[STATE_FIELD - 3] in ENDED:
        return DYING if threads > 1 else None
    return Identity(pid=pid, start=int(fields[START_FIELD - 3]), boot=boot)


def is_alive(identity: Identity | None) -> bool:
    """Tell whether that very process still runs."""
    return identity is not None and find_identity(identity.pid) == identity


def find_user(pid: int) -> int | None:
    """Return the number of the user whose process has a pid; None where nobody has it."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            words = next((line.split() for line in file if line.startswith("Uid:")), ())
    except OSError:
        return None
    return int(words[1]) if words else None


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
