"""The power button, as the kernel reports it: input events of ACPI's button driver."""

from __future__ import annotations

import os
import struct

INPUT = "/sys/class/input"
NODES = "/dev/input"
# struct input_event (linux/input.h): two longs of time, type, code, value.
EVENT = struct.Struct("@llHHi")
EV_KEY, KEY_POWER, PRESSED = 1, 116, 1


class PowerButton:
    """Every input device that says that it has a power key. Poll `descriptors` for reading."""

    def __init__(self) -> None:
        self.descriptors = [
            os.open(f"{NODES}/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            for name in find_buttons()
        ]

    def was_pressed(self, descriptor: int) -> bool:
        """Read what has come, if it is ours; tell whether a press of the button was in it."""
        if descriptor not in self.descriptors:
            return False
        try:
            data = os.read(descriptor, EVENT.size * 64)
        except BlockingIOError:
            return False
        except OSError:  # the device has gone
            self.descriptors.remove(descriptor)
            return False
        return holds_press(data)


def holds_press(data: bytes) -> bool:
    """Tell whether input events hold a press of the power key."""
    whole = len(data) - len(data) % EVENT.size
    return (EV_KEY, KEY_POWER, PRESSED) in {event[2:] for event in EVENT.iter_unpack(data[:whole])}


def find_buttons() -> list[str]:
    """Return the event devices that have a power key."""
    try:
        names = sorted(name for name in os.listdir(INPUT) if name.startswith("event"))
    except FileNotFoundError:
        return []
    return [name for name in names if _has_power_key(name) and os.path.exists(f"{NODES}/{name}")]


def _has_power_key(name: str) -> bool:
    """Look into the device's bit map of keys: words of 64 bits, the highest first."""
    try:
        with open(f"{INPUT}/{name}/device/capabilities/key", encoding="ascii") as file:
            words = file.read().split()
    except OSError:
        return False
    bits = 0
    for word in words:
        bits = bits << 64 | int(word, 16)
    return bool(bits >> KEY_POWER & 1)
