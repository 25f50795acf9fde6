"""The file systems that every program expects, as a first process has to mount them."""

from __future__ import annotations

import os

from launcher.hypervisor.inside.kernel import MS_NODEV, MS_NOEXEC, MS_NOSUID, mount
from launcher.record import record

SAFE = MS_NOSUID | MS_NODEV | MS_NOEXEC


@record
class Mount:
    """One file system without a device."""

    kind: str
    target: str
    flags: int = SAFE
    data: str = ""


MOUNTS = (
    Mount(kind="proc", target="/proc"),
    Mount(kind="sysfs", target="/sys"),
    Mount(kind="devtmpfs", target="/dev", flags=MS_NOSUID, data="mode=755"),
    Mount(
        kind="devpts", target="/dev/pts", flags=MS_NOSUID | MS_NOEXEC, data="mode=620,ptmxmode=666"
    ),
    # vLLM's processes share tensors through /dev/shm: half of the memory, as the kernel would do.
    Mount(kind="tmpfs", target="/dev/shm", flags=MS_NOSUID | MS_NODEV, data="mode=1777"),  # noqa: S108
    Mount(kind="tmpfs", target="/run", flags=MS_NOSUID | MS_NODEV, data="mode=755"),
    Mount(kind="tmpfs", target="/tmp", flags=MS_NOSUID | MS_NODEV, data="mode=1777"),  # noqa: S108
    Mount(kind="cgroup2", target="/sys/fs/cgroup"),
)


def mount_all() -> list[str]:
    """Mount what is not mounted yet; return what went wrong, in words."""
    troubles = []
    for each in MOUNTS:
        try:
            if not os.path.ismount(each.target):
                os.makedirs(each.target, exist_ok=True)
                mount(each.kind, each.target, each.kind, each.flags, each.data)
        except OSError as error:
            troubles.append(f"cannot mount {each.kind} on {each.target}: {error.strerror}")
    return troubles
