"""Five hosts, as trees of files: what `precheck` is shown."""

from __future__ import annotations

from launcher.config.document import parse_toml
from launcher.config.problems import Origin
from launcher.hypervisor.account import Account
from launcher.hypervisor.host.checks.survey import Survey
from launcher.hypervisor.host.machine import Machine, Program
from launcher.hypervisor.host.model import HostSettings
from launcher.hypervisor.host.precheck import check_all
from launcher.hypervisor.host.read import read_host
from launcher.hypervisor.kvm import KvmState
from launcher.record import replace
from tests.support.hosttree import BRIDGE, H100, INTEL_VGA, NVIDIA_AUDIO, HostTree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.hypervisor.host.findings import Finding

GPU_1, GPU_2 = "0000:41:00.0", "0000:c1:00.0"
INTEL_FLAGS, AMD_FLAGS = "fpu vmx ept", "fpu svm npt"
WORKING = KvmState(works=True)
NO_KVM = KvmState(works=False, reason="there is no /dev/kvm")
QEMU = Program(name="qemu-system-x86_64", path="/usr/bin/qemu-system-x86_64", version="8.2.2")
CLOUD = Program(name="cloud-hypervisor", path="/usr/local/bin/cloud-hypervisor", version="53.0")
ADA = Account(user="ada", uid=1000, gids=(1000, 104))
GIB = 1 << 30

PREPARE = "sudo VLLMD_HYPERVISOR_CONFIG=/config.toml vllmd-hypervisor initialize"
NO_RUNTIMES = '[global]\nuser = "ada"\nstate_dir = "/state"\n'
TWO_RUNTIMES = f"""\
[global]
user = "ada"
state_dir = "/state"

[[runtimes]]
index = 1
name = "one"
gpus = ["{GPU_1}"]
memory_gb = 256
cpus = 24

[[runtimes]]
index = 2
name = "two"
gpus = ["{GPU_2}"]
memory_gb = 256
cpus = 24

[guest]
kernel = "/boot/vmlinuz"
image = "/images/system.img"
"""

# The configuration file of the variables' reference, as it stands there.
REFERENCE = """\
# VLLMD Hypervisor Configuration

[global]
user = "sdake"
state_dir = "/home/sdake/.local/state/vllmd-hypervisor"
config_dir = "/home/sdake/.config/vllmd"
default_memory_gb = 32
default_cpus = 8

[[runtimes]]
index = 1
name = "vllm-inference-1"
gpus = ["0000:01:00.0"]
memory_gb = 64
cpus = 16

[[runtimes]]
index = 2
name = "vllm-inference-2"
gpus = ["0000:02:00.0"]
# Uses default memory and CPU settings

[network]
default_interface = "eth0"
bridge_name = "vllmd-br0"
"""


def survey(
    tree: HostTree,
    text: str = NO_RUNTIMES,
    settings: Mapping[str, object] | None = None,
    **machine: object,
) -> Survey:
    """Return a survey of a tree: a machine on which everything is installed, but for `machine`."""
    reading = read_host(
        parse_toml(text, Origin(kind="file", name="/config.toml")), {"HOME": "/home/ada"}, "ada"
    )
    assert reading.problems == ()
    found = Machine(
        root=str(tree.root),
        account=ADA,
        kvm=WORKING,
        memlock=None,
        cloud_hypervisor=CLOUD,
        qemu=QEMU,
        is_here=False,
    )
    return Survey(
        config=reading.config,
        settings=replace(HostSettings(), **(settings or {})),
        machine=replace(found, **machine),
    )


def found(
    tree: HostTree,
    name: str,
    text: str = TWO_RUNTIMES,
    settings: Mapping[str, object] | None = None,
    **machine: object,
) -> Finding:
    """Return what one check finds on a tree."""
    findings = {each.name: each for each in check_all(survey(tree, text, settings, **machine))}
    return findings[name]


def outcome(finding: Finding) -> tuple[str, str, str]:
    """Return status, what was seen, and the command that mends it."""
    return finding.status, finding.seen, finding.mend


def add_basics(tree: HostTree, cpu: tuple[str, str, str], cpus: int, memory_gib: int) -> None:
    """Add what every Linux has. `cpu` is vendor, name and flags."""
    vendor, model, flags = cpu
    blocks = [
        f"processor\t: {number}\nvendor_id\t: {vendor}\nmodel name\t: {model}\nflags\t\t: {flags}\n"
        for number in range(cpus)
    ]
    tree.write("proc/cpuinfo", "\n".join(blocks))
    kib = memory_gib << 20
    tree.write(
        "proc/meminfo",
        f"MemTotal: {kib} kB\nMemAvailable: {kib * 9 // 10} kB\n"
        "HugePages_Free: 0\nHugepagesize: 2048 kB",
    )
    tree.write("proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro")
    tree.write("etc/group", "root:x:0:\nkvm:x:104:ada\nusers:x:1000:")
    tree.write("etc/passwd", "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh")
    tree.write("etc/os-release", "ID=ubuntu\nID_LIKE=debian")
    add_hugepages(tree, "2048kB", 0)
    (tree.root / "run").mkdir(exist_ok=True)


def add_hugepages(tree: HostTree, size: str, pages: int, reserved: int = 0) -> None:
    """Set how many huge pages there are; all are free."""
    folder = f"sys/kernel/mm/hugepages/hugepages-{size}"
    for name, value in (("nr", pages), ("free", pages), ("resv", reserved)):
        tree.write(f"{folder}/{name}_hugepages", value)


