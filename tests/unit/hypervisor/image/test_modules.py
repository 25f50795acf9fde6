from __future__ import annotations

import lzma
from typing import TYPE_CHECKING

import pytest

from launcher.errors import HostError
from launcher.hypervisor.image.modules import (
    KernelModules,
    find_modules,
    parse_depends,
    plan_loading,
    read_module,
)

if TYPE_CHECKING:
    from pathlib import Path


def plan(wanted: tuple[str, ...], needs: dict[str, tuple[str, ...]], *builtin: str) -> list[str]:
    modules = KernelModules(files=dict.fromkeys(needs, ""), builtin=frozenset(builtin))
    return plan_loading(wanted, modules, lambda name: needs[name])


def test_order_of_loading_puts_what_is_needed_first() -> None:
    needs = {"blk": ("virtio", "ring"), "ring": ("virtio",), "virtio": ()}
    assert plan(("blk",), needs) == ["virtio", "ring", "blk"]


def test_order_of_loading_names_each_module_once() -> None:
    needs: dict[str, tuple[str, ...]] = {"a": ("c",), "b": ("c",), "c": ()}
    assert plan(("a", "b", "a"), needs) == ["c", "a", "b"]


def test_order_of_loading_leaves_out_what_the_kernel_has_or_lacks() -> None:
    assert plan(("ext4", "isofs", "erofs"), {"isofs": ("ext4",)}, "ext4") == ["isofs"]


def test_circle_of_modules_ends() -> None:
    assert plan(("a",), {"a": ("b",), "b": ("a",)}) == ["b", "a"]


def test_needs_of_a_module_come_from_its_own_description() -> None:
    module = b"\x7fELF..\0license=GPL\0depends=virtio_ring,virtio-net\0name=x\0"
    assert parse_depends(module) == ("virtio_ring", "virtio_net")


def test_module_without_needs_has_none() -> None:
    assert parse_depends(b"\0depends=\0") == ()
    assert parse_depends(b"nothing") == ()


def test_names_of_modules_know_no_hyphens_and_no_packing(tmp_path: Path) -> None:
    (tmp_path / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\n")
    (tmp_path / "virtio-rng.ko.xz").write_bytes(lzma.compress(b"content"))
    found = find_modules(str(tmp_path))
    assert found.builtin == {"ext4"}
    assert read_module(found.files["virtio_rng"]) == b"content"


def test_folder_without_modules_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="holds no kernel's modules: no such file"):
        find_modules(str(tmp_path))
