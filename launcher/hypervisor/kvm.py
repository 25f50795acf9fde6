"""Prove that KVM works, by running instructions in it: that /dev/kvm opens proves nothing.

There are hosts on which a virtual machine can be made and yet ordinary guests hang or the VMM
aborts: nested inside another hypervisor that passes only a part of the CPU through.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import platform
import select
import signal
import struct
import time

from launcher.record import record

DEVICE = "/dev/kvm"
API_VERSION = 12  # the only one since Linux 2.6.22 (Documentation/virt/kvm/api.rst)
DEADLINE_S = 5.0  # of milliseconds' work: a machine may be busy

# ioctl numbers of linux/kvm.h, for 64-bit x86.
GET_API_VERSION, CREATE_VM, GET_VCPU_MMAP_SIZE = 0xAE00, 0xAE01, 0xAE04
CREATE_VCPU, RUN, SET_TSS_ADDR = 0xAE41, 0xAE80, 0xAE47
SET_USER_MEMORY_REGION, GET_SUPPORTED_CPUID, SET_CPUID2 = 0x4020AE46, 0xC008AE05, 0x4008AE90
GET_SREGS, SET_SREGS, SET_REGS = 0x8138AE83, 0x4138AE84, 0x4090AE82
GET_MSRS, SET_MSRS = 0xC008AE88, 0x4008AE89

EXIT_HLT = 5
ARCH_CAPABILITIES = 0x10A  # a VMM that passes the host's CPU through sets it
CPUID_ENTRIES, CPUID_ENTRY_BYTES = 100, 40
MEMORY_BYTES, CODE_AT, TSS_AT = 0x4000, 0x1000, 0xFFFBD000
SREGS_BYTES, CS_SELECTOR_AT = 312, 12
# mov ax, 21; add ax, ax; hlt
CODE = bytes([0xB8, 21, 0, 0x01, 0xC0, 0xF4])


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
    if not opened.works or platform.machine() != "x86_64":
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
        os.write(writing, (_try() or "ok").encode())
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


def _try() -> str:
    """Return what is wrong with KVM, or nothing."""
    kvm = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    machine = fcntl.ioctl(kvm, CREATE_VM, 0)
    memory = mmap.mmap(-1, MEMORY_BYTES)
    memory[: len(CODE)] = CODE
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    # fcntl.ioctl takes no integer above 2^31.
    ctypes.CDLL(None).ioctl(machine, ctypes.c_ulong(SET_TSS_ADDR), ctypes.c_ulong(TSS_AT))
    region = struct.pack("IIQQQ", 0, 0, CODE_AT, MEMORY_BYTES, address)
    fcntl.ioctl(machine, SET_USER_MEMORY_REGION, region)
    cpu = fcntl.ioctl(machine, CREATE_VCPU, 0)
    page = mmap.mmap(cpu, fcntl.ioctl(kvm, GET_VCPU_MMAP_SIZE, 0))
    missing = _pass_cpu_through(kvm, cpu)
    if missing:
        return missing
    _set_registers(cpu)
    fcntl.ioctl(cpu, RUN, 0)
    reason: int = struct.unpack_from("I", page, 8)[0]
    return "" if reason == EXIT_HLT else f"a guest in KVM ends with reason {reason}"


def _pass_cpu_through(kvm: int, cpu: int) -> str:
    """Give the vCPU what the host's has, as VMMs do; return what cannot be given."""
    cpuid = bytearray(struct.pack("II", CPUID_ENTRIES, 0))
    cpuid += bytes(CPUID_ENTRIES * CPUID_ENTRY_BYTES)
    fcntl.ioctl(kvm, GET_SUPPORTED_CPUID, cpuid)
    fcntl.ioctl(cpu, SET_CPUID2, cpuid)
    value = bytearray(struct.pack("IIIIQ", 1, 0, ARCH_CAPABILITIES, 0, 0))
    try:
        known = fcntl.ioctl(kvm, GET_MSRS, value)
    except OSError:
        known = 0  # an older kernel has no list of features: nothing to compare with
    if known == 1 and fcntl.ioctl(cpu, SET_MSRS, value) != 1:
        return "KVM offers the host's CPU and then refuses it (model-specific register 0x10a)"
    return ""


def _set_registers(cpu: int) -> None:
    """Begin at our code, in real mode."""
    special = bytearray(SREGS_BYTES)
    fcntl.ioctl(cpu, GET_SREGS, special)
    struct.pack_into("Q", special, 0, 0)
    struct.pack_into("H", special, CS_SELECTOR_AT, 0)
    fcntl.ioctl(cpu, SET_SREGS, special)
    rip, rflags = CODE_AT, 2
    fcntl.ioctl(cpu, SET_REGS, struct.pack("18Q", *([0] * 16), rip, rflags))
