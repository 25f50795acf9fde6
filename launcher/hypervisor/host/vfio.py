"""Hand PCI devices to vfio-pci, and back to the drivers that they had.

By `driver_override` (https://docs.kernel.org/PCI/sysfs-pci.html): writing an ID to vfio-pci's
`new_id` would take every device of the same model.
"""

from __future__ import annotations

import os
import re
import subprocess
import time

from launcher.config.reader import Refusal
from launcher.errors import HostError
from launcher.hypervisor.host.deeds import GiveFile, write_setting
from launcher.hypervisor.host.users import find_users
from launcher.hypervisor.pci import VFIO, find_companions, resolve_devices
from launcher.hypervisor.sysfs import link_name, read_line, read_text
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.hypervisor.host.deeds import Machine
    from launcher.hypervisor.host.model import Runtime
    from launcher.hypervisor.pci import PciDevice

MODULE = "vfio-pci"
NVIDIA_DRIVER, PERSISTENCED = "nvidia", "nvidia-persiste"  # as /proc shortens it
POLL_S = 0.02
GROUP_MODE = 0o600


@record
class LoadModule:
    """A module of the kernel."""

    name: str

    volatile = True

    def say(self) -> str:
        """Say what is done."""
        return f"load the module '{self.name}'"

    def perform(self, machine: Machine) -> LoadModule:
        """Load it.

        Raises:
            HostError: it cannot be loaded.
        """
        del machine
        _modprobe(self.name)
        return self

    def undo(self, machine: Machine) -> str:
        """Unload it, unless somebody else uses it by now."""
        del machine
        try:
            _modprobe("--remove", self.name)
        except HostError:
            return ""
        return f"unloaded the module '{self.name}'"


