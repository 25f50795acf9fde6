"""Which files of a kernel's modules are needed, in the order in which they can be loaded."""

from __future__ import annotations

import lzma
import os
import re

from launcher.errors import HostError
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# modinfo strings of a module file are separated by NUL bytes.
DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")
SUFFIXES = (".ko", ".ko.xz")

# What a guest may meet before its own system can load modules, and what ours never loads itself.
BOOT_MODULES = (
    "virtio_pci", "virtio_mmio", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng",
    "vmw_vsock_virtio_transport", "ext4", "erofs", "overlay", "isofs", "button", "evdev",
)  # fmt: skip


@record
class KernelModules:
    """The modules of one kernel: where the file of each is, and what the kernel holds anyway."""

    files: Mapping[str, str]
    builtin: frozenset[str]


def find_modules(folder: str) -> KernelModules:
    """Look at a kernel's folder below /lib/modules.

    Raises:
        HostError: it is no such folder.
    """
    try:
        with open(os.path.join(folder, "modules.builtin"), encoding="ascii") as file:
            builtin = frozenset(_name(line.strip()) for line in file)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise HostError(f"'{folder}' holds no kernel's modules: {reason}") from None
    files = {
        _name(entry): os.path.join(place, entry)
        for place, _, entries in os.walk(folder)
        for entry in entries
        if entry.endswith(SUFFIXES)
    }
    return KernelModules(files=files, builtin=builtin)


def read_module(path: str) -> bytes:
    """Return a module, unpacked."""
    with open(path, "rb") as file:
        data = file.read()
    return lzma.decompress(data) if path.endswith(".xz") else data


def parse_depends(module: bytes) -> tuple[str, ...]:
    """Return what a module says that it needs. depmod(8) takes it from there too."""
    found = DEPENDS.search(module)
    words = found[1].decode().split(",") if found else []
    return tuple(_name(word) for word in words if word)


def plan_loading(
    wanted: Sequence[str], modules: KernelModules, depends: Callable[[str], tuple[str, ...]]
) -> list[str]:
    """Return the wanted modules and all they need, what is needed first.

    What is built into the kernel, or not made for it, is left out: which drivers a kernel has as
    modules differs from one to the next.
    """
    order: list[str] = []
    seen: set[str] = set()

    def visit(name: str) -> None:
        if name in seen or name in modules.builtin or name not in modules.files:
            return
        seen.add(name)
        for needed in depends(name):
            visit(needed)
        order.append(name)

    for name in wanted:
        visit(_name(name))
    return order


def _name(path: str) -> str:
    """Return a module's name: `kernel/drivers/virtio/virtio-rng.ko` is `virtio_rng`."""
    return os.path.basename(path).split(".")[0].replace("-", "_")
