"""The calls to the kernel that Python does not offer: mount(2), umount2(2) and reboot(2)."""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)

# Flags of mount(2), commands of reboot(2).
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
RB_AUTOBOOT = 0x1234567
RB_POWER_OFF = 0x4321FEDC
# Of ioctl_tty(2): how much a terminal has still to send. A small root lacks the module `termios`.
TIOCOUTQ = 0x5411


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    """Mount a file system.

    Raises:
        OSError: the kernel refuses.
    """
    words = (source, target, kind)
    encoded = [word.encode() for word in words]
    if _libc.mount(*encoded, ctypes.c_ulong(flags), data.encode() or None):
        _raise_last(target)


def reboot(command: int) -> None:
    """Power off or reboot at once; what is not on disk yet is lost.

    Raises:
        OSError: the kernel refuses.
    """
    if _libc.reboot(ctypes.c_int(command)):
        _raise_last("reboot")


def _raise_last(subject: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), subject)