def _modprobe(*words: str) -> None:
    try:
        done = subprocess.run(["modprobe", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise HostError("there is no program 'modprobe'", "install kmod") from None
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise HostError(f"'modprobe {' '.join(words)}' failed: {reason}", "install the module")


@record
class BindDevice:
    """A PCI device goes to vfio-pci. `former` is its driver until now, empty for none."""

    address: str
    former: str = ""

    volatile = True

    def say(self) -> str:
        """Say what is done."""
        origin = f"from '{self.former}' " if self.former else ""
        return f"bind {self.address} {origin}to '{VFIO}'"

    def perform(self, machine: Machine) -> BindDevice:
        """Unbind it and bind it; bring it back where vfio-pci does not take it.

        Raises:
            HostError: vfio-pci does not take it.
        """
        device = f"{machine.sysfs}/bus/pci/devices/{self.address}"
        write_setting(f"{device}/driver_override", f"{VFIO}\n")
        _unbind(device, self.address, machine)
        write_setting(f"{machine.sysfs}/bus/pci/drivers_probe", self.address)
        if not _wait_driver(device, VFIO, machine):
            self.undo(machine)
            raise HostError(
                f"'{VFIO}' does not take the device {self.address}",
                "look for the reason: dmesg | grep vfio",
            )
        return self

    def undo(self, machine: Machine) -> str:
        """Give it back to its former driver, or to none, unless somebody else has taken it since.

        Raises:
            HostError: a guest has it, or its former driver does not take it.
        """
        device = f"{machine.sysfs}/bus/pci/devices/{self.address}"
        driver, override = link_name(f"{device}/driver"), f"{device}/driver_override"
        overridden = read_line(override) == VFIO
        if not os.path.isdir(device) or (driver != VFIO and not overridden):
            return ""
        if driver == VFIO:
            self._require_unused(device, machine)
        write_setting(override, "\n")
        if driver not in {"", VFIO}:
            return ""  # it was not taken yet
        _unbind(device, self.address, machine)
        if not self.former:
            return f"unbound {self.address}"
        write_setting(f"{machine.sysfs}/bus/pci/drivers_probe", self.address)
        if not _wait_driver(device, self.former, machine):
            raise HostError(
                f"the driver '{self.former}' does not take {self.address} back",
                f"load it: modprobe {self.former}",
            )
        return f"gave {self.address} back to '{self.former}'"

    def _require_unused(self, device: str, machine: Machine) -> None:
        # The kernel would wait for the guest to end, and nothing could end the wait.
        path = f"{machine.devices}/vfio/{link_name(f'{device}/iommu_group')}"
        for user in find_users((path,), machine.procfs):
            raise HostError(f"{user.words} uses the device {self.address}", "stop the guest first")


def _unbind(device: str, address: str, machine: Machine) -> None:
    if link_name(f"{device}/driver"):
        write_setting(f"{device}/driver/unbind", address)
        _wait_driver(device, "", machine)


def _wait_driver(device: str, name: str, machine: Machine) -> bool:
    """Wait until a device has a driver: some probe in the background. sysfs has no events."""
    deadline = time.monotonic() + machine.bind_limit_s
    while link_name(f"{device}/driver") != name:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def plan_devices(
    runtimes: Iterable[Runtime], machine: Machine, *, take_display: bool = False
) -> list[LoadModule | BindDevice]:
    """Plan to hand over the devices of all guests, each with its whole IOMMU group.

    Raises:
        HostError: a device is not there, has no IOMMU group, or this host needs it, or something
            of its group.
    """
    named = find_wanted(runtimes, machine)
    wanted: dict[str, PciDevice] = {}
    for device in named:
        if not device.group:
            raise HostError(
                f"the device {device.address} is in no IOMMU group",
                "turn the IOMMU on in the firmware, and boot with intel_iommu=on",
            )
        companions = find_companions(device, machine.sysfs)
        _require_card(device, companions, frozenset(each.card for each in named))
        for each in (device, *companions):
            wanted[each.address] = each
    deeds: list[LoadModule | BindDevice] = []
    for device in wanted.values():
        if device.on_vfio:
            continue
        if device.boot_vga and device.driver and not take_display:
            raise HostError(
                f"the device {device.address} shows this host's display",
                "take another GPU, or pass --take-display",
            )
        _require_idle(device, machine)
        deeds.append(BindDevice(address=device.address, former=device.driver))
    if deeds and not os.path.isdir(f"{machine.sysfs}/bus/pci/drivers/{VFIO}"):
        deeds.insert(0, LoadModule(name=MODULE))
    return deeds


def _require_card(
    device: PciDevice, companions: Iterable[PciDevice], cards: frozenset[str]
) -> None:
    """Need a group without cards that the host uses: it would lose its disk, or its network."""
    for each in companions:
        if each.blocks_group and each.card not in cards:
            raise HostError(
                f"the device {each.address} of '{each.driver}' would leave this host together "
                f"with {device.address}: they are in the IOMMU group {device.group}",
                "turn ACS on in the firmware, or put the card into another slot",
            )


def _require_idle(device: PciDevice, machine: Machine) -> None:
    """Need a GPU that no process has open: NVIDIA's driver lets it go only then, and waits."""
    folder = f"{machine.procfs}/driver/nvidia/gpus/{device.address}"
    minor = re.search(r"Device Minor:\s*(\d+)", read_text(f"{folder}/information"))
    if device.driver != NVIDIA_DRIVER or minor is None:
        return
    for user in find_users((f"{machine.devices}/nvidia{minor[1]}",), machine.procfs):
        service = "systemctl stop nvidia-persistenced" if PERSISTENCED in user.name else ""
        hint = service or f"stop it: kill {user.pid}"
        raise HostError(f"{user.words} uses the GPU {device.address}", hint)


def find_wanted(runtimes: Iterable[Runtime], machine: Machine) -> list[PciDevice]:
    """Return the devices of all guests.

    Raises:
        HostError: one is not there.
    """
    found: dict[str, PciDevice] = {}
    for runtime in runtimes:
        try:
            devices = resolve_devices(runtime.guest.devices or runtime.gpus, machine.sysfs)
            for device in devices if not runtime.guest.devices else ():
                _require_gpu(device)
        except Refusal as refusal:
            message = f"runtime '{runtime.name}': {refusal.message}"
            raise HostError(message, refusal.hint) from None
        found |= {device.address: device for device in devices}
    return list(found.values())


def _require_gpu(device: PciDevice) -> None:
    if device.other_kind:
        message = f"{device.address} is no GPU, but {device.other_kind}"
        raise Refusal(message, "'lspci -D' lists the addresses; other devices go to guest.devices")


def plan_group_owner(
    runtimes: Iterable[Runtime], machine: Machine, owner: tuple[int, int]
) -> list[GiveFile]:
    """Plan to let the guests' user open the devices' groups; they are there when all is bound.

    Raises:
        HostError: a device is not there.
    """
    deeds = []
    groups = {each.group for each in find_wanted(runtimes, machine) if each.group}
    for path in sorted(f"{machine.devices}/vfio/{group}" for group in groups):
        if not os.path.exists(path):
            continue
        found = os.stat(path)
        former = (found.st_uid, found.st_gid, found.st_mode & 0o7777)
        if former[0] != owner[0]:
            uid, gid = owner
            deeds.append(
                GiveFile(path=path, uid=uid, gid=gid, mode=GROUP_MODE, former=former, volatile=True)
            )
    return deeds
