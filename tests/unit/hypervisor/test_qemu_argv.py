"""The command line of QEMU, from a guest."""

from __future__ import annotations

import pytest

from launcher.hypervisor.model import Disk, Memory, Network, PublishedPort, VmSpec
from launcher.hypervisor.qemu.argv import find_qemu_gaps, plan_qemu
from launcher.hypervisor.rundir import RunDir
from launcher.record import replace
from tests.support.guest_specs import RUNDIR, SPEC

MAC = "52:54:00:00:00:01"


def argv(accelerator: str = "tcg", machine: str = "x86_64", **changes: object) -> list[str]:
    """Return the command line of a guest."""
    spec: VmSpec = replace(SPEC, **changes)
    return list(plan_qemu(spec, RUNDIR, accelerator, "/q", machine).argv)


def value_of(option: str, words: list[str]) -> str:
    """Return what follows an option's first use."""
    return words[words.index(option) + 1]


def test_argv_is_whole() -> None:
    run = "/run/vllmd-hypervisor/chat"
    assert argv() == [
        "/q", "-nodefaults", "-no-user-config", "-display", "none", "-name", "guest=chat",
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-machine", "q35,memory-backend=ram", "-accel", "tcg,thread=multi", "-cpu", "max",
        "-m", "16384M",
        "-object", "memory-backend-memfd,id=ram,size=17179869184,share=on,merge=off",
        "-smp", "4", "-kernel", "/k", "-initrd", "/i", "-append", "console=ttyS0",
        "-drive", "if=none,id=system,file=/s.img,format=raw,readonly=off",
        "-device", "virtio-blk-pci,drive=system,serial=system",
        "-drive", "if=none,id=config,file=/c.img,format=raw,readonly=on",
        "-device", "virtio-blk-pci,drive=config,serial=config",
        "-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0,mac=,romfile=",
        "-device", "virtio-rng-pci", "-device", "pvpanic-pci",
        "-chardev", f"socket,id=console,path={run}/console.sock,server=off",
        "-serial", "chardev:console",
        "-chardev", f"socket,id=report,path={run}/report.sock,server=off",
        "-device", "virtio-serial-pci",
        "-device", "virtserialport,chardev=report,name=org.vllmd.report",
        "-qmp", f"unix:{run}/monitor.sock,server=on,wait=off",
        "-qmp", f"unix:{run}/control.sock,server=on,wait=off",
        "-pidfile", f"{run}/vmm.pid",
    ]  # fmt: skip


def test_argv_with_kvm_passes_the_hosts_cpu_through() -> None:
    words = argv("kvm")
    assert (value_of("-accel", words), value_of("-cpu", words)) == ("kvm", "host")


def test_argv_on_arm_is_for_virt() -> None:
    words = argv(machine="aarch64")
    assert value_of("-machine", words) == "virt,memory-backend=ram"
    assert "pvpanic-pci" not in words


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        (Memory(size=1 << 30), "memory-backend-ram,id=ram,size=1073741824,share=off,merge=off"),
        (Memory(size=1 << 30, mergeable=True),
         "memory-backend-ram,id=ram,size=1073741824,share=off,merge=on"),
        (Memory(size=1 << 30, shared=True, prefault=True),
         "memory-backend-memfd,id=ram,size=1073741824,share=on,merge=off,prealloc=on"),
        (Memory(size=1 << 30, shared=True, hugepages=True, hugepage_size=2 << 20),
         ("memory-backend-memfd,id=ram,size=1073741824,share=on,hugetlb=on,hugetlbsize=2097152,"
          "merge=off")),
    ],
)  # fmt: skip
def test_argv_memory_means_what_it_means_in_cloud_hypervisor(memory: Memory, expected: str) -> None:
    assert value_of("-object", argv(memory=memory)) == expected


def test_argv_memory_of_odd_size_is_in_bytes() -> None:
    assert value_of("-m", argv(memory=Memory(size=(1 << 20) + 4096))) == "1052672B"


def test_argv_publishes_ports() -> None:
    publish = (
        PublishedPort(host="127.0.0.1", host_port=8000, guest_port=80),
        PublishedPort(host="::1", host_port=8001, guest_port=81),
    )
    words = argv(network=Network(kind="user", mac=MAC, publish=publish))
    expected = "user,id=net0,hostfwd=tcp:127.0.0.1:8000-:80,hostfwd=tcp:[::1]:8001-:81"
    assert value_of("-netdev", words) == expected


def test_argv_takes_a_tap() -> None:
    words = argv(network=Network(kind="tap", tap="tap0", mac=MAC))
    assert value_of("-netdev", words) == "tap,id=net0,ifname=tap0,script=no,downscript=no"


def test_argv_without_network_has_none() -> None:
    assert "-netdev" not in argv(network=Network(kind="none"))


def test_argv_puts_each_device_behind_a_port() -> None:
    words = argv(devices=("/sys/bus/pci/devices/0000:01:00.0", "/sys/bus/pci/devices/0000:02:00.0"))
    assert "pcie-root-port,id=port1,chassis=2" in words
    assert "vfio-pci,host=0000:02:00.0,bus=port1" in words


def test_argv_boots_firmware_without_a_command_line() -> None:
    words = argv(firmware=True)
    assert value_of("-bios", words) == "/k"
    assert not {"-kernel", "-initrd", "-append"} & set(words)


def test_argv_says_the_format_of_an_image() -> None:
    words = argv(system_image=Disk(path="/s.qcow2", format="qcow2"))
    assert value_of("-drive", words) == "if=none,id=system,file=/s.qcow2,format=qcow2,readonly=off"


def test_argv_escapes_commas_of_paths() -> None:
    words = plan_qemu(
        replace(SPEC, system_image=Disk(path="/a,b")), RunDir(path="/r,s"), "tcg", "/q"
    ).argv
    assert "if=none,id=system,file=/a,,b,format=raw,readonly=off" in words
    assert "unix:/r,,s/monitor.sock,server=on,wait=off" in words


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"memory": Memory(size=1 << 30, hotplug_size=1 << 30)}, "MEMORY_CONFIG"),
        ({"memory": Memory(size=1 << 30, thp=False)}, "MEMORY_CONFIG"),
        ({"cpus": 256}, "CPU_COUNT"),
    ],
)
def test_gaps_of_qemu_are_told(changes: dict[str, object], name: str) -> None:
    assert [gap[0] for gap in find_qemu_gaps(replace(SPEC, **changes))] == [name]
    assert find_qemu_gaps(SPEC) == []
