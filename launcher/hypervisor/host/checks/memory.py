"""Memory: enough of it, in huge pages, and allowed to be locked."""

from __future__ import annotations

from launcher.hypervisor.host.checks.survey import (
    GIB,
    has_devices,
    memory_of,
    uses_hugepages,
)
from launcher.hypervisor.host.findings import FAIL, OK, SKIP, WARN, Finding
from launcher.hypervisor.sysfs import read_integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.host.checks.survey import Survey

PAGE_KIB = {"2M": 2048, "1G": 1048576}
# What a VMM locks besides its guest's memory, as libvirt counts it.
LOCK_MARGIN = GIB


def check_hugepages(survey: Survey) -> Finding:
    """Count huge pages of the wanted size against the memory of the runtimes."""
    size = survey.settings.hugepages_size
    name = f"hugepages {size}"
    why = "guests with GPUs start faster and run faster in huge pages"
    folder = f"/sys/kernel/mm/hugepages/hugepages-{PAGE_KIB[size]}kB"
    path = f"{survey.machine.root}{folder}"
    total, free = read_integer(f"{path}/nr_hugepages"), read_integer(f"{path}/free_hugepages")
    if total is None or free is None:
        other = "2M" if size == "1G" else "1G"
        seen = f"the kernel has none of {size}"
        mend = f"export VLLMD_HUGEPAGES_SIZE={other}"
        return Finding(name=name, status=FAIL, seen=seen, why=why, mend=mend)
    usable = max(0, free - (read_integer(f"{path}/resv_hugepages") or 0))
    seen = f"{_gib(total * PAGE_KIB[size] << 10)}, {_gib(usable * PAGE_KIB[size] << 10)} free"
    wanted = sum(memory_of(each) for each in survey.config.runtimes if uses_hugepages(each))
    if not wanted:
        return Finding(name=name, status=OK, seen=seen, why=why)
    seen += f", {_gib(wanted)} for the runtimes"
    if usable * PAGE_KIB[size] << 10 >= wanted:
        return Finding(name=name, status=OK, seen=seen, why=why)
    mend = survey.prepare()
    if size == "1G":
        mend = survey.prepare(VLLMD_HUGEPAGES_SIZE=size)
        pages = -(-wanted // GIB)
        mend += f"  # or, if memory is too fragmented: {survey.boot_with(f'hugepagesz=1G hugepages={pages}')}"  # noqa: E501  (one command)
    return Finding(name=name, status=WARN, seen=seen, why=why, mend=mend)


def check_memlock(survey: Survey) -> Finding:
    """Compare the limit on locked memory with the largest runtime that has GPUs."""
    name, why = "memlock", "a guest with a GPU has all of its memory locked, for DMA"
    sizes = [memory_of(each) for each in survey.config.runtimes if has_devices(each)]
    if not sizes:
        seen = "no runtime has GPUs"
        return Finding(name=name, status=SKIP, seen=seen, why=why)
    limit, user = survey.machine.memlock, survey.config.common.user
    wanted = max(sizes) + LOCK_MARGIN
    if limit is None:
        return Finding(name=name, status=OK, seen="no limit", why=why)
    seen = f"{_gib(limit)} allowed, {_gib(wanted)} wanted"
    if limit >= wanted:
        return Finding(name=name, status=OK, seen=seen, why=why)
    line = f"echo '{user} - memlock unlimited' | sudo tee /etc/security/limits.d/vllmd.conf"
    mend = f"{line}  # then log in again; units of install-systemd have a limit of their own"
    return Finding(name=name, status=WARN, seen=seen, why=why, mend=mend)


def check_memory(survey: Survey) -> Finding:
    """Compare the memory of the host with that of all runtimes."""
    name, why = "memory", "what guests have, the host has not; without enough, the kernel kills"
    total, available = survey.meminfo("MemTotal"), survey.meminfo("MemAvailable")
    pages = survey.meminfo("HugePages_Free") * survey.meminfo("Hugepagesize")
    wanted = survey.memory_wanted
    seen = f"{_gib(available + pages)} free of {_gib(total)}"
    if not wanted:
        return Finding(name=name, status=OK, seen=f"{seen}; no runtimes are configured", why=why)
    seen += f", {_gib(wanted)} for the runtimes"
    mend = f"${{EDITOR:-vi}} {survey.config.path}  # smaller memory_gb, or fewer runtimes"
    if wanted > total:
        return Finding(name=name, status=FAIL, seen=seen, why=why, mend=mend)
    if wanted > available + pages:
        return Finding(name=name, status=WARN, seen=seen, why=why, mend=mend)
    return Finding(name=name, status=OK, seen=seen, why=why)


def _gib(size: int) -> str:
    if 0 < size < GIB:
        return f"{size >> 20} MiB"
    return f"{size / GIB:.1f} GiB" if size % GIB else f"{size // GIB} GiB"
