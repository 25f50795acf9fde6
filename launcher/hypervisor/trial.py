"""Let QEMU run its own firmware for a moment: the proof that it and this machine's KVM get along.

Instructions that run in KVM are not enough: nested inside some hypervisors QEMU aborts when it
sets up the host's CPU, or ordinary guests never say a word. The firmware writes its name to a
debug port within its first milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time

from launcher.hypervisor.files import write_atomic
from launcher.hypervisor.identity import BOOT_ID
from launcher.hypervisor.sysfs import read_line

DEBUG_PORT = "0x402"  # of SeaBIOS, CONFIG_DEBUG_IO
GREETING = b"SeaBIOS"
DEADLINE_S = 10.0
MEMORY = "32M"
CHUNK = 4096


def try_firmware(program: str, accelerator: str, cpu: str, deadline_s: float = DEADLINE_S) -> str:
    """Return why QEMU cannot run a guest with this accelerator; empty where it can."""
    argv = [program, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35"]
    argv += ["-accel", accelerator, "-cpu", cpu, "-m", MEMORY]
    argv += ["-chardev", "stdio,id=debug"]
    argv += ["-device", f"isa-debugcon,iobase={DEBUG_PORT},chardev=debug"]
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None  # noqa: S101  (for the type checker)
    with process, process.stdout as output:
        said = _read_until(output.fileno(), GREETING, deadline_s)
        process.kill()
    if GREETING in said:
        return ""
    lines = said.decode(errors="replace").strip().splitlines()
    return f"QEMU fails with it: {lines[0]}" if lines else "a guest in KVM hangs"


def _read_until(descriptor: int, word: bytes, deadline_s: float) -> bytes:
    """Read until a word has come, the other end closes, or so many seconds have passed."""
    until = time.monotonic() + deadline_s
    said = b""
    while word not in said and (left_s := until - time.monotonic()) > 0:
        ready, _, _ = select.select([descriptor], [], [], left_s)
        data = os.read(descriptor, CHUNK) if ready else b""
        if not data:
            break
        said += data
    return said


class Proof:
    """Remembers a trial that went well: it holds for this boot, and this file of the program."""

    def __init__(self, folder: str, program: str) -> None:
        self._path = f"{folder}/kvm-works"
        found = os.stat(program)
        # The time alone is as coarse as the kernel's ticks.
        stamp = f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"
        self._text = f"{read_line(BOOT_ID)} {program} {stamp}"

    def holds(self) -> bool:
        """Tell whether it has been proven already."""
        return read_line(self._path) == self._text

    def keep(self) -> None:
        """Remember; where that is not possible, the next start proves it again."""
        with contextlib.suppress(OSError):
            write_atomic(self._path, self._text.encode())
