"""Huge pages for the guests: added to what is there, and never taken from anybody.

https://docs.kernel.org/admin-guide/mm/hugetlbpage.html: the kernel gives as many as it finds
memory for, so what it gave is read back.
"""

from __future__ import annotations

import os

from launcher.errors import HostError
from launcher.hypervisor.host.deeds import write_setting
from launcher.hypervisor.host.units import memory_text
from launcher.hypervisor.memory import parse_memory
from launcher.hypervisor.pci import find_device
from launcher.hypervisor.sysfs import list_names, read_integer
from launcher.record import record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.hypervisor.host.deeds import Deed, Machine
    from launcher.hypervisor.host.model import Runtime

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
ANY_NODE = -1


@record
class AddHugePages:
    """More huge pages in one pool of the kernel.

    `wanted` is what the guests need of it in this step, free pages that are there included;
    `pages` is by how many the pool grows, in the journal: has grown; `former` is how many there
    were, and the pool never shrinks below that.
    """

    folder: str
    size: int  # of a page, in bytes
    wanted: int
    pages: int
    former: int = 0

    volatile = True

    def say(self) -> str:
        """Say what is done."""
        words = f"huge pages of {_size_words(self.size)}{_node_words(self.folder)}"
        if not self.pages:
            return f"use {self.wanted} free {words}"
        free = self.wanted - self.pages
        return f"add {self.pages} {words}" + (f" to {free} free ones" if free else "")

    def perform(self, machine: Machine) -> AddHugePages:
        """Grow the pool, and read back what the kernel gave.

        Raises:
            HostError: the kernel refuses.
        """
        del machine
        if not self.pages:
            return self
        path = f"{self.folder}/nr_hugepages"
        former = read_integer(path) or 0
        write_setting(path, str(former + self.pages))
        return replace(self, former=former).settle()

    def settle(self) -> AddHugePages:
        """Return this with what the kernel has really given, by what there is now."""
        count = read_integer(f"{self.folder}/nr_hugepages") or 0
        given = min(max(0, count - self.former), self.pages)
        return replace(self, pages=given, wanted=self.wanted - self.pages + given)

    def undo(self, machine: Machine) -> str:
        """Shrink the pool by as many as it has grown, unless somebody else has shrunk it since."""
        del machine
        path = f"{self.folder}/nr_hugepages"
        count = read_integer(path)
        if not self.pages or count is None or count <= self.former:
            return ""
        wanted = max(self.former, count - self.pages)
        write_setting(path, str(wanted))
        left = read_integer(path) or 0
        said = f"gave back {count - left} huge pages of {_size_words(self.size)}"
        # hugetlbpage.rst: pages in use are surplus from now on, and go with their user.
        return f"{said}; {left - wanted} are in use, and go later" if left > wanted else said


def find_shortage(planned: AddHugePages, done: AddHugePages) -> str:
    """Say how much the kernel has held back; empty where nothing."""
    if done.pages >= planned.pages:
        return ""
    words = f"huge pages of {_size_words(planned.size)}{_node_words(planned.folder)}"
    return f"the kernel gave {done.pages} of {planned.pages} {words}"


def shortage_hint(size: int) -> str:
    """Say how to get as many as one needs."""
    words = _size_words(size)
    return f"free memory, or set them aside at boot: hugepagesz={words} hugepages=N"


def plan_hugepages(
    runtimes: Iterable[Runtime], size_text: str, machine: Machine, done: Iterable[Deed]
) -> list[AddHugePages]:
    """Plan what is missing for all guests; `done` is what the journal says of this boot.

    Raises:
        HostError: this kernel has no huge pages of a wanted size.
    """
    claimed: dict[str, int] = {}
    for deed in done:
        if isinstance(deed, AddHugePages):
            # Somebody may have shrunk the pool since: what is gone is wanted again.
            claimed[deed.folder] = claimed.get(deed.folder, 0) + deed.settle().wanted
    deeds = []
    for (size, node), count in _needs(runtimes, size_text, machine).items():
        folder = _pool(machine, size, node)
        wanted = count - claimed.get(folder, 0)
        if wanted <= 0:
            continue
        # Pages that were free at the first time are claimed by then.
        free = 0 if folder in claimed else _free(folder)
        former = read_integer(f"{folder}/nr_hugepages") or 0
        pages = max(0, wanted - free)
        deeds.append(
            AddHugePages(folder=folder, size=size, wanted=wanted, pages=pages, former=former)
        )
    return deeds


def _needs(
    runtimes: Iterable[Runtime], size_text: str, machine: Machine
) -> dict[tuple[int, int], int]:
    """Return how many pages the guests need: by the size of a page, and NUMA node."""
    needs: dict[tuple[int, int], int] = {}
    default = GIB if size_text == "1G" else 2 * MIB
    for runtime in runtimes:
        memory, _ = parse_memory(memory_text(runtime, size_text), default)
        if not memory.hugepages or memory.hugepage_size is None:
            continue
        key = (memory.hugepage_size, _node_of(runtime, machine))
        needs[key] = needs.get(key, 0) + -(-memory.size // memory.hugepage_size)
    return needs


def _node_of(runtime: Runtime, machine: Machine) -> int:
    """Return the NUMA node that all GPUs of a guest are on; ANY_NODE where there is no such."""
    nodes = [name for name in list_names(f"{machine.sysfs}/devices/system/node") if _is_node(name)]
    found = [find_device(address, machine.sysfs) for address in runtime.gpus]
    of_gpus = {device.numa_node for device in found if device is not None}
    return of_gpus.pop() if len(nodes) > 1 and len(of_gpus) == 1 else ANY_NODE


def _is_node(name: str) -> bool:
    return name.startswith("node") and name.removeprefix("node").isdecimal()


def _pool(machine: Machine, size: int, node: int) -> str:
    name = f"hugepages-{size // KIB}kB"
    folder = f"{machine.sysfs}/kernel/mm/hugepages/{name}"
    if node != ANY_NODE:
        folder = f"{machine.sysfs}/devices/system/node/node{node}/hugepages/{name}"
    if not os.path.isdir(folder):
        raise HostError(
            f"this host has no huge pages of {_size_words(size)}",
            "export VLLMD_HUGEPAGES_SIZE=2M, or boot with hugepagesz=1G",
        )
    return folder


def _free(folder: str) -> int:
    free = read_integer(f"{folder}/free_hugepages") or 0
    # Per node there is no such file: the kernel reserves for all nodes together.
    return max(0, free - (read_integer(f"{folder}/resv_hugepages") or 0))


def _size_words(size: int) -> str:
    return f"{size // GIB}G" if size % GIB == 0 else f"{size // MIB}M"


def _node_words(folder: str) -> str:
    nodes = [part for part in folder.split("/") if _is_node(part)]
    return f" on NUMA {nodes[0][:4]} {nodes[0][4:]}" if nodes else ""
