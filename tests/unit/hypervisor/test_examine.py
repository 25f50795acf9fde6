"""A guest against a machine: devices, huge pages, images and what lies beside them."""

from __future__ import annotations

import fcntl
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from launcher.hypervisor.environment import EnvironmentReader
from launcher.hypervisor.examine import DEFAULT_CMDLINE, examine
from launcher.hypervisor.guest.manifest import ImageManifest, render_manifest
from launcher.hypervisor.images import find_contradiction, is_firmware, is_locked
from launcher.hypervisor.model import Disk, Memory, VmSpec
from launcher.hypervisor.read import read_spec
from launcher.hypervisor.rundir import RunDir
from launcher.record import replace
from tests.support.guest_specs import SPEC
from tests.support.hosttree import BRIDGE, H100, NVIDIA_AUDIO, HostTree

if TYPE_CHECKING:
    from pathlib import Path

P = "VLLMD_HYPERVISOR_"
GPU, AUDIO = "0000:01:00.0", "0000:01:00.1"


@dataclass
class Bench:
    """A machine, and files to boot from."""

    tree: HostTree
    folder: Path

    def spec(self, **changes: object) -> VmSpec:
        """Return a guest whose files are there."""
        for name in ("kernel", "s.img", "c.img"):
            if not (self.folder / name).exists():
                (self.folder / name).write_bytes(b"x" * 600)
        return replace(
            SPEC,
            kernel=str(self.folder / "kernel"),
            initramfs="",
            system_image=Disk(path=str(self.folder / "s.img")),
            config_image=Disk(path=str(self.folder / "c.img"), readonly=True),
            cpus=1,
            **{"cmdline": "", "memory": Memory(size=1 << 20), **changes},
        )

    def examine(self, **changes: object) -> tuple[VmSpec, list[str]]:
        """Examine; return the guest and what is wrong with it.

        The limit on locked memory is that of who runs the tests, if that is not root.
        """
        reader = EnvironmentReader({})
        spec = examine(self.spec(**changes), RunDir(path="/run/x"), reader, self.tree.sysfs)
        said = [problem.message for problem in reader.problems]
        return spec, [message for message in said if "have to be locked" not in message]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    tree = HostTree(tmp_path / "host")
    tree.add_pci("0000:00:01.0", BRIDGE, driver="pcieport", group="10")
    tree.add_pci(GPU, H100, driver="vfio-pci", group="10")
    tree.add_pci(AUDIO, NVIDIA_AUDIO, driver="vfio-pci", group="10")
    return Bench(tree=tree, folder=tmp_path)


def test_guest_that_fits_has_no_problem(bench: Bench) -> None:
    spec, problems = bench.examine()
    assert problems == []
    assert spec.cmdline == DEFAULT_CMDLINE
    assert not spec.reports


@pytest.mark.parametrize("text", ["01:00.0", "/dev/vfio/10", "/sys/bus/pci/devices/0000:01:00.0/"])
def test_device_becomes_its_folder_in_sysfs(bench: Bench, text: str) -> None:
    spec, problems = bench.examine(devices=(text,))
    assert problems == []
    assert spec.devices[0] == f"{bench.tree.sysfs}/bus/pci/devices/{GPU}"
    assert len(spec.devices) == (2 if "vfio" in text else 1)


def test_device_named_twice_is_told(bench: Bench) -> None:
    _, problems = bench.examine(devices=("01:00.0", "/dev/vfio/10"))
    assert problems == [f"'/dev/vfio/10' means {GPU}, which is in the list already"]


def test_device_of_another_driver_is_told(bench: Bench) -> None:
    bench.tree.bind(GPU, "nvidia")
    _, problems = bench.examine(devices=("01:00.0",))
    assert f"{GPU} is not bound to vfio-pci but to nvidia" in problems


def test_device_whose_group_stays_with_the_host_is_told(bench: Bench) -> None:
    bench.tree.bind(AUDIO, "snd_hda_intel")
    _, problems = bench.examine(devices=("01:00.0",))
    assert problems == [f"{AUDIO} is in the IOMMU group of {GPU} and bound to snd_hda_intel"]


def test_device_without_a_group_is_told(bench: Bench) -> None:
    bench.tree.add_pci("0000:02:00.0", H100, driver="vfio-pci")
    assert bench.examine(devices=("02:00.0",))[1] == ["0000:02:00.0 is in no IOMMU group"]


def test_huge_pages_are_counted(bench: Bench) -> None:
    pages = "sys/kernel/mm/hugepages/hugepages-2048kB"
    bench.tree.write(f"{pages}/free_hugepages", 8)
    bench.tree.write(f"{pages}/resv_hugepages", 5)
    huge = Memory(size=8 << 20, shared=True, hugepages=True, hugepage_size=2 << 20)
    assert bench.examine(memory=huge)[1] == [
        "the guest needs 4 huge pages of 2048 KiB, and 3 are free"
    ]
    assert bench.examine(memory=replace(huge, size=6 << 20))[1] == []


