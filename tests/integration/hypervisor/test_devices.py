"""Handing devices to vfio-pci and back, on a tree like sysfs whose files act like the kernel's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.errors import HostError
from launcher.hypervisor.host.deeds import GiveFile, Machine
from launcher.hypervisor.host.model import GuestConfig, Runtime
from launcher.hypervisor.host.vfio import (
    BindDevice,
    LoadModule,
    plan_devices,
    plan_group_owner,
)
from launcher.record import replace
from tests.support.hosttree import BRIDGE, H100, INTEL_VGA, NVIDIA_AUDIO, HostTree
from tests.support.pcikernel import PciKernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GPU, SOUND, PORT = "0000:01:00.0", "0000:01:00.1", "0000:00:01.0"
DISK = ("0x144d", "0xa80a", "0x010802")
NATIVE = {GPU: "nvidia", SOUND: "snd_hda_intel", PORT: "pcieport"}
RUNTIMES = (Runtime(index=1, name="one", gpus=(GPU,)),)


@pytest.fixture
def tree(tmp_path: Path) -> HostTree:
    tree = HostTree(tmp_path)
    tree.add_pci(GPU, H100, driver="nvidia", group="10")
    tree.add_pci(SOUND, NVIDIA_AUDIO, driver="snd_hda_intel", group="10")
    tree.add_pci(PORT, BRIDGE, driver="pcieport", group="10")
    return tree


@pytest.fixture
def machine(tree: HostTree) -> Machine:
    return Machine(sysfs=tree.sysfs, procfs=str(tree.root / "proc"), devices=str(tree.root / "dev"))


@pytest.fixture
def kernel(tree: HostTree) -> Iterator[PciKernel]:
    with PciKernel(tree, NATIVE, ("nvidia", "snd_hda_intel", "pcieport", "vfio-pci")) as kernel:
        yield kernel


@pytest.mark.usefixtures("kernel")
def test_whole_group_goes_to_the_guest_but_for_bridges(machine: Machine) -> None:
    assert plan_devices(RUNTIMES, machine) == [
        BindDevice(address=GPU, former="nvidia"),
        BindDevice(address=SOUND, former="snd_hda_intel"),
    ]


def test_device_is_bound_and_given_back(machine: Machine, kernel: PciKernel) -> None:
    done = BindDevice(address=GPU, former="nvidia").perform(machine)
    assert kernel.driver_of(GPU) == "vfio-pci"
    assert done.undo(machine) == f"gave {GPU} back to 'nvidia'"
    assert kernel.driver_of(GPU) == "nvidia"


def test_device_without_a_driver_has_none_again(
    tree: HostTree, machine: Machine, kernel: PciKernel
) -> None:
    tree.bind(GPU, "")
    done = BindDevice(address=GPU).perform(machine)
    assert kernel.driver_of(GPU) == "vfio-pci"
    done.undo(machine)
    assert kernel.driver_of(GPU) == ""


@pytest.mark.usefixtures("kernel")
def test_second_run_binds_nothing(machine: Machine) -> None:
    for deed in plan_devices(RUNTIMES, machine):
        deed.perform(machine)
    assert plan_devices(RUNTIMES, machine) == []


def test_device_that_vfio_does_not_take_is_reported(machine: Machine, kernel: PciKernel) -> None:
    kernel.refused.add(GPU)
    with pytest.raises(HostError, match="does not take"):
        BindDevice(address=GPU, former="nvidia").perform(replace(machine, bind_limit_s=0.2))
    override = f"{machine.sysfs}/bus/pci/devices/{GPU}/driver_override"
    with open(override, encoding="utf-8") as file:
        assert file.read().strip() == ""


def test_module_is_loaded_first_where_it_is_missing(machine: Machine) -> None:
    assert plan_devices(RUNTIMES, machine)[0] == LoadModule(name="vfio-pci")


def test_missing_device_is_reported(machine: Machine) -> None:
    runtimes = (Runtime(index=1, name="one", gpus=("0000:09:00.0",)),)
    with pytest.raises(HostError, match=r"runtime 'one': this machine has no PCI device"):
        plan_devices(runtimes, machine)


def test_device_without_a_group_is_reported(tree: HostTree, machine: Machine) -> None:
    tree.add_pci("0000:05:00.0", H100, driver="nvidia")
    with pytest.raises(HostError, match="is in no IOMMU group"):
        plan_devices((Runtime(index=1, name="one", gpus=("0000:05:00.0",)),), machine)


def test_display_of_the_host_is_kept_unless_told(tree: HostTree, machine: Machine) -> None:
    vga = "0000:00:02.0"
    tree.add_pci(vga, INTEL_VGA, driver="i915", group="2", boot_vga=True)
    runtimes = (Runtime(index=1, name="one", gpus=(vga,)),)
    with pytest.raises(HostError, match="shows this host's display"):
        plan_devices(runtimes, machine)
    assert BindDevice(address=vga, former="i915") in plan_devices(
        runtimes, machine, take_display=True
    )


def test_group_is_given_to_the_guests_user(tree: HostTree, machine: Machine) -> None:
    assert plan_group_owner(RUNTIMES, machine, (1000, 1000)) == []  # not bound yet
    tree.write("dev/vfio/10", "")
    found = (tree.root / "dev/vfio/10").stat()
    (deed,) = plan_group_owner(RUNTIMES, machine, (found.st_uid + 1, 1000))
    assert isinstance(deed, GiveFile)
    assert (deed.path, deed.mode, deed.volatile) == (f"{tree.root}/dev/vfio/10", 0o600, True)
    assert plan_group_owner(RUNTIMES, machine, (found.st_uid, found.st_gid)) == []


def use(tree: HostTree, path: str, name: str, pid: int = 812) -> None:
    """Let a process of the tree have a file open."""
    tree.write(f"proc/{pid}/comm", name)
    tree.link(f"proc/{pid}/fd/3", path)


def test_device_that_is_on_another_driver_by_now_is_left_to_it(
    tree: HostTree, machine: Machine, kernel: PciKernel
) -> None:
    done = BindDevice(address=GPU, former="nvidia").perform(machine)
    tree.write(f"sys/bus/pci/devices/{GPU}/driver_override", "(null)")
    tree.bind(GPU, "nouveau")
    assert done.undo(machine) == ""
    assert kernel.driver_of(GPU) == "nouveau"


def test_binding_that_was_only_begun_is_taken_back(
    tree: HostTree, machine: Machine, kernel: PciKernel
) -> None:
    override = f"sys/bus/pci/devices/{GPU}/driver_override"
    tree.write(override, "vfio-pci")
    assert BindDevice(address=GPU, former="nvidia").undo(machine) == ""
    assert kernel.driver_of(GPU) == "nvidia"
    assert (tree.root / override).read_text().strip() == ""


def test_device_that_was_only_unbound_comes_back(
    tree: HostTree, machine: Machine, kernel: PciKernel
) -> None:
    tree.write(f"sys/bus/pci/devices/{GPU}/driver_override", "vfio-pci")
    tree.bind(GPU, "")
    BindDevice(address=GPU, former="nvidia").undo(machine)
    assert kernel.driver_of(GPU) == "nvidia"


def test_device_of_a_running_guest_is_not_taken_away(
    tree: HostTree, machine: Machine, kernel: PciKernel
) -> None:
    done = BindDevice(address=GPU, former="nvidia").perform(machine)
    use(tree, "dev/vfio/10", "qemu-system-x86")
    with pytest.raises(HostError, match=r"'qemu-system-x86' \(process 812\) uses the device") as e:
        done.undo(machine)
    assert e.value.hint == "stop the guest first"
    assert kernel.driver_of(GPU) == "vfio-pci"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("nvidia-persiste", "systemctl stop nvidia-persistenced"), ("python3", "stop it: kill 812")],
)
def test_gpu_that_is_in_use_stays(tree: HostTree, machine: Machine, name: str, hint: str) -> None:
    tree.write(f"proc/driver/nvidia/gpus/{GPU}/information", "Model: H100\nDevice Minor: \t 3")
    use(tree, "dev/nvidia3", name)
    with pytest.raises(HostError, match=f"'{name}' \\(process 812\\) uses the GPU {GPU}") as found:
        plan_devices(RUNTIMES, machine)
    assert found.value.hint == hint


def test_gpu_beside_one_that_is_in_use_is_taken(tree: HostTree, machine: Machine) -> None:
    tree.write(f"proc/driver/nvidia/gpus/{GPU}/information", "Device Minor: 3")
    use(tree, "dev/nvidia33", "python3")
    assert BindDevice(address=GPU, former="nvidia") in plan_devices(RUNTIMES, machine)


def test_card_of_the_host_in_the_same_group_stays(tree: HostTree, machine: Machine) -> None:
    tree.add_pci("0000:02:00.0", DISK, driver="nvme", group="10")
    with pytest.raises(HostError, match=r"0000:02:00.0 of 'nvme' would leave this host together"):
        plan_devices(RUNTIMES, machine)


def test_two_gpus_of_one_group_leave_together(tree: HostTree, machine: Machine) -> None:
    tree.add_pci("0000:02:00.0", H100, driver="nvidia", group="10")
    runtimes = (Runtime(index=1, name="one", gpus=(GPU, "0000:02:00.0")),)
    bound = [deed for deed in plan_devices(runtimes, machine) if isinstance(deed, BindDevice)]
    assert [deed.address for deed in bound] == [GPU, SOUND, "0000:02:00.0"]


@pytest.mark.parametrize(("ids", "what"), [("DISK", "a disk controller"), ("PORT", "a bridge")])
def test_address_of_something_else_is_no_gpu(
    tree: HostTree, machine: Machine, ids: str, what: str
) -> None:
    tree.add_pci("0000:03:00.0", DISK if ids == "DISK" else BRIDGE, driver="x", group="11")
    runtimes = (Runtime(index=1, name="one", gpus=("0000:03:00.0",)),)
    with pytest.raises(HostError, match=f"'one': 0000:03:00.0 is no GPU, but {what}"):
        plan_devices(runtimes, machine)


def test_disk_goes_to_a_guest_that_asks_for_it(tree: HostTree, machine: Machine) -> None:
    tree.add_pci("0000:03:00.0", DISK, driver="nvme", group="11")
    guest = GuestConfig(devices=("0000:03:00.0",))
    runtimes = (Runtime(index=1, name="one", guest=guest),)
    assert BindDevice(address="0000:03:00.0", former="nvme") in plan_devices(runtimes, machine)
