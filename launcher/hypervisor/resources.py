"""Whether this machine has what a guest needs of it: memory, huge pages, CPUs, taps and ports.

Nothing is changed here. Every problem goes to the reader, with the variable it is about.
"""

from __future__ import annotations

import os
import resource
import socket
from functools import partial

from launcher.config.problems import WARNING, Origin, Problem
from launcher.hypervisor import read
from launcher.hypervisor.sysfs import read_integer, read_text
from launcher.hypervisor.waiting import stays

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.environment import EnvironmentReader
    from launcher.hypervisor.model import PublishedPort, VmSpec

HUGE_PAGES = "/kernel/mm/hugepages"
SPARE_LOCKED = 1 << 30  # bytes beyond the guest's memory, as libvirt reckons
DYING_S = 2.0  # how long a killed VMM may hold on to a port


def find_huge_page() -> int:
    """Return the size of this machine's usual huge pages, in bytes."""
    return _meminfo("Hugepagesize") or 2 << 20


def examine_resources(spec: VmSpec, reader: EnvironmentReader, sysfs: str) -> None:
    """Note what this machine lacks."""
    _examine_size(spec, reader, sysfs)
    if spec.devices:
        _examine_locked_memory(spec, reader)
    _examine_tap(spec, reader, sysfs)
    _examine_ports(spec, reader)


def _examine_size(spec: VmSpec, reader: EnvironmentReader, sysfs: str) -> None:
    memory = spec.memory
    total = _meminfo("MemTotal")
    if memory.hugepages and memory.hugepage_size:
        folder = f"{sysfs}{HUGE_PAGES}/hugepages-{memory.hugepage_size // 1024}kB"
        free = (read_integer(f"{folder}/free_hugepages") or 0) - (
            read_integer(f"{folder}/resv_hugepages") or 0
        )
        wanted = -(-memory.size // memory.hugepage_size)
        if free < wanted:
            _lack(
                reader,
                read.MEMORY,
                f"the guest needs {wanted} huge pages of {memory.hugepage_size >> 10} KiB, "
                f"and {free} are free",
                "reserve them with: sudo vllmd-hypervisor initialize",
            )
    elif total and memory.size > total and not reader.is_refused(read.MEMORY):
        message = f"the guest may use {memory.size >> 20} MiB; this machine has {total >> 20} MiB"
        reader.refuse(read.MEMORY, message, "give it less with size=", WARNING)
    cpus = len(os.sched_getaffinity(0))
    if cpus < spec.cpus and not reader.is_refused(read.CPUS):
        message = f"{spec.cpus} vCPUs share {cpus} CPUs of this machine"
        reader.refuse(read.CPUS, message, "give the guest fewer", WARNING)


def _examine_locked_memory(spec: VmSpec, reader: EnvironmentReader) -> None:
    """Devices reach all of the guest's memory at any time: the kernel pins every page of it."""
    _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    wanted = spec.memory.size + SPARE_LOCKED
    if hard != resource.RLIM_INFINITY and hard < wanted and os.geteuid() != 0:
        _lack(
            reader,
            read.DEVICES,
            f"the guest's {wanted >> 20} MiB have to be locked, and the limit is {hard >> 20} MiB",
            "raise it: LimitMEMLOCK=infinity in the unit, or memlock in /etc/security/limits.conf",
        )


def _lack(reader: EnvironmentReader, name: str, message: str, hint: str) -> None:
    """Note what is not the configuration's fault but this machine's."""
    origin = Origin(kind="environment", name=name)
    reader.problems.append(Problem(message=message, hint=hint, origin=origin, missing=True))


def _examine_tap(spec: VmSpec, reader: EnvironmentReader, sysfs: str) -> None:
    """Both VMMs make a tap that is missing, if they may: that takes the rights of root."""
    tap = spec.network.tap
    if tap and os.geteuid() != 0 and not os.path.exists(f"{sysfs}/class/net/{tap}"):
        _lack(
            reader,
            read.NET,
            f"there is no network device '{tap}', and this user cannot make one",
            "make it with: sudo vllmd-hypervisor initialize",
        )


def _examine_ports(spec: VmSpec, reader: EnvironmentReader) -> None:
    for port in spec.network.publish:
        if stays(partial(_find_port_problem, port), DYING_S):
            reader.refuse(
                read.PUBLISH,
                f"{port.host}:{port.host_port} cannot be listened on: {_find_port_problem(port)}",
                f"publish another port: {port.host_port + 1}:{port.guest_port}",
            )


def _find_port_problem(port: PublishedPort) -> str:
    family = socket.AF_INET6 if ":" in port.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        # As QEMU does: a connection that is winding up is no obstacle.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((port.host, port.host_port))
            trial.listen(1)
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return ""


def _meminfo(name: str) -> int:
    """Return a number of /proc/meminfo, in bytes; 0 where there is none."""
    for line in read_text("/proc/meminfo").splitlines():
        key, _, rest = line.partition(":")
        if key == name:
            return int(rest.split()[0]) << 10
    return 0
