"""The checks of `precheck`: the CPU, KVM and its group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.hypervisor.account import Account
from launcher.hypervisor.kvm import KvmState
from tests.support.hosts import (
    TWO_RUNTIMES,
    found,
    outcome,
)

if TYPE_CHECKING:
    from tests.support.hosttree import HostTree


def flags(tree: HostTree, new: str) -> None:
    path = tree.root / "proc/cpuinfo"
    path.write_text(path.read_text().replace("fpu vmx ept", new))


def test_cpu_with_virtualisation_off_is_sent_to_the_firmware(tree: HostTree) -> None:
    flags(tree, "fpu ept")
    finding = found(tree, "cpu-virtualisation", kvm=KvmState(works=False, reason="no"))
    assert outcome(finding) == (
        "fail",
        "the CPU shows neither vmx nor svm",
        "systemctl reboot --firmware-setup  # and turn Intel VT-x on there",
    )


def test_cpu_without_flags_is_believed_where_kvm_works(tree: HostTree) -> None:
    flags(tree, "fpu hypervisor")
    assert found(tree, "cpu-virtualisation").seen == "not shown, but KVM works"


def test_cpu_of_another_kind_is_not_judged(tree: HostTree) -> None:
    tree.write("proc/cpuinfo", "processor\t: 0\nCPU implementer\t: 0x41")
    assert found(tree, "cpu-virtualisation", kvm=None).status == "skip"


@pytest.mark.parametrize(
    ("kvm", "mend"),
    [
        (
            KvmState(works=False, reason="no permission on /dev/kvm", denied=True),
            "sudo usermod -aG kvm ada  # then log in again",
        ),
        (
            KvmState(works=False, reason="/dev/kvm is not KVM"),
            "sudo modprobe -r kvm_intel; sudo modprobe kvm_intel",
        ),
    ],
)
def test_kvm_that_does_not_work_fails_although_it_is_there(
    tree: HostTree, kvm: KvmState, mend: str
) -> None:
    assert outcome(found(tree, "kvm", kvm=kvm)) == ("fail", kvm.reason, mend)


def test_kvm_that_is_not_loaded_fails(tree: HostTree) -> None:
    (tree.root / "dev/kvm").unlink()
    finding = found(tree, "kvm", kvm=KvmState(works=False, reason="there is no /dev/kvm"))
    assert finding.mend == "sudo modprobe kvm_intel"


def test_kvm_of_another_machine_is_not_tried(tree: HostTree) -> None:
    assert outcome(found(tree, "kvm", kvm=None)) == ("skip", "/dev/kvm is there; not tried", "")


def test_group_of_kvm_without_the_user_fails(tree: HostTree) -> None:
    tree.write("etc/group", "kvm:x:104:eve")
    assert outcome(found(tree, "kvm-group")) == (
        "fail",
        "'ada' is not in 'kvm'",
        "sudo usermod -aG kvm ada  # then log in again",
    )


def test_group_of_kvm_is_the_one_that_the_variable_names(tree: HostTree) -> None:
    tree.write("etc/group", "kvm:x:104:\nvirt:x:105:ada")
    assert found(tree, "kvm-group", settings={"kvm_group": "virt"}).seen == "'ada' is in 'virt'"


def test_group_of_kvm_that_does_not_exist_is_a_warning(tree: HostTree) -> None:
    finding = found(tree, "kvm-group", settings={"kvm_group": "libvirt"})
    assert (finding.status, finding.seen) == ("warn", "there is no group 'libvirt'")


def test_group_of_kvm_that_is_the_primary_one_counts(tree: HostTree) -> None:
    tree.write("etc/group", "kvm:x:1000:")
    assert found(tree, "kvm-group").status == "ok"


def test_root_needs_no_group(tree: HostTree) -> None:
    root = TWO_RUNTIMES.replace('user = "ada"', 'user = "root"')
    assert found(tree, "kvm-group", root).seen == "root needs no group"


@pytest.mark.parametrize(
    ("module", "value", "status"),
    [("kvm_intel", "Y", "ok"), ("kvm_intel", "1", "ok"), ("kvm_intel", "N", "warn"),
     ("kvm_amd", "0", "warn")],
)  # fmt: skip
def test_nested_virtualisation_is_what_the_module_says(
    tree: HostTree, module: str, value: str, status: str
) -> None:
    (tree.root / "sys/module/kvm_intel/parameters/nested").unlink()
    tree.write(f"sys/module/{module}/parameters/nested", value)
    finding = found(tree, "nested-virtualisation")
    assert finding.status == status
    assert (f"modprobe {module}" in finding.mend) == (status == "warn")


def test_nested_virtualisation_is_unknown_without_a_module(tree: HostTree) -> None:
    (tree.root / "sys/module/kvm_intel/parameters/nested").unlink()
    assert found(tree, "nested-virtualisation").status == "skip"


def test_nested_virtualisation_is_not_checked_where_the_variable_says_so(tree: HostTree) -> None:
    finding = found(tree, "nested-virtualisation", settings={"skip_nested": True})
    assert (finding.status, finding.seen) == ("skip", "VLLMD_DISABLE_NESTED_VIRT says so")


@pytest.mark.parametrize(
    ("gids", "kvm", "status", "mend"),
    [
        ((1000, 104), True, "ok", ""),
        ((1000,), True, "warn", "newgrp kvm  # or log in again"),
        ((1000,), False, "warn", "newgrp kvm  # or log in again"),
    ],
)
def test_group_of_kvm_has_to_be_in_force_in_this_session(
    tree: HostTree, gids: tuple[int, ...], kvm: bool, status: str, mend: str
) -> None:
    account = Account(user="ada", uid=1000, gids=gids)
    finding = found(tree, "kvm-group", account=account, kvm=KvmState(works=kvm), is_here=True)
    assert (finding.status, finding.mend) == (status, mend)


def test_group_of_kvm_is_a_warning_where_kvm_works_without_it(tree: HostTree) -> None:
    tree.write("etc/group", "kvm:x:104:")
    account = Account(user="ada", uid=1000, gids=(1000,))
    finding = found(tree, "kvm-group", account=account, is_here=True)
    assert (finding.status, finding.seen) == ("warn", "'ada' is not in 'kvm'")


def test_user_of_the_guests_who_does_not_exist_is_a_warning(tree: HostTree) -> None:
    text = TWO_RUNTIMES.replace('user = "ada"', 'user = "vllmd"')
    assert outcome(found(tree, "kvm-group", text)) == (
        "warn",
        "there is no user 'vllmd' in /etc/passwd",
        "sudo useradd --system --create-home --groups kvm vllmd",
    )
