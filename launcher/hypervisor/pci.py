"""PCI devices and their IOMMU groups, as sysfs shows them.

A device may be named as a person finds it: `0000:01:00.0`, `01:00.0`, a path in sysfs,
`/dev/vfio/10` (all functions of IOMMU group 10) or `/dev/vfio/devices/vfio3` (iommufd). Cloud
Hypervisor and QEMU want its folder in sysfs or its address.

The kernel hands out whole groups only: every function in a device's group, bridges apart, has to
be on vfio-pci or on no driver, else opening the group fails with "group is not viable"
(https://docs.kernel.org/driver-api/vfio.html). `sysfs` is where sysfs is mounted.
"""

from __future__ import annotations

import os
import re

from launcher.config.reader import Refusal
from launcher.hypervisor.sysfs import link_name, list_names, read_integer, read_line
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

SYSFS = "/sys"
VFIO = "vfio-pci"
NVIDIA = 0x10DE
BRIDGE_CLASSES = (0x0604, 0x0600)  # PCI-to-PCI, host: the kernel leaves them out of the rule
DISPLAY_CLASS = 0x03
# What somebody who has mistyped an address of a GPU would take away from the host.
NO_GPU_CLASSES = {0x01: "a disk controller", 0x02: "a network card", 0x06: "a bridge"}
# A device that only sits on one of these does not use its group (kernel: driver_managed_dma).
HARMLESS_DRIVERS = ("", "pci-stub", "pcieport")
ADDRESS = re.compile(
    r"(?:(?P<domain>[0-9a-f]{4,8}):)?(?P<bus>[0-9a-f]{2}):(?P<slot>[01][0-9a-f])\.(?P<function>[0-7])"
)
EXAMPLE = "write it like 0000:01:00.0; 'lspci -D' lists the addresses"


@record
class PciDevice:
    """One function of a PCI device. `class_code` has 24 bits: class, subclass, interface."""

    address: str  # in full: 0000:01:00.0
    path: str  # its folder in sysfs, without a slash at the end
    vendor: int
    device: int
    class_code: int
    driver: str = ""  # empty: none
    group: str = ""  # number of the IOMMU group; empty: none
    numa_node: int = -1  # -1: the machine does not say
    boot_vga: bool = False  # the firmware's display

    @property
    def is_bridge(self) -> bool:
        """Tell whether this is a bridge, which stays with the host."""
        return self.class_code >> 8 in BRIDGE_CLASSES

    @property
    def is_display(self) -> bool:
        """Tell whether this is a GPU: a VGA, 3D or other display controller."""
        return self.class_code >> 16 == DISPLAY_CLASS

    @property
    def other_kind(self) -> str:
        """Say what this is where it can neither be a GPU nor come along with one; else empty."""
        return NO_GPU_CLASSES.get(self.class_code >> 16, "")

    @property
    def card(self) -> str:
        """Return the address without its function: what is pulled out of its slot together."""
        return self.address.rpartition(".")[0]

    @property
    def on_vfio(self) -> bool:
        """Tell whether a guest can be given it: vfio-pci or a vendor's variant of it drives it."""
        return self.driver.replace("_", "-").endswith(VFIO)

    @property
    def blocks_group(self) -> bool:
        """Tell whether this device keeps its group from being handed to a guest."""
        return not (self.is_bridge or self.on_vfio or self.driver in HARMLESS_DRIVERS)


def parse_address(text: str) -> str:
    """Parse a PCI address, with or without its domain; return it in full, in small letters.

    Raises:
        Refusal: it is none.
    """
    match = ADDRESS.fullmatch(text.strip().lower())
    if match is None:
        raise Refusal(f"'{text}' is no PCI address", EXAMPLE)
    return f"{match['domain'] or '0000'}:{match['bus']}:{match['slot']}.{match['function']}"


def find_device(address: str, sysfs: str = SYSFS) -> PciDevice | None:
    """Return the device with a full address, None where this machine has none."""
    path = f"{sysfs}/bus/pci/devices/{address}"
    if not os.path.isdir(path):
        return None
    node = read_integer(f"{path}/numa_node")
    return PciDevice(
        address=address,
        path=path,
        vendor=read_integer(f"{path}/vendor") or 0,
        device=read_integer(f"{path}/device") or 0,
        class_code=read_integer(f"{path}/class") or 0,
        driver=link_name(f"{path}/driver"),
        group=link_name(f"{path}/iommu_group"),
        numa_node=-1 if node is None else node,
        boot_vga=read_line(f"{path}/boot_vga") == "1",
    )


