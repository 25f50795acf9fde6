"""The checks of `precheck`: programs and files."""

from __future__ import annotations

import fcntl
import struct
from typing import TYPE_CHECKING

import pytest

from launcher.hypervisor.guest.manifest import ImageManifest, render_manifest
from launcher.hypervisor.host.machine import Program
from launcher.hypervisor.host.precheck import check_all
from tests.support.hosts import (
    TWO_RUNTIMES,
    found,
    outcome,
    survey,
)

if TYPE_CHECKING:
    from tests.support.hosttree import HostTree


@pytest.mark.parametrize(
    ("distribution", "mend"),
    [
        ("ID=debian", "sudo apt-get install qemu-system-x86"),
        ('ID="rhel"', "sudo dnf install qemu-system-x86"),
        ("ID=arch", "sudo pacman -S qemu-system-x86"),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"', "sudo zypper install qemu-system-x86"),
        ("ID=unheard-of", "sudo apt-get install qemu-system-x86"),
    ],
)
def test_qemu_that_is_missing_is_a_warning_beside_the_other(
    tree: HostTree, distribution: str, mend: str
) -> None:
    tree.write("etc/os-release", distribution)
    finding = found(tree, "qemu-system-x86_64", qemu=Program(name="qemu-system-x86_64"))
    assert outcome(finding) == ("warn", "not on PATH; cloud-hypervisor is", mend)


@pytest.mark.parametrize("name", ["qemu-system-x86_64", "cloud-hypervisor"])
def test_both_programs_missing_fail(tree: HostTree, name: str) -> None:
    qemu, cloud = Program(name="qemu-system-x86_64"), Program(name="cloud-hypervisor")
    assert found(tree, name, qemu=qemu, cloud_hypervisor=cloud).status == "fail"


@pytest.mark.parametrize(("version", "status"), [("39.0", "warn"), ("40.0", "ok"), ("", "ok")])
def test_cloud_hypervisor_has_to_be_new_enough(tree: HostTree, version: str, status: str) -> None:
    program = Program(name="cloud-hypervisor", path="/usr/bin/cloud-hypervisor", version=version)
    assert found(tree, "cloud-hypervisor", cloud_hypervisor=program).status == status


def test_file_of_a_runtime_that_is_missing_fails(tree: HostTree) -> None:
    (tree.root / "images/system.img").unlink()
    finding = found(tree, "files one")
    assert outcome(finding) == (
        "fail", "not there: /images/system.img", "ls -l /images/system.img",
    )  # fmt: skip


def test_runtime_without_an_image_is_told_to_build_one(tree: HostTree) -> None:
    text = TWO_RUNTIMES.partition("[guest]")[0]
    finding = found(tree, "files one", text)
    assert (finding.status, finding.seen) == (
        "fail",
        "not there: /state/guest/vmlinuz, /state/one/system.img",
    )
    assert finding.mend == "vllmd-hypervisor image build --output /state/guest"


def test_systemd_that_does_not_run_is_a_warning(tree: HostTree) -> None:
    (tree.root / "run/systemd/system").rmdir()
    assert found(tree, "systemd").seen == "it does not run"


def test_checks_change_nothing(tree: HostTree) -> None:
    def listing() -> list[tuple[str, float]]:
        return [(str(p), p.lstat().st_mtime) for p in sorted(tree.root.rglob("*"))]

    before = listing()
    check_all(survey(tree, TWO_RUNTIMES))
    assert listing() == before


def test_image_that_is_in_use_is_a_warning(tree: HostTree) -> None:
    path = tree.root / "images/system.img"
    with path.open("wb") as file:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
        finding = found(tree, "files one", is_here=True)
    assert (finding.status, finding.seen) == (
        "warn",
        "/images/system.img is in use: the guest may run",
    )


def test_runtime_boots_from_the_image_that_was_built(tree: HostTree) -> None:
    manifest = ImageManifest(
        kernel="vmlinuz", initramfs="initrd", image="root.img", flavour="minimal",
        filesystem="erofs", cmdline="quiet", readonly=True,
    )  # fmt: skip
    tree.write("state/guest/image.json", render_manifest(manifest))
    for name in ("vmlinuz", "initrd", "root.img"):
        tree.write(f"state/guest/{name}", "")
    text = TWO_RUNTIMES.partition("[guest]")[0]
    finding = found(tree, "files one", text)
    assert (finding.status, finding.seen) == (
        "ok",
        "/state/guest/vmlinuz, /state/guest/root.img, /state/guest/initrd",
    )


def test_runtime_without_a_seed_disk_is_a_warning(tree: HostTree) -> None:
    (tree.root / "state/one/seed.img").unlink()
    assert outcome(found(tree, "files one")) == (
        "warn",
        "there is no /state/one/seed.img yet",
        "vllmd-hypervisor generate-init",
    )
