"""Be the parent of orphans: what loses its parent below us becomes our child, as with PID 1."""

from __future__ import annotations

import os
import sys

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


def can_adopt_orphans() -> bool:
    """Tell whether `adopt_orphans` works here: on Linux, with /proc to find orphans in."""
    return sys.platform == "linux" and os.path.exists("/proc/self/stat")


def adopt_orphans() -> bool:
    """Make this process the reaper of its descendants; tell whether it is.

    PID 1 is already. Elsewhere `prctl` is needed, which Python does not offer itself.
    """
    if os.getpid() == 1:
        return True
    # Not in a container, so imported here; `ctypes` around it takes a sixth of an interpreter start
    import _ctypes  # noqa: PLC0415

    program = _ctypes.dlopen(None, os.RTLD_NOW)  # type: ignore[arg-type]  # as dlopen(3) takes it
    prctl = _ctypes.dlsym(program, "prctl")
    return bool(_ctypes.call_function(prctl, (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) == 0)
