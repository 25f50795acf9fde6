"""The command line of QEMU for a guest. Pure.

The machine is q35 (virt on Arm). Everything that QEMU would add by itself is turned off, and
devices are virtio. What each option stands for in Cloud Hypervisor is beside it.
"""

from __future__ import annotations

import posixpath

from launcher.hypervisor import rundir as names
from launcher.hypervisor.backend import Launch
from launcher.hypervisor.model import KVM, REPORT_PORT_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.model import Disk, Memory, Network, VmSpec
    from launcher.hypervisor.rundir import RunDir

MIB = 1 << 20
MACHINES = {"x86_64": "q35", "aarch64": "virt"}
PROGRAMS = {machine: f"qemu-system-{machine}" for machine in MACHINES}
MOST_CPUS = 255  # more need an interrupt remapper of their own
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
ROOT_PORT = "pcie-root-port"


def plan_qemu(
    spec: VmSpec, rundir: RunDir, accelerator: str, program: str, machine: str = "x86_64"
) -> Launch:
    """Return how to start QEMU for a guest; `machine` is the host's, as uname(2) says it."""
    argv = [program, "-nodefaults", "-no-user-config", "-display", "none"]
    argv += ["-name", f"guest={spec.name}", "-sandbox", SANDBOX]
    argv += _accelerator(accelerator, MACHINES[machine])
    argv += _memory(spec.memory)
    argv += ["-smp", str(spec.cpus)]
    argv += _payload(spec)
    argv += _disk("system", spec.system_image) + _disk("config", spec.config_image)
    argv += _network(spec.network)
    argv += ["-device", "virtio-rng-pci"]
    argv += ["-device", "pvpanic-pci"] if machine == "x86_64" else []
    argv += _channels(rundir)
    argv += _devices(spec.devices)
    argv += ["-pidfile", rundir.file(names.PIDFILE)]
    return Launch(argv=tuple(argv), console=names.CONSOLE, report=names.REPORT)


def _accelerator(accelerator: str, machine: str) -> list[str]:
    """The names of CPU models: those of the host with KVM, all that can be emulated without."""
    if accelerator == KVM:
        return ["-machine", f"{machine},memory-backend=ram", "-accel", "kvm", "-cpu", "host"]
    return [
        *("-machine", f"{machine},memory-backend=ram"),
        *("-accel", "tcg,thread=multi", "-cpu", "max"),
    ]


def _memory(memory: Memory) -> list[str]:
    """`--memory`: as one backend, so that shared and huge pages mean the same in both."""
    words = [f"size={memory.size}", f"share={_on(memory.shared)}"]
    kind = "memory-backend-ram"
    if memory.shared:
        kind = "memory-backend-memfd"
    if memory.hugepages:
        words += ["hugetlb=on", f"hugetlbsize={memory.hugepage_size}"]
    words.append(f"merge={_on(memory.mergeable)}")
    if memory.prefault or memory.reserve:
        words.append("prealloc=on")
    amount = f"{memory.size // MIB}M" if memory.size % MIB == 0 else f"{memory.size}B"
    return ["-m", amount, "-object", ",".join([kind, "id=ram", *words])]


def _payload(spec: VmSpec) -> list[str]:
    if spec.firmware:
        return ["-bios", spec.kernel]
    initramfs = ["-initrd", spec.initramfs] if spec.initramfs else []
    cmdline = ["-append", spec.cmdline] if spec.cmdline else []
    return ["-kernel", spec.kernel, *initramfs, *cmdline]


def _disk(name: str, disk: Disk) -> list[str]:
    readonly = _on(disk.readonly)
    return [
        "-drive",
        f"if=none,id={name},file={_escaped(disk.path)},format={disk.format},readonly={readonly}",
        "-device",
        f"virtio-blk-pci,drive={name},serial={name}",
    ]


def _network(network: Network) -> list[str]:
    if network.kind == "none":
        return []
    device = ["-device", f"virtio-net-pci,netdev=net0,mac={network.mac},romfile="]
    if network.kind == "tap":
        return [
            *("-netdev", f"tap,id=net0,ifname={network.tap},script=no,downscript=no"),
            *device,
        ]
    forwards = "".join(
        f",hostfwd=tcp:{f'[{each.host}]' if ':' in each.host else each.host}:{each.host_port}"
        f"-:{each.guest_port}"
        for each in network.publish
    )
    return ["-netdev", f"user,id=net0{forwards}", *device]


def _channels(rundir: RunDir) -> list[str]:
    """The serial port, the guest's reports, and two doors to QEMU itself.

    One is for the supervisor, who stays connected and hears of events; a door takes one client at
    a time, so `stop` and `status` have another.
    """

    def connect(name: str, file: str) -> list[str]:
        return ["-chardev", f"socket,id={name},path={_escaped(rundir.file(file))},server=off"]

    def serve(file: str) -> list[str]:
        return ["-qmp", f"unix:{_escaped(rundir.file(file))},server=on,wait=off"]

    return [
        *connect("console", names.CONSOLE),
        *("-serial", "chardev:console"),
        *connect("report", names.REPORT),
        *("-device", "virtio-serial-pci"),
        *("-device", f"virtserialport,chardev=report,name={REPORT_PORT_NAME}"),
        *serve(names.MONITOR),
        *serve(names.CONTROL),
    ]


def _devices(paths: tuple[str, ...]) -> list[str]:
    """Each device behind a root port of its own, as PCI Express wants it."""
    argv: list[str] = []
    for number, path in enumerate(paths):
        port = f"port{number}"
        argv += ["-device", f"{ROOT_PORT},id={port},chassis={number + 1}"]
        argv += ["-device", f"vfio-pci,host={posixpath.basename(path)},bus={port}"]
    return argv


def find_qemu_gaps(spec: VmSpec) -> list[tuple[str, str, str]]:
    """Return what this guest wants and QEMU, as we use it, has not.

    Each is a variable's short name, a message and a hint.
    """
    other = "use the backend cloud-hypervisor for it"
    gaps = []
    if spec.memory.hotplug_size is not None:
        gaps.append(("MEMORY_CONFIG", "memory cannot be plugged into QEMU later", other))
    if not spec.memory.thp:
        gaps.append(("MEMORY_CONFIG", "QEMU leaves transparent huge pages to the host", other))
    if spec.cpus > MOST_CPUS:
        gaps.append(("CPU_COUNT", f"QEMU takes at most {MOST_CPUS} vCPUs here", other))
    return gaps


def _on(value: bool) -> str:
    return "on" if value else "off"


def _escaped(path: str) -> str:
    """Write a path as a value of a QEMU option, where a comma begins the next one."""
    return path.replace(",", ",,")
