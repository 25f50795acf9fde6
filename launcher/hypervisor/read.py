"""From the environment to a guest: typed, with every problem at once. Pure.

What only this machine can tell (files, devices, locks) is `launcher.hypervisor.examine`'s.
"""

from __future__ import annotations

import re

from launcher.hypervisor.memory import parse_memory
from launcher.hypervisor.model import Disk, VmSpec
from launcher.hypervisor.network import parse_network, parse_publish
from launcher.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.environment import EnvironmentReader
    from launcher.hypervisor.memory import Fault

P = "VLLMD_HYPERVISOR_"
NAME, KERNEL, CPUS = f"{P}NAME", f"{P}KERNEL_FILEPATH", f"{P}CPU_COUNT"
SYSTEM, CONFIG = f"{P}SYSTEM_IMAGE_FILEPATH", f"{P}CONFIG_IMAGE_FILEPATH"
MEMORY, DEVICES, CMDLINE = f"{P}MEMORY_CONFIG", f"{P}DEVICE_FILEPATH_LIST", f"{P}CMDLINE"
LOG, DEBUG, INITRAMFS = f"{P}LOG_FILEPATH", f"{P}DEBUG", f"{P}INITRAMFS_FILEPATH"
BACKEND, ACCEL, NET, PUBLISH = f"{P}BACKEND", f"{P}ACCEL", f"{P}NET", f"{P}PUBLISH"
STOP_TIMEOUT, LOG_LEVEL = f"{P}STOP_TIMEOUT", f"{P}LOG_LEVEL"

# Every name that a runtime may have in the host's file, and dots inside.
NAME_RULE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,62}")
MOST_CPUS = 8192  # Cloud Hypervisor's limit on x86 with KVM, above that of QEMU
QCOW2_SUFFIX = ".qcow2"
# Where the log is not a file but a stream that we were started with.
STREAMS = {"/dev/stdout": 1, "-": 1, "/dev/stderr": 2}


def read_name(reader: EnvironmentReader) -> str:
    """Return the name of the guest: it is also that of a folder, and of a process."""
    name = reader.text(NAME)
    if not NAME_RULE.fullmatch(name):
        reader.refuse(
            NAME,
            f"'{name[:80]}' cannot be the name of a guest",
            "write letters, digits, '_', '-', and '.' not at the beginning, 63 in all",
        )
        return "default"
    return name


def read_stop_timeout(reader: EnvironmentReader) -> float:
    """Return how long a guest may take to shut down by itself, in seconds."""
    return reader.seconds(STOP_TIMEOUT)


def read_spec(reader: EnvironmentReader, huge_page: int) -> VmSpec:
    """Return the guest that the environment describes; devices are as the user wrote them.

    `huge_page` is the size of this machine's huge pages, in bytes. Problems are with the reader.
    """
    name = read_name(reader)
    memory, memory_faults = parse_memory(reader.text(MEMORY), huge_page)
    network, network_faults = parse_network(reader.text(NET), name)
    publish, publish_faults = parse_publish(reader.items(PUBLISH))
    _refuse(reader, MEMORY, memory_faults)
    _refuse(reader, NET, network_faults)
    _refuse(reader, PUBLISH, publish_faults)
    return VmSpec(
        name=name,
        kernel=reader.path(KERNEL),
        system_image=_disk(reader.path(SYSTEM), readonly=False),
        config_image=_disk(reader.path(CONFIG), readonly=True),
        cpus=_read_cpus(reader),
        memory=memory,
        initramfs=reader.path(INITRAMFS),
        cmdline=_read_cmdline(reader),
        devices=reader.items(DEVICES),
        network=replace(network, publish=publish),
        log_path=reader.path(LOG),
        log_level="DEBUG" if reader.presence(DEBUG) else reader.choice(LOG_LEVEL),
        backend=reader.choice(BACKEND),
        accelerator=reader.choice(ACCEL),
        stop_timeout_s=read_stop_timeout(reader),
    )


def _refuse(reader: EnvironmentReader, name: str, faults: tuple[Fault, ...]) -> None:
    for fault in faults:
        reader.refuse(name, fault.message, fault.hint)


def _disk(path: str, *, readonly: bool) -> Disk:
    """Take the format from the name that the operator gave.

    Never from the content: a guest could turn its raw disk into a qcow2 image that names files of
    the host.
    """
    fmt = "qcow2" if path.endswith(QCOW2_SUFFIX) else "raw"
    return Disk(path=path, readonly=readonly, format=fmt)


def _read_cpus(reader: EnvironmentReader) -> int:
    cpus = reader.integer(CPUS)
    if cpus > MOST_CPUS:
        reader.refuse(CPUS, f"no machine has {cpus} CPUs", f"write 1 to {MOST_CPUS}")
    return cpus


def _read_cmdline(reader: EnvironmentReader) -> str:
    text = reader.text(CMDLINE)
    if not text.isprintable():
        reader.refuse(CMDLINE, "a kernel command line is one line of text", "remove what is not")
    return text
