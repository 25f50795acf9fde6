"""The checks of `precheck`: the IOMMU and the GPUs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.hosts import (
    GPU_1,
    GPU_2,
    PREPARE,
    TWO_RUNTIMES,
    amd_host,
    found,
    outcome,
)
from tests.support.hosttree import H100, NVIDIA_AUDIO, HostTree

if TYPE_CHECKING:
    from pathlib import Path

NVME = ("0x144d", "0xa80a", "0x010802")


def remove_iommu(tree: HostTree) -> None:
    for folder in (tree.root / "sys/kernel/iommu_groups").iterdir():
        for link in (folder / "devices").iterdir():
            link.unlink()
        (folder / "devices").rmdir()
        folder.rmdir()


@pytest.mark.parametrize(
    ("cmdline", "distribution", "mend"),
    [
        ("ro", "ID=fedora", ("sudo grubby --update-kernel=ALL"
         " --args='intel_iommu=on iommu=pt' && sudo reboot")),
        ("ro", "ID=debian", ("sudo sed -i 's/^GRUB_CMDLINE_LINUX=\"/&intel_iommu=on iommu=pt /'"
         " /etc/default/grub && sudo update-grub && sudo reboot")),
        ("ro intel_iommu=on", "ID=debian",
         "systemctl reboot --firmware-setup  # and turn VT-d on there"),
    ],
)  # fmt: skip
def test_iommu_that_is_off_fails_with_the_way_to_turn_it_on(
    tree: HostTree, cmdline: str, distribution: str, mend: str
) -> None:
    remove_iommu(tree)
    tree.write("proc/cmdline", cmdline)
    tree.write("etc/os-release", distribution)
    assert outcome(found(tree, "iommu")) == ("fail", "there are no IOMMU groups", mend)


def test_modules_of_vfio_that_are_missing_fail(tree: HostTree) -> None:
    (tree.root / "sys/module/vfio_iommu_type1").rmdir()
    assert outcome(found(tree, "vfio-modules")) == (
        "fail",
        "not loaded: vfio_iommu_type1",
        (
            "sudo modprobe -a vfio_iommu_type1 && printf '%s\\n' vfio vfio_iommu_type1 vfio_pci"
            " | sudo tee /etc/modules-load.d/vfio.conf"
        ),
    )


def test_group_with_another_card_of_the_host_fails(tree: HostTree) -> None:
    tree.add_pci("0000:42:00.0", NVME, driver="nvme", group="40")
    finding = found(tree, f"iommu-group {GPU_1}")
    assert (finding.status, finding.seen) == ("fail", "group 40, with 0000:42:00.0 (nvme)")
    assert finding.mend.endswith("the host uses 0000:42:00.0")
    assert found(tree, f"vfio-binding {GPU_1}").status == "warn"


def test_group_with_the_sound_of_the_gpu_is_fine(tree: HostTree) -> None:
    tree.add_pci("0000:41:00.1", NVIDIA_AUDIO, driver="vfio-pci", group="40")
    finding = found(tree, f"iommu-group {GPU_1}")
    assert (finding.status, finding.seen) == ("ok", "group 40, with 0000:41:00.1 (vfio-pci)")


def test_group_with_gpus_of_two_runtimes_fails(tree: HostTree) -> None:
    (tree.root / f"sys/kernel/iommu_groups/55/devices/{GPU_2}").unlink()
    (tree.root / f"sys/bus/pci/devices/{GPU_2}/iommu_group").unlink()
    (tree.root / f"sys/bus/pci/devices/{GPU_2}").unlink()
    tree.add_pci(GPU_2, ("0x10de", "0x2330", "0x030200"), driver="vfio-pci", group="40")
    finding = found(tree, f"iommu-group {GPU_1}")
    assert finding.status == "fail"
    assert finding.seen.endswith("which belongs to the runtime 'two'")


def test_gpu_in_no_group_fails(tree: HostTree) -> None:
    (tree.root / f"sys/bus/pci/devices/{GPU_1}/iommu_group").unlink()
    finding = found(tree, f"iommu-group {GPU_1}")
    assert (finding.status, finding.seen) == ("fail", "the GPU is in no IOMMU group")


@pytest.mark.parametrize("driver", ["nouveau", "nvidia", ""])
def test_gpu_that_is_not_on_vfio_is_a_warning(tree: HostTree, driver: str) -> None:
    tree.bind(GPU_1, driver)
    assert outcome(found(tree, f"vfio-binding {GPU_1}")) == (
        "warn",
        f"{GPU_1} ({driver or 'no driver'})",
        PREPARE,
    )


def test_gpu_that_shows_the_console_is_told(tree: HostTree) -> None:
    tree.bind(GPU_1, "nvidia")
    tree.write(f"sys/devices/pci0000:00/{GPU_1}/boot_vga", 1)
    finding = found(tree, f"vfio-binding {GPU_1}")
    assert finding.seen == f"{GPU_1} (nvidia); the firmware's display is on it"


def test_gpu_without_a_node_on_a_large_machine_is_a_warning(tree: HostTree) -> None:
    tree.write(f"sys/devices/pci0000:00/{GPU_1}/numa_node", -1)
    finding = found(tree, f"numa-node {GPU_1}")
    assert (finding.status, finding.seen) == ("warn", "the firmware does not say")


def test_gpus_of_one_runtime_on_two_nodes_are_a_warning(tree: HostTree) -> None:
    text = TWO_RUNTIMES.replace(f'gpus = ["{GPU_1}"]', f'gpus = ["{GPU_1}", "{GPU_2}"]')
    finding = found(tree, f"numa-node {GPU_1}", text.replace(f'gpus = ["{GPU_2}"]\n', ""))
    assert finding.status == "warn"
    assert finding.seen == f"node 0, with the CPUs 0-31; other than {GPU_2} of the same runtime"


def test_guest_above_the_hole_of_amds_iommu_is_a_warning(tmp_path: Path) -> None:
    tree = amd_host(HostTree(tmp_path))
    text = TWO_RUNTIMES.replace("memory_gb = 256\ncpus = 24\n\n[[", "memory_gb = 1200\n\n[[")
    assert found(tree, "amd-address-hole", text).seen == "more than 1000 GB for one"


def test_device_by_another_name_is_checked_like_a_gpu(tree: HostTree) -> None:
    text = TWO_RUNTIMES.replace("[guest]", '[guest]\ndevices = ["/dev/vfio/40"]')
    text = text.partition("[[runtimes]]\nindex = 2")[0] + "[guest]" + text.partition("[guest]")[2]
    assert found(tree, f"iommu-group {GPU_1}", text).status == "ok"


def test_device_that_is_lost_fails(tree: HostTree) -> None:
    text = TWO_RUNTIMES.replace("[guest]", '[guest]\ndevices = ["/dev/vfio/9"]')
    finding = found(tree, "device /dev/vfio/9", text)
    assert (finding.status, finding.seen) == (
        "fail",
        "this machine has no IOMMU group for '/dev/vfio/9'",
    )


def test_card_that_has_fallen_off_its_bus_fails(tree: HostTree) -> None:
    (tree.root / f"sys/devices/pci0000:00/{GPU_1}/config").write_bytes(b"\xff" * 64)
    finding = found(tree, f"gpu {GPU_1}")
    mend = "sudo reboot  # a reset does not bring it back"
    assert (finding.status, finding.mend) == ("fail", mend)


@pytest.mark.parametrize(("more", "status"), [(0, "ok"), (1, "warn")])
def test_group_has_to_belong_to_the_user_of_the_guests(
    tree: HostTree, more: int, status: str
) -> None:
    tree.write("dev/vfio/40", "")
    tree.write("etc/passwd", f"ada:x:{os.getuid() + more}:1000::/home/ada:/bin/sh")
    finding = found(tree, f"vfio-binding {GPU_1}")
    assert finding.status == status
    assert ("is not the file of 'ada'" in finding.seen) == (status == "warn")


def test_disk_in_the_place_of_a_gpu_fails(tree: HostTree) -> None:
    tree.write(f"sys/devices/pci0000:00/{GPU_1}/class", "0x010802")
    finding = found(tree, f"gpu {GPU_1}")
    assert (finding.status, finding.seen) == ("fail", "this is no GPU, but a disk controller")


def test_gpus_of_one_runtime_may_share_a_group_with_their_sound(tree: HostTree) -> None:
    tree.add_pci(GPU_2, H100, driver="vfio-pci", group="40")
    tree.add_pci(GPU_2.replace(".0", ".1"), NVIDIA_AUDIO, driver="snd_hda_intel", group="40")
    text = TWO_RUNTIMES.replace(f'gpus = ["{GPU_1}"]', f'gpus = ["{GPU_1}", "{GPU_2}"]')
    text = text.replace(f'gpus = ["{GPU_2}"]\n', "")
    assert found(tree, f"iommu-group {GPU_1}", text).status == "ok"
