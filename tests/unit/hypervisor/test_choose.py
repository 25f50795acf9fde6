"""Which backend, which accelerator, and why."""

from __future__ import annotations

import pytest

from launcher.errors import HostError
from launcher.hypervisor.choose import Tools, choose
from launcher.hypervisor.kvm import KvmState
from launcher.hypervisor.model import Network, PublishedPort, VmSpec
from launcher.record import replace
from tests.support.guest_specs import SPEC

WORKS = KvmState(works=True)
BROKEN = KvmState(works=False, reason="a guest in KVM hangs")
DENIED = KvmState(works=False, reason="no permission on /dev/kvm", denied=True)
BOTH = Tools(qemu="/q", cloud_hypervisor="/c", kvm=WORKS)
PORT = PublishedPort(host="127.0.0.1", host_port=1, guest_port=2)


def chosen(spec: VmSpec, tools: Tools) -> tuple[str, str]:
    """Return the backend and the accelerator."""
    choice = choose(spec, tools)
    return choice.backend, choice.accelerator


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        (BOTH, ("cloud-hypervisor", "kvm")),
        (replace(BOTH, cloud_hypervisor=""), ("qemu", "kvm")),
        (replace(BOTH, kvm=BROKEN), ("qemu", "tcg")),
        (replace(BOTH, qemu=""), ("cloud-hypervisor", "kvm")),
    ],
)
def test_auto_takes_what_the_machine_has(tools: Tools, expected: tuple[str, str]) -> None:
    assert chosen(SPEC, tools) == expected


def test_auto_says_why() -> None:
    assert choose(SPEC, BOTH).why == "it is installed, and KVM works"
    why = choose(SPEC, replace(BOTH, kvm=BROKEN)).why
    assert "emulated, which is slow: a guest in KVM hangs" in why


def test_auto_takes_qemu_for_published_ports() -> None:
    spec = replace(SPEC, network=Network(publish=(PORT,)))
    assert chosen(spec, BOTH) == ("qemu", "kvm")


@pytest.mark.parametrize(
    ("changes", "tools", "message"),
    [
        ({}, replace(BOTH, kvm=DENIED), "no permission on /dev/kvm"),
        ({"accelerator": "kvm"}, replace(BOTH, kvm=BROKEN), "KVM is asked for"),
        ({"backend": "qemu"}, replace(BOTH, qemu=""), "QEMU is not on PATH"),
        ({"backend": "cloud-hypervisor"}, replace(BOTH, cloud_hypervisor=""),
         "'cloud-hypervisor' is not on PATH"),
        ({"backend": "cloud-hypervisor"}, replace(BOTH, kvm=BROKEN), "cloud-hypervisor needs KVM"),
        ({"backend": "cloud-hypervisor", "accelerator": "tcg"}, BOTH,
         "cloud-hypervisor does not emulate a CPU"),
        ({"backend": "qemu", "accelerator": "kvm"}, replace(BOTH, kvm=BROKEN), "KVM is asked for"),
        ({}, Tools(qemu="", cloud_hypervisor="", kvm=WORKS), "neither 'cloud-hypervisor' nor QEMU"),
        ({"devices": ("/sys/x",)}, replace(BOTH, kvm=BROKEN), "devices cannot be given"),
    ],
)  # fmt: skip
def test_choice_that_cannot_be_says_what_mends_it(
    changes: dict[str, object], tools: Tools, message: str
) -> None:
    with pytest.raises(HostError) as caught:
        choose(replace(SPEC, **changes), tools)
    assert message in caught.value.message
    assert caught.value.hint


def test_emulation_needs_no_permission() -> None:
    spec = replace(SPEC, accelerator="tcg")
    assert chosen(spec, replace(BOTH, kvm=DENIED)) == ("qemu", "tcg")
