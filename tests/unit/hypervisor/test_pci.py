"""PCI devices by any of their names, and the rule that groups go as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.config.reader import Refusal
from launcher.hypervisor.pci import (
    find_blocking,
    find_companions,
    find_device,
    parse_address,
    require_device,
    resolve_device,
    resolve_devices,
)
from tests.support.hosttree import BRIDGE, H100, INTEL_VGA, NVIDIA_AUDIO, HostTree

if TYPE_CHECKING:
    from pathlib import Path

GPU = "0000:01:00.0"
AUDIO = "0000:01:00.1"


@pytest.fixture
def tree(tmp_path: Path) -> HostTree:
    tree = HostTree(tmp_path)
    tree.add_pci("0000:00:02.0", INTEL_VGA, driver="i915", group="1", boot_vga=True)
    tree.add_pci("0000:00:01.0", BRIDGE, driver="pcieport", group="10")
    tree.add_pci(GPU, H100, driver="vfio-pci", group="10", node=1)
    tree.add_pci(AUDIO, NVIDIA_AUDIO, driver="snd_hda_intel", group="10", node=1)
    tree.link("sys/class/vfio-dev/vfio3/device", f"sys/devices/pci0000:00/{GPU}")
    return tree


@pytest.mark.parametrize("text", ["01:00.0", "0000:01:00.0", " 0000:01:00.0 "])
def test_address_is_written_in_full(text: str) -> None:
    assert parse_address(text) == GPU


def test_address_in_capitals_and_in_a_wide_domain_is_taken() -> None:
    assert parse_address("10000:E1:1F.7") == "10000:e1:1f.7"


@pytest.mark.parametrize("text", ["", "1:00.0", "01:00", "01:00.8", "01:20.0", "gpu0"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="is no PCI address"):
        parse_address(text)


def test_device_is_read_from_sysfs(tree: HostTree) -> None:
    device = find_device(GPU, tree.sysfs)
    assert device is not None
    assert (device.vendor, device.device, device.group) == (0x10DE, 0x2330, "10")
    assert (device.driver, device.on_vfio, device.is_display) == ("vfio-pci", True, True)
    assert (device.numa_node, device.boot_vga, device.is_bridge) == (1, False, False)
    assert device.path == f"{tree.sysfs}/bus/pci/devices/{GPU}"


def test_display_of_the_firmware_is_known(tree: HostTree) -> None:
    assert require_device("0000:00:02.0", tree.sysfs).boot_vga


@pytest.mark.parametrize(
    "text",
    [
        "01:00.0", GPU, "/dev/vfio/devices/vfio3", "{sys}/bus/pci/devices/0000:01:00.0/",
        "{sys}/devices/pci0000:00/0000:01:00.0", "{sys}/class/vfio-dev/vfio3/device",
    ],
)  # fmt: skip
def test_device_is_found_by_any_of_its_names(tree: HostTree, text: str) -> None:
    found = resolve_device(text.format(sys=tree.sysfs), tree.sysfs)
    assert [each.address for each in found] == [GPU]


def test_group_means_all_its_functions_without_bridges(tree: HostTree) -> None:
    found = resolve_device("/dev/vfio/10", tree.sysfs)
    assert [each.address for each in found] == [GPU, AUDIO]


def test_device_that_is_named_twice_is_given_once(tree: HostTree) -> None:
    found = resolve_devices((AUDIO, "/dev/vfio/10", "01:00.0"), tree.sysfs)
    assert [each.address for each in found] == [AUDIO, GPU]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/dev/vfio/11", "this machine has no IOMMU group for '/dev/vfio/11'"),
        ("/dev/vfio/vfio", "'/dev/vfio/vfio' is the container of all groups, not a device"),
        ("/dev/vfio/noiommu-0",
         "'/dev/vfio/noiommu-0' is a group without an IOMMU, which protects nobody from the guest"),
        ("/dev/vfio/devices/vfio9", "there is no '/dev/vfio/devices/vfio9'"),
        ("/dev/nvidia0", "'/dev/nvidia0' is no PCI device"),
        ("02:00.0", "this machine has no PCI device 0000:02:00.0"),
    ],
)  # fmt: skip
def test_name_without_a_device_is_refused(tree: HostTree, text: str, message: str) -> None:
    with pytest.raises(Refusal) as caught:
        resolve_device(text, tree.sysfs)
    assert caught.value.message == message
    assert caught.value.hint


def test_missing_device_is_refused_with_the_gpus_there_are(tree: HostTree) -> None:
    with pytest.raises(Refusal) as caught:
        require_device("0000:09:00.0", tree.sysfs)
    assert caught.value.hint == "its GPUs are: 0000:00:02.0, 0000:01:00.0"


def test_companions_are_the_other_functions_of_the_group(tree: HostTree) -> None:
    device = require_device(GPU, tree.sysfs)
    assert [each.address for each in find_companions(device, tree.sysfs)] == [AUDIO]


def test_companion_on_a_driver_of_the_host_blocks_the_group(tree: HostTree) -> None:
    device = require_device(GPU, tree.sysfs)
    assert [each.address for each in find_blocking(device, tree.sysfs)] == [AUDIO]


@pytest.mark.parametrize("driver", ["", "vfio-pci", "pci-stub", "nvgrace_gpu_vfio_pci"])
def test_companion_on_vfio_or_no_driver_does_not_block(tree: HostTree, driver: str) -> None:
    tree.bind(AUDIO, driver)
    assert find_blocking(require_device(GPU, tree.sysfs), tree.sysfs) == ()


def test_device_without_a_group_has_no_companions(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    tree.add_pci(GPU, H100, driver="nvidia")
    device = require_device(GPU, tree.sysfs)
    assert find_companions(device, tree.sysfs) == ()
    assert find_blocking(device, tree.sysfs) == (device,)