def test_firmware_is_known_by_its_header(bench: Bench) -> None:
    (bench.folder / "kernel").write_bytes(bytes(40) + b"_FVH" + bytes(600))
    assert bench.examine()[0].firmware
    assert not is_firmware(str(bench.folder / "s.img"))


def test_manifest_beside_the_image_fills_in_what_is_not_said(bench: Bench) -> None:
    bench.spec()
    (bench.folder / "initramfs").write_bytes(b"x")
    manifest = ImageManifest(
        kernel="kernel", initramfs="initramfs", image="s.img", flavour="minimal",
        filesystem="erofs", cmdline="root=/dev/vda ro", readonly=True,
    )  # fmt: skip
    (bench.folder / "image.json").write_text(render_manifest(manifest))
    spec, problems = bench.examine()
    assert problems == []
    assert spec.reports
    assert spec.system_image.readonly
    assert (spec.cmdline, os.path.basename(spec.initramfs)) == ("root=/dev/vda ro", "initramfs")
    assert bench.examine(cmdline="quiet")[0].cmdline == "quiet"


def test_manifest_that_is_broken_is_told(bench: Bench) -> None:
    (bench.folder / "image.json").write_text("{")
    assert any("image.json' cannot be read" in each for each in bench.examine()[1])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.img", b"QFI\xfb" + bytes(600), "is a qcow2 image, and its name says raw"),
        ("a.img", b"vhdxfile" + bytes(600), "is a vhdx image, and its name says raw"),
        ("a.img", bytes(600) + b"conectix" + bytes(504), "is a vhd image, and its name says raw"),
        ("a.qcow2", bytes(600), "is no qcow2 image, and its name says so"),
    ],
)
def test_image_has_to_be_what_its_name_says(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    kind = "qcow2" if name.endswith("qcow2") else "raw"
    found = find_contradiction(Disk(path=str(tmp_path / name), format=kind))
    assert found is not None
    assert found[0].endswith(message)


@pytest.mark.parametrize(
    ("held", "readonly", "expected"),
    [
        ((fcntl.F_WRLCK, 0, 0), False, True),  # a writer in Cloud Hypervisor, against a writer
        ((fcntl.F_RDLCK, 0, 0), False, True),  # a reader there, against a writer
        ((fcntl.F_RDLCK, 0, 0), True, False),  # two readers there
        ((fcntl.F_WRLCK, 0, 0), True, True),  # a writer there, against a reader
        ((fcntl.F_RDLCK, 100, 2), True, True),  # a writer in QEMU, against a reader
        ((fcntl.F_RDLCK, 100, 1), True, False),  # a reader in QEMU, against a reader
        ((fcntl.F_RDLCK, 100, 1), False, True),
    ],
)
def test_lock_on_an_image_keeps_some_away(
    tmp_path: Path, held: tuple[int, int, int], readonly: bool, expected: bool
) -> None:
    path = tmp_path / "a.img"
    path.write_bytes(b"x" * 600)
    with open(path, "rb+") as holder:
        kind, start, length = held
        lock = struct.pack("hhqqi4x", kind, os.SEEK_SET, start, length, 0)
        fcntl.fcntl(holder.fileno(), fcntl.F_OFD_SETLK, lock)
        assert is_locked(Disk(path=str(path), readonly=readonly)) is expected
    assert not is_locked(Disk(path=str(path), readonly=readonly))


def test_environment_becomes_a_guest() -> None:
    reader = EnvironmentReader(
        {
            f"{P}KERNEL_FILEPATH": "/k",
            f"{P}SYSTEM_IMAGE_FILEPATH": "/s.qcow2",
            f"{P}CONFIG_IMAGE_FILEPATH": "/c",
            f"{P}DEVICE_FILEPATH_LIST": "/dev/vfio/10, 02:00.0",
            f"{P}CPU_COUNT": "8",
            f"{P}MEMORY_CONFIG": "size=32G,shared=on",
            f"{P}DEBUG": "0",
        }
    )
    spec = read_spec(reader, 2 << 20)
    assert reader.finish() == ()
    assert (spec.kernel, spec.cpus, spec.memory.size) == ("/k", 8, 32 << 30)
    assert (spec.system_image.format, spec.config_image.readonly) == ("qcow2", True)
    assert spec.devices == ("/dev/vfio/10", "02:00.0")
    assert spec.log_level == "DEBUG"  # whatever it is set to


def test_environment_that_says_the_least_has_the_defaults() -> None:
    names = ("KERNEL_FILEPATH", "SYSTEM_IMAGE_FILEPATH", "CONFIG_IMAGE_FILEPATH")
    spec = read_spec(EnvironmentReader({f"{P}{name}": "/x" for name in names}), 2 << 20)
    assert spec.name == "default"
    assert (spec.cpus, spec.memory) == (4, Memory(size=16 << 30, shared=True))
    assert (spec.log_path, spec.log_level, spec.cmdline) == ("/dev/stdout", "INFO", "")
    assert (spec.backend, spec.accelerator, spec.stop_timeout_s) == ("auto", "auto", 20)
