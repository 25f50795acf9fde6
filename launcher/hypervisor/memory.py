"""The grammar of Cloud Hypervisor's `--memory`, which VLLMD_HYPERVISOR_MEMORY_CONFIG is written in.

A list of `key=value`, separated by commas. A repeated key: the last one holds. An empty value, or
an empty text, means the default. Sizes are decimal integers with an optional K, M or G (binary).
"""

from __future__ import annotations

from launcher.hypervisor.model import Memory
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
DEFAULT_SIZE = 512 * MIB  # Cloud Hypervisor's own, where `size` is left out
PAGE = 4096
LARGEST = 1 << 46  # 64 TiB: what an x86 guest with 46 bits of addresses can have
SUFFIXES = {"K": KIB, "M": MIB, "G": GIB}
METHODS = ("acpi", "virtio-mem")
TOGGLES = {"on": True, "true": True, "off": False, "false": False}

SIZES = ("size", "hugepage_size", "hotplug_size", "hotplugged_size")
SWITCHES = ("mergeable", "shared", "hugepages", "prefault", "reserve", "thp")
IGNORED = ("file",)  # a former key, still accepted
KEYS = (*SIZES, *SWITCHES, "hotplug_method", *IGNORED)

SIZE_HINT = "write a whole number of bytes, or with K, M or G behind it, like 16G"


@record
class Fault:
    """One thing that is wrong with a text, and what to write instead."""

    message: str
    hint: str = ""


def parse_memory(text: str, huge_page: int = 2 * MIB) -> tuple[Memory, tuple[Fault, ...]]:
    """Parse a memory configuration; return it with everything that is wrong with it.

    `huge_page` is the size of huge pages, in bytes, where the text does not say it.
    """
    faults: list[Fault] = []
    words = _split(text.strip(), faults)
    sizes: dict[str, int | None] = {}
    switches: dict[str, bool] = {}
    method = "acpi"
    for key, value in words.items():
        if key in SIZES:
            sizes[key] = _take(parse_size, key, value, faults)
        elif key in SWITCHES:
            switch = _take(parse_toggle, key, value, faults)
            if switch is not None:
                switches[key] = switch
        elif key == "hotplug_method":
            method = _take(_parse_method, key, value, faults) or method
    given = sizes.get("size", DEFAULT_SIZE)
    memory = Memory(
        size=given if given is not None else DEFAULT_SIZE,
        mergeable=switches.get("mergeable", False),
        # Huge pages come from a file that can only be mapped shared.
        shared=switches.get("shared", False) or switches.get("hugepages", False),
        hugepages=switches.get("hugepages", False),
        hugepage_size=sizes.get("hugepage_size")
        or (huge_page if switches.get("hugepages") else None),
        prefault=switches.get("prefault", False),
        reserve=switches.get("reserve", False),
        thp=switches.get("thp", True),
        hotplug_method=method,
        hotplug_size=sizes.get("hotplug_size"),
        hotplugged_size=sizes.get("hotplugged_size"),
    )
    if not faults:
        faults += _contradictions(memory, said_shared=switches.get("shared"))
    return memory, tuple(faults)


def parse_size(text: str) -> int:
    """Return a size in bytes.

    Raises:
        ValueError: not a whole number with an optional K, M or G, or beyond 64 bits. Its text
            says which.
    """
    number, factor = (text[:-1], SUFFIXES[text[-1]]) if text[-1:] in SUFFIXES else (text, 1)
    if not (number.isascii() and number.isdigit()):
        raise ValueError(f"'{text}' is not a size")
    # int() refuses thousands of digits by itself; nobody means more than 20 of them.
    value = int(number[-20:] if not number[:-20].strip("0") else "9" * 20) * factor
    if value >= 1 << 64:
        raise ValueError(f"'{text}' does not fit in 64 bits")
    return value


def parse_toggle(text: str) -> bool:
    """Return a switch.

    Raises:
        ValueError: not on, off, true or false, in any case.
    """
    if text.lower() not in TOGGLES:
        raise ValueError(f"'{text}' is neither on nor off")
    return TOGGLES[text.lower()]


