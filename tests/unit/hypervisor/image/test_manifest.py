from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.errors import HostError
from launcher.hypervisor.guest.manifest import (
    ImageManifest,
    find_manifest,
    render_manifest,
    require_manifest,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def built(tmp_path: Path) -> ImageManifest:
    manifest = ImageManifest(
        kernel=str(tmp_path / "vmlinuz"),
        initramfs=str(tmp_path / "initramfs.img"),
        image=str(tmp_path / "root.img"),
        flavour="minimal",
        filesystem="erofs",
        cmdline="root=/dev/vda",
        readonly=True,
    )
    (tmp_path / "image.json").write_text(render_manifest(manifest))
    return manifest


def test_manifest_is_read_back_with_absolute_paths(built: ImageManifest, tmp_path: Path) -> None:
    assert require_manifest(str(tmp_path)) == built
    assert find_manifest(built.image) == built


def test_manifest_of_another_image_does_not_count(built: ImageManifest, tmp_path: Path) -> None:
    assert find_manifest(str(tmp_path / "other.img")) is None
    assert built.readonly


def test_image_without_a_manifest_has_none(tmp_path: Path) -> None:
    assert find_manifest(str(tmp_path / "root.img")) is None


def test_folder_without_an_image_is_refused_with_the_command_that_builds_one(
    tmp_path: Path,
) -> None:
    with pytest.raises(HostError) as caught:
        require_manifest(str(tmp_path))
    assert caught.value.message == f"'{tmp_path}' holds no image"
    assert "vllmd-hypervisor image build --output" in caught.value.hint


@pytest.mark.parametrize("text", ["", "[]", '{"v": 2}', '{"v": 1, "kernel": 7}', '{"v": 1}'])
def test_manifest_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "image.json").write_text(text)
    with pytest.raises(HostError, match=r"image\.json"):
        require_manifest(str(tmp_path))
