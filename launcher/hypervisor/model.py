"""What a guest is: values only. From the environment, or from a file, to a backend's own words."""

from __future__ import annotations

from launcher.record import record

GIB = 1 << 30

AUTO = "auto"
CLOUD_HYPERVISOR = "cloud-hypervisor"
QEMU = "qemu"
BACKENDS = (AUTO, CLOUD_HYPERVISOR, QEMU)
KVM = "kvm"
TCG = "tcg"
ACCELERATORS = (AUTO, KVM, TCG)

# The volume label of NoCloud's seed disk, which the guest looks for.
SEED_LABEL = "CIDATA"
# Files on the seed disk besides cloud-init's own three: what the entrypoint reads.
SEED_CONFIG = "vllm.toml"
SEED_OVERRIDES = "overrides.json"
# Where the guest reports its state: a port of virtio-serial (QEMU), a port of vsock otherwise.
REPORT_PORT_NAME = "org.vllmd.report"
REPORT_VSOCK_PORT = 9110


@record
class Memory:
    """A guest's memory, in Cloud Hypervisor's words (`--memory`). Sizes are in bytes."""

    size: int
    mergeable: bool = False
    shared: bool = False
    hugepages: bool = False
    hugepage_size: int | None = None
    prefault: bool = False
    reserve: bool = False
    thp: bool = True
    hotplug_method: str = "acpi"  # or "virtio-mem"
    hotplug_size: int | None = None
    hotplugged_size: int | None = None


@record
class Disk:
    """An image file. `format` is "raw" or "qcow2", said by us and never guessed from content."""

    path: str
    readonly: bool = False
    format: str = "raw"


@record
class PublishedPort:
    """A port of the host that leads to a port of the guest."""

    host: str
    host_port: int
    guest_port: int


@record
class Network:
    """How the guest reaches the world.

    `kind` is "user" (QEMU's own, no rights needed, publishes ports), "tap" (a device prepared by
    `vllmd-hypervisor initialize`), "none", or empty: "user" if the backend has it, else "none".
    """

    kind: str = ""
    tap: str = ""
    mac: str = ""
    publish: tuple[PublishedPort, ...] = ()


@record
class Addressing:
    """What a guest is told about its network. Without an address it asks by DHCP."""

    address: str = ""  # with the length of the prefix: 10.111.0.11/24
    gateway: str = ""
    nameservers: tuple[str, ...] = ()


@record
class VmSpec:
    """One guest, whole: what a backend needs to boot it. Durations are in seconds."""

    name: str
    kernel: str
    system_image: Disk
    config_image: Disk
    cpus: int
    memory: Memory
    initramfs: str = ""
    firmware: bool = False  # `kernel` is an UEFI image, which takes no initramfs and command line
    cmdline: str = ""
    devices: tuple[str, ...] = ()  # sysfs directories, canonical: /sys/bus/pci/devices/0000:01:00.0
    reports: bool = False  # the guest was built by `image build`: it will say how it is
    network: Network = Network()
    log_path: str = "/dev/stdout"
    log_level: str = "INFO"  # DEBUG, INFO, WARN or ERROR
    backend: str = AUTO
    accelerator: str = AUTO
    stop_timeout_s: float = 20.0