def require_device(address: str, sysfs: str = SYSFS) -> PciDevice:
    """Return the device with a full address.

    Raises:
        Refusal: this machine has none.
    """
    device = find_device(address, sysfs)
    if device is None:
        displays = [each.address for each in find_devices(sysfs) if each.is_display]
        hint = f"its GPUs are: {', '.join(displays)}" if displays else "'lspci -D' lists them"
        raise Refusal(f"this machine has no PCI device {address}", hint)
    return device


def find_devices(sysfs: str = SYSFS) -> tuple[PciDevice, ...]:
    """Return every PCI device of this machine, by address."""
    found = (find_device(name, sysfs) for name in list_names(f"{sysfs}/bus/pci/devices"))
    return tuple(each for each in found if each is not None)


def find_group(group: str, sysfs: str = SYSFS) -> tuple[PciDevice, ...]:
    """Return the PCI devices of an IOMMU group, bridges too; none where there is no such group."""
    names = list_names(f"{sysfs}/kernel/iommu_groups/{group}/devices")
    found = (find_device(name, sysfs) for name in names)
    return tuple(each for each in found if each is not None)


def find_companions(device: PciDevice, sysfs: str = SYSFS) -> tuple[PciDevice, ...]:
    """Return the other functions that leave the host together with a device; bridges stay."""
    if not device.group:
        return ()
    group = find_group(device.group, sysfs)
    return tuple(each for each in group if each.address != device.address and not each.is_bridge)


def find_blocking(device: PciDevice, sysfs: str = SYSFS) -> tuple[PciDevice, ...]:
    """Return what keeps a device's group with the host, the device itself included."""
    return tuple(each for each in (device, *find_companions(device, sysfs)) if each.blocks_group)


def resolve_devices(texts: Iterable[str], sysfs: str = SYSFS) -> tuple[PciDevice, ...]:
    """Return the devices that some names mean, each once, in the order of the names.

    Raises:
        Refusal: a name means no device of this machine.
    """
    found = {each.address: each for text in texts for each in resolve_device(text, sysfs)}
    return tuple(found.values())


def resolve_device(text: str, sysfs: str = SYSFS) -> tuple[PciDevice, ...]:
    """Return the devices that a name means: one, or the functions of a group without bridges.

    Raises:
        Refusal: it means no device of this machine.
    """
    path = text.strip().rstrip("/")
    if path.startswith("/dev/vfio/"):
        return _resolve_vfio(path, sysfs)
    if not path.startswith("/"):
        return (require_device(parse_address(path), sysfs),)
    name = os.path.basename(path)
    if not ADDRESS.fullmatch(name.lower()):
        # Some other link to the device: a DRM card's `device`, for one.
        name = os.path.basename(os.path.realpath(path))
    if not ADDRESS.fullmatch(name.lower()):
        raise Refusal(f"'{text}' is no PCI device", f"name /dev/vfio/N or an address: {EXAMPLE}")
    return (require_device(parse_address(name), sysfs),)


def _resolve_vfio(path: str, sysfs: str) -> tuple[PciDevice, ...]:
    name = path.removeprefix("/dev/vfio/")
    if name.startswith("devices/"):
        link = f"{sysfs}/class/vfio-dev/{name.removeprefix('devices/')}/device"
        address = link_name(link)
        if not ADDRESS.fullmatch(address):
            raise Refusal(f"there is no '{path}'", "bind the device to vfio-pci first")
        return (require_device(address, sysfs),)
    if name == "vfio":
        raise Refusal(
            f"'{path}' is the container of all groups, not a device",
            "name the group's file, like /dev/vfio/10",
        )
    if name.startswith("noiommu-"):
        message = f"'{path}' is a group without an IOMMU, which protects nobody from the guest"
        raise Refusal(message, "turn the IOMMU on in the firmware and the kernel")
    group = tuple(each for each in find_group(name, sysfs) if not each.is_bridge)
    if not group:
        hint = "'ls /sys/kernel/iommu_groups/*/devices' lists the groups and their devices"
        raise Refusal(f"this machine has no IOMMU group for '{path}'", hint)
    return group
