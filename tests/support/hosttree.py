"""Hosts as folders: `/sys`, `/proc`, `/dev` and `/etc` of machines that nobody here has.

A tree is made of real folders, files and links, in the shape that Linux gives them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

H100 = ("0x10de", "0x2330", "0x030200")
NVIDIA_AUDIO = ("0x10de", "0x22bb", "0x040300")
BRIDGE = ("0x8086", "0x352a", "0x060400")
INTEL_VGA = ("0x8086", "0x9a49", "0x030000")


class HostTree:
    """One machine below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("sys/bus/pci/devices", "sys/kernel", "proc", "dev", "etc"):
            (root / name).mkdir(parents=True, exist_ok=True)

    @property
    def sysfs(self) -> str:
        return str(self.root / "sys")

    def write(self, path: str, text: object) -> None:
        """Write a file; the folders above it are made."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def link(self, path: str, target: str) -> None:
        """Make a link to a path below the root."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.symlink_to(self.root / target)

    def add_pci(  # noqa: PLR0913  (a device has that many properties)
        self,
        address: str,
        ids: tuple[str, str, str],
        *,
        driver: str = "",
        group: str = "",
        node: int = 0,
        boot_vga: bool = False,
    ) -> None:
        """Add a PCI function; into an IOMMU group where one is named."""
        real = f"sys/devices/pci0000:00/{address}"
        for name, value in zip(("vendor", "device", "class"), ids, strict=True):
            self.write(f"{real}/{name}", value)
        self.write(f"{real}/numa_node", node)
        self.write(f"{real}/driver_override", "(null)")
        if boot_vga:
            self.write(f"{real}/boot_vga", 1)
        self.link(f"sys/bus/pci/devices/{address}", real)
        self.bind(address, driver)
        if group:
            self.link(f"sys/kernel/iommu_groups/{group}/devices/{address}", real)
            self.link(f"{real}/iommu_group", f"sys/kernel/iommu_groups/{group}")

    def bind(self, address: str, driver: str) -> None:
        """Put a function on a driver, or on none."""
        link = f"sys/devices/pci0000:00/{address}/driver"
        (self.root / link).unlink(missing_ok=True)
        if driver:
            (self.root / f"sys/bus/pci/drivers/{driver}").mkdir(parents=True, exist_ok=True)
            self.link(link, f"sys/bus/pci/drivers/{driver}")
