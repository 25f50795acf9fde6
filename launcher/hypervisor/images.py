"""Image files: what is in them, and whether somebody else uses them."""

from __future__ import annotations

import fcntl
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.model import Disk

QCOW2_MAGIC = b"QFI\xfb"
VHDX_MAGIC = b"vhdxfile"
VHD_MAGIC = b"conectix"  # at the last sector of a fixed VHD
SECTOR = 512
# UEFI PI specification, volume 3: a firmware volume has this in its header.
FIRMWARE_MAGIC, FIRMWARE_AT = b"_FVH", 40
# QEMU's image locks (block/file-posix.c): a byte for each permission, from here on.
QEMU_FIRST_BYTE, QEMU_WRITE_BYTE = 100, 101
# struct flock of 64-bit Linux: type, whence, start, length, pid.
FLOCK = "hhqqi4x"


def find_contradiction(disk: Disk) -> tuple[str, str] | None:
    """Return a message and a hint where an image is not what its name says it is."""
    kind = _find_kind(disk.path)
    if kind == disk.format or (disk.format == "raw" and not kind):
        return None
    if disk.format == "raw":
        hint = (
            "rename it to end in .qcow2 if you trust its author"
            if kind == "qcow2"
            else f"convert it: qemu-img convert -O raw '{disk.path}' '{disk.path}.raw'"
        )
        return f"'{disk.path}' is a {kind} image, and its name says raw", hint
    return (
        f"'{disk.path}' is no qcow2 image, and its name says so",
        "rename it to end in .img if it is a raw one",
    )


def _find_kind(path: str) -> str:
    """Return "qcow2", "vhdx" or "vhd" by the content, empty for anything else."""
    with open(path, "rb") as file:
        head = file.read(SECTOR)
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - SECTOR))
        tail = file.read(SECTOR)
    if head.startswith(QCOW2_MAGIC):
        return "qcow2"
    if head.startswith(VHDX_MAGIC):
        return "vhdx"
    return "vhd" if tail.startswith(VHD_MAGIC) else ""


def is_firmware(path: str) -> bool:
    """Tell whether a kernel is in truth UEFI firmware."""
    with open(path, "rb") as file:
        head = file.read(FIRMWARE_AT + len(FIRMWARE_MAGIC))
    return head[FIRMWARE_AT:] == FIRMWARE_MAGIC


def is_locked(disk: Disk) -> bool:
    """Tell whether a VMM holds a lock on an image that keeps us from it.

    Both VMMs lock with open file description locks (fcntl(2)): Cloud Hypervisor the whole file,
    QEMU a byte for each thing that it does. An image that all only read can be shared.
    """
    start, length = (QEMU_WRITE_BYTE, 1) if disk.readonly else (0, 0)
    with open(disk.path, "rb") as file:
        asked = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
        try:
            answer = fcntl.fcntl(file.fileno(), fcntl.F_OFD_GETLK, asked)
        except OSError:
            return False  # a file system without locks: the VMM cannot take one either
    kind, _, first, _, _ = struct.unpack(FLOCK, answer)
    if not disk.readonly:
        return bool(kind != fcntl.F_UNLCK)
    # A reader in Cloud Hypervisor holds a read lock on all of it, from the first byte on.
    return bool(kind == fcntl.F_WRLCK or (kind == fcntl.F_RDLCK and first >= QEMU_FIRST_BYTE))
