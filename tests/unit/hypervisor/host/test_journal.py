from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING

import pytest

from launcher.errors import HostError
from launcher.hypervisor.host.bridge import (
    AddAddress,
    AddBridge,
    Forward,
    MoveAddresses,
)
from launcher.hypervisor.host.deeds import GiveFile, MakeFolder
from launcher.hypervisor.host.hugepages import AddHugePages
from launcher.hypervisor.host.journal import (
    KINDS,
    VERSION,
    hold_journal,
    journal_path,
    read_journal,
    write_journal,
)
from launcher.hypervisor.host.nat import AddNat, AllowForwarding
from launcher.hypervisor.host.taps import AddPort, AddTap
from launcher.hypervisor.host.vfio import BindDevice, LoadModule
from launcher.record import replace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from launcher.hypervisor.host.deeds import Deed

DEEDS: list[Deed] = [
    MakeFolder(path="/s", uid=1, gid=2),
    GiveFile(path="/dev/vfio/1", uid=1, gid=2, mode=0o600, former=(0, 0, 0o660), volatile=True),
    AddHugePages(folder="/sys/x", size=1 << 21, wanted=5, pages=3, former=1),
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


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        '{"v": 1, "deeds": 3}',
        '{"v": 1, "deeds": [3]}',
        '{"v": 1, "deeds": [], "begun": {"deed": "AddTap"}}',
        '{"v": 1, "deeds": [{"deed": "AddTap", "boot": "b"}]}',
        '{"v": 1, "deeds": [{"deed": "LoadModule", "boot": "b", "name": 7}]}',
        '{"v": 1, "deeds": [{"deed": "LoadModule", "boot": "b", "name": "x", "more": 1}]}',
    ],
)
def test_journal_that_is_broken_is_refused(path: str, tmp_path: Path, text: str) -> None:
    (tmp_path / "initialize.json").write_text(text)
    with pytest.raises(HostError, match="is not trusted"):
        read_journal(path, "boot")


def test_what_is_done_is_said_with_its_names() -> None:
    said = [deed.say() for deed in DEEDS]
    assert len(set(said)) == len(DEEDS)
    assert said[7] == "move 192.0.2.1/24 and 1 routes from 'eth0' to 'br0'"
    assert said[-1] == "bind 0000:01:00.0 from 'nvidia' to 'vfio-pci'"


def test_journal_of_another_version_is_refused(path: str, tmp_path: Path) -> None:
    text = json.dumps({"v": VERSION + 1, "deeds": []})
    (tmp_path / "initialize.json").write_text(text)
    with pytest.raises(HostError, match=f"version {VERSION + 1} of its format"):
        read_journal(path, "boot")


@pytest.mark.parametrize("name", ["tuple too short", "text in a tuple"])
def test_tuples_of_a_journal_are_checked(path: str, tmp_path: Path, name: str) -> None:
    write_journal(path, DEEDS[1:2], "boot")
    journal = json.loads((tmp_path / "initialize.json").read_text())
    journal["deeds"][0]["former"] = [0, 0] if name == "tuple too short" else [0, 0, "x"]
    (tmp_path / "initialize.json").write_text(json.dumps(journal))
    with pytest.raises(HostError, match="'former' of GiveFile is no"):
        read_journal(path, "boot")


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_journal_that_is_no_file_is_refused(path: str, make: Callable[[str], None]) -> None:
    make(path)
    with pytest.raises(HostError, match="it is no file"):
        read_journal(path, "boot")


def test_deed_that_was_begun_comes_last(path: str) -> None:
    write_journal(path, DEEDS[:1], "boot", begun=DEEDS[5])
    assert read_journal(path, "boot") == [DEEDS[0], DEEDS[5]]
    assert read_journal(path, "next boot") == DEEDS[:1]


def test_deed_that_is_begun_again_is_there_once(path: str) -> None:
    write_journal(path, DEEDS, "boot", begun=DEEDS[5])
    assert read_journal(path, "boot") == DEEDS


@pytest.mark.parametrize(("now", "given"), [("7", 0), ("9", 2), ("12", 5), ("40", 5)])
def test_huge_pages_that_were_begun_are_counted(
    path: str, tmp_path: Path, now: str, given: int
) -> None:
    (tmp_path / "nr_hugepages").write_text(now)
    deed = AddHugePages(folder=str(tmp_path), size=1 << 21, wanted=6, pages=5, former=7)
    write_journal(path, [], "boot", begun=deed)
    assert read_journal(path, "boot") == [replace(deed, pages=given, wanted=1 + given)]


def test_journal_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    with (
        hold_journal(str(tmp_path)),
        pytest.raises(HostError, match="another 'vllmd-hypervisor initialize' is at work"),
        hold_journal(str(tmp_path), limit_s=0.0),
    ):
        pytest.fail("both hold it")
    with hold_journal(str(tmp_path), limit_s=0.0):
        pass


def test_journal_is_free_when_its_holder_is_gone(tmp_path: Path) -> None:
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    os.close(holder)
    with hold_journal(str(tmp_path), limit_s=0.0):
        pass
