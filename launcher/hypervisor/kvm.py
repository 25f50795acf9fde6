"""Prove that KVM works, by running instructions in it: that /dev/kvm opens proves nothing.

There are hosts on which a virtual machine can be made and yet ordinary guests hang or the VMM
aborts: nested inside another hypervisor that passes only a part of the CPU through.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import time

from launcher.record import record

DEVICE = "/dev/kvm"
API_VERSION = 12  # the only one since Linux 2.6.22 (Documentation/virt/kvm/api.rst)
DEADLINE_S = 5.0  # of milliseconds' work: a machine may be busy
GET_API_VERSION = 0xAE00  # of linux/kvm.h


@record
class KvmState:
    """Whether KVM works, and if not, why. `denied`: it is there, but not for this user."""

    works: bool
    reason: str = ""
    denied: bool = False


def open_kvm() -> KvmState:
    """Tell whether /dev/kvm can be opened and speaks the right version; fast, and no proof."""
    try:
        descriptor = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return KvmState(works=False, reason=f"there is no {DEVICE}")
    except PermissionError:
        return KvmState(works=False, reason=f"no permission on {DEVICE}", denied=True)
    except OSError as error:
        return KvmState(works=False, reason=f"{DEVICE}: {(error.strerror or '').lower()}")
    try:
        version = fcntl.ioctl(descriptor, GET_API_VERSION, 0)
    except OSError:
        return KvmState(works=False, reason=f"{DEVICE} is not KVM")
    finally:
        os.close(descriptor)
    if version != API_VERSION:
        return KvmState(works=False, reason=f"{DEVICE} speaks version {version}")
    return KvmState(works=True)


def probe_kvm(deadline_s: float = DEADLINE_S) -> KvmState:
    """Run a few instructions in a child that is killed at the deadline, in seconds.

    Where KVM hangs, it hangs in the kernel: a child can be left behind, we cannot.
    """
    opened = open_kvm()
    if not opened.works or os.uname().machine != "x86_64":
        return opened
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _answer(writing)
    os.close(writing)
    reason = _wait_answer(reading, deadline_s)
    os.close(reading)
    _end(pid)
    return KvmState(works=not reason, reason=reason)


def _answer(writing: int) -> None:
    """Write what the trial found; never return."""
    try:
        # It needs ctypes, which who emulates a CPU need not wait for.
        from launcher.hypervisor.kvm_trial import run_instructions  # noqa: PLC0415

        os.write(writing, (run_instructions(DEVICE) or "ok").encode())
    except OSError as error:
        os.write(writing, f"KVM refuses a guest: {(error.strerror or '').lower()}".encode())
    finally:
        os._exit(0)


def _wait_answer(reading: int, deadline_s: float) -> str:
    ready, _, _ = select.select([reading], [], [], deadline_s)
    answer = os.read(reading, 1000).decode() if ready else ""
    if answer == "ok":
        return ""
    return answer or ("KVM crashed the trial" if ready else "a guest in KVM hangs")


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 1.0
    # A child that hangs inside the kernel stays: init will have it.
    while not os.waitpid(pid, os.WNOHANG)[0] and time.monotonic() < until:
        time.sleep(0.001)
