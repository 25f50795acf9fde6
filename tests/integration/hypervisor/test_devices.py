"""Handing devices to vfio-pci and back, on a tree like sysfs whose files act like the kernel's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.errors import HostError
from launcher.hypervisor.host.deeds import GiveFile, Machine
from launcher.hypervisor.host.model import Runtime
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
