from __future__ import annotations

from launcher.hypervisor.image.filesystem import MIB, plan_size, render_make


def test_size_of_ext4_holds_content_inodes_journal_and_spare_room() -> None:
    content, spare = 150 * MIB, 512 * MIB
    size = plan_size(content, 10_000, spare)
    assert size % MIB == 0
    assert content + spare + 64 * MIB < size < content + spare + 160 * MIB


def test_ext4_is_made_from_a_folder_without_a_mount() -> None:
    words = render_make("ext4", "/work/root", "/work/root.img", 512 * MIB, 1000)
    assert words[-4:] == ["-d", "/work/root", "/work/root.img", "524288k"]


def test_erofs_is_made_from_a_folder_without_a_mount() -> None:
    words = render_make("erofs", "/work/root", "/work/root.img", 0, 0)
    assert words == ["mkfs.erofs", "--quiet", "/work/root.img", "/work/root"]
