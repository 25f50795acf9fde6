"""Outlive nobody and leave nobody: orphans below us become our children, ours end with us."""

from __future__ import annotations

import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)
PR_SET_CHILD_SUBREAPER = 36


def can_adopt_orphans() -> bool:
    """Tell whether `adopt_orphans` works here: on Linux, with /proc to find orphans in."""
    return sys.platform == "linux" and os.path.exists("/proc/self/stat")


def adopt_orphans() -> bool:
    """Make this process the reaper of its descendants; tell whether it is.

    PID 1 is already. Elsewhere `prctl` is needed, which Python does not offer itself.
    """
    if os.getpid() == 1:
        return True
    return _prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent(parent: int) -> None:
    """Get a SIGTERM when the launcher is killed: a server without it would hold its GPU for ever.

    For the child, before its exec. In a container the kernel ends everybody with PID 1.
    """
    if parent != 1 and sys.platform == "linux":
        _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before we could ask
            os._exit(128 + signal.SIGTERM)


def _prctl(option: int, value: int) -> bool:
    # Not in a container, so imported here; `ctypes` around it takes a sixth of an interpreter start
    import _ctypes  # noqa: PLC0415

    program = _ctypes.dlopen(None, os.RTLD_NOW)  # type: ignore[arg-type]  # as dlopen(3) takes it
    prctl = _ctypes.dlsym(program, "prctl")
    return bool(_ctypes.call_function(prctl, (option, value, 0, 0, 0)) == 0)
