"""A few instructions in KVM, by its ioctls, on 64-bit x86. For a child: the kernel may hang."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import struct

# ioctl numbers of linux/kvm.h, for 64-bit x86.
CREATE_VM, GET_VCPU_MMAP_SIZE = 0xAE01, 0xAE04
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


def run_instructions(device: str) -> str:
    """Return what is wrong with KVM, or nothing."""
    kvm = os.open(device, os.O_RDWR | os.O_CLOEXEC)
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
