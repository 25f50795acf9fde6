"""Layers are unpacked by a process that has changed its root, as `image build` does it."""

from __future__ import annotations

import os
import stat
import tarfile
import traceback
from typing import TYPE_CHECKING

import pytest

from launcher.hypervisor.image.layers import Layer
from tests.support.container_archives import file, folder, link, write_layer
from tests.support.require import require

if TYPE_CHECKING:
    from pathlib import Path

    Member = tuple[tarfile.TarInfo, bytes]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    require("vm", "changing the root needs root", present=os.geteuid() == 0)
    path = tmp_path / "root"
    path.mkdir()
    return path


def unpack(root: Path, *layers: list[Member], keep_links: bool = False) -> int:
    """Unpack layers in a child; return 0, or 1 where one was refused."""
    paths = [f"{root}.{number}.tar" for number, _ in enumerate(layers)]
    for path, members in zip(paths, layers, strict=True):
        write_layer(path, members)
    archives = [tarfile.open(path) for path in paths]  # noqa: SIM115
    child = os.fork()
    if child == 0:
        try:
            os.chroot(root)
            os.chdir("/")
            for archive in archives:
                Layer(archive, keep_links=keep_links).unpack()
            os._exit(0)
        except BaseException:  # noqa: BLE001  (a child of a test says what it was)
            traceback.print_exc()
            os._exit(1)
    for archive in archives:
        archive.close()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_later_layer_replaces_a_file(root: Path) -> None:
    assert unpack(root, [file("a", b"old")], [file("./a", b"new")]) == 0
    assert (root / "a").read_bytes() == b"new"


def test_whiteout_removes_what_a_lower_layer_has(root: Path) -> None:
    lower = [folder("d"), file("d/gone"), file("d/stays"), folder("tree"), file("tree/x")]
    assert unpack(root, lower, [file("d/.wh.gone"), file(".wh.tree")]) == 0
    assert sorted(os.listdir(root / "d")) == ["stays"]
    assert not (root / "tree").exists()


def test_opaque_folder_loses_only_what_lower_layers_have(root: Path) -> None:
    lower = [folder("d"), file("d/old")]
    assert unpack(root, lower, [folder("d"), file("d/new"), file("d/.wh..wh..opq")]) == 0
    assert os.listdir(root / "d") == ["new"]


def test_file_takes_the_place_of_a_folder_and_a_folder_that_of_a_file(root: Path) -> None:
    assert unpack(root, [folder("a"), file("a/x"), file("b")], [file("a"), folder("b")]) == 0
    assert (root / "a").is_file()
    assert (root / "b").is_dir()


def test_mode_time_and_hard_link_are_kept(root: Path) -> None:
    member, content = file("sh", b"#!", mode=0o4755)
    member.mtime = 1_000_000_000
    assert unpack(root, [(member, content), link("twin", "sh", hard=True)]) == 0
    found = (root / "sh").stat()
    assert stat.S_IMODE(found.st_mode) == 0o4755
    assert (found.st_mtime, found.st_nlink) == (1_000_000_000, 2)


def test_device_nodes_are_left_out(root: Path) -> None:
    info = tarfile.TarInfo("dev/null")
    info.type = tarfile.CHRTYPE
    assert unpack(root, [(info, b"")]) == 0
    assert list(root.iterdir()) == []


def test_link_to_the_outside_leads_nowhere_but_inside(root: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    layer = [link("out", str(victim)), file("out/planted", b"x")]
    unpack(root, layer)
    assert list(victim.iterdir()) == []


def test_name_that_climbs_out_is_refused(root: Path, tmp_path: Path) -> None:
    assert unpack(root, [file("a/../../planted")]) == 1
    assert not (tmp_path / "planted").exists()


def test_folder_over_a_link_replaces_it_as_engines_do(root: Path) -> None:
    lower = [folder("usr"), folder("usr/lib"), link("lib", "usr/lib")]
    assert unpack(root, lower, [folder("lib"), file("lib/x")]) == 0
    assert not (root / "lib").is_symlink()


def test_folder_over_a_link_adds_to_its_target_where_links_are_kept(root: Path) -> None:
    lower = [folder("usr"), folder("usr/lib"), link("lib", "usr/lib")]
    assert unpack(root, lower, [folder("lib"), file("lib/x")], keep_links=True) == 0
    assert (root / "usr/lib/x").is_file()
    assert (root / "lib").is_symlink()
