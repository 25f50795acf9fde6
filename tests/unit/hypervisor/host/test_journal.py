from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.errors import HostError
from launcher.hypervisor.host.bridge import (
    AddAddress,
    AddBridge,
    AddPort,
    AddTap,
    Forward,
    MoveAddresses,
)
from launcher.hypervisor.host.deeds import GiveFile, MakeFolder
from launcher.hypervisor.host.hugepages import AddHugePages
from launcher.hypervisor.host.journal import KINDS, journal_path, read_journal, write_journal
from launcher.hypervisor.host.nat import AddNat, AllowForwarding
from launcher.hypervisor.host.vfio import BindDevice, LoadModule

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.hypervisor.host.deeds import Deed

DEEDS: list[Deed] = [
    MakeFolder(path="/s", uid=1, gid=2),
    GiveFile(path="/dev/vfio/1", uid=1, gid=2, mode=0o600, former=(0, 0, 0o660), volatile=True),
    AddHugePages(folder="/sys/x", size=1 << 21, wanted=5, pages=3),
    AddBridge(bridge="br0", mac="52:54:00:00:00:01"),
    AddAddress(link="br0", address="10.0.0.1/24"),
    AddTap(tap="tap1", uid=1, gid=2),
    AddPort(port="tap1", bridge="br0"),
    MoveAddresses(
        origin="eth0",
        target="br0",
        addresses=("192.0.2.1/24",),
        routes=(("0.0.0.0/0", "192.0.2.9", 0, 3),),
    ),
    Forward(link="br0", former="0"),
    AddNat(bridge="br0", subnet="10.0.0.0/24"),
    AllowForwarding(bridge="br0"),
    LoadModule(name="vfio-pci"),
    BindDevice(address="0000:01:00.0", former="nvidia"),
]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return journal_path(str(tmp_path))


def test_journal_keeps_every_kind_of_deed(path: str) -> None:
    assert {type(deed).__name__ for deed in DEEDS} == KINDS.keys()
    write_journal(path, DEEDS, "boot")
    assert read_journal(path, "boot") == DEEDS


def test_reboot_leaves_folders_only(path: str) -> None:
    write_journal(path, DEEDS, "boot")
    assert read_journal(path, "next boot") == DEEDS[:1]


def test_journal_without_deeds_is_no_file(path: str, tmp_path: Path) -> None:
    write_journal(path, DEEDS, "boot")
    write_journal(path, [], "boot")
    assert (list(tmp_path.iterdir()), read_journal(path, "boot")) == ([], [])


def test_journal_behind_a_link_is_refused(path: str, tmp_path: Path) -> None:
    write_journal(str(tmp_path / "other"), DEEDS, "boot")
    (tmp_path / "initialize.json").symlink_to("other")
    with pytest.raises(HostError, match="is not trusted"):
        read_journal(path, "boot")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"deeds": [{"deed": "AddTap", "boot": "b"}]}'])
def test_journal_that_is_broken_is_refused(path: str, tmp_path: Path, text: str) -> None:
    (tmp_path / "initialize.json").write_text(text)
    with pytest.raises(HostError, match="is not trusted"):
        read_journal(path, "boot")


def test_what_is_done_is_said_with_its_names() -> None:
    said = [deed.say() for deed in DEEDS]
    assert len(set(said)) == len(DEEDS)
    assert said[7] == "move 192.0.2.1/24 and 1 routes from 'eth0' to 'br0'"
    assert said[-1] == "bind 0000:01:00.0 from 'nvidia' to 'vfio-pci'"
