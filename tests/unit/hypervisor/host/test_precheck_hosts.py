"""`precheck` on whole hosts: two H100s, an AMD server, a laptop, a container, a guest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.hypervisor.host.findings import FAIL, WARN, Finding, code_of
from launcher.hypervisor.host.precheck import check_all
from tests.support.hosts import (
    GPU_1,
    GPU_2,
    NO_KVM,
    PREPARE,
    TWO_RUNTIMES,
    amd_host,
    container,
    intel_with_two_h100,
    laptop,
    nested_vm,
    survey,
)
from tests.support.hosttree import HostTree

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from launcher.hypervisor.host.checks.survey import Survey

# What every host is asked. Disk space is the test machine's own.
ALWAYS = {
    "host", "cpu-virtualisation", "kvm", "kvm-group", "nested-virtualisation", "iommu",
    "vfio-modules", "hugepages 2M", "memlock", "memory", "cpus", "bridge vllmd-br0", "taps",
    "cloud-hypervisor", "qemu-system-x86_64", "disk-space", "systemd",
}  # fmt: skip


def statuses(findings: Sequence[Finding], *wanted: str) -> dict[str, str]:
    """Return the names of the findings that have one of some statuses."""
    return {
        each.name: each.status
        for each in findings
        if each.status in wanted and each.name != "disk-space"
    }


def check(wanted: Survey) -> dict[str, Finding]:
    return {each.name: each for each in check_all(wanted)}


def test_prepared_host_with_two_h100_passes(tmp_path: Path) -> None:
    findings = check_all(survey(intel_with_two_h100(HostTree(tmp_path)), TWO_RUNTIMES))
    assert statuses(findings, WARN, FAIL) == {}
    seen = {each.name: each.seen for each in findings}
    assert seen[f"iommu-group {GPU_1}"] == "group 40, alone in it"
    assert seen[f"vfio-binding {GPU_2}"] == "vfio-pci"
    assert seen[f"numa-node {GPU_2}"] == "node 1, with the CPUs 32-63"
    assert seen["iommu"] == "Intel VT-d, 2 groups"
    assert seen["host"].endswith("64 CPUs, 1024 GiB of memory, 2 NUMA nodes")
    assert seen.keys() >= ALWAYS


def test_amd_host_is_told_what_initialize_will_do(tmp_path: Path) -> None:
    findings = check(survey(amd_host(HostTree(tmp_path)), TWO_RUNTIMES))
    assert statuses([*findings.values()], WARN, FAIL) == {
        f"vfio-binding {GPU_1}": WARN,
        "hugepages 2M": WARN,
        "bridge vllmd-br0": WARN,
        "taps": WARN,
    }
    binding = findings[f"vfio-binding {GPU_1}"]
    assert binding.seen == (
        f"{GPU_1} (nvidia), 0000:41:00.1 (snd_hda_intel), held by nvidia-persistenced"
    )
    assert binding.mend == f"sudo systemctl stop nvidia-persistenced && {PREPARE}"
    assert findings["iommu"].seen == "AMD-Vi, 2 groups"


def test_laptop_without_iommu_may_run_guests_without_gpus(tmp_path: Path) -> None:
    findings = check(survey(laptop(HostTree(tmp_path))))
    assert statuses([*findings.values()], WARN, FAIL) == {
        "nested-virtualisation": WARN,
        "iommu": WARN,
        "bridge vllmd-br0": WARN,
    }
    assert findings["iommu"].mend == (
        "sudo sed -i 's/^GRUB_CMDLINE_LINUX=\"/&intel_iommu=on iommu=pt /' /etc/default/grub"
        " && sudo update-grub && sudo reboot"
    )
    assert findings["interface wlan0"].seen == "up, the first active one"


def test_laptop_without_iommu_fails_where_a_gpu_is_wanted(tmp_path: Path) -> None:
    findings = check(survey(laptop(HostTree(tmp_path)), TWO_RUNTIMES))
    failed = statuses([*findings.values()], FAIL)
    assert failed.keys() == {
        "iommu", "vfio-modules", f"gpu {GPU_1}", f"gpu {GPU_2}", "memory", "files one", "files two",
    }  # fmt: skip
    assert findings[f"gpu {GPU_1}"].seen == (
        "this machine has no such device; its GPUs are 0000:00:02.0"
    )


def test_container_is_told_to_ask_its_host(tmp_path: Path) -> None:
    findings = check(survey(container(HostTree(tmp_path)), kvm=NO_KVM))
    assert findings["host"].status == WARN
    assert findings["host"].seen.startswith("a container on Xeon Gold 6348, 28 CPUs")
    assert findings["kvm"].status == FAIL
    assert findings["kvm"].mend == "docker run --device /dev/kvm ...  # start the container so"
    assert findings["systemd"].seen == "not in this container"


def test_nested_machine_is_told_what_the_one_below_has_to_give(tmp_path: Path) -> None:
    findings = check(survey(nested_vm(HostTree(tmp_path)), kvm=NO_KVM))
    assert findings["host"].seen.startswith("a virtual machine with Xeon (Skylake), 4 CPUs")
    assert statuses([*findings.values()], FAIL) == {"cpu-virtualisation": FAIL, "kvm": FAIL}
    mend = findings["cpu-virtualisation"].mend
    assert mend.startswith("echo 'options kvm_intel nested=1'")
    assert "intel-iommu" in findings["iommu"].mend


@pytest.mark.parametrize("host", [intel_with_two_h100, amd_host, laptop, container, nested_vm])
@pytest.mark.parametrize("text", ["", TWO_RUNTIMES])
def test_whatever_is_wrong_has_a_reason_and_a_command(
    tmp_path: Path, host: Callable[[HostTree], HostTree], text: str
) -> None:
    findings = check_all(survey(host(HostTree(tmp_path)), text, kvm=NO_KVM))
    assert all(each.why for each in findings)
    wrong = [each for each in findings if each.status in {WARN, FAIL}]
    assert [each for each in wrong if not each.mend] == []
    assert code_of(findings) == (69 if statuses(findings, FAIL) else 0)
