from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING

import pytest

from launcher.errors import HostError
from launcher.hypervisor.image.archive import read_archive
from tests.support.container_archives import (
    file,
    write_docker_archive,
    write_layer,
    write_oci_archive,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def layers(tmp_path: Path) -> list[str]:
    paths = [str(tmp_path / name) for name in ("base.tar", "top.tar")]
    for path in paths:
        write_layer(path, [file("a", b"x")])
    return paths


def test_docker_archive_tells_its_layers_and_environment(tmp_path: Path, layers: list[str]) -> None:
    path = str(tmp_path / "image.tar")
    write_docker_archive(path, layers, {"PATH": "/opt/venv/bin:/bin", "EMPTY": ""})
    found = read_archive(path)
    assert found.layers == ("layer0.tar", "layer1.tar")
    assert found.environment == {"PATH": "/opt/venv/bin:/bin", "EMPTY": ""}


def test_oci_archive_tells_its_layers_and_environment(tmp_path: Path, layers: list[str]) -> None:
    path = str(tmp_path / "image.tar")
    write_oci_archive(path, layers, {"LANG": "C.UTF-8"})
    found = read_archive(path)
    assert [each[:13] for each in found.layers] == ["blobs/sha256/"] * 2
    assert found.environment == {"LANG": "C.UTF-8"}


def test_secrets_in_an_image_are_withheld(tmp_path: Path, layers: list[str]) -> None:
    path = str(tmp_path / "image.tar")
    write_docker_archive(path, layers, {"HF_TOKEN": "s3cret", "A": "1"})
    found = read_archive(path)
    assert (found.withheld, found.environment) == (("HF_TOKEN",), {"A": "1"})


def test_plain_root_has_no_layers(tmp_path: Path) -> None:
    path = str(tmp_path / "root.tar")
    write_layer(path, [file("etc/passwd"), file("usr/bin/python3")])
    assert read_archive(path).layers == ()


def test_image_for_another_architecture_is_refused(tmp_path: Path, layers: list[str]) -> None:
    path = str(tmp_path / "image.tar")
    write_docker_archive(path, layers, {}, architecture="arm64")
    with pytest.raises(HostError, match="is an image for 'arm64', not for 'amd64'"):
        read_archive(path)


def test_archive_with_several_images_is_refused_with_their_names(tmp_path: Path) -> None:
    path = str(tmp_path / "image.tar")
    images = [{"RepoTags": ["a:1"]}, {"RepoTags": ["b:1"]}]
    info, _ = file("manifest.json", data := json.dumps(images).encode())
    with tarfile.open(path, "w") as archive:
        archive.addfile(info, io.BytesIO(data))
    with pytest.raises(HostError, match="holds several images: 'a:1', 'b:1'"):
        read_archive(path)


@pytest.mark.parametrize("content", [b"", b"no tar at all" * 100, b"\x1f\x8b broken"])
def test_file_that_is_no_tar_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(content)
    with pytest.raises(HostError, match="cannot be read: it is no tar archive"):
        read_archive(str(path))


def test_missing_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot be read: no such file or directory"):
        read_archive(str(tmp_path / "none.tar"))


@pytest.mark.parametrize(
    "manifest", [b"[]", b"{}", b"[1]", b"not json", b'[{"Config": "c", "Layers": ["x"]}]']
)
def test_manifest_that_makes_no_sense_is_refused(tmp_path: Path, manifest: bytes) -> None:
    path = str(tmp_path / "image.tar")
    write_layer(path, [file("manifest.json", manifest)])
    with pytest.raises(HostError, match=r"cannot be understood|holds no image"):
        read_archive(path)