def add_interface(tree: HostTree, name: str, state: str = "up", *, routed: bool = False) -> None:
    """Add a network card; with a default route on it."""
    tree.write(f"sys/class/net/{name}/operstate", state)
    tree.write(f"sys/class/net/{name}/flags", "0x1003")
    (tree.root / f"sys/class/net/{name}/device").mkdir(exist_ok=True)
    if routed:
        head = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT"
        row = f"{name} 00000000 0100A8C0 0003 0 0 100 00000000 0 0 0"
        tree.write("proc/net/route", f"{head}\n{row}")


def add_nodes(tree: HostTree, *cpulists: str) -> None:
    """Add NUMA nodes."""
    for number, cpus in enumerate(cpulists):
        tree.write(f"sys/devices/system/node/node{number}/cpulist", cpus)


def add_network(tree: HostTree) -> None:
    """Add what `initialize` makes: the bridge, and a tap for each of two runtimes."""
    (tree.root / "sys/class/net/vllmd-br0/bridge").mkdir(parents=True)
    for tap in ("vllmd-tap1", "vllmd-tap2"):
        tree.write(f"sys/class/net/{tap}/operstate", "up")
        (tree.root / f"sys/class/net/vllmd-br0/brif/{tap}").mkdir(parents=True)


def add_kvm(tree: HostTree, module: str, nested: str) -> None:
    """Load KVM."""
    tree.write("dev/kvm", "")
    tree.write(f"sys/module/{module}/parameters/nested", nested)


def add_files(tree: HostTree) -> None:
    """Add what two runtimes boot from."""
    for name in ("boot/vmlinuz", "images/system.img", "state/one/seed.img", "state/two/seed.img"):
        tree.write(name, "")


def add_vfio(tree: HostTree) -> None:
    """Load vfio."""
    for name in ("vfio", "vfio_iommu_type1"):
        (tree.root / f"sys/module/{name}").mkdir(parents=True)
    (tree.root / "sys/bus/pci/drivers/vfio-pci").mkdir(parents=True, exist_ok=True)


def intel_with_two_h100(tree: HostTree) -> HostTree:
    """Two sockets, an H100 at each, all prepared."""
    cpu = ("GenuineIntel", "Intel(R) Xeon(R) Platinum 8480+", INTEL_FLAGS)
    add_basics(tree, cpu, cpus=64, memory_gib=1024)
    add_kvm(tree, "kvm_intel", "Y")
    tree.write("proc/cmdline", "root=/dev/sda1 intel_iommu=on iommu=pt")
    for unit in ("dmar0", "dmar1"):
        (tree.root / f"sys/class/iommu/{unit}").mkdir(parents=True)
    add_vfio(tree)
    add_nodes(tree, "0-31", "32-63")
    tree.add_pci("0000:40:01.0", BRIDGE, driver="pcieport", group="40")
    tree.add_pci(GPU_1, H100, driver="vfio-pci", group="40", node=0)
    tree.add_pci(GPU_2, H100, driver="vfio-pci", group="55", node=1)
    add_hugepages(tree, "2048kB", 300_000)
    add_hugepages(tree, "1048576kB", 0)
    add_interface(tree, "eno1", routed=True)
    add_network(tree)
    add_files(tree)
    (tree.root / "run/systemd/system").mkdir(parents=True)
    return tree


def amd_host(tree: HostTree) -> HostTree:
    """One socket, the IOMMU on by itself, a GPU and its sound on the host's drivers."""
    add_basics(tree, ("AuthenticAMD", "AMD EPYC 9654", AMD_FLAGS), cpus=96, memory_gib=1536)
    add_kvm(tree, "kvm_amd", "1")
    (tree.root / "sys/class/iommu/ivhd0").mkdir(parents=True)
    add_vfio(tree)
    tree.add_pci(GPU_1, H100, driver="nvidia", group="12")
    tree.add_pci("0000:41:00.1", NVIDIA_AUDIO, driver="snd_hda_intel", group="12")
    tree.add_pci(GPU_2, H100, driver="vfio-pci", group="13")
    tree.write("proc/812/comm", "nvidia-persiste")
    tree.write("etc/os-release", 'ID="rocky"\nID_LIKE="rhel centos fedora"')
    add_interface(tree, "ens1", routed=True)
    add_files(tree)
    (tree.root / "run/systemd/system").mkdir(parents=True)
    return tree


def laptop(tree: HostTree) -> HostTree:
    """KVM, Wi-Fi and a display of its own; the IOMMU is off."""
    add_basics(tree, ("GenuineIntel", "Core i7-1185G7", INTEL_FLAGS), cpus=8, memory_gib=16)
    add_kvm(tree, "kvm_intel", "N")
    tree.add_pci("0000:00:02.0", INTEL_VGA, driver="i915", boot_vga=True)
    add_interface(tree, "wlan0", routed=True)
    (tree.root / "sys/class/net/wlan0/wireless").mkdir()
    (tree.root / "run/systemd/system").mkdir(parents=True)
    return tree


def container(tree: HostTree) -> HostTree:
    """A container: the host's /sys and /proc, and no device."""
    add_basics(tree, ("GenuineIntel", "Xeon Gold 6348", INTEL_FLAGS), cpus=28, memory_gib=256)
    tree.write(".dockerenv", "")
    tree.write("sys/class/net/eth0/operstate", "unknown")
    return tree


def nested_vm(tree: HostTree) -> HostTree:
    """A virtual machine whose CPU hides virtualisation."""
    add_basics(tree, ("GenuineIntel", "Xeon (Skylake)", "fpu hypervisor"), cpus=4, memory_gib=16)
    add_interface(tree, "ens3", routed=True)
    (tree.root / "run/systemd/system").mkdir(parents=True)
    return tree