def _parse_method(text: str) -> str:
    if text.lower() not in METHODS:
        raise ValueError(f"'{text}' is neither acpi nor virtio-mem")
    return text.lower()


def _take(parse: Callable[[str], T], key: str, value: str, faults: list[Fault]) -> T | None:
    """Parse the value of a key; None where it is empty, which means the default, or is wrong."""
    if not value:
        return None
    try:
        return parse(value)
    except ValueError as error:
        hints = {"hotplug_method": "write acpi or virtio-mem"}
        hint = SIZE_HINT if key in SIZES else hints.get(key, "write on or off")
        faults.append(Fault(message=f"{key}: {error}", hint=hint))
        return None


def _split(text: str, faults: list[Fault]) -> dict[str, str]:
    """Split into keys and values; note those that mean nothing."""
    words: dict[str, str] = {}
    for part in split_options(text):
        key, sign, value = part.partition("=")
        if not sign:
            faults.append(Fault(message=f"'{part}' has no '='", hint="write key=value"))
        elif key not in KEYS:
            # Imported for a mistake only: difflib is not for free.
            from launcher.config.suggest import render_hint  # noqa: PLC0415

            faults.append(Fault(message=f"unknown key '{key}'", hint=render_hint(key, KEYS)))
        else:
            words[key] = value.strip().strip('"')
    return words


def split_options(text: str) -> list[str]:
    """Split at commas, but not within `[...]` or `"..."`; an empty text has no part."""
    parts, depth, quoted = [""], 0, False
    for character in text:
        if character == '"':
            quoted = not quoted
        elif not quoted and character in "[]":
            depth += 1 if character == "[" else -1
        if character == "," and not quoted and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts if text else []


def _contradictions(memory: Memory, *, said_shared: bool | None) -> list[Fault]:
    """Return what Cloud Hypervisor would refuse at boot, and what cannot be."""
    found = [*_size_faults(memory), *_hotplug_faults(memory)]
    if memory.mergeable and memory.shared:
        found.append(
            Fault(message="shared and mergeable exclude each other", hint="remove one of the two")
        )
    if said_shared is False and memory.hugepages:
        found.append(
            Fault(
                message="hugepages=on implies shared=on, but shared=off is asked for",
                hint="remove shared=off",
            )
        )
    return found


def _size_faults(memory: Memory) -> list[Fault]:
    if memory.size == 0:
        return [Fault(message="size=0 leaves the guest no memory", hint=SIZE_HINT)]
    if memory.size > LARGEST:
        return [Fault(message="size is more than 64 TiB", hint=SIZE_HINT)]
    page = memory.hugepage_size
    if page is not None and not memory.hugepages:
        return [Fault(message="hugepage_size needs hugepages=on", hint="add hugepages=on")]
    if page is not None and (page < PAGE or page & (page - 1)):
        return [Fault(message=f"hugepage_size={page} is not a power of two", hint="write 2M or 1G")]
    unit = page or PAGE
    if memory.size % unit:
        return [
            Fault(
                message=f"size={memory.size} is not a multiple of the page size {unit}",
                hint=f"write {max(1, round(memory.size / unit)) * unit}",
            )
        ]
    return []


def _hotplug_faults(memory: Memory) -> list[Fault]:
    most, plugged = memory.hotplug_size, memory.hotplugged_size
    if most == 0:
        return [
            Fault(
                message="hotplug_size=0 means nothing", hint="leave hotplug_size out, or give one"
            )
        ]
    if plugged is None:
        return []
    if memory.hotplug_method != "virtio-mem":
        return [
            Fault(
                message="hotplugged_size needs hotplug_method=virtio-mem",
                hint="add hotplug_method=virtio-mem",
            )
        ]
    if plugged > (most or 0):
        return [
            Fault(
                message="hotplugged_size is more than hotplug_size",
                hint="give a hotplug_size that is at least as large",
            )
        ]
    return []
