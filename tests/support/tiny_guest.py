"""A guest of a hundred bytes: it says hello on the serial port, and knows the power button.

QEMU boots it as a multiboot kernel, without a disk or an operating system, in the time that its
firmware takes (https://www.gnu.org/software/grub/manual/multiboot/multiboot.html). The ports are
those of the q35 machine: what a real guest reaches by ACPI is at 0x600.
"""

from __future__ import annotations

import struct

LOAD_AT = 0x100000
HEADER = 32  # bytes
MAGIC, FLAGS = 0x1BADB002, 1 << 16  # the addresses are in the header: no ELF needed
HELLO = b"hello from the guest\r\n"

# 32-bit code, in pieces. Offsets of jumps are within a piece.
SAY = bytes.fromhex("66baf803 ac 84c0 7403 ee ebf8".replace(" ", ""))  # to 0x3f8, until a NUL
LISTEN = bytes.fromhex("66ba0206 66b80001 66ef".replace(" ", ""))  # PM1_EN: the power button
AWAIT = bytes.fromhex("66ba0006 f390 66ed 66a90001 74f6".replace(" ", ""))  # PM1_STS, bit 8
POWER_OFF = bytes.fromhex("66ba0406 66b80020 66ef".replace(" ", ""))  # PM1_CNT: sleep, type 0
RESET = bytes.fromhex("66baf90c b006 ee".replace(" ", ""))  # the reset register 0xcf9
STAY = bytes.fromhex("f4 ebfd".replace(" ", ""))  # hlt, again and again

OBEYS = AWAIT + POWER_OFF + STAY
IGNORES = STAY
ENDS = POWER_OFF + STAY
REBOOTS = RESET + STAY


def render_kernel(then: bytes) -> bytes:
    """Return a kernel that says hello, and goes on with one of the above.

    It listens to the button before that: who has heard the hello may press it at once.
    """
    # mov esi, the text's address
    code = LISTEN + b"\xbe" + struct.pack("<I", 0) + SAY + then
    text_at = LOAD_AT + HEADER + len(code)
    code = LISTEN + b"\xbe" + struct.pack("<I", text_at) + SAY + then
    end = text_at + len(HELLO) + 1
    checksum = -(MAGIC + FLAGS) & 0xFFFFFFFF
    header = struct.pack(
        "<8I", MAGIC, FLAGS, checksum, LOAD_AT, LOAD_AT, end, end, LOAD_AT + HEADER
    )
    return header + code + HELLO + b"\0"
